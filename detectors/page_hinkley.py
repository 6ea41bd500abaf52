"""Page-Hinkley, two-sided: a sum that climbs while the mean is off."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np
from scipy.optimize import brentq

from detectors import dependence
from detectors.base import Bools, Floats, Kind, Readings
from detectors.baseline import Baseline
from detectors.streams import NumericStream
from detectors.window import Window, Windows

ALLOWANCE = 0.1
"""Shifts of the mean rank below this many standard deviations are let pass; twice this is what
the sum sees soonest."""


class PageHinkley:
    """Two-sided Page-Hinkley test on block means of ranks.

    With the mean mid-rank u_t of a stride, 1/2 without drift, and the allowance d,

        up_t = max(0, up_(t-1) + w_t (u_t - 1/2 - d)),
        down_t = max(0, down_(t-1) + w_t (1/2 - u_t - d)),

    where w_t is the share of the stride's records that have a value,
    and a change is found where either exceeds its threshold (Page 1954; Hinkley 1971), whereupon
    both start again from 0. Without drift P(up_t >= h) <= exp(-theta h) at every t, theta > 0
    being the root of E exp(theta (u - 1/2 - d)) = 1 (Lundberg's inequality), which is solved for
    the stream's own ranks: it gives the p-value, and a threshold that keeps to the level whatever
    the feature's distribution. For autocorrelated records theta is divided by the inflation of the
    variance of block means, at any scale that the reference shows. The allowance also covers the
    reference's own error of its mean.

    Trade-off: sees a small lasting shift that no single window shows; blind to changes that leave
    the mean rank alone, slow on short bursts.
    """

    name: ClassVar[str] = "page_hinkley"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.NUMERIC, Kind.BINARY})

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None:
        self.streams = baseline.streams_of(self.kinds)
        parameters = [allowance_and_exponents(stream) for stream in baseline.numeric]
        allowance, *exponents = np.array(parameters, float).reshape(-1, 3).T
        # no value, no step; a constant stream (allowance NaN) never takes one
        shift, allowance = baseline.cell_ranks - 0.5, allowance[:, None]
        self.steps = np.nan_to_num(np.stack((shift - allowance, -shift - allowance)))
        self.steps /= window.stride
        # the sum of strides' means exceeds h where the sum of their records exceeds stride h
        self.exponents = window.stride * np.stack(exponents)
        self.thresholds = np.log(2 / level) / self.exponents
        self.sums = np.zeros((2, len(parameters)))
        self.peaks = np.zeros((1, 2, len(parameters)))
        self.number = 1

    def update(self, windows: Windows) -> Bools:
        """Add the new strides to both sums of every stream; where one reached its threshold."""
        counts = windows.newest_counts[:, None, : len(self.streams)]
        steps = np.vecdot(self.steps, counts)
        self.peaks, self.number = np.empty_like(steps), windows.number
        found: Bools = np.zeros((len(steps), len(self.streams)), bool)
        for at, (step, peak) in enumerate(zip(steps, self.peaks, strict=True)):
            self.sums = np.maximum(self.sums + step, 0.0, out=peak)
            over = peak >= self.thresholds
            if over.any():
                found[at] = over.any(axis=0)
                self.sums = np.where(found[at], 0.0, peak)
        return found

    def readings(self, windows: Windows) -> Readings:
        """The sum that came nearest to its threshold, as it stood before any new start."""
        peaks = self.peaks[windows.number - self.number]
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
        """Both sums of every stream, and what they reached last."""
        number = self.number + len(self.peaks) - 1
        return msgspec.msgpack.encode((number, self.sums.tobytes(), self.peaks[-1].tobytes()))

    def restore(self, state: bytes) -> None:
        """Take over both sums."""
        self.number, *parts = msgspec.msgpack.decode(state, type=tuple[int, bytes, bytes])
        sums, peaks = (np.frombuffer(part).reshape(self.sums.shape).copy() for part in parts)
        self.sums, self.peaks = sums, peaks[None]


def allowance_and_exponents(stream: NumericStream) -> tuple[float, float, float]:
    """(d, theta upwards, theta downwards) on the scale of ranks; NaN for a constant stream."""
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
    """Of sums of ranks, however long; a missing value is no step."""
    counts = stream.cell_counts()
    steps, shares = np.append(shift, 0.0)[:, None], counts / counts.sum()
    (found,) = dependence.long_run_inflation(stream.blocks, steps, shares)
    return max(stream.inflation, float(found))


def _lundberg(steps: Floats, weights: Floats, sd: float) -> float:
    """The positive root of E exp(theta step) = 1; for normal steps it is 2 d / sd^2."""

    def log_moment(theta: float) -> float:
        return float(np.log(weights @ np.exp(theta * steps)))

    low = high = 1e-3 * ALLOWANCE / sd
    while log_moment(high) < 0:
        low, high = high, 2 * high
        if high * float(np.abs(steps).max()) > 500:  # no step leads upwards: never an alarm
            return low
    return float(brentq(log_moment, low, high))
