"""river's KSWIN."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import version
from typing import ClassVar

from river.drift import KSWIN

from benchmarks.detectors.protocol import Knob, Scored
from benchmarks.detectors.streams import BINARY, NUMERIC, Trial

WIDTH = 100
"""Its default window."""

NEVER = 0.0
"""An alpha at which it goes on for ever, so that one pass serves all."""


class Kswin(Scored):
    """KSWIN with its default window of 100 and its seed fixed; the knob is alpha.

    The score is -ln p of its test; an alarm needs a distance above .1 as well, which every p this
    small has. It is not started anew after an alarm: its window forgets in 100 records by itself.
    """

    kinds: ClassVar = frozenset({NUMERIC, BINARY})
    knob: ClassVar = Knob("alpha", 0.005, 0.5, 1e-17)
    memory: ClassVar[int | None] = WIDTH

    def version(self) -> str:
        """Of river."""
        return version("river")

    def cut(self, knob: float) -> float:
        """-ln alpha."""
        return -math.log(knob)

    def scores(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """-ln p at every record."""
        detector = KSWIN(alpha=NEVER, seed=1)
        for value in trial.reference[0, -WIDTH:].tolist():
            detector.update(value)
        for position, value in enumerate(trial.live[0].tolist(), start=1):
            detector.update(value)
            yield position, -math.log(max(float(detector.p_value), 1e-300))

    def state(self, trial: Trial) -> object:
        """Its window."""
        return list(trial.live[0, :WIDTH].tolist())
