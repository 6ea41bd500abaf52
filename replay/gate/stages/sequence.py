"""The stages of a gate in their order. The first one that does not pass ends the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from monitor.events.wording.drift import printable
from monitor.records import Inclusion, Sample
from replay.gate.criteria.dimension import Dimension
from replay.gate.criteria.model import RUN_STAGES, Canary, Criteria, StageName
from replay.gate.decision.evaluation import Evidence, chances, evaluate
from replay.gate.decision.measures import AnswerCheck
from replay.gate.decision.rules import levels
from replay.gate.decision.tasks import Limits, Sides, compare, margin_check
from replay.gate.outcome import EXIT_STATUS, Check, GateResult, Origin, Outcome, Stage, worst
from replay.gate.stages import people
from replay.gate.stages.canary import Clock, Reading, wait
from replay.gate.stages.runs import Scores, StoredRun
from replay.results import ItemScore, RunError, TaskScores

_Labels = list[tuple[int, people.Label]]
"""Labels with their numbers in a file."""


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate reads besides its criteria.

    folder: keeps scores, logs and the pairs for people. samples: records of candidate and baseline.
    checks: of answers, by name. stored: reads runs of the store.
    canary: reads the experiment. labels: file of people's labels. review: where people compare
    pairs, unless there is such a file. clock: for the canary.
    time: returns epoch seconds.
    """

    folder: Path
    samples: tuple[Sequence[Sample], Sequence[Sample]]
    checks: Mapping[str, AnswerCheck]
    stored: StoredRun
    canary: Callable[[Canary], Reading]
    labels: Path | None
    clock: Clock
    time: Callable[[], float]
    review: people.Review | None = None


def run_gate(
    criteria: Criteria,
    sha256: str,
    inputs: Inputs,
    origin: Origin,
    until: StageName | None = None,
) -> GateResult:
    """Run the stages, to `until` or to the last one, and return the result.

    An inconclusive tier is followed by the next larger one; of L0 to L2, the outcome of the last
    one that ran counts. Raises UserError for inputs that do not fit.
    """
    started = inputs.time()
    stages: list[Stage] = []
    names = _wanted(criteria, until)
    running = _Stages(criteria, inputs, origin.commit)
    for position, name in enumerate(names):
        begun = inputs.time()
        stage = running.run(name)
        stage = msgspec.structs.replace(stage, seconds=max(inputs.time() - begun, 0.0))
        stages.append(stage)
        larger = position + 1 < len(names) and names[position + 1] in RUN_STAGES
        if stage.outcome != "passed" and not (stage.outcome == "inconclusive" and larger):
            break
    stages += [Stage(name=name, outcome="not_run") for name in names[len(stages) :]]
    outcome = _outcome(stages)
    return GateResult(
        name=criteria.name,
        criteria_sha256=sha256,
        outcome=outcome,
        exit_status=EXIT_STATUS[outcome],
        started=started,
        seconds=max(inputs.time() - started, 0.0),
        candidate=printable(criteria.candidate.label),
        baseline=printable(criteria.baseline.label) if criteria.baseline else "",
        stages=tuple(stages),
        origin=origin,
    )


def _wanted(criteria: Criteria, until: StageName | None) -> list[StageName]:
    names = list(criteria.stages)
    return names if until is None else names[: names.index(until) + 1]


def _outcome(stages: Sequence[Stage]) -> Outcome:
    """Return the outcome of the whole: a smaller tier gives way to a larger one."""
    ran = [stage for stage in stages if stage.outcome != "not_run"]
    tiers = [stage for stage in ran if stage.name in RUN_STAGES]
    counted = [*tiers[-1:], *(stage for stage in ran if stage.name not in RUN_STAGES)]
    return worst(stage.outcome for stage in counted if stage.outcome != "not_run")


class _Stages:
    """Runs single stages."""

    def __init__(self, criteria: Criteria, inputs: Inputs, commit: str) -> None:
        self._criteria = criteria
        self._inputs = inputs
        self._scores = Scores(criteria, inputs.folder, inputs.stored, commit)

    def run(self, name: StageName) -> Stage:
        """Return the stage; a run that breaks is an error with its reason."""
        try:
            if name == "canary":
                return self._canary()
            return self._people() if name == "L3" else self._tier(name)
        except RunError as error:
            detail = printable(error.detail)
            return Stage(name=name, outcome="error", reason=error.reason, detail=detail)

    def _tier(self, name: StageName) -> Stage:
        sides = self._scores.tier(getattr(self._criteria.tiers, name))
        samples = (
            self._samples(self._inputs.samples[0], sides.candidate),
            self._samples(self._inputs.samples[1], sides.baseline),
        )
        checks = evaluate(self._criteria, Evidence(sides, samples, self._inputs.checks))
        reused = ", ".join(sorted(self._scores.reused))
        detail = f"scores that an earlier command kept: {reused}" if reused else ""
        return msgspec.structs.replace(_stage(name, checks), detail=detail)

    def _samples(self, records: Sequence[Sample], scores: Sequence[TaskScores]) -> list[Sample]:
        """Return the records, or the responses of the run if there are none."""
        if records or not self._inputs.checks:
            return list(records)
        return [_sample(score) for task in scores for score in task.scores]

    def _people(self) -> Stage:
        criteria, inputs = self._criteria, self._inputs
        tiers = [name for name in criteria.stages if name in RUN_STAGES]
        limit = getattr(criteria.tiers, tiers[-1] if tiers else "L3")
        sides = self._scores.tier(limit)
        pairs = people.draw(sides.candidate, sides.baseline, criteria.tiers.L3)
        labels, place = self._labels(pairs)
        if labels is None:
            count = len(people.different(pairs))
            detail = f"{count} pairs wait for labels in {place}; pass them with --labels"
            return Stage(name="L3", outcome="inconclusive", detail=detail)
        own, other, missing = people.scores(pairs, labels, place)
        if missing:
            detail = f"{missing} of {len(people.different(pairs))} pairs have no label"
            if inputs.labels is None:
                detail += f"; they wait in {place}"
            return Stage(name="L3", outcome="inconclusive", detail=detail)
        level = levels(criteria.alpha, chances(criteria))
        limits = Limits(criteria.min_items, criteria.max_failed)
        margin = criteria.people.margin
        found = compare(Sides((own,), (other,)), {people.TASK: margin}, level, limits)
        rule = Dimension(tasks=(people.TASK,), margin=margin)
        check = margin_check(people.TASK, rule, found[people.TASK])
        words = f"the share of pairs lost exceeds that of pairs won by less than {margin:g}"
        return _stage("L3", (msgspec.structs.replace(check, name="people margin", rule=words),))

    def _labels(self, pairs: Sequence[people.Pair]) -> tuple[_Labels | None, Path | str]:
        """Return the labels of people and where they are; None if the pairs wait in a file.

        The pairs are exported as a file in any case.
        """
        inputs = self._inputs
        path = inputs.folder / "people.jsonl"
        count = people.export(path, pairs)
        if inputs.labels is not None:
            return people.read_labels(inputs.labels), inputs.labels
        if inputs.review is not None:
            found = inputs.review.compare(people.different(pairs))
            return list(enumerate(found, 1)), inputs.review.place
        return (None if count else []), path

    def _canary(self) -> Stage:
        canary = self._criteria.canary
        if canary is None:
            raise ValueError("criteria with the stage canary have its section")
        check = wait(canary, lambda: self._inputs.canary(canary), self._inputs.clock)
        return _stage("canary", (check,))


def _stage(name: StageName, checks: tuple[Check, ...]) -> Stage:
    return Stage(name=name, outcome=worst(c.outcome for c in checks if c.required), checks=checks)


def _sample(score: ItemScore) -> Sample:
    """Return an answer of a run as a sample, for checks."""
    return Sample(
        request_id=score.item,
        timestamp=0.0,
        model="",
        inclusion=Inclusion(uniform=False, probability=0.0),
        prompt=score.prompt or None,
        response=None if score.failed else score.response,
    )
