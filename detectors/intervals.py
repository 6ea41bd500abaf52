"""Which quantiles, means and shares of a few records certainly differ from those of a reference.

A page names several statistics of perhaps a hundred records. Each has an interval, so wide that one
page in a hundred states a move where there is none (`PAGE_LEVEL`, divided by Bonferroni).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import bdtrik, betainc, stdtrit

from detectors.arrays import Bools, Floats
from detectors.numeric_stream import NumericStream

PAGE_LEVEL = 0.01
"""Probability that a page states a move of any statistic that has not moved."""
QUANTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99, "p05": 0.05}
"""Quantiles stated on a page."""
_STATEMENTS = len(QUANTILES) + 1
HELD_TAIL = 0.1
"""Probability that a statistic that has not moved is beyond one end of its interval. Nothing is
said of it then."""


def certain_moves(stream: NumericStream, values: Floats) -> dict[str, float]:
    """Return by how much, at least, quantiles and mean of the values differ from the reference's.

    The measure is relative: the distance between the reference's value and the near end of the
    interval, divided by the larger of their magnitudes. It is 0 if the interval includes the
    reference's value.

    values: shape (n,), sorted, without NaN, n > 0.
    """
    intervals = _intervals(stream, values, PAGE_LEVEL / _STATEMENTS / 2)
    return {name: _distance(*each) for name, each in intervals.items()}


def held_statistics(stream: NumericStream, values: Floats) -> frozenset[str]:
    """Return of which quantiles, and whether of the mean, nothing suggests that they have moved.

    Their interval of 80 % is finite and includes the reference's value. That a move is not certain,
    because the wider interval of `certain_moves` includes it, is no reason to state that there is
    none.

    values: as in `certain_moves`.
    """
    return frozenset(
        name
        for name, (before, low, high) in _intervals(stream, values, HELD_TAIL).items()
        if low <= before <= high and math.isfinite(high - low)
    )


def _intervals(
    stream: NumericStream, values: Floats, tail: float
) -> dict[str, tuple[float, float, float]]:
    """Return the reference's value and both ends of the interval, of quantiles and mean."""
    effective = effective_records(len(values), stream.count, stream.inflation)
    found = {
        name: (stream.quantile(q), *quantile_interval(values, q, effective, tail))
        for name, q in QUANTILES.items()
    }
    return found | {"mean": (stream.mean, *_mean_interval(stream, values, tail))}


def statistic_margin(stream: NumericStream, values: Floats, name: str) -> float | None:
    """Return half of the 95 % interval of a quantile or mean; None if it is infinite.

    values: as in `certain_moves`. The reference counts as exact.
    """
    if not len(values):
        return None
    if name == "mean":
        low, high = _mean_interval(stream, values, 0.025)
    else:
        low, high = quantile_interval(
            values, QUANTILES[name], max(1.0, len(values) / stream.inflation), 0.025
        )
    margin = high / 2 - low / 2
    return margin if math.isfinite(margin) else None


def effective_records(records: int, reference: int, inflation: float) -> float:
    """Return how many independent records have the error of a difference to a reference's value.

    inflation: variance inflation of both by the dependence between records.
    """
    return 1 / (inflation * (1 / max(1, records) + 1 / max(1, reference)))


def quantile_interval(
    values: Floats, q: float, effective: float, tail: float
) -> tuple[float, float]:
    """Return the interval of the q-quantile between two of the values; infinite where none is.

    The number of records below the quantile is binomial (Conover 1999, "Practical nonparametric
    statistics", section 3.2).

    values: shape (n,), sorted. effective: independent records with the information of the values.
    tail: probability that the quantile is beyond one end.
    """
    n, low, high = len(values), -math.inf, math.inf
    if (1 - q) ** effective <= tail:
        below = math.floor(float(bdtrik(tail, effective, q)) * n / effective)
        low = float(values[min(below, n - 1)])
    above = math.ceil(float(bdtrik(1 - tail, effective, q)) * n / effective)
    if q**effective <= tail:
        high = float(values[min(above, n - 1)])
    return low, high


def moved_shares(reference: Floats, counts: Floats, inflation: float, statements: int) -> Bools:
    """Return which shares certainly differ from those of the reference, shape (B,).

    reference, counts: records by bin, shape (B,). statements: number of shares stated on a page.
    """
    records, total = float(counts.sum()), float(reference.sum())
    if not records or not total:
        return np.zeros(len(counts), bool)
    n = effective_records(int(records), int(total), inflation)
    expected = (reference + 0.5) / (total + 1)
    k = counts / records * n
    tail = PAGE_LEVEL / statements / 2
    more = betainc(np.maximum(k, 1e-9), n - k + 1, expected)
    fewer = betainc(np.maximum(n - k, 1e-9), k + 1, 1 - expected)
    return np.asarray(((more <= tail) & (k > 0)) | ((fewer <= tail) & (k < n)))


def _mean_interval(stream: NumericStream, values: Floats, tail: float) -> tuple[float, float]:
    """Return the interval of the mean, which includes the error of the reference's (Welch)."""
    finite = values[np.isfinite(values)]
    known = np.isfinite(stream.support)
    weights = np.diff(stream.below)[known]
    if len(finite) < 2 or not len(weights):
        return -math.inf, math.inf
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float((finite / len(finite)).sum())
        spread = float((weights / weights.sum()) @ (stream.support[known] - stream.mean) ** 2)
        # a few records of a skewed distribution show too little of its variance
        own = max(float(finite.var(ddof=1)), spread)
        error = math.sqrt(stream.inflation * (own / len(finite) + spread / weights.sum()))
        margin = -float(stdtrit(len(finite) - 1, tail)) * error
    return (mean - margin, mean + margin) if math.isfinite(margin) else (-math.inf, math.inf)


def _distance(before: float, low: float, high: float) -> float:
    """Return the relative distance from a value to an interval; 0 inside."""
    if low <= before <= high or math.isnan(before):
        return 0.0
    near = low if before < low else high
    largest = max(abs(before), abs(near))
    return abs(near / largest - before / largest) if math.isfinite(largest) else 0.0
