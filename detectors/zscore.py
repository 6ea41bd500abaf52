"""Window z-score: has the mean moved, against its own long-run standard error."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from detectors.base import Bools, Floats, Kind, Readings, WindowTest
from detectors.dependence import BLOCK, RARELY
from detectors.streams import NumericStream
from detectors.window import Window, Windows

MIN_BLOCKS = 5
"""Fewer window-sized blocks than this in the reference give no standard error."""


class ZScore(WindowTest):
    """z-score of the window's mean.

        z = (mean_W - mean_reference) / (sigma_LR sqrt(1/n + 1/N)),
        sigma_LR^2 = W Var(means of non-overlapping blocks of W records of the reference),

    n and N counting the values that are not missing. Each value is replaced by the median of its
    cell (`NumericStream.cell_scores`), which winsorises the mean: a single record must not page.
    sigma_LR is the long-run standard deviation: for autocorrelated records it is larger than that
    of a record, and s / sqrt(W) would page for nothing (Flyvbjerg & Petersen 1989, block averages).
    It is itself estimated from K blocks, so z is held against Student's t with K - 1 degrees of
    freedom: a reference of few windows gives a high threshold. sigma_LR is not taken to be less
    than a record's standard deviation, which is known better, so that an unlucky reference of
    independent records does no harm.

    The mean of W skewed values is still skewed in the far tail, by s = skewness / sqrt(W). On the
    side of the longer tail, Student's quantile h is raised to that of a gamma distribution of this
    skewness, (2/s) ((1 + s (h - s/6) / 6)^3 - 1) (Wilson & Hilferty 1931).

    statistic: |z|. threshold: that of the side on which z lies.

    Trade-off: the quickest of the window tests on a shift of the mean, and the one that allows best
    for autocorrelation; blind to all that leaves the mean alone, and to how far out the outermost
    values lie.
    """

    name: ClassVar[str] = "zscore"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.NUMERIC, Kind.BINARY})

    def prepare(self, window: Window) -> None:
        """Moments of the reference, and the thresholds on both sides."""
        streams = self.baseline.numeric
        moments = [_moments(stream, window.records) for stream in streams]
        self.mean, self.sigma, self.blocks, skewness = np.array(moments, float).reshape(-1, 4).T
        self.reference_share = 1 / np.maximum(self.baseline.counts[: len(streams)], 1)
        self.scores = np.nan_to_num(self.baseline.cell_scores)
        self.freedom = np.maximum(self.blocks - 1, 1)
        quantile: Floats = -stdtrit(self.freedom, self.level / 2)
        # Wilson & Hilferty's cube is no longer monotone in the skewness from 3 h on
        self.skewness = np.clip(skewness, -2 * quantile, 2 * quantile)
        self.thresholds = np.stack(
            [skewed_quantile(quantile, side) for side in (self.skewness, -self.skewness)]
        )

    def rejects(self, windows: Windows) -> Bools:
        """Where |z| reaches the quantile of its side."""
        z = self.z(windows)
        found: Bools = (z >= self.thresholds[0]) | (-z >= self.thresholds[1])
        return found

    def test(self, windows: Windows) -> Readings:
        """|z| of every numeric and binary stream with its two-sided p-value."""
        z = self.z(windows)
        threshold = np.where(np.isnan(z), np.nan, np.where(z > 0, *self.thresholds))
        normal = normal_deviate(np.abs(z), np.where(z > 0, self.skewness, -self.skewness))
        return Readings(np.abs(z), threshold, np.minimum(1.0, 2 * stdtr(self.freedom, -normal)))

    def z(self, windows: Windows) -> Floats:
        """z of every window and numeric or binary stream, shape (m, F); NaN without an error."""
        count = np.maximum(windows.present, 0.5)  # nothing present: a mean of 0 / 0.5 is masked
        sums = np.vecdot(self.scores, windows.cell_counts[:, : count.shape[1]])
        error = self.sigma * np.sqrt(1 / count + self.reference_share)
        z: Floats = (sums / count - self.mean) / error
        return np.where(count >= 1, z, np.nan)


def skewed_quantile(quantile: Floats, skewness: Floats) -> Floats:
    """The normal quantile, raised to the gamma distribution's where that is larger."""
    s = np.where(np.abs(skewness) < 1e-6, 1e-6, skewness)
    cube = (1 + s * (quantile - s / 6) / 6) ** 3
    return np.asarray(np.maximum(quantile, 2 / s * (cube - 1)))


def normal_deviate(z: Floats, skewness: Floats) -> Floats:
    """The inverse of `skewed_quantile`: the normal deviate that is as rare as z, at most z."""
    s = np.where(np.abs(skewness) < 1e-6, 1e-6, skewness)
    normal: Floats = 6 / s * (np.cbrt(1 + s * z / 2) - 1) + s / 6
    return np.asarray(np.minimum(z, normal))


def _moments(stream: NumericStream, window: int) -> tuple[float, float, float, float]:
    """(mean, sigma_LR, blocks, skewness of the mean of a window) of a stream's scores."""
    blocks = len(stream.block_means(window))
    sigma = long_run_sd(stream, window)
    if not sigma > 0:  # too few blocks, or a constant: no verdict
        return 0.0, float("nan"), blocks, 0.0
    weights, scores = stream.cell_counts()[:-1] / stream.count, stream.cell_scores()[:-1]
    mean = float(weights @ scores)
    variance = float(weights @ (scores - mean) ** 2)
    skewness = float(weights @ (scores - mean) ** 3) / variance**1.5
    sigma = max(sigma, variance**0.5, _farthest(stream, window, mean))
    inflation = sigma**2 / variance
    values = max(1.0, window * _share_present(stream))
    return mean, sigma, blocks, skewness * float(np.sqrt(inflation / values))


def _farthest(stream: NumericStream, window: int, mean: float) -> float:
    """The standard deviation that makes a thing of chance of the reference's farthest block."""
    means = stream.block_means(window)
    values = max(1, window // BLOCK) * BLOCK * _share_present(stream)
    quantile = float(-ndtri(RARELY / (2 * len(means))))
    return float(np.abs(means - mean).max() * np.sqrt(values)) / quantile


def long_run_sd(stream: NumericStream, window: int) -> float:
    """sigma_LR of a stream for windows of `window` records; NaN where blocks are too few."""
    means = stream.block_means(window)
    if len(means) < MIN_BLOCKS:
        return float("nan")
    # the reference's blocks are whole multiples of BLOCK, which `window` need not be
    values = max(1, window // BLOCK) * BLOCK * _share_present(stream)
    return float(np.sqrt(values) * np.std(means, ddof=1))


def _share_present(stream: NumericStream) -> float:
    return 1 - stream.missing / (stream.count + stream.missing)
