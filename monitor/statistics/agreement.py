"""Agreement of raters: Krippendorff's alpha, kappas, AC1, bootstrap intervals.

Ratings are an array of shape (units, raters): a row for each judged case, a column for each judge
or person, NaN where a rating is missing. A coefficient that the data do not determine is
`Undefined` with a reason, never a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scale = Literal["nominal", "ordinal", "interval", "ratio"]
Weights = Literal["none", "linear", "quadratic"]

MIN_DEFINED_RESAMPLES = 0.9
"""Share of bootstrap resamples with a defined coefficient that an interval requires."""


@dataclass(frozen=True, slots=True)
class Undefined:
    """A coefficient that the data do not determine, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A coefficient with its interval. The bounds are None if there are too few units for one."""

    value: float
    lower: float | None = None
    upper: float | None = None


Coefficient = Callable[[Floats], float | Undefined]
TOO_FEW_PAIRS = Undefined("no unit has two ratings")
ONE_VALUE = Undefined("all ratings are equal, so agreement by chance is certain")


def krippendorff_alpha(ratings: Floats, scale: Scale = "interval") -> float | Undefined:
    """Return Krippendorff's alpha, 1 - D_observed / D_expected.

    Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section E: coincidences of
    values within units, weighted by 1 / (m_u - 1). Units with fewer than two ratings do not count.
    """
    values, counts = _counts(ratings)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return TOO_FEW_PAIRS
    used = counts.sum(axis=0) > 0
    values, counts = values[used], counts[:, used]
    if len(values) < 2:
        return ONE_VALUE
    per_unit = counts.sum(axis=1)
    weighted = counts / (per_unit - 1)[:, None]
    coincidences = weighted.T @ counts - np.diag(weighted.sum(axis=0))
    totals = coincidences.sum(axis=1)
    distances = _distances(values, totals, scale)
    expected = (np.outer(totals, totals) * distances).sum() / (totals.sum() - 1)
    if expected <= 0:
        return ONE_VALUE
    return float(1 - (coincidences * distances).sum() / expected)


def _counts(ratings: Floats) -> tuple[Floats, Floats]:
    """Return the distinct values, and how many raters gave each value to each unit."""
    values = np.unique(ratings[~np.isnan(ratings)])
    counts: Floats = (ratings[:, :, None] == values).sum(axis=1).astype(float)
    return values, counts


def _distances(values: Floats, totals: Floats, scale: Scale) -> Floats:
    """Return the squared distance of each pair of values."""
    low, high = values[:, None], values[None, :]
    if scale == "nominal":
        return np.asarray(low != high, dtype=float)
    if scale == "interval":
        return np.asarray((low - high) ** 2, dtype=float)
    if scale == "ratio":
        total = low + high
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(total == 0, 0.0, ((low - high) / total) ** 2), dtype=float)
    middle = np.cumsum(totals) - totals / 2  # rank of a value, ties at the middle
    return np.asarray((middle[:, None] - middle[None, :]) ** 2, dtype=float)


def cohen_kappa(ratings: Floats, weights: Weights = "none") -> float | Undefined:
    """Return Cohen's kappa of two raters, from units that both have rated.

    Cohen (1960); weighted: Cohen (1968). `linear` and `quadratic` weigh a disagreement by the
    distance of the values, or its square: the values themselves, not their ranks.
    """
    if ratings.shape[1] != 2:
        raise ValueError(f"Cohen's kappa compares 2 raters, not {ratings.shape[1]}")
    pairs = ratings[~np.isnan(ratings).any(axis=1)]
    if not len(pairs):
        return TOO_FEW_PAIRS
    values, codes = np.unique(pairs, return_inverse=True)
    codes = codes.reshape(pairs.shape)
    if len(values) < 2:
        return ONE_VALUE
    table = np.zeros((len(values), len(values)))
    np.add.at(table, (codes[:, 0], codes[:, 1]), 1)
    table /= len(pairs)
    gaps = np.abs(values[:, None] - values[None, :])
    power = {"none": 0, "linear": 1, "quadratic": 2}[weights]
    costs = (gaps > 0) * gaps**power
    expected = (np.outer(table.sum(axis=1), table.sum(axis=0)) * costs).sum()
    return ONE_VALUE if expected <= 0 else float(1 - (table * costs).sum() / expected)


def fleiss_kappa(ratings: Floats) -> float | Undefined:
    """Return Fleiss' kappa of units that all have the same number of ratings.

    Fleiss (1971). Units with another number of ratings than the most frequent one do not count.
    """
    counts = _complete(ratings)
    if counts is None:
        return TOO_FEW_PAIRS
    raters = counts[0].sum()
    shares = counts.sum(axis=0) / counts.sum()
    expected = float((shares**2).sum())
    return ONE_VALUE if expected >= 1 else (_observed(counts, raters) - expected) / (1 - expected)


def gwet_ac1(ratings: Floats) -> float | Undefined:
    """Return Gwet's AC1, which stays high when agreement is high and nearly all labels are equal.

    Gwet, Computing inter-rater reliability in the presence of high agreement (2008), equation 5:
    agreement by chance is sum pi_k (1 - pi_k) / (K - 1), with pi_k the mean share of a category
    and K the number of categories that occur. Missing ratings are allowed.
    """
    values, counts = _counts(ratings)
    rated = counts[counts.sum(axis=1) >= 1]
    pairs = counts[counts.sum(axis=1) >= 2]
    if not len(pairs):
        return TOO_FEW_PAIRS
    if len(values) < 2:
        return ONE_VALUE
    shares = (rated / rated.sum(axis=1)[:, None]).mean(axis=0)
    expected = float((shares * (1 - shares)).sum() / (len(values) - 1))
    raters = pairs.sum(axis=1)
    observed = float((((pairs * (pairs - 1)).sum(axis=1)) / (raters * (raters - 1))).mean())
    return (observed - expected) / (1 - expected)


def _complete(ratings: Floats) -> Floats | None:
    """Return the counts of units that have the most frequent number of ratings, at least two."""
    _, counts = _counts(ratings)
    raters = counts.sum(axis=1).astype(int)
    raters[raters < 2] = 0
    numbers = np.bincount(raters, minlength=2)
    numbers[:2] = 0
    if not numbers.any():
        return None
    complete: Floats = counts[raters == numbers.argmax()]
    return complete


def _observed(counts: Floats, raters: float) -> float:
    return float(((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))).mean())


def with_interval(
    ratings: Floats,
    coefficient: Coefficient,
    generator: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 1000,
) -> Estimate | Undefined:
    """Return a coefficient with its percentile bootstrap interval over units.

    The interval is absent if more than a tenth of the resamples leave the coefficient undefined,
    as happens with few units or very skewed labels.
    """
    value = coefficient(ratings)
    if isinstance(value, Undefined):
        return value
    draws = []
    for _ in range(resamples):
        drawn = coefficient(ratings[generator.integers(0, len(ratings), len(ratings))])
        if not isinstance(drawn, Undefined):
            draws.append(drawn)
    if len(draws) < MIN_DEFINED_RESAMPLES * resamples or len(ratings) < 3:
        return Estimate(value)
    lower, upper = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(lower), float(upper))
