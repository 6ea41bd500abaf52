"""Correlation of the dimensions of a rubric, and cases in which two contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import atanh, sqrt, tanh
from typing import Literal

import numpy as np
from scipy.stats import norm, rankdata

from monitor.statistics.agreement import Floats, Undefined

Method = Literal["pearson", "spearman"]
MIN_CASES = 10
CONTRADICTION_SHARE = 0.6
"""Distance of two scores, as a share of the scale, from which on they contradict each other if
their dimensions correlate: three of five points."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """Correlation of two dimensions with its interval, from the cases that have both scores."""

    first: str
    second: str
    value: float
    lower: float
    upper: float
    cases: int


@dataclass(frozen=True, slots=True)
class UndefinedCorrelation:
    """Two dimensions without a correlation, and why."""

    first: str
    second: str
    reason: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A case in which one of two correlated dimensions is high and the other low.

    case: position of the case. gap: distance of the two scores as a share of the scale.
    """

    case: int
    high: str
    low: str
    gap: float


def correlation(
    first: Floats, second: Floats, *, method: Method = "spearman", level: float = 0.95
) -> tuple[float, float, float, int] | Undefined:
    """Return correlation, lower and upper bound, and the number of cases with both scores.

    Fisher's z transformation, with the variance 1 / (n - 3) for Pearson and
    (1 + r^2 / 2) / (n - 3) for Spearman (Bonett and Wright, Psychometrika 2000, equation 6).
    """
    both = ~(np.isnan(first) | np.isnan(second))
    cases = int(both.sum())
    if cases < MIN_CASES:
        return Undefined(f"fewer than {MIN_CASES} cases have both scores")
    x, y = first[both], second[both]
    if method == "spearman":
        x, y = rankdata(x), rankdata(y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Undefined("all scores of a dimension are equal")
    value = float(np.corrcoef(x, y)[0, 1])
    limit = 1 - 1e-9  # atanh(1) is infinite
    centre = atanh(min(max(value, -limit), limit))
    spread = 1 + value**2 / 2 if method == "spearman" else 1.0
    half = float(norm.ppf((1 + level) / 2)) * sqrt(spread / (cases - 3))
    return value, tanh(centre - half), tanh(centre + half), cases


def correlations(
    scores: Floats, names: Sequence[str], *, method: Method = "spearman", level: float = 0.95
) -> list[Correlation | UndefinedCorrelation]:
    """Return the correlation of each pair of dimensions: the matrix above its diagonal.

    scores: shape (cases, dimensions), NaN where missing.
    """
    _check(scores, names)
    found: list[Correlation | UndefinedCorrelation] = []
    for i, j in combinations(range(len(names)), 2):
        result = correlation(scores[:, i], scores[:, j], method=method, level=level)
        if isinstance(result, Undefined):
            found.append(UndefinedCorrelation(names[i], names[j], result.reason))
        else:
            found.append(Correlation(names[i], names[j], *result))
    return found


def contradictions(
    scores: Floats,
    names: Sequence[str],
    *,
    lowest: float = 0.0,
    highest: float = 5.0,
    limit: int = 100,
) -> list[Contradiction]:
    """Return the cases in which two dimensions contradict each other, largest distance first.

    Only pairs with a positive correlation (its lower bound is above zero) can contradict each
    other: a distance is no surprise otherwise. At most `limit` cases are returned.
    """
    position = {name: index for index, name in enumerate(names)}
    found = []
    for pair in correlations(scores, names):
        if isinstance(pair, UndefinedCorrelation) or pair.lower <= 0:
            continue
        gaps = scores[:, position[pair.first]] - scores[:, position[pair.second]]
        gaps = gaps / (highest - lowest)
        for case in np.flatnonzero(np.abs(gaps) >= CONTRADICTION_SHARE - 1e-9):
            high, low = (pair.first, pair.second)[:: 1 if gaps[case] > 0 else -1]
            found.append(Contradiction(int(case), high, low, float(abs(gaps[case]))))
    found.sort(key=lambda each: (-each.gap, each.case, each.high, each.low))
    return found[:limit]


def _check(scores: Floats, names: Sequence[str]) -> None:
    if scores.ndim != 2 or scores.shape[1] != len(names):
        raise ValueError(f"scores of shape {scores.shape} for {len(names)} dimensions")
