"""Ratios of two arms from sums by bucket of users, with the variance of their difference.

Users are the unit: a bucket holds all requests of its users, so that requests of one user need not
be independent. Arrays have the shape (..., 2, K): the control and the arm, K buckets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.arrays import Floats


@dataclass(frozen=True, slots=True)
class Contrast:
    """An arm against the control; all arrays have the leading shape (...) of the sums.

    ratios: shape (..., 2), sum X / sum N of the control and of the arm.
    variances: shape (..., 2), of the ratios, scaled so that their sum is `variance`.
    variance: of the difference of the ratios, with its floor.
    pooled: ratio over both arms. pooled_error: its standard error.
    n_eff: effective number of users, the smaller one of both arms.
    """

    ratios: Floats
    variances: Floats
    variance: Floats
    pooled: Floats
    pooled_error: Floats
    n_eff: Floats

    @property
    def difference(self) -> Floats:
        """The arm's ratio minus the control's."""
        difference: Floats = self.ratios[..., 1] - self.ratios[..., 0]
        return difference


def contrast(x: Floats, n: Floats) -> Contrast:
    """Return the contrast of two arms.

    x, n: shape (..., 2, K), sums of the values and of the requests, by bucket.
    Arms without requests have NaN.

    Variance of a ratio R = sum X / sum N: K / (K - 1) * sum (X - R N)^2 / (sum N)^2, the delta
    method over buckets (Deng, Knoblich, Lu: arXiv 1803.06336).
    """
    totals = n.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = x.sum(axis=-1) / totals
        pooled = x.sum(axis=(-2, -1)) / totals.sum(axis=-1)
        residuals = x - ratios[..., None] * n
        pooled_residuals = x - pooled[..., None, None] * n
    return assemble(ratios, pooled, n, residuals, pooled_residuals)


def assemble(
    ratios: Floats, pooled: Floats, n: Floats, residuals: Floats, pooled_residuals: Floats
) -> Contrast:
    """Return the contrast of ratios that have these residuals by bucket.

    residuals: shape (..., 2, K), X - R N of each arm with its own ratio; pooled_residuals: with the
    pooled ratio.

    The variance of the difference is not below s0 (1 / N_A + 1 / N_B), where s0 is the variance per
    request over both arms, as if they were equal. A small arm of a skewed metric has not yet had
    large values and underestimates its variance; without the floor it wins too often.
    """
    totals = n.sum(axis=-1)
    buckets = n.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        welch = buckets / (buckets - 1) * _squares(residuals) / totals**2
        per_request = _squares(pooled_residuals).sum(axis=-1) / totals.sum(axis=-1)
        floor = per_request[..., None] / totals
        variance = np.maximum(welch.sum(axis=-1), floor.sum(axis=-1))
        scale = variance / welch.sum(axis=-1)
        scaled = np.where(np.isfinite(scale)[..., None], scale[..., None] * welch, floor)
        error = np.sqrt(per_request / totals.sum(axis=-1))
    return Contrast(ratios, scaled, variance, pooled, error, effective_users(n).min(axis=-1))


def effective_users(n: Floats) -> Floats:
    """Return the effective number of users, (sum N)^2 / sum (N - mean N)^2, and 0 without requests.

    n: shape (..., K), requests by bucket. Users with equal numbers of requests count as one each,
    unequal ones as fewer. There are no more of them than requests.
    """
    totals = n.sum(axis=-1)
    spread = _squares(n - totals[..., None] / n.shape[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        effective: Floats = np.where(totals > 0, np.minimum(totals**2 / spread, totals), 0.0)
    return effective


def _squares(values: Floats) -> Floats:
    """Return the sum of squares over the last axis."""
    squares: Floats = np.einsum("...k,...k->...", values, values)
    return squares
