"""Scores of made-up runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replay.results import ItemScore, TaskScores

Floats = NDArray[np.float64]


def scores(values: ArrayLike, **options: Any) -> TaskScores:
    """Return a task in which item i has the i-th value.

    options: fields of the task; `clusters` and `slices` have a value for each item; `failed` is the
    set of items without a usable answer; `prompts` is the hash of all prompts.
    """
    clusters: Sequence[str] | None = options.pop("clusters", None)
    slices: Sequence[Mapping[str, str]] | None = options.pop("slices", None)
    failed = options.pop("failed", ())
    prompt = options.pop("prompts", "p")
    metric = options.get("metric", "exact_match")
    items = tuple(
        ItemScore(
            item=f"item {index}",
            doc_id=index,
            prompt_hash=prompt,
            target_hash="t",
            metrics={} if index in failed else {metric: float(value)},
            failed="empty" if index in failed else "",
            response=f"answer {index}",
            slices=dict(slices[index]) if slices else {},
            cluster=clusters[index] if clusters else "",
        )
        for index, value in enumerate(np.asarray(values, np.float64))
    )
    task = TaskScores(task="qa", metric="exact_match", binary=True, scores=items)
    return TaskScores(**({f: getattr(task, f) for f in task.__struct_fields__} | options))


def binary(n: int, lost: int, gained: int, wrong: int = 0) -> tuple[TaskScores, TaskScores]:
    """Return candidate and baseline with these numbers of items; the others are right in both."""
    before = np.ones(n)
    after = np.ones(n)
    after[:lost] = 0
    before[lost : lost + gained] = 0
    both = slice(lost + gained, lost + gained + wrong)
    before[both] = after[both] = 0
    return scores(after), scores(before)


def first(task: TaskScores, n: int) -> TaskScores:
    """Return the task with its first n answers."""
    fields = {name: getattr(task, name) for name in task.__struct_fields__}
    return TaskScores(**(fields | {"scores": task.scores[:n]}))
