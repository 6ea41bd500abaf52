"""Items of a simulated queue: human score, judge's score and difficulty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.statistics.agreement import Floats


@dataclass(frozen=True, slots=True)
class Items:
    """Arrays of n values. human, judge: scores. difficulty: from 0 to 1, known on arrival.

    highest: highest possible score; 0 is the lowest.
    """

    human: Floats
    judge: Floats
    difficulty: Floats
    highest: float


KINDS: Final = ("pass or fail", "scores 0 to 5", "rare failures", "useless judge")


def draw(kind: str, size: int, rng: np.random.Generator) -> Items:
    """Return items of a kind.

    Hard items fail more often, and the judge is lenient. "rare failures": 2 % fail. "useless
    judge": its scores, and the difficulty, have nothing to do with the human score.
    """
    hard = rng.beta(1.2, 2.5, size)
    chance = _sigmoid(2.6 - 4.2 * hard + rng.normal(0, 0.6, size))
    if kind == "scores 0 to 5":
        human = np.clip(np.round(5 * chance + rng.normal(0, 0.8, size)), 0, 5)
        judge = np.clip(np.round(human + 0.5 + rng.normal(0, 0.8, size)), 0, 5)
        return Items(human, judge, _noisy(hard, rng), 5.0)
    if kind == "rare failures":
        chance = 1 - 0.02 * hard / hard.mean()
    human = (rng.random(size) < chance).astype(float)
    if kind == "useless judge":
        return Items(human, rng.random(size), rng.random(size), 1.0)
    judge = np.clip(chance + 0.25 * (human - chance) + 0.06 + rng.normal(0, 0.12, size), 0, 1)
    return Items(human, judge, _noisy(2.8 * judge * (1 - judge) + 0.3 * hard, rng), 1.0)


def _noisy(difficulty: Floats, rng: np.random.Generator) -> Floats:
    return np.clip(difficulty + rng.normal(0, 0.05, len(difficulty)), 0, 1)


def _sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-x))
    return found
