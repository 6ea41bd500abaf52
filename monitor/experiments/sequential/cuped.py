"""CUPED: less variance by what the same users did before the experiment.

Deng, Xu, Kohavi, Walker: Improving the sensitivity of online controlled experiments (2013), here
for ratios, across buckets of users.
"""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats
from monitor.experiments.sequential.ratios import Contrast, assemble, contrast


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
    plain = contrast(x, n)
    before = contrast(before_x, before_n)
    totals, before_totals = n.sum(axis=-1), before_n.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        covariate = (before_x - before.ratios[..., None] * before_n) / before_totals[..., None]
        influence = (x - plain.ratios[..., None] * n) / totals[..., None]
        theta = np.sum(influence * covariate, axis=(-2, -1)) / np.sum(covariate**2, axis=(-2, -1))
        theta = np.where(np.isfinite(theta), theta, 0.0)
        shift = theta[..., None] * (before.ratios - before.pooled[..., None])
        before_residuals = before_x - before.pooled[..., None, None] * before_n
        weight = theta * totals.sum(axis=-1) / before_totals.sum(axis=-1)
        residuals = (influence - theta[..., None, None] * covariate) * totals[..., None]
        pooled_residuals = x - plain.pooled[..., None, None] * n
        pooled_residuals = pooled_residuals - weight[..., None, None] * before_residuals
    usable = (before_totals > 0).all(axis=-1) & (theta != 0)
    shape = usable[..., None, None]
    return assemble(
        np.where(usable[..., None], plain.ratios - shift, plain.ratios),
        plain.pooled,
        n,
        np.where(shape, residuals, influence * totals[..., None]),
        np.where(shape, pooled_residuals, x - plain.pooled[..., None, None] * n),
    )
