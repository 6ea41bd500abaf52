"""Checks of tasks: the paired verdict against a margin, and limits of the candidate's mean."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from replay.gate.criteria.dimension import Dimension
from replay.gate.decision.bounds import Estimate, Floats, mean
from replay.gate.decision.measures import limit_checks
from replay.gate.decision.rules import Bounds, Levels
from replay.gate.outcome import Check
from replay.results import ItemScore, RunError, TaskScores
from replay.verdict.criteria import Criteria as VerdictCriteria
from replay.verdict.decide import decide
from replay.verdict.decision import TaskDecision


class Limits(msgspec.Struct, frozen=True):
    """What a comparison of tasks needs besides margins. See `replay.gate.criteria.model`."""

    min_items: int
    max_failed: float


class Sides(msgspec.Struct, frozen=True):
    """The scores of candidate and baseline, by task; the baseline may lack tasks or be empty."""

    candidate: tuple[TaskScores, ...]
    baseline: tuple[TaskScores, ...]

    def only(self, tasks: Iterable[str]) -> Sides:
        """Return the scores of some tasks."""
        names = set(tasks)
        return Sides(
            tuple(scores for scores in self.candidate if scores.task in names),
            tuple(scores for scores in self.baseline if scores.task in names),
        )


class Compared(msgspec.Struct, frozen=True):
    """The decision on a task at both levels."""

    passing: TaskDecision
    failing: TaskDecision

    @property
    def worsening(self) -> Bounds:
        """By how much the candidate is worse, in units of the metric."""
        return Bounds(_worsening(self.passing), _worsening(self.failing))


def compare(
    sides: Sides, margins: dict[str, float], levels: Levels, limits: Limits
) -> dict[str, Compared]:
    """Return the decision on each task with a margin. Raises RunError."""
    if not margins:
        return {}
    chosen = sides.only(margins)
    missing = sorted(margins.keys() - {scores.task for scores in chosen.candidate})
    if missing:
        raise RunError("missing_task", f"the candidate has no scores of {', '.join(missing)}")
    found = []
    for alpha in (levels.passing, levels.failing):
        criteria = VerdictCriteria(
            margins=margins,
            alpha=alpha,
            min_items=limits.min_items,
            max_failed=limits.max_failed,
        )
        decision = decide(chosen.candidate, chosen.baseline, criteria)
        found.append({task.task: task for task in decision.tasks})
    passing, failing = found
    return {name: Compared(passing[name], failing[name]) for name in margins}


def margin_check(name: str, dimension: Dimension, compared: Compared) -> Check:
    """Return the check of a task's margin. name: of the dimension."""
    passing, failing = compared.passing, compared.failing
    flags: tuple[str, ...] = tuple(f for f in passing.flags if f != "small_drop")
    if passing.verdict == "not_regressed":
        outcome = "passed"
        if _worsening(failing).lower > 0:
            flags = (*flags, "small_drop")
    else:
        outcome = "regressed" if failing.verdict == "regressed" else "inconclusive"
    low, high = (
        (passing.lower, failing.upper)
        if passing.higher_is_better
        else (failing.lower, passing.upper)
    )
    return Check(
        name=f"{name}: {passing.task} margin",
        dimension=name,
        required=dimension.required,
        outcome=outcome,  # type: ignore[arg-type]  # one of the names
        rule=f"{passing.metric} of {passing.task} is worse by less than {passing.margin:g}",
        value=passing.candidate_mean,
        baseline=passing.baseline_mean,
        effect=passing.difference,
        lower=low,
        upper=high,
        margin=passing.margin,
        p_value=failing.p_adjusted,
        items=passing.n,
        required_items=passing.required_n,
        flags=flags,
        detail=f"{passing.lost} items lost, {passing.gained} gained",
    )


def task_limits(
    name: str, dimension: Dimension, scores: TaskScores, levels: Levels, limits: Limits
) -> list[Check]:
    """Return the checks of the limits of a task's mean. Raises RunError for failed answers."""
    failed = sum(bool(score.failed) for score in scores.scores)
    if failed > limits.max_failed * len(scores.scores):
        total = len(scores.scores)
        detail = f"{failed} of {total} answers to {scores.task} are unusable"
        raise RunError("invalid_responses", detail)
    found = _units(scores)
    label = f"{name}: {scores.task}"
    words = f"mean {scores.metric} of {scores.task}"
    if len(found) < limits.min_items:
        few = Estimate(
            float(np.mean(found)) if len(found) else 0.0, -math.inf, math.inf, len(found)
        )
        return limit_checks(label, dimension, Bounds(few, few), words)
    own = Bounds(mean(found, levels.passing), mean(found, levels.failing))
    return limit_checks(label, dimension, own, words)


def _units(scores: TaskScores) -> Floats:
    """Return the usable scores; of items that depend on each other, their mean."""
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for position, score in enumerate(scores.scores):
        value = score.metrics.get(scores.metric)
        if not score.failed and value is not None and math.isfinite(value):
            groups[score.cluster or f"\0{position}"].append(value)
    return np.array([sum(group) / len(group) for group in groups.values()], dtype=np.float64)


def _worsening(decision: TaskDecision) -> Estimate:
    """Return the drop with infinite bounds where there are none."""
    difference = decision.difference if decision.difference is not None else 0.0
    lower = decision.lower if decision.lower is not None else -math.inf
    upper = decision.upper if decision.upper is not None else math.inf
    estimate = Estimate(difference, lower, upper, decision.n)
    return estimate.scaled(-1.0) if decision.higher_is_better else estimate


def paired(task: str, candidate: Sequence[float], baseline: Sequence[float]) -> Sides:
    """Return paired values as scores of a task. Raises ValueError if their numbers differ."""
    if len(candidate) != len(baseline):
        raise ValueError(f"{len(candidate)} scores cannot be paired with {len(baseline)}")
    binary = {0.0, 1.0}.issuperset((*candidate, *baseline))
    return Sides(
        *(
            (
                TaskScores(
                    task=task,
                    metric="score",
                    binary=binary,
                    scores=tuple(_item(position, value) for position, value in enumerate(values)),
                ),
            )
            for values in (candidate, baseline)
        )
    )


def _item(position: int, value: float) -> ItemScore:
    return ItemScore(
        item=str(position),
        doc_id=position,
        prompt_hash="",
        target_hash="",
        metrics={"score": float(value)},
    )


def by_task(scores: Sequence[TaskScores]) -> dict[str, TaskScores]:
    """Return the scores by task."""
    return {each.task: each for each in scores}
