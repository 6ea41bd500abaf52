"""One-sided confidence bounds of a mean or a quantile, and of the change between two of them.

Both bounds of an estimate are one-sided: each is wrong with a probability of at most alpha.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Estimate(msgspec.Struct, frozen=True):
    """A value with its bounds, infinite where the data give none. n: values behind it."""

    value: float
    lower: float
    upper: float
    n: int

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate times a factor, which may be negative."""
        lower, upper = sorted((self.lower * factor, self.upper * factor))
        return Estimate(self.value * factor, lower, upper, self.n)


def mean(values: Floats, alpha: float) -> Estimate:
    """Return the mean of at least one value.

    Of zeros and ones: the bounds of Clopper and Pearson (1934), which hold at every n. Of others:
    Student's t, which needs some tens of values where they are skewed.
    """
    n, value = len(values), float(np.mean(values))
    if bool(np.isin(values, (0.0, 1.0)).all()):
        k = round(float(values.sum()))
        lower = float(stats.beta.ppf(alpha, k, n - k + 1)) if k else 0.0
        upper = float(stats.beta.ppf(1 - alpha, k + 1, n - k)) if k < n else 1.0
        return Estimate(value, lower, upper, n)
    if n < 2:
        return Estimate(value, -math.inf, math.inf, n)
    half = float(stats.t.ppf(1 - alpha, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(value, value - half, value + half, n)


def quantile(values: Floats, share: float, alpha: float) -> Estimate:
    """Return a quantile of at least one value, with bounds of order statistics.

    They hold for every distribution (Conover, Practical Nonparametric Statistics, 3.2). A bound
    that no order statistic gives is infinite: of p95 at alpha .05, the upper one below 59 values.
    """
    ordered, n = np.sort(values), len(values)
    value = float(np.quantile(ordered, share))
    # P(X(k) <= q) >= P(Bin(n, share) >= k) and P(X(k) >= q) >= P(Bin(n, share) <= k - 1)
    below = int(stats.binom.ppf(alpha, n, share))
    above = int(stats.binom.ppf(1 - alpha, n, share)) + 1
    lower = float(ordered[below - 1]) if below >= 1 else -math.inf
    upper = float(ordered[above - 1]) if above <= n else math.inf
    return Estimate(value, min(lower, value), max(upper, value), n)


def difference(candidate: Estimate, baseline: Estimate) -> Estimate:
    """Return candidate - baseline, of independent estimates, by the method of variance recovery.

    Zou and Donner (2008), Statistics in Medicine 27, 1693-1702: each bound takes the distances of
    the two estimates to the bounds on the side that matters.
    """
    value = candidate.value - baseline.value
    down = math.hypot(candidate.value - candidate.lower, baseline.upper - baseline.value)
    up = math.hypot(candidate.upper - candidate.value, baseline.value - baseline.lower)
    return Estimate(value, value - down, value + up, min(candidate.n, baseline.n))


def change(candidate: Estimate, baseline: Estimate) -> Estimate | None:
    """Return candidate / baseline - 1, with the same method on logarithms.

    None if a value is not above 0: there is no ratio then.
    """
    if candidate.value <= 0 or baseline.value <= 0:
        return None
    ratio = difference(_logarithm(candidate), _logarithm(baseline))
    return Estimate(math.expm1(ratio.value), math.expm1(ratio.lower), _growth(ratio.upper), ratio.n)


def _growth(logarithm: float) -> float:
    return math.expm1(logarithm) if logarithm < 700 else math.inf


def _logarithm(estimate: Estimate) -> Estimate:
    lower = math.log(estimate.lower) if estimate.lower > 0 else -math.inf
    return Estimate(math.log(estimate.value), lower, math.log(estimate.upper), estimate.n)
