"""Scores of a side for a tier: by a run of the model, from a file, or from the result store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from replay.gate.criteria.model import Criteria, Model, Side
from replay.gate.decision.tasks import Sides
from replay.gate.stages.kept import KeptScores, read_scores
from replay.results import RunError, TaskScores
from replay.runner.chunk import Chunk, finished_items
from replay.runner.plan import ModelSpec, RunPlan
from replay.runner.suites import expand
from replay.runner.supervise import run
from replay.verdict.pairs import merge

StoredRun = Callable[[str], tuple[TaskScores, ...]]
"""Returns the scores of a run of the result store by its id. Raises UserError."""


class Scores:
    """Gives the scores of candidate and baseline.

    folder: of the gate. commit: of the pipeline; scores that were kept at another one are refused,
    because an endpoint may serve another model under the same name.
    reused: sides whose scores an earlier command kept, so that their model was not run.
    """

    def __init__(
        self, criteria: Criteria, folder: Path, stored: StoredRun, commit: str = ""
    ) -> None:
        self._criteria = criteria
        self._folder = folder
        self._stored = stored
        self._commit = commit
        self.reused: set[str] = set()
        self._given: dict[str, tuple[TaskScores, ...]] = {}

    def tier(self, limit: int) -> Sides:
        """Return the scores of a tier of `limit` items of each task, both empty without tasks.

        Models are run for the items that are not kept yet, the candidate first. Of scores that are
        given, the candidate's are those of the baseline's run, or drawn by a hash; the baseline's
        are all, because an item counts only if both have it. Raises RunError and UserError.
        """
        if not self._criteria.tasks:
            return Sides((), ())
        candidate = self._side("candidate", self._criteria.candidate, limit)
        side = self._criteria.baseline
        baseline = () if side is None else self._side("baseline", side, limit)
        if self._criteria.candidate.model is not None:
            return Sides(candidate, baseline)
        if side is not None and side.model is not None:
            return Sides(_common(candidate, baseline), baseline)
        return Sides(_first(candidate, limit), baseline)

    def _side(self, name: str, side: Side, limit: int) -> tuple[TaskScores, ...]:
        if side.model is not None:
            return self._run(name, side.model, limit)
        if name not in self._given:
            self._given[name] = self._read(side)
        return self._given[name]

    def _read(self, side: Side) -> tuple[TaskScores, ...]:
        if side.results is not None:
            return tuple(merge(read_scores(side.results)).values())
        if side.run is not None:
            return tuple(merge(self._stored(side.run)).values())
        return ()

    def _run(self, name: str, model: Model, limit: int) -> tuple[TaskScores, ...]:
        plan = run_plan(self._criteria, model, self._folder / name, limit)
        kept = KeptScores(self._folder / f"{name}.jsonl", _subject(plan, self._commit))
        if kept.complete(limit):
            self.reused.add(name)
        else:

            def on_chunk(chunk: Chunk) -> bool:
                kept.add(limit, chunk.tasks)
                return True

            environment = run(plan, finished_items(kept.scores(limit)), on_chunk)
            _check_digests(kept.scores(limit), environment.task_digests)
            kept.add(limit, complete=True)
        return tuple(merge(kept.scores(limit)).values())


def run_plan(criteria: Criteria, model: Model, folder: Path, limit: int) -> RunPlan:
    """Return the plan of a run. folder: for its log and its caches. limit: items of each task."""
    given = model.model_dump(exclude_none=True)
    metrics = {
        task: dimension.metric
        for dimension in criteria.dimensions.values()
        if dimension.metric is not None
        for task in expand(dimension.tasks)
    }
    return RunPlan(
        model=ModelSpec(**given),
        tasks=criteria.tasks,
        cache_dir=str(folder.parent / "cache"),
        log_dir=str(folder),
        include_paths=tuple(map(str, criteria.include_paths)),
        metrics=metrics,
        few_shot=criteria.few_shot,
        limit=limit,
        chunk_size=criteria.chunk_size,
        seed=int.from_bytes(hashlib.sha256(criteria.name.encode()).digest()[:4]),
        deadline_s=criteria.deadline_minutes * 60,
        max_failed=criteria.max_failed,
        online=criteria.online,
        allow_code=criteria.allow_code,
        sandbox=criteria.sandbox,
    )


def _subject(plan: RunPlan, commit: str) -> str:
    """Return the commit and all of a plan that answers depend on, as text."""
    kept = ("model", "tasks", "include_paths", "metrics", "few_shot", "seed")
    subject = {name: getattr(plan, name) for name in kept} | {"commit": commit}
    return msgspec.json.encode(subject, order="deterministic").decode()


def _check_digests(tasks: tuple[TaskScores, ...], digests: dict[str, str]) -> None:
    """Raise RunError if kept scores are of a task that has changed since."""
    changed = sorted({t.task for t in tasks if digests.get(t.task, t.task_digest) != t.task_digest})
    if changed:
        detail = f"{changed[0]} has changed since its kept scores; choose another folder"
        raise RunError("mismatched_items", detail)


def _common(
    candidate: tuple[TaskScores, ...], baseline: tuple[TaskScores, ...]
) -> tuple[TaskScores, ...]:
    """Return the candidate's scores of the items that the baseline has."""
    known = {(task.task, score.doc_id) for task in baseline for score in task.scores}
    return tuple(
        msgspec.structs.replace(
            task, scores=tuple(s for s in task.scores if (task.task, s.doc_id) in known)
        )
        for task in candidate
    )


def _first(tasks: tuple[TaskScores, ...], limit: int) -> tuple[TaskScores, ...]:
    """Return up to `limit` scores of each task, drawn by a hash of the item: tiers are nested."""
    return tuple(
        msgspec.structs.replace(
            task,
            scores=tuple(
                sorted(
                    task.scores,
                    key=lambda s: hashlib.sha256(f"{s.item} {s.doc_id}".encode()).digest(),
                )[:limit]
            ),
        )
        for task in tasks
    )
