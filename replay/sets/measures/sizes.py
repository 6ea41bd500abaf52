"""How small a drop a number of items can show.

Paired binary scores of baseline and candidate: the difference of the means has the variance

    (p (1 - p) + q (1 - q) - 2 r sqrt(p (1 - p) q (1 - q))) / n

with the accuracies p of the baseline and q = p - drop of the candidate, and the correlation r of
their scores. A one-sided test at level alpha has the given power if the drop is
z(1 - alpha) + z(power) standard errors.
"""

from __future__ import annotations

import math
from typing import Final

from scipy.stats import norm

CORRELATIONS: Final = (0.5, 0.7, 0.8, 0.9)
"""Correlations for which sizes are reported. Checkpoints of one model often have .7 and more."""


def required_items(
    drop: float,
    correlation: float,
    baseline: float = 0.8,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """Return the number of paired binary items that show a drop.

    drop: of the accuracy, above 0, at most `baseline`.
    """
    if not 0 < drop <= baseline <= 1:
        raise ValueError(f"a drop of {drop} from {baseline} is not possible")
    after = baseline - drop
    variances = baseline * (1 - baseline), after * (1 - after)
    variance = sum(variances) - 2 * correlation * math.sqrt(variances[0] * variances[1])
    quantiles = float(norm.isf(alpha) + norm.ppf(power))
    return max(1, math.ceil(quantiles**2 * variance / drop**2))


def detectable_drop(
    items: int,
    correlation: float,
    baseline: float = 0.8,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float | None:
    """Return the smallest drop that a number of items shows, in thousandths; None if none is."""
    for thousandths in range(1, math.floor(baseline * 1000) + 1):
        drop = thousandths / 1000
        if required_items(drop, correlation, baseline, alpha=alpha, power=power) <= items:
            return drop
    return None
