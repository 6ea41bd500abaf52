"""Window z-score: has the mean moved, relative to its long-run standard error."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from detectors.arrays import Bools, Floats
from detectors.dependence import BLOCK_SIZE, SIGNIFICANCE
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream
from detectors.readings import Readings
from detectors.window import Window, Windows
from detectors.window_test import WindowTest

MIN_BLOCKS = 5
"""Window-sized blocks of the reference required to estimate the standard error."""


class ZScore(WindowTest):
    """z-score of the window's mean.

        z = (mean_W - mean_reference) / (sigma_LR sqrt(1/n + 1/N)),
        sigma_LR^2 = W Var(means of non-overlapping blocks of W records of the reference),

    where n and N count the values that are not missing. The median of its cell replaces each value
    (`NumericStream.cell_scores`), which winsorises the mean: a single record must not page.
    sigma_LR is the long-run standard deviation. For autocorrelated records it exceeds that of a
    record, and s / sqrt(W) would raise false alarms (Flyvbjerg & Petersen 1989, block averages).
    It is itself estimated from K blocks, so z is compared with Student's t with K - 1 degrees of
    freedom: a reference of few windows gives a high threshold. sigma_LR is at least a record's
    standard deviation, whose estimate is more accurate, so that an underestimate on independent
    records does no harm. It is also large enough that the reference's most extreme block is within
    chance.

    The mean of W skewed values is still skewed in the far tail, by s = skewness / sqrt(W). On the
    side of the longer tail, Student's quantile h is raised to that of a gamma distribution of this
    skewness, (2/s) ((1 + s (h - s/6) / 6)^3 - 1) (Wilson & Hilferty 1931).

    statistic: |z|. threshold: that of the side on which z lies.

    Trade-off: the fastest window test on a shift of the mean, with the most accurate correction for
    autocorrelation. It misses changes that keep the mean, and the size of the outermost values.
    """

    name: ClassVar[str] = "zscore"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.NUMERIC, Kind.BINARY})

    def prepare(self, window: Window) -> None:
        """Compute the moments of the reference and the thresholds of both sides."""
        streams = self.baseline.numeric
        moments = [_moments(stream, window.records) for stream in streams]
        self.mean, self.sigma, self.blocks, skewness = np.array(moments, float).reshape(-1, 4).T
        self.reference_share = 1 / np.maximum(self.baseline.counts[: len(streams)], 1)
        self.scores = np.nan_to_num(self.baseline.cell_scores)
        self.freedom = np.maximum(self.blocks - 1, 1)
        quantile: Floats = -stdtrit(self.freedom, self.level / 2)
        # Wilson & Hilferty's cube is not monotone in the skewness from 3 h on
        self.skewness = np.clip(skewness, -2 * quantile, 2 * quantile)
        self.thresholds = np.stack(
            [skewed_quantile(quantile, side) for side in (self.skewness, -self.skewness)]
        )

    def rejects(self, windows: Windows) -> Bools:
        """Return where |z| reaches the quantile of its side."""
        z = self.z_scores(windows)
        found: Bools = (z >= self.thresholds[0]) | (-z >= self.thresholds[1])
        return found

    def test(self, windows: Windows) -> Readings:
        """Return |z| of every numeric and binary stream with its two-sided p-value."""
        z = self.z_scores(windows)
        threshold = np.where(np.isnan(z), np.nan, np.where(z > 0, *self.thresholds))
        normal = normal_deviate(np.abs(z), np.where(z > 0, self.skewness, -self.skewness))
        return Readings(np.abs(z), threshold, np.minimum(1.0, 2 * stdtr(self.freedom, -normal)))

    def z_scores(self, windows: Windows) -> Floats:
        """Return z of every window and numeric or binary stream, shape (m, F).

        NaN where the window has no value or the reference gives no standard error.
        """
        count = np.maximum(windows.present, 0.5)  # avoids 0 / 0; masked below
        sums = np.vecdot(self.scores, windows.cell_counts[:, : count.shape[1]])
        error = self.sigma * np.sqrt(1 / count + self.reference_share)
        z: Floats = (sums / count - self.mean) / error
        return np.where(count >= 1, z, np.nan)


def skewed_quantile(quantile: Floats, skewness: Floats) -> Floats:
    """Return the normal quantile, or the gamma distribution's where that is larger."""
    s = np.where(np.abs(skewness) < 1e-6, 1e-6, skewness)
    cube = (1 + s * (quantile - s / 6) / 6) ** 3
    return np.asarray(np.maximum(quantile, 2 / s * (cube - 1)))


def normal_deviate(z: Floats, skewness: Floats) -> Floats:
    """Return the normal deviate with z's tail probability, at most z (see `skewed_quantile`)."""
    s = np.where(np.abs(skewness) < 1e-6, 1e-6, skewness)
    normal: Floats = 6 / s * (np.cbrt(1 + s * z / 2) - 1) + s / 6
    return np.asarray(np.minimum(z, normal))


def _moments(stream: NumericStream, window: int) -> tuple[float, float, float, float]:
    """Return mean, sigma_LR, blocks and skewness of a window's mean, of a stream's scores."""
    blocks = len(stream.block_means(window))
    sigma = long_run_sd(stream, window)
    if not sigma > 0:  # too few blocks or a constant stream: no verdict
        return 0.0, float("nan"), blocks, 0.0
    weights, scores = stream.cell_counts()[:-1] / stream.count, stream.cell_scores()[:-1]
    mean = float(weights @ scores)
    variance = float(weights @ (scores - mean) ** 2)
    skewness = float(weights @ (scores - mean) ** 3) / variance**1.5
    sigma = max(sigma, variance**0.5, _sd_of_extreme_block(stream, window, mean))
    inflation = sigma**2 / variance
    values = max(1.0, window * _share_present(stream))
    return mean, sigma, blocks, skewness * float(np.sqrt(inflation / values))


def _sd_of_extreme_block(stream: NumericStream, window: int, mean: float) -> float:
    """Return the standard deviation with which the most extreme block is within chance."""
    means = stream.block_means(window)
    values = max(1, window // BLOCK_SIZE) * BLOCK_SIZE * _share_present(stream)
    quantile = float(-ndtri(SIGNIFICANCE / (2 * len(means))))
    return float(np.abs(means - mean).max() * np.sqrt(values)) / quantile


def long_run_sd(stream: NumericStream, window: int) -> float:
    """Return sigma_LR of a stream for windows of `window` records; NaN with too few blocks."""
    means = stream.block_means(window)
    if len(means) < MIN_BLOCKS:
        return float("nan")
    # the blocks' length is a multiple of BLOCK_SIZE, `window` may not be
    values = max(1, window // BLOCK_SIZE) * BLOCK_SIZE * _share_present(stream)
    return float(np.sqrt(values) * np.std(means, ddof=1))


def _share_present(stream: NumericStream) -> float:
    """Return the share of the reference's records with a value."""
    return 1 - stream.missing / (stream.count + stream.missing)
