"""Paired binary scores: Tango's score test and interval, and McNemar's exact test.

Of n pairs, `lost` are right in the baseline and wrong in the candidate, `gained` the reverse. The
drop is the difference of the two probabilities, from -1 to 1. The test of the drop d divides
lost - gained - n d by its standard deviation under d, with the most likely probabilities under d;
the interval consists of the drops that the test does not reject. Tango, Equivalence test and
confidence interval for the difference in proportions for the paired-sample design (1998). Unlike
the interval of Wald it has a width if no pair differs, and holds its level for small n.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import bdtr, ndtr
from scipy.stats import beta, binom, norm

Floats = NDArray[np.float64]
_EDGE: Final = 1 - 1e-9
"""Largest drop at which the score is computed."""


def discordant(drops: Floats) -> tuple[int, int]:
    """Return how many pairs lost, and how many gained."""
    return int((drops > 0).sum()), int((drops < 0).sum())


def score(lost: ArrayLike, gained: ArrayLike, n: ArrayLike, drop: float) -> Floats:
    """Return Tango's statistic for the hypothesis that the drop is `drop`.

    It is standard normal under the hypothesis, and positive if the drop in the data is larger.
    lost, gained, n: shapes that can be broadcast. 0 where no pair differs and `drop` is 0.
    """
    b, c, pairs = (np.asarray(each, np.float64) for each in (lost, gained, n))
    variance = 2 * _most_likely(b, c, pairs, drop) + drop * (1 - drop)
    distance = b - c - pairs * drop
    with np.errstate(divide="ignore", invalid="ignore"):
        found = distance / np.sqrt(np.maximum(pairs * variance, 0.0))
    result: Floats = np.where(distance == 0, 0.0, found)
    return result


def _most_likely(lost: Floats, gained: Floats, n: Floats, drop: float) -> Floats:
    """Return the most likely probability of a gain, given the drop: the root of a quadratic."""
    linear = (2 * n - lost + gained) * drop - lost - gained
    constant = -gained * drop * (1 - drop)
    root = np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0.0))
    found: Floats = np.maximum((root - linear) / (4 * n), max(0.0, -drop))
    return found


def p_values(
    lost: ArrayLike, gained: ArrayLike, n: ArrayLike, margin: float
) -> tuple[Floats, Floats]:
    """Return the p-values of "the drop is at most 0" and "at least `margin`".

    Shapes as in `score`. Where no pair gained, the second is at least that of the binomial test of
    the pairs that lost: the normal approximation is up to 7 % there instead of 5 %.
    """
    worse: Floats = ndtr(-score(lost, gained, n, 0.0))
    if margin >= 1:
        return worse, np.zeros_like(worse)
    within = ndtr(score(lost, gained, n, margin))
    binomial = bdtr(np.asarray(lost, np.float64), np.asarray(n, np.int64), margin)
    exact = np.where(np.asarray(gained) == 0, binomial, 0.0)
    return worse, np.maximum(within, exact)


def interval(lost: int, gained: int, n: int, alpha: float) -> tuple[float, float]:
    """Return the lower and upper bound of the drop, each with the error probability alpha.

    If no pair gained, the upper bound is at least that of Clopper and Pearson for the share that
    lost; likewise the lower bound if no pair lost.
    """
    z = float(norm.isf(alpha))

    def below(drop: float, target: float) -> float:
        return float(score(lost, gained, n, drop)) - target

    estimate = (lost - gained) / n
    lower = upper = estimate
    if below(-_EDGE, z) > 0 and estimate > -_EDGE:
        lower = float(brentq(below, -_EDGE, estimate, args=(z,), xtol=1e-10))
    if below(_EDGE, -z) < 0 and estimate < _EDGE:
        upper = float(brentq(below, estimate, _EDGE, args=(-z,), xtol=1e-10))
    if gained == 0 and lost < n:
        upper = max(upper, float(beta.isf(alpha, lost + 1, n - lost)))
    if lost == 0 and gained < n:
        lower = min(lower, -float(beta.isf(alpha, gained + 1, n - gained)))
    return lower, upper


def mcnemar(lost: int, gained: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: binomial, of the pairs that differ."""
    return min(1.0, 2 * float(binom.cdf(min(lost, gained), lost + gained, 0.5)))


def required_pairs(variance: float, distance: float, alpha: float, power: float) -> float:
    """Return the pairs at which a one-sided test of level alpha has this power.

    variance: of the difference of a pair. distance: of the true drop from the tested one, above 0.
    """
    return variance * (float(norm.isf(alpha) + norm.ppf(power)) / distance) ** 2
