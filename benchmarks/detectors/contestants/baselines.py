"""The two detectors that look at nothing: what every number has to be read against."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.detectors.protocol import STRIDE, Knob
from benchmarks.detectors.streams import BINARY, CATEGORICAL, GAPPY, NUMERIC, Trial

EVERYTHING = frozenset({NUMERIC, BINARY, CATEGORICAL, GAPPY})


class Never:
    """No alarm ever: no false ones, and every change missed."""

    kinds: ClassVar = EVERYTHING
    knob: ClassVar = Knob("none", 1.0, 1.0, 1.0)
    memory: ClassVar[int | None] = 0

    def version(self) -> str:
        """It has none."""
        return ""

    def alarms(self, trial: Trial, knob: float) -> range:
        """None."""
        return range(0)

    def state(self, trial: Trial) -> None:
        """Nothing."""


class Always(Never):
    """An alarm at every look: no change missed, and as many false alarms as the latch lets."""

    def alarms(self, trial: Trial, knob: float) -> range:
        """One after every stride."""
        return range(STRIDE, trial.live.shape[1] + 1, STRIDE)
