"""Event time of a join: how far its two inputs have come."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detectors.arrays import Floats

SUPPORT: Final = 50
"""Rows at a time or after it from which on an input has reached it; fewer are wrong clocks."""
IDLE_SECONDS: Final = 3_600.0
"""Time of the log after which an input without rows is not waited for."""


class InputClock:
    """The event time that one input has reached.

    seen: time of its last message in the log, epoch seconds.
    """

    def __init__(self) -> None:
        self.seen = -math.inf
        self._newest: Floats = np.zeros(0)

    @property
    def time(self) -> float:
        """The SUPPORT-th largest event time; the smallest one while there are fewer rows."""
        return float(self._newest[0]) if len(self._newest) else -math.inf

    def advance(self, times: Floats, written: float) -> None:
        """Add the event times of a message that was written to the log at a time.

        A time after it is wrong and counts as the time of writing.
        """
        self.seen = max(self.seen, written)
        newest = np.sort(np.concatenate((self._newest, np.minimum(times, written))))
        self._newest = newest[-SUPPORT:]


class JoinClock:
    """The event time up to which both inputs are complete, except for late rows.

    It depends on the messages alone, and never runs backwards.
    """

    def __init__(self) -> None:
        self.keys = InputClock()
        self.values = InputClock()
        self._started = math.inf
        self._written = -math.inf
        self._time = -math.inf

    def advance(self, side: InputClock, times: Floats, written: float) -> None:
        """Add the rows of a message to one of the two inputs."""
        side.advance(times, written)
        self._started = min(self._started, written)
        self._written = max(self._written, written)
        sides = [each.time for each in (self.keys, self.values) if self._is_awaited(each)]
        self._time = max(self._time, min(sides, default=-math.inf))

    def _is_awaited(self, side: InputClock) -> bool:
        return self._written - max(side.seen, self._started) <= IDLE_SECONDS

    @property
    def time(self) -> float:
        """The watermark, epoch seconds; minus infinity before there is one."""
        return self._time
