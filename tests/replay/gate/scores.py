"""Scores of tasks for tests of gates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from replay.gate.stages.kept import KeptScores
from replay.results import ItemScore, TaskScores


def scores(
    values: Sequence[float], task: str = "support", responses: Sequence[str] = (), failed: int = 0
) -> TaskScores:
    """Return the scores of a task; the last `failed` answers are unusable."""
    texts = responses or [f"answer {position}" for position in range(len(values))]
    usable = len(values) - failed
    return TaskScores(
        task=task,
        metric="exact_match",
        binary=all(value in (0.0, 1.0) for value in values),
        scores=tuple(
            ItemScore(
                item=f"{task}-{position}",
                doc_id=position,
                prompt_hash=f"p{position}",
                target_hash=f"t{position}",
                metrics={"exact_match": float(value)} if position < usable else {},
                failed="" if position < usable else "empty",
                response=texts[position],
                prompt=f"question {position}",
            )
            for position, value in enumerate(values)
        ),
    )


def draws(n: int, accuracy: float, drop: float = 0.0, seed: int = 0) -> tuple[list[float], ...]:
    """Return the scores of a candidate and a baseline, of items that both find equally hard."""
    hard = np.random.default_rng(seed).uniform(size=n)
    baseline, candidate = hard < accuracy, hard < accuracy - drop
    return candidate.astype(float).tolist(), baseline.astype(float).tolist()


def write(path: Path, *tasks: TaskScores) -> Path:
    """Write scores as a gate keeps them."""
    KeptScores(path, "test").add(50, tasks, complete=True)
    return path
