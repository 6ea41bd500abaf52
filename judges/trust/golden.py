"""The golden set: the same responses, judged again on a schedule.

If golden scores move, the judge has changed; if only live scores move, the model or its traffic
has. The first run of an evaluator's version is the baseline. Later runs are compared with it item
by item, so that the difficulty of the items cancels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import stdtrit

LEAST_ITEMS: Final = 10
"""Items with a score in both runs that a comparison requires."""
LEVEL: Final = 0.999
"""Confidence of the interval: a set that is judged every day may move by chance every three
years."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Mean difference of the scores of two runs, with its interval.

    items: with a score in both. moved: whether the interval excludes zero.
    deviation: standard deviation of a repeated call, from the differences.
    """

    mean: float
    lower: float
    upper: float
    items: int
    deviation: float

    @property
    def moved(self) -> bool:
        """Whether the change is more than chance."""
        return self.lower > 0 or self.upper < 0


def shift(baseline: Mapping[str, float], scores: Mapping[str, float]) -> Shift | None:
    """Return how far the scores of a run are from the baseline; None with too few items.

    Paired t interval. Items that are unscored in either run are left out, not counted as zero.
    """
    both = sorted(baseline.keys() & scores.keys())
    if len(both) < LEAST_ITEMS:
        return None
    differences = np.array([scores[item] - baseline[item] for item in both])
    n = len(both)
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * spread / math.sqrt(n)
    return Shift(mean, mean - half, mean + half, n, spread / math.sqrt(2))
