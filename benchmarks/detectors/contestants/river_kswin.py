"""KSWIN of river."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import version
from typing import ClassVar

from river.drift import KSWIN

from benchmarks.detectors.protocol import Knob, ScoreBased
from benchmarks.detectors.streams import BINARY, NUMERIC, Trial

WIDTH = 100
"""The default window."""

NEVER = 0.0
"""An alpha at which it never resets, so that one pass serves all values of the knob."""


class Kswin(ScoreBased):
    """KSWIN with its default window of 100 and a fixed seed; the knob is alpha.

    The score is -ln p of its test. An alarm also requires a distance above .1, which every p this
    small has. It is not reset after an alarm: its window is replaced within 100 records.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY})
    knob: ClassVar = Knob("alpha", 0.005, 0.5, 1e-17)
    memory: ClassVar[int | None] = WIDTH

    def version(self) -> str:
        """Return the version of river."""
        return version("river")

    def cut(self, knob: float) -> float:
        """Return -ln alpha."""
        return -math.log(knob)

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """Yield -ln p at every record."""
        detector = KSWIN(alpha=NEVER, seed=1)
        for value in trial.reference[0, -WIDTH:].tolist():
            detector.update(value)
        for position, value in enumerate(trial.live[0].tolist(), start=1):
            detector.update(value)
            yield position, -math.log(max(float(detector.p_value), 1e-300))

    def state(self, trial: Trial) -> object:
        """Return the window."""
        return list(trial.live[0, :WIDTH].tolist())
