"""CUPED: less variance by what the same users did before the experiment.

Deng, Xu, Kohavi, Walker: Improving the sensitivity of online controlled experiments (2013), here
for ratios, across buckets of users.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from detectors.arrays import Bools, Floats
from monitor.experiments.sequential.ratios import (
    Contrast,
    Moments,
    contrast,
    from_moments,
    spread,
    sum_of_squares,
)


def adjusted(x: Floats, n: Floats, before_x: Floats, before_n: Floats) -> Contrast:
    """Return the contrast of two arms, adjusted by their ratios of the pre-period.

    x, n: shape (..., 2, K), sums of the values and requests; before_x, before_n: the same over the
    pre-period, of the units that the hash assigns to the arm.

    The influence of a bucket on its arm's ratio is (X - R N) / sum N. Those of the experiment are
    regressed on those of the pre-period with one theta for both arms, and theta times the
    difference of the ratios before is subtracted. Before the experiment the arms differ by chance
    only, so that the adjusted difference has no bias. Without requests in the pre-period of an arm
    there is no adjustment.
    """
    totals, before_totals = n.sum(axis=-1), before_n.sum(axis=-1)
    plain, before = contrast(x, n), contrast(before_x, before_n)
    with np.errstate(divide="ignore", invalid="ignore"):
        residuals = x - plain.ratios[..., None] * n
        covariate = before_x - before.ratios[..., None] * before_n
        covariate = covariate * (totals / before_totals)[..., None]
        scaled, influence = covariate / totals[..., None], residuals / totals[..., None]
        theta = np.sum(influence * scaled, axis=(-2, -1)) / sum_of_squares(scaled).sum(axis=-1)
        ratios = plain.ratios - theta[..., None] * (before.ratios - before.pooled[..., None])
        weight = theta * totals.sum(axis=-1) / before_totals.sum(axis=-1)
        pooled_residuals = x - plain.pooled[..., None, None] * n
        pooled_covariate = before_x - before.pooled[..., None, None] * before_n
        moments = Moments(
            n.shape[-1],
            totals,
            ratios,
            plain.pooled,
            sum_of_squares(residuals - theta[..., None, None] * covariate),
            sum_of_squares(pooled_residuals - weight[..., None, None] * pooled_covariate),
            spread(n),
        )
    return _where(np.isfinite(theta), from_moments(moments), plain)


def _where(usable: Bools, adjusted_: Contrast, plain: Contrast) -> Contrast:
    """Return the adjusted contrast where it is usable, else the plain one."""
    chosen = []
    for field in fields(Contrast):
        first, second = getattr(adjusted_, field.name), getattr(plain, field.name)
        shape = usable[(...,) + (None,) * (first.ndim - usable.ndim)]
        chosen.append(np.where(shape, first, second))
    return Contrast(*chosen)
