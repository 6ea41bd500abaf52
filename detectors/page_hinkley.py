"""Two-sided Page-Hinkley test: a cumulative sum that grows while the mean is shifted."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np
from scipy.optimize import brentq

from detectors import dependence
from detectors.arrays import Bools, Floats
from detectors.baseline import Baseline
from detectors.dependence import SIGNIFICANCE
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream
from detectors.readings import Readings
from detectors.strides import update_sums
from detectors.window import Window, Windows

ALLOWANCE = 0.1
"""Shift of the mean rank that the test ignores, in standard deviations. The test is fastest on
twice this shift."""


class PageHinkley:
    """Two-sided Page-Hinkley test on block means of ranks.

    With the mean mid-rank u_t of a stride (1/2 without drift) and the allowance d,

        up_t = max(0, up_(t-1) + w_t (u_t - 1/2 - d)),
        down_t = max(0, down_(t-1) + w_t (1/2 - u_t - d)),

    where w_t is the share of the stride's records with a value. A change is found where either sum
    reaches its threshold (Page 1954; Hinkley 1971); both sums then restart from 0. Without drift
    P(up_t >= h) <= exp(-theta h) at every t, where theta > 0 is the root of
    E exp(theta (u - 1/2 - d)) = 1 (Lundberg's inequality). It is solved for the stream's own ranks
    and gives the p-value, and a threshold that keeps the level for every distribution. For
    autocorrelated records theta is divided by two factors: the inflation of the variance of block
    means, the largest over all scales of the reference; and the ratio of the sum's maximum over the
    reference to the maximum that one reference in twenty exceeds by chance. The allowance includes
    the error of the reference's mean.

    Trade-off: detects a small lasting shift that no single window shows. It misses changes that
    keep the mean rank, and is slow on short bursts.
    """

    name: ClassVar[str] = "page_hinkley"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.NUMERIC, Kind.BINARY})
    state_version: ClassVar[int] = 1

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None:
        self.streams = baseline.stream_indices(self.kinds)
        parameters = [allowance_and_exponents(stream) for stream in baseline.numeric]
        allowance, *exponents = np.array(parameters, float).reshape(-1, 3).T
        # the step is 0 for a missing value and for a constant stream (allowance NaN)
        shift, allowance = baseline.cell_ranks - 0.5, allowance[:, None]
        self.steps = np.nan_to_num(np.stack((shift - allowance, -shift - allowance)))
        self.steps /= window.stride
        # a sum of the strides' means reaches h where the sum of their records reaches stride h
        self.exponents = window.stride * np.stack(exponents)
        self.exponents /= self._reference_excess(baseline)
        self.thresholds = np.log(2 / level) / self.exponents
        self.sums = np.zeros((2, len(parameters)))
        self.peaks = np.zeros((1, 2, len(parameters)))
        self.stride_number = max(1, window.strides)

    def _reference_excess(self, baseline: Baseline) -> Floats:
        """Return each sum's maximum over the reference relative to chance, shape (2, F), >= 1."""
        blocks = baseline.stacked_blocks()[: len(self.streams)].transpose(1, 0, 2)
        sums = maximum = np.zeros(self.exponents.shape)
        for step in np.vecdot(self.steps, blocks[:, None]):
            sums = np.maximum(sums + step, 0.0)
            maximum = np.maximum(maximum, sums)
        by_chance = np.log(max(1, len(blocks)) / SIGNIFICANCE)
        return np.asarray(np.maximum(1.0, np.nan_to_num(maximum * self.exponents) / by_chance))

    def update(self, windows: Windows) -> Bools:
        """Add the new strides to both sums and return where one reaches its threshold."""
        counts = windows.newest_counts[:, None, : len(self.streams)]
        steps = np.vecdot(self.steps, counts)
        self.peaks, self.stride_number = np.empty_like(steps), windows.stride_number
        found: Bools = np.zeros((len(steps), len(self.streams)), bool)
        update_sums(steps, self.thresholds, self.sums, self.peaks, found)
        return found

    def readings(self, windows: Windows) -> Readings:
        """Return the sum nearest to its threshold, before any restart."""
        peaks = self.peaks[windows.stride_number - self.stride_number]
        distance = peaks * self.exponents
        side = distance.argmax(axis=0)[None, :]
        statistic, threshold, log_p = (
            np.take_along_axis(each, side, axis=0)[0]
            for each in (peaks, self.thresholds, -distance)
        )
        known = ~np.isnan(threshold)
        return Readings(
            np.where(known, statistic, np.nan), threshold, np.minimum(1.0, 2 * np.exp(log_p))
        )

    def snapshot(self) -> bytes:
        """Return both sums of every stream, after and before any restart in the newest stride."""
        number = self.stride_number + len(self.peaks) - 1
        return msgspec.msgpack.encode((number, self.sums.tobytes(), self.peaks[-1].tobytes()))

    def restore(self, state: bytes) -> None:
        """Load both sums."""
        self.stride_number, *parts = msgspec.msgpack.decode(state, type=tuple[int, bytes, bytes])
        sums, peaks = (np.frombuffer(part).reshape(self.sums.shape).copy() for part in parts)
        self.sums, self.peaks = sums, peaks[None]


def allowance_and_exponents(stream: NumericStream) -> tuple[float, float, float]:
    """Return (d, theta upwards, theta downwards) in ranks; NaN for a constant stream."""
    counts = stream.cell_counts()[:-1]
    if (counts > 0).sum() < 2:
        return float("nan"), float("nan"), float("nan")
    weights = counts / stream.count
    shift = stream.cell_ranks()[:-1] - 0.5
    sd = float(np.sqrt(weights @ shift**2))
    inflation = _inflation(stream, shift)
    own_error = 3 * sd * np.sqrt(inflation / stream.count)
    allowance = ALLOWANCE * sd + own_error
    up, down = (_lundberg(side - allowance, weights, sd) for side in (shift, -shift))
    return allowance, up / inflation, down / inflation


def _inflation(stream: NumericStream, shift: Floats) -> float:
    """Return the inflation of sums of ranks at any scale; the step of a missing value is 0."""
    counts = stream.cell_counts()
    steps, shares = np.append(shift, 0.0)[:, None], counts / counts.sum()
    (found,) = dependence.long_run_inflation(stream.blocks, steps, shares)
    return max(stream.inflation, float(found))


def _lundberg(steps: Floats, weights: Floats, sd: float) -> float:
    """Return the positive root of E exp(theta step) = 1; for normal steps it is 2 d / sd^2."""

    def log_moment(theta: float) -> float:
        return float(np.log(weights @ np.exp(theta * steps)))

    low = high = 1e-3 * ALLOWANCE / sd
    while log_moment(high) < 0:
        low, high = high, 2 * high
        if high * float(np.abs(steps).max()) > 500:  # no step is upwards: never an alarm
            return low
    return float(brentq(log_moment, low, high))
