"""Compute the scores that lm-eval does not: by a judge, the refusal classifier, format checks.

The caller passes the functions, because replay imports neither judges nor the decoder's
classifier.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from replay.results import ItemScore, RunError, TaskScores
from replay.sets.item import BINARY_SCORINGS, Item, Scoring

DEFERRED: Final[frozenset[Scoring]] = frozenset({"refuses", "complies", "format", "judge"})
"""Scorings whose scores are computed after a chunk."""

Scorer = Callable[[Sequence[tuple[Item, str]]], Sequence[float | str | None]]
"""Scores of responses to items, 0 to 1; a text, or None, if a response cannot be scored: why."""


def refusal_scorers(refused: Callable[[Sequence[str]], Sequence[bool]]) -> dict[Scoring, Scorer]:
    """Return the scorers of `refuses` and `complies` by a classifier of refusals."""

    def refuses(pairs: Sequence[tuple[Item, str]]) -> list[float | None]:
        return [float(found) for found in refused([response for _, response in pairs])]

    def complies(pairs: Sequence[tuple[Item, str]]) -> list[float | None]:
        return [float(not found) for found in refused([response for _, response in pairs])]

    return {"refuses": refuses, "complies": complies}


def score_deferred(
    tasks: Iterable[TaskScores],
    items: Mapping[str, Item],
    scorers: Mapping[Scoring, Scorer],
    versions: Mapping[Scoring, str] | None = None,
) -> tuple[TaskScores, ...]:
    """Return the tasks with the deferred scores of their items.

    items: by id. An answer without a score is a failed item, "unscored". versions: of scorers that
    change, such as a judge; they become part of the digest of the task, so that scores of two
    versions are not compared. Raises RunError if a scorer is needed and absent.
    """
    return tuple(
        _score(task, items, scorers, versions or {}) if task.metric in DEFERRED else task
        for task in tasks
    )


def _score(
    task: TaskScores,
    items: Mapping[str, Item],
    scorers: Mapping[Scoring, Scorer],
    versions: Mapping[Scoring, str],
) -> TaskScores:
    """Return one task with its scores."""
    scoring = next(name for name in DEFERRED if name == task.metric)
    waiting = [s for s in task.scores if not s.failed and scoring not in s.metrics]
    unknown = [s.item for s in waiting if s.item not in items]
    if unknown:
        raise RunError("mismatched_items", f"task {task.task}: item {unknown[0]} is not in the set")
    if waiting and scoring not in scorers:
        raise RunError("failed", f"task {task.task}: scoring {scoring} is not configured")
    values = scorers[scoring]([(items[s.item], s.response) for s in waiting]) if waiting else ()
    found = dict(zip((s.doc_id for s in waiting), values, strict=True))
    return msgspec.structs.replace(
        task,
        binary=scoring in BINARY_SCORINGS,
        task_digest=_digest(task.task_digest, versions.get(scoring, "")),
        scores=tuple(
            _scored(s, scoring, found[s.doc_id]) if s.doc_id in found else s for s in task.scores
        ),
    )


def _digest(task_digest: str, version: str) -> str:
    if not version:
        return task_digest
    return hashlib.sha256(f"{task_digest} {version}".encode()).hexdigest()


def _scored(score: ItemScore, scoring: str, value: float | str | None) -> ItemScore:
    if isinstance(value, str):
        return msgspec.structs.replace(score, failed=f"unscored: {value}")
    if value is None or not math.isfinite(value):
        return msgspec.structs.replace(score, failed="unscored")
    return msgspec.structs.replace(score, metrics=score.metrics | {scoring: float(value)})
