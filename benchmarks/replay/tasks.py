"""Runs of several tasks, by `look` and `decide` themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from benchmarks.replay.items import Floats, Population
from benchmarks.replay.runs import scores_of
from replay.results import TaskScores
from replay.verdict.criteria import Criteria
from replay.verdict.decide import decide
from replay.verdict.decision import Outcome
from replay.verdict.sequential import look, start

ITEMS: Final = 300
"""Items of each task."""
STEP: Final = 100
"""Items of each task between looks."""


def family(drops: Sequence[float], runs: int) -> dict[str, Any]:
    """Return the outcomes of runs whose tasks have these drops."""
    generator = np.random.default_rng(len(drops))
    populations = [Population("binary", drop, 0.7) for drop in drops]
    found = Counter(
        _run([each.draw((1, ITEMS), generator)[0] for each in populations]) for _ in range(runs)
    )
    shares = {outcome: found[outcome] / runs for outcome in sorted(found)}
    return {"drops": list(drops), "items": ITEMS, "runs": runs, "shares": shares}


def _run(drops: Sequence[Floats]) -> Outcome:
    """Return the outcome of one run. drops: of each task, shape (ITEMS,)."""
    criteria = Criteria()
    baseline = [_named(scores_of(np.maximum(each, 0)), n) for n, each in enumerate(drops)]
    candidate = [_named(scores_of(np.maximum(-each, 0)), n) for n, each in enumerate(drops)]
    process, answered = start(baseline, criteria), 0
    while process.outcome is None and answered < ITEMS:
        answered += STEP
        part = [_named(task, n, answered) for n, task in enumerate(candidate)]
        process = look(process, part, baseline)
    return decide(part, baseline, process=process).verdict


def _named(task: TaskScores, number: int, answered: int = ITEMS) -> TaskScores:
    return TaskScores(
        task=f"task {number}",
        metric=task.metric,
        binary=task.binary,
        scores=task.scores[:answered],
    )
