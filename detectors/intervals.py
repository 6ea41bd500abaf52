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
HELD_TAIL = 0.05
"""Probability that a statistic said to be held is beyond one end of its interval."""
HELD_WITHIN = 0.1
"""Largest move of a statistic that is said to be held, as part of its value. Values of both signs
have no meaningful ratio: then it is part of the distance from median to p95, if that is larger."""


def certain_moves(stream: NumericStream, values: Floats) -> dict[str, float]:
    """Return by how much, at least, quantiles and mean of the values differ from the reference's.

    The measure is relative: the distance between the reference's value and the near end of the
    interval, divided by the larger of their magnitudes. It is 0 if the interval includes the
    reference's value.

    values: shape (n,), sorted, without NaN, n > 0.
    """
    effective = effective_records(len(values), stream.count, stream.inflation)
    tail = PAGE_LEVEL / _STATEMENTS / 2
    moves = {
        name: _distance(stream.quantile(q), *quantile_interval(values, q, effective, tail))
        for name, q in QUANTILES.items()
    }
    return moves | {"mean": _distance(stream.mean, *_mean_interval(stream, values, tail))}


def held_statistics(stream: NumericStream, values: Floats) -> frozenset[str]:
    """Return which quantiles, and whether the mean, are certainly as in the reference.

    An interval that includes the reference's value is no evidence of that: the one of the 95th
    percentile of a hundred records includes half and twice the value. So both ends must be within
    HELD_WITHIN of it (two one-sided tests, Schuirmann 1987).

    values: as in `certain_moves`.
    """
    effective = effective_records(len(values), stream.count, stream.inflation)
    intervals = {
        name: (stream.quantile(q), *quantile_interval(values, q, effective, HELD_TAIL))
        for name, q in QUANTILES.items()
    }
    intervals["mean"] = (stream.mean, *_mean_interval(stream, values, HELD_TAIL))
    tail = 0.0
    if stream.support[0] < 0 < stream.support[-1]:
        tail = stream.quantile(QUANTILES["p95"]) - stream.quantile(QUANTILES["median"])
    return frozenset(
        name
        for name, (before, low, high) in intervals.items()
        if math.isfinite(before)
        and max(high - before, before - low) <= HELD_WITHIN * max(abs(before), tail)
    )


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
    if above < n and q**effective <= tail:
        high = float(values[above])
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
