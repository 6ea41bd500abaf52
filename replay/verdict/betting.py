"""Bets against a drop: e-processes that may be looked at after every chunk.

A drop is the baseline's score of an item less the candidate's, from -1 to 1. Against the hypothesis
that the mean drop is at most m, a bet g multiplies its capital by 1 - g + g (1 + d) / (1 + m) at
each item with the drop d; against "at least m", by 1 - g + g (1 - d) / (1 - m). For a bet from 0 to
1 the factors are not negative, and their expectation is at most 1 under the hypothesis, whatever
the distribution of d. The capital, averaged over a fixed set of bets, is therefore a nonnegative
supermartingale, and exceeds 1 / alpha at any time with a probability of at most alpha (Ville).
Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting (2024).

The capital does not depend on the order of the items, so that the counts of the distinct drops
suffice, and it changes in one direction with m, so that the hypotheses that are not rejected are
the values above (below) one bound. The bound holds at all times at once.
"""

from __future__ import annotations

from math import log
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]
Hypothesis = Literal["at_most", "at_least"]

BETS: Final[Floats] = np.array([0.15, 0.3, 0.5, 0.75])
"""Bets with equal weights. The best one is near the drop divided by its variance."""
_STEPS: Final = 40
"""Halvings of the interval that contains a bound: an accuracy of 2e-12."""


def log_growth(drops: Floats, mean: float, hypothesis: Hypothesis) -> Floats:
    """Return the logarithm of the factor of each bet at each drop: shape (..., bets).

    drops: from -1 to 1. mean: of the hypothesis "the mean drop is at most / at least `mean`",
    between -1 and 1, both excluded.
    """
    sign = 1 if hypothesis == "at_most" else -1
    ratios = (1 + sign * drops) / (1 + sign * mean)
    found: Floats = np.log1p(BETS * (ratios[..., None] - 1))
    return found


def log_capital(growth: Floats) -> Floats:
    """Return the logarithm of the capital, averaged over bets. growth: sums, shape (..., bets)."""
    found: Floats = logsumexp(growth, axis=-1) - log(len(BETS))
    return found


def log_evidence(drops: Floats, counts: Floats, mean: float, hypothesis: Hypothesis) -> float:
    """Return the logarithm of the capital after all items.

    drops, counts: shape (k,): distinct drops, and items with each.
    """
    return float(log_capital(counts @ log_growth(drops, mean, hypothesis)))


def bound(drops: Floats, counts: Floats, alpha: float, hypothesis: Hypothesis) -> float:
    """Return the bound of the mean drop: lower for "at_most", upper for "at_least".

    It is the last hypothesis, from -1 or 1 on, against which the capital reaches 1 / alpha.
    drops, counts: shape (k,).
    """
    end = -1.0 if hypothesis == "at_most" else 1.0
    rejected, kept = end, -end
    for _ in range(_STEPS):
        middle = (rejected + kept) / 2
        if log_evidence(drops, counts, middle, hypothesis) >= -log(alpha):
            rejected = middle
        else:
            kept = middle
    return rejected
