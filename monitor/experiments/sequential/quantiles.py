"""Quantiles of two arms, from histograms by bucket of users.

The test compares the shares of both arms below one value, the pooled quantile, as ratios by bucket.
The interval of the relative difference comes from each arm's own quantile and its standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, log, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.experiments.design import Scale
from monitor.experiments.sequential.ratios import Contrast, contrast
from monitor.experiments.sums.look import GAMMA

Counts = NDArray[np.int64]
TAU: Final = {Scale.P50: 0.02, Scale.P95: 0.01}
"""Standard deviation of the mixture, as a difference of shares."""


@dataclass(frozen=True, slots=True)
class QuantileContrast:
    """The quantile of an arm against that of the control.

    shares: contrast of the shares of values above the pooled quantile, so that a higher share means
    a higher quantile.
    logs: shape (2,), logarithm of the quantiles of the control and of the arm. errors: shape (2,),
    their standard errors, in proportion to those of `shares`.
    """

    shares: Contrast
    logs: Floats
    errors: Floats

    @property
    def error(self) -> float:
        """Standard error of the difference of the logarithms."""
        return float(np.hypot(*self.errors))

    @property
    def difference(self) -> float:
        """Difference of the logarithms, the arm minus the control."""
        return float(self.logs[1] - self.logs[0])


def quantile_contrast(counts: Counts, probability: float, smallest: float) -> QuantileContrast:
    """Return the contrast of a quantile.

    counts: shape (2, K, bins), values by arm, bucket of users and logarithmic bin.
    smallest: lower end of bin 1.

    The standard error is Woodruff's: the values at which the distribution function equals
    probability +- 2 standard errors of the share, a quarter of their distance on the logarithm.
    Within a bin, values are assumed to be evenly spread on the logarithm.
    """
    by_arm = counts.sum(axis=1)
    pooled = position_of(by_arm.sum(axis=0), probability)
    pooled = pooled if isfinite(pooled) else 0.0
    whole = int(pooled)
    above = counts[..., whole:].sum(axis=-1) - (pooled - whole) * counts[..., whole]
    below = counts[..., :whole].sum(axis=-1) + (pooled - whole) * counts[..., whole]
    shares = contrast(above, above + below)
    positions = [_log(position_of(arm, probability), smallest) for arm in by_arm]
    errors = [
        _log_error(arm, probability, float(np.sqrt(variance)), smallest)
        for arm, variance in zip(by_arm, shares.variances, strict=True)
    ]
    return QuantileContrast(shares, np.array(positions), np.array(errors))


def position_of(counts: Counts, probability: float) -> float:
    """Return where the cumulative count reaches the probability, in bins from the lower end.

    counts: shape (bins,). The fraction interpolates within the bin. NaN without values.
    """
    cumulated = np.cumsum(counts)
    target = probability * cumulated[-1]
    if not cumulated[-1]:
        return nan
    bin_ = min(int(np.searchsorted(cumulated, target)), len(counts) - 1)
    inside = counts[bin_]
    fraction = (target - (cumulated[bin_] - inside)) / inside if inside else 0.0
    return min(bin_ + float(fraction), len(counts) - 1e-9)


def _log(position: float, smallest: float) -> float:
    """Return the logarithm of the value at a position: bin 1 starts at `smallest`.

    Bin 0 has all smaller values, down to 0; it is treated like a bin of the usual width.
    """
    return log(smallest) + (position - 1) * log(GAMMA)


def _log_error(counts: Counts, probability: float, error: float, smallest: float) -> float:
    """Return Woodruff's standard error of the logarithm of a quantile; inf if it has none.

    error: standard error of the share at the quantile.
    """
    low, high = probability - 2 * error, probability + 2 * error
    if not (low > 0 and high < 1):
        return inf
    width = _log(position_of(counts, high), smallest) - _log(position_of(counts, low), smallest)
    return width / 4
