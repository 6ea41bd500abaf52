"""ADWIN of river."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import ClassVar

from river.drift import ADWIN

from benchmarks.detectors.protocol import Knob
from benchmarks.detectors.streams import BINARY, NUMERIC, Trial


class Adwin:
    """ADWIN on the raw values, as in river's documentation.

    It has no reference and reads the records of the reference first. It resets itself after a
    detection. The knob is delta, its bound on false alarms.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY})
    knob: ClassVar = Knob("delta", 0.002, 0.5, 1e-60)
    memory: ClassVar[int | None] = None

    def version(self) -> str:
        """Return the version of river."""
        return version("river")

    def alarms(self, trial: Trial, knob: float) -> Iterator[int]:
        """Yield the live records at which it detects drift."""
        update = (adwin := ADWIN(delta=knob)).update
        for value in trial.reference[0].tolist():
            update(value)
        for position, value in enumerate(trial.live[0].tolist(), start=1):
            update(value)
            if adwin.drift_detected:
                yield position

    def state(self, trial: Trial) -> object:
        """Return the detector with its buckets."""
        adwin = ADWIN()
        for value in trial.live[0].tolist():
            adwin.update(value)
        return adwin
