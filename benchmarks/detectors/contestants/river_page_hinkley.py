"""Page-Hinkley of river."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import ClassVar

from river.drift import PageHinkley as RiverPageHinkley

from benchmarks.detectors.protocol import Knob
from benchmarks.detectors.streams import BINARY, NUMERIC, Trial


class PageHinkley:
    """Two-sided Page-Hinkley on values standardized by mean and deviation of the reference.

    The values are standardized because its allowance (delta .005) is in their unit. It reads the
    reference before the live records. Its other parameters keep their defaults. The knob is the
    threshold.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY})
    knob: ClassVar = Knob("threshold", 50.0, 1.0, 1e5, exponential=True)
    memory: ClassVar[int | None] = None

    def version(self) -> str:
        """Return the version of river."""
        return version("river")

    def alarms(self, trial: Trial, knob: float) -> Iterator[int]:
        """Yield the live records at which it detects drift."""
        mean, sd = trial.reference.mean(), trial.reference.std() or 1.0
        update = (detector := RiverPageHinkley(threshold=knob)).update
        for value in ((trial.reference[0] - mean) / sd).tolist():
            update(value)
        for position, value in enumerate(((trial.live[0] - mean) / sd).tolist(), start=1):
            update(value)
            if detector.drift_detected:
                yield position

    def state(self, trial: Trial) -> object:
        """Return its sums, without the bound method, which cannot be pickled."""
        return {k: v for k, v in vars(RiverPageHinkley()).items() if k != "_test_drift"}
