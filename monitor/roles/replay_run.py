"""Do one run: its items as tasks, lm-eval in chunks, a look after each chunk, the decision."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Final

import msgspec
import structlog

from monitor.errors import UserError
from monitor.roles.replay_events import Result
from monitor.roles.replay_judge_scorer import JudgeScorer
from monitor.roles.replay_lease import Hold, Workplace
from monitor.roles.replay_plan import ReplayDetails, ReplayPlan
from monitor.roles.replay_samples import Span, drifted_items
from replay.report.summary import absolute_scores
from replay.results import RunError, TaskScores
from replay.runner import supervise
from replay.runner.chunk import Chunk, RunEnvironment, failed_share, finished_items
from replay.runner.plan import ModelSpec, RunPlan
from replay.sets.item import Item, Scoring
from replay.sets.item_set import ItemSet, make_set
from replay.sets.task.deferred import Scorer, score_deferred
from replay.sets.task.folder import write_task
from replay.store import StoreUnavailable, baselines, results, sets
from replay.verdict.decide import decide
from replay.verdict.pairs import merge
from replay.verdict.sequential import EProcess, look, start

log = structlog.get_logger(__name__)

DRIFTED: Final = "drifted"
"""Name of the set of drifted items."""
_CANCELLED: Final = Result("cancelled")


class ReplayRun:
    """A run that this process has claimed.

    Its chunks are in the store before the next one is looked at, so that a killed run continues
    after the last one.
    """

    def __init__(self, place: Workplace, hold: Hold) -> None:
        self.place = place
        self.hold = hold
        self.run = hold.run
        self.plan = msgspec.convert(hold.run.plan, ReplayPlan)
        self.details = msgspec.convert(hold.run.details, ReplayDetails)
        self.folder = place.directory / "runs" / hold.run.id
        self.environment: RunEnvironment | None = None
        self.set_digest = hold.run.set_digest
        self.deadline = math.inf
        self.judge: JudgeScorer | None = None

    def execute(self) -> Result:
        """Return how the run ended. Raises RunError, UserError, LeaseLost and StoppingError.

        The deadline holds for all parts of the run together, and does not include the wait for
        GPUs that other runs use.
        """
        self.hold.acquire_gpus()
        self.deadline = time.monotonic() + self.plan.deadline_s
        if self.place.judge is None:
            return self._execute()
        with closing(JudgeScorer(self.place.judge, self.hold, self.deadline)) as self.judge:
            return self._execute()

    def _execute(self) -> Result:
        if self.hold.was_cancelled():
            return _CANCELLED
        baseline = self._baseline()
        item_set = self._item_set()
        if baseline is None and self.run.trigger != "baseline":
            return self._without_baseline(item_set)
        plan = self._run_plan(item_set)
        scores = self._evaluate(plan, item_set, baseline or ())
        if self.hold.was_cancelled():
            return _CANCELLED
        name = _set_text(item_set)
        if baseline is None:
            absolute = absolute_scores(scores.tasks)
            if not any(each.n for each in absolute):
                raise RunError("no_items", "no item of the baseline has a score")
            self._check_baseline(scores.tasks)
            return Result(
                "inconclusive", absolute=absolute, environment=self.environment, set_name=name
            )
        drifted = self._drifted()
        compared = self._old_answers(drifted)
        decision = decide(
            [*scores.tasks, *(drifted.tasks if compared else ())],
            [*baseline, *compared],
            self.plan.criteria,
            scores.process,
        )
        return Result(
            decision.verdict,
            decision=decision,
            absolute=() if compared else absolute_scores(drifted.tasks),
            environment=self.environment,
            set_name=name,
            set_digest=self.set_digest,
        )

    # --- what is run ------------------------------------------------------------------------------

    def _item_set(self) -> ItemSet | None:
        """Return the frozen items; None for a run of tasks of lm-eval alone."""
        if not self.set_digest:
            return None
        with self.place.store.read() as connection:
            found = sets.load(connection, self.set_digest)
        judged = sum(item.scoring == "judge" for item in found.items)
        if judged and self.judge is None:
            raise RunError(
                "broken_task",
                f"{judged} items of {_set_text(found)} are scored by a judge: set replay.rubric, or"
                " freeze a version without them",
            )
        return found

    def _check_baseline(self, tasks: Sequence[TaskScores]) -> None:
        """Raise RunError if too few items have a score for later runs to be compared with."""
        most = self.plan.criteria.max_failed
        for task in merge(tasks).values():
            share = failed_share(task.scores)
            if share > most:
                detail = f"{task.task}: {share:.0%} of the items have no score, limit {most:.0%}"
                raise RunError("invalid_responses", detail)

    def _baseline(self) -> tuple[TaskScores, ...] | None:
        """Return the scores of the baseline; None if there is none.

        A run that was inserted before the first baseline of its model had ended uses its items.
        """
        if self.run.trigger == "baseline":
            return None
        with self.place.store.read() as connection:
            found = baselines.find(connection, self.run.model, self.set_digest)
            if found is None:
                return None
            self.set_digest = found.set_digest
            return results.load(connection, found.run)

    def _run_plan(self, item_set: ItemSet | None) -> RunPlan:
        """Return the plan of the frozen items and of the configured tasks."""
        tasks, include = self.plan.tasks, self.plan.include_paths
        if item_set is not None:
            folder = self.folder / "set"
            names = write_task(item_set, folder, self.plan.model.kind)
            tasks, include = (*names, *tasks), (*include, str(folder))
        if not tasks:
            raise RunError("no_items", "the run has neither items nor tasks")
        return self._plan(self.plan.model, tasks, include)

    def _plan(self, model: ModelSpec, tasks: tuple[str, ...], include: tuple[str, ...]) -> RunPlan:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise RunError("deadline", f"the run took longer than {self.plan.deadline_s:g} s")
        device = self.hold.device
        if device is not None and model.device == "cuda:0":
            model = msgspec.structs.replace(model, device=f"cuda:{device}")
        return RunPlan(
            model=model,
            tasks=tasks,
            cache_dir=str(self.place.directory / "cache"),
            log_dir=str(self.folder),
            include_paths=include,
            few_shot=self.plan.few_shot,
            limit=self.plan.limit,
            chunk_size=self.plan.chunk_size,
            seed=int((self.set_digest or "0")[:8], 16),
            deadline_s=left,
            max_failed=self.plan.criteria.max_failed,
            online=self.plan.online,
            allow_code=self.plan.allow_code,
            sandbox=self.plan.sandbox,
        )

    # --- lm-eval ----------------------------------------------------------------------------------

    def _evaluate(
        self, plan: RunPlan, item_set: ItemSet | None, baseline: Sequence[TaskScores]
    ) -> Scores:
        """Answer the items that are not done; stop early when the verdict is known."""
        with self.place.store.read() as connection:
            known = results.load(connection, self.run.id)
        items = () if item_set is None else item_set.items
        scores = Scores(self, known, baseline, items)
        if scores.known_outcome():
            return scores  # it was killed after its last look
        self.environment = supervise.run(plan, finished_items(known), scores.add, self.hold.go_on)
        self.hold.check()
        return scores

    def _without_baseline(self, item_set: ItemSet | None) -> Result:
        """Return an error with the scores of the drifted items, which are no verdict."""
        detail = f"model {self.run.model} has no frozen items with a baseline yet"
        drifted = self._drifted()
        return Result(
            "error",
            "no_baseline",
            detail,
            absolute=absolute_scores(drifted.tasks),
            environment=self.environment,
            set_name=_set_text(item_set),
        )

    # --- drifted items ----------------------------------------------------------------------------

    def _drifted(self) -> Drifted:
        """Return the scores of the drifted items: none without drift, and none after a failure."""
        since, most = self.details.since, self.place.config.replay.items.drifted
        if since is None or self.place.reader is None or most == 0:
            return Drifted()
        try:
            reader = self.place.reader(self.hold.beat)
            span = Span(since, self.details.until)
            items = drifted_items(reader, span, self.place.config.replay.items, self.run.model)
            if not items:
                return Drifted()
            found = self._answers(make_set(DRIFTED, 1, items), self.plan.model)
        except (RunError, UserError) as error:
            if isinstance(error, StoreUnavailable):
                raise
            log.warning("drifted items not scored", run=self.run.id, error=str(error))
            return Drifted()
        return Drifted(found, items)

    def _old_answers(self, drifted: Drifted) -> tuple[TaskScores, ...]:
        """Return the scores of the model as it was before, where it still answers."""
        old = self.plan.baseline_model
        if old is None or not drifted.tasks:
            return ()
        try:
            return self._answers(make_set(DRIFTED, 1, drifted.items), old)
        except (RunError, UserError) as error:
            log.warning("the baseline model did not answer", run=self.run.id, error=str(error))
            return ()

    def _answers(self, item_set: ItemSet, model: ModelSpec) -> tuple[TaskScores, ...]:
        """Return the scores of a model on a small set, which are not stored by chunk."""
        folder = self.folder / DRIFTED
        names = write_task(item_set, folder, model.kind)
        plan = self._plan(model, names, (str(folder),))
        plan = msgspec.structs.replace(plan, log_dir=str(self.folder / f"{DRIFTED}-log"))
        found: list[TaskScores] = []

        def keep(chunk: Chunk) -> bool:
            found.extend(self.scored(chunk.tasks, item_set.items))
            return True

        environment = supervise.run(plan, {}, keep, self.hold.go_on)
        self.environment = self.environment or environment
        self.hold.check()
        return tuple(found)

    def scored(self, tasks: Sequence[TaskScores], items: Sequence[Item]) -> tuple[TaskScores, ...]:
        """Return the tasks with the scores that lm-eval does not compute."""
        by_id = {item.id: item for item in items}
        if self.judge is None or self.place.judge is None:
            return score_deferred(tasks, by_id, self.place.scorers)
        scorers: dict[Scoring, Scorer] = {**self.place.scorers, "judge": self.judge}
        return score_deferred(tasks, by_id, scorers, {"judge": self.place.judge.version})


class Drifted(msgspec.Struct, frozen=True):
    """The scores of the drifted items."""

    tasks: tuple[TaskScores, ...] = ()
    items: tuple[Item, ...] = ()


class Scores:
    """The scores of a run so far, and the looks at them.

    process: None without a baseline. The evidence of earlier looks is found again in the scores.
    """

    def __init__(
        self,
        owner: ReplayRun,
        known: Sequence[TaskScores],
        baseline: Sequence[TaskScores],
        items: Sequence[Item],
    ) -> None:
        self._owner = owner
        self._baseline = baseline
        self._items = items
        self.tasks = list(known)
        self.process: EProcess | None = None
        if baseline:
            most = owner.plan.limit
            planned = {
                each.task: len(each.scores) if most is None else min(most, len(each.scores))
                for each in baseline
            }
            self.process = start(baseline, owner.plan.criteria, planned)
            if known:
                self.process = look(self.process, self.tasks, baseline)

    def known_outcome(self) -> bool:
        """Return whether the verdict is known, so that the run can stop."""
        return self.process is not None and self.process.outcome is not None

    def add(self, chunk: Chunk) -> bool:
        """Store a chunk, look at the scores, and return whether to go on."""
        owner = self._owner
        scored = owner.scored(chunk.tasks, self._items)
        owner.hold.keep(scored, (chunk.done, chunk.planned))
        self.tasks.extend(scored)
        with owner.place.metrics.lock:
            for task in chunk.tasks:
                share = chunk.done / chunk.planned if chunk.planned else 1.0
                owner.place.counts.report_progress(owner.run.model, task.task, share)
        if self.process is not None:
            self.process = look(self.process, self.tasks, self._baseline)
        return not self.known_outcome()


def _set_text(item_set: ItemSet | None) -> str:
    return "" if item_set is None else f"{item_set.name} {item_set.version}"
