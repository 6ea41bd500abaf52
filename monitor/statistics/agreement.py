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
    values, counts = count_values(ratings)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return TOO_FEW_PAIRS
    return defined(alphas(coincidences(counts), values, scale))


def count_values(ratings: Floats) -> tuple[Floats, Floats]:
    """Return the k distinct values, and how many raters gave each to each unit: (units, k)."""
    values = np.unique(ratings[~np.isnan(ratings)])
    counts = np.empty((len(ratings), len(values)))
    for index, value in enumerate(values):
        counts[:, index] = (ratings == value).sum(axis=1)
    return values, counts


def coincidences(counts: Floats, weights: Floats | None = None) -> Floats:
    """Return the coincidences of k values within units, shape (k, k).

    counts: shape (units, k), at least two ratings in each unit.
    weights: of the units, by default 1.
    """
    weighted = counts / (counts.sum(axis=1) - 1)[:, None]
    if weights is not None:
        weighted *= weights[:, None]
    found: Floats = weighted.T @ counts - np.diag(weighted.sum(axis=0))
    return found


def alphas(coincidences: Floats, values: Floats, scale: Scale) -> Floats:
    """Return alpha of each matrix of coincidences; NaN where all ratings are equal.

    coincidences: shape (..., k, k), of the k values.
    """
    totals = coincidences.sum(axis=-1)
    distances = _distances(values, totals, scale)
    chance = totals[..., :, None] * totals[..., None, :] * distances
    expected = chance.sum(axis=(-2, -1)) / np.maximum(totals.sum(axis=-1) - 1, 1e-9)
    observed = (coincidences * distances).sum(axis=(-2, -1))
    return corrected_for_chance(observed, expected)


def corrected_for_chance(observed: Floats, expected: Floats) -> Floats:
    """Return 1 - observed / expected disagreement; NaN where agreement by chance is certain."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(expected > 0, 1 - observed / expected, np.nan)
    return found


def defined(value: Floats) -> float | Undefined:
    """Return a coefficient as a number, or that all ratings are equal."""
    return ONE_VALUE if np.isnan(value) else float(value)


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
    middle = np.cumsum(totals, axis=-1) - totals / 2  # rank of a value, ties at the middle
    return np.asarray((middle[..., :, None] - middle[..., None, :]) ** 2, dtype=float)


def cohen_kappa(ratings: Floats, weights: Weights = "none") -> float | Undefined:
    """Return Cohen's kappa of two raters, from units that both have rated.

    Cohen (1960); weighted: Cohen (1968). `linear` and `quadratic` weigh a disagreement by the
    distance of the values, or its square: the values themselves, not their ranks.
    """
    if ratings.shape[1] != 2:
        raise ValueError(f"Cohen's kappa compares 2 raters, not {ratings.shape[1]}")
    values, table = cross_table(ratings)
    if not len(values):
        return TOO_FEW_PAIRS
    return defined(cohen_kappas(table, values, weights))


def cross_table(pairs: Floats) -> tuple[Floats, Floats]:
    """Return the k distinct values that two raters gave to units of both, and their table (k, k).

    pairs: shape (units, 2). The table has the first rater's value in its rows.
    """
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    values, codes = np.unique(pairs, return_inverse=True)
    codes = codes.reshape(pairs.shape)
    size = len(values)
    cells = np.bincount(codes[:, 0] * size + codes[:, 1], minlength=size * size)
    return values, cells.reshape(size, size).astype(float)


def cohen_kappas(tables: Floats, values: Floats, weights: Weights) -> Floats:
    """Return Cohen's kappa of each table, shape (..., k, k); NaN where all ratings are equal."""
    shares = tables / tables.sum(axis=(-2, -1), keepdims=True)
    gaps = np.abs(values[:, None] - values[None, :])
    power = {"none": 0, "linear": 1, "quadratic": 2}[weights]
    costs = (gaps > 0) * gaps**power
    chance = shares.sum(axis=-1)[..., :, None] * shares.sum(axis=-2)[..., None, :]
    expected = (chance * costs).sum(axis=(-2, -1))
    return corrected_for_chance((shares * costs).sum(axis=(-2, -1)), expected)


def fleiss_kappa(ratings: Floats) -> float | Undefined:
    """Return Fleiss' kappa of units that all have the same number of ratings.

    Fleiss (1971). Units with another number of ratings than the most frequent one do not count.
    """
    counts = _complete(ratings)
    if counts is None:
        return TOO_FEW_PAIRS
    shares = counts.sum(axis=0) / counts.sum()
    return defined(fleiss_kappas(agreeing_pairs(counts).mean(), shares))


def fleiss_kappas(observed: Floats, shares: Floats) -> Floats:
    """Return Fleiss' kappa of observed agreement, shape (...), and shares of values, (..., k)."""
    return corrected_for_chance(1 - observed, 1 - (shares**2).sum(axis=-1))


def gwet_ac1(ratings: Floats) -> float | Undefined:
    """Return Gwet's AC1, which stays high when agreement is high and nearly all labels are equal.

    Gwet, Computing inter-rater reliability in the presence of high agreement (2008), equation 5:
    agreement by chance is sum pi_k (1 - pi_k) / (K - 1), with pi_k the mean share of a category
    and K the number of categories that occur. Missing ratings are allowed.
    """
    values, counts = count_values(ratings)
    rated = counts[counts.sum(axis=1) >= 1]
    pairs = counts[counts.sum(axis=1) >= 2]
    if not len(pairs):
        return TOO_FEW_PAIRS
    if len(values) < 2:
        return ONE_VALUE
    shares = (rated / rated.sum(axis=1)[:, None]).mean(axis=0)
    return defined(gwet_ac1s(agreeing_pairs(pairs).mean(), shares))


def gwet_ac1s(observed: Floats, shares: Floats) -> Floats:
    """Return AC1 of observed agreement, shape (...), and mean shares of k > 1 values, (..., k)."""
    expected = (shares * (1 - shares)).sum(axis=-1) / (shares.shape[-1] - 1)
    return corrected_for_chance(1 - observed, 1 - expected)


def agreeing_pairs(counts: Floats) -> Floats:
    """Return the share of pairs of ratings of a unit that are equal, shape (units,).

    counts: shape (units, k), at least two ratings in each unit.
    """
    raters = counts.sum(axis=1)
    shares: Floats = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    return shares


def _complete(ratings: Floats) -> Floats | None:
    """Return the counts of units that have the most frequent number of ratings, at least two."""
    _, counts = count_values(ratings)
    raters = counts.sum(axis=1).astype(int)
    raters[raters < 2] = 0
    numbers = np.bincount(raters, minlength=2)
    numbers[:2] = 0
    if not numbers.any():
        return None
    complete: Floats = counts[raters == numbers.argmax()]
    return complete


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
    draws = np.full(resamples, np.nan)
    for index in range(resamples):
        drawn = coefficient(ratings[generator.integers(0, len(ratings), len(ratings))])
        if not isinstance(drawn, Undefined):
            draws[index] = drawn
    return percentile_interval(value, draws, len(ratings), level)


def percentile_interval(value: float, draws: Floats, units: int, level: float) -> Estimate:
    """Return a coefficient with the percentile interval of its resamples, NaN where undefined.

    The interval is absent below three units, or if more than a tenth of the resamples is undefined.
    """
    known = draws[~np.isnan(draws)]
    if len(known) < MIN_DEFINED_RESAMPLES * len(draws) or units < 3:
        return Estimate(value)
    lower, upper = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(lower), float(upper))
