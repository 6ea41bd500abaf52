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
    welch: shape (..., 2), their variances. variances: the same, scaled so that their sum is
    `variance`, that of the difference of the ratios with its floor.
    pooled: ratio over both arms. pooled_error: its standard error.
    n_eff: effective number of users, the smaller one of both arms.
    """

    ratios: Floats
    welch: Floats
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


@dataclass(frozen=True, slots=True)
class Moments:
    """What a contrast is computed from, by arm; shape (..., 2) where nothing else is said.

    buckets: K. totals: sum N. ratios: sum X / sum N. pooled: the same over both arms, shape (...).
    squares: sum over buckets of (X - R N)^2. pooled_squares: with the pooled ratio as R.
    spread: sum over buckets of (N - mean N)^2.
    """

    buckets: int
    totals: Floats
    ratios: Floats
    pooled: Floats
    squares: Floats
    pooled_squares: Floats
    spread: Floats


def contrast(x: Floats, n: Floats) -> Contrast:
    """Return the contrast of two arms.

    x, n: shape (..., 2, K), sums of the values and of the requests, by bucket.
    Arms without requests have NaN.
    """
    totals = n.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = x.sum(axis=-1) / totals
        pooled = x.sum(axis=(-2, -1)) / totals.sum(axis=-1)
        squares = sum_of_squares(x - ratios[..., None] * n)
        pooled_squares = sum_of_squares(x - pooled[..., None, None] * n)
    moments = Moments(n.shape[-1], totals, ratios, pooled, squares, pooled_squares, spread(n))
    return from_moments(moments)


def from_moments(moments: Moments) -> Contrast:
    """Return the contrast of two arms.

    Variance of a ratio R = sum X / sum N: K / (K - 1) * sum (X - R N)^2 / (sum N)^2, the delta
    method over buckets (Deng, Knoblich, Lu: arXiv 1803.06336).

    The variance of the difference is not below s0 (1 / N_A + 1 / N_B), where s0 is the variance per
    request over both arms, as if they were equal. A small arm of a skewed metric has not yet had
    large values and underestimates its variance; without the floor it wins too often.
    """
    totals, buckets = moments.totals, moments.buckets
    both = totals.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        welch = buckets / (buckets - 1) * moments.squares / totals**2
        per_request = moments.pooled_squares.sum(axis=-1) / both
        floor = per_request[..., None] / totals
        variance = np.maximum(welch.sum(axis=-1), floor.sum(axis=-1))
        scale = variance / welch.sum(axis=-1)
        scaled = np.where(np.isfinite(scale)[..., None], scale[..., None] * welch, floor)
        error = np.sqrt(per_request / both)
    users = effective_users(totals, moments.spread).min(axis=-1)
    return Contrast(moments.ratios, welch, scaled, variance, moments.pooled, error, users)


def effective_users(totals: Floats, spread: Floats) -> Floats:
    """Return the effective number of users, (sum N)^2 / sum (N - mean N)^2, and 0 without requests.

    totals, spread: sum N and sum (N - mean N)^2 over buckets, of the same shape. Users with equal
    numbers of requests count as one each, unequal ones as fewer. There are no more of them than
    requests.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        effective: Floats = np.where(totals > 0, np.minimum(totals**2 / spread, totals), 0.0)
    return effective


def spread(n: Floats) -> Floats:
    """Return the sum of (N - mean N)^2 over the last axis."""
    return sum_of_squares(n - n.mean(axis=-1, keepdims=True))


def sum_of_squares(values: Floats) -> Floats:
    """Return the sum of squares over the last axis."""
    squares: Floats = np.einsum("...k,...k->...", values, values)
    return squares
