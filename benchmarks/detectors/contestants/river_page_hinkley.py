"""river's Page-Hinkley."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import ClassVar

from river.drift import PageHinkley as RiverPageHinkley

from benchmarks.detectors.protocol import Knob
from benchmarks.detectors.streams import BINARY, NUMERIC, Trial


class PageHinkley:
    """Page-Hinkley, both sides, on values over the reference's mean and standard deviation.

    Its allowance (delta .005) is in the unit of the values, so they are brought to mean 0 and
    deviation 1 by the reference, which it has read before the live records; its other parameters
    stay at their defaults. The knob is the threshold.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY})
    knob: ClassVar = Knob("threshold", 50.0, 1.0, 1e5, exponential=True)
    memory: ClassVar[int | None] = None

    def version(self) -> str:
        """Of river."""
        return version("river")

    def alarms(self, trial: Trial, knob: float) -> Iterator[int]:
        """Where it detects a drift, from the first live record on."""
        mean, sd = trial.reference.mean(), trial.reference.std() or 1.0
        update = (detector := RiverPageHinkley(threshold=knob)).update
        for value in ((trial.reference[0] - mean) / sd).tolist():
            update(value)
        for position, value in enumerate(((trial.live[0] - mean) / sd).tolist(), start=1):
            update(value)
            if detector.drift_detected:
                yield position

    def state(self, trial: Trial) -> object:
        """Its sums; the test that is bound to it cannot be pickled and weighs nothing."""
        return {k: v for k, v in vars(RiverPageHinkley()).items() if k != "_test_drift"}
