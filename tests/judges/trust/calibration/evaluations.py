"""Evaluations and labels of a judge that is half a point too kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from judges.trust.calibration.labels import Label
from monitor.events.evaluations import HUMAN, Evaluation

TRUTH = 2.0
PASS_RATE = 0.4
"""Share of responses whose human score is 3 or 4."""


def evaluation(number: int, score: float | None, **changed: Any) -> Evaluation:
    """Return the evaluation of a uniform sample."""
    fields: dict[str, Any] = {
        "name": "judge.tone",
        "request_id": f"r{number}",
        "model": "m",
        "time": float(number),
        "score": score,
        "passed": None if score is None else score >= 3,
        "pass_mark": None if score is None else 3.0,
        "unscored": "" if score is not None else "timeout",
        "evaluator": "j",
        "version": "1",
        "uniform": True,
        "probability": 0.01,
    }
    return Evaluation(**(fields | changed))


def simulated(seed: int, labels: int, total: int = 2_000) -> tuple[list[Evaluation], list[Label]]:
    """Return evaluations of the traffic, and labels of the first of them."""
    rng = np.random.default_rng(seed)
    found, labelled = [], []
    for number in range(total):
        truth = float(rng.integers(0, 5))
        score = truth + float(rng.random() < 0.5)
        found.append(evaluation(number, score))
        if number < labels:
            labelled.append(Label(f"r{number}", "tone", score=truth, passed=truth >= 3))
    return found, labelled


def with_labels(seed: int, labels: int, model: str) -> list[Evaluation]:
    """Return evaluations of the traffic of a model, and the labels of people as published."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(4 * labels):
        truth = float(rng.integers(0, 5))
        score = truth + float(rng.random() < 0.5)
        found.append(evaluation(number, score, model=model))
        if number < labels:
            people = {"evaluator": HUMAN, "judge_score": score, "probability": 1.0}
            found.append(evaluation(number, truth, model=model, **people))
    return found
