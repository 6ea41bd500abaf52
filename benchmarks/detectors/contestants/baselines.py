"""Two detectors that ignore the data: the limits of every measurement."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.detectors.protocol import STRIDE, Knob
from benchmarks.detectors.streams import BINARY, CATEGORICAL, NUMERIC, WITH_MISSING, Trial

EVERYTHING = frozenset({NUMERIC, BINARY, CATEGORICAL, WITH_MISSING})


class Never:
    """Raises no alarm: no false alarms, and every change is missed."""

    kinds: ClassVar = EVERYTHING
    knob: ClassVar = Knob("none", 1.0, 1.0, 1.0)
    memory: ClassVar[int | None] = 0

    def version(self) -> str:
        """Return an empty string."""
        return ""

    def alarms(self, trial: Trial, knob: float) -> range:
        """Return no alarms."""
        return range(0)

    def state(self, trial: Trial) -> None:
        """Return None."""


class Always(Never):
    """Raises an alarm after every stride: no missed change, and the most false alarms possible."""

    def alarms(self, trial: Trial, knob: float) -> range:
        """Return one alarm per stride."""
        return range(STRIDE, trial.live.shape[1] + 1, STRIDE)
