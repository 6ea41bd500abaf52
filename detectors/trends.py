"""The trend of a feature: the mean of the newest records against the mean of the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from detectors.arrays import Floats
from detectors.numeric_stream import NumericStream

MIN_VALUES = 30
"""Values of the window required for an interval: means of fewer values are not near normal."""
CONFIDENCE = 0.95

Direction = Literal["declining", "stable", "improving"]


@dataclass(frozen=True, slots=True)
class Trend:
    """Change of a mean with its 95 % confidence interval, in the unit of the feature.

    mean, reference_mean: of the window and of the reference. change: their difference.
    lower, upper: interval of the change. direction: `stable` while the interval contains 0;
    otherwise its sign, where larger values are better.
    """

    mean: float
    reference_mean: float
    change: float
    lower: float
    upper: float
    direction: Direction


def trend(reference: NumericStream, values: Floats) -> Trend | None:
    """Return the trend of a window; None if it has too few values.

    values: shape (n,), of the window; NaN where missing.

    The interval is Welch's, with n - 1 degrees of freedom. The variance inflation of the reference
    multiplies both variances, because records that depend on each other count as fewer.
    """
    current = values[np.isfinite(values)]
    if len(current) < MIN_VALUES or reference.count < MIN_VALUES:
        return None
    before, after = reference.mean, float((current / len(current)).sum())
    with np.errstate(over="ignore", invalid="ignore"):  # huge values: the interval is not finite
        spread = reference.variance / reference.count
        spread += float(((current - after) ** 2).sum()) / (len(current) - 1) / len(current)
        half = float(stdtrit(len(current) - 1, (1 + CONFIDENCE) / 2))
        half *= float(np.sqrt(spread * reference.inflation))
        change = after - before
    if not np.isfinite(half) or not np.isfinite(change):
        return None
    lower, upper = change - half, change + half
    return Trend(after, before, change, lower, upper, _direction(lower, upper))


def _direction(lower: float, upper: float) -> Direction:
    if upper < 0:
        return "declining"
    return "improving" if lower > 0 else "stable"
