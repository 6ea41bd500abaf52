"""The base class of detectors without state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from detectors.arrays import Bools, Ints
from detectors.baseline import Baseline
from detectors.kinds import Kind
from detectors.readings import Readings
from detectors.window import Window, Windows

MIN_VALUES = 50
"""Values required in the window and in the reference to compare their distributions."""


def row_selector(streams: Ints) -> slice | Ints:
    """Return an index of axis 0 that selects `streams`: a slice, without a copy, if consecutive."""
    first, count = (int(streams[0]), len(streams)) if len(streams) else (0, 0)
    consecutive = np.array_equal(streams, np.arange(first, first + count))
    return slice(first, first + count) if consecutive else streams


class WindowTest(ABC):
    """A statistical test of the current window, which starts when the window is full."""

    kinds: ClassVar[frozenset[Kind]]
    state_version: ClassVar[int] = 1

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None:
        self.baseline = baseline
        self.level = level
        self.streams = baseline.stream_indices(self.kinds)
        self.rows = row_selector(self.streams)
        self.prepare(window)

    @abstractmethod
    def prepare(self, window: Window) -> None:
        """Compute the values that all evaluations share."""

    @abstractmethod
    def rejects(self, windows: Windows) -> Bools:
        """Return where the test rejects the null hypothesis in full windows, shape (m, k)."""

    @abstractmethod
    def test(self, windows: Windows) -> Readings:
        """Return the readings of full windows, each of shape (m, k)."""

    def update(self, windows: Windows) -> Bools:
        """Return where the windows differ from the baseline; nowhere before a window is full."""
        full = windows.full
        if not full[-1] or not len(self.streams):
            return np.zeros((len(windows), len(self.streams)), bool)
        found = self.rejects(windows)
        return found if full[0] else found & full[:, None]

    def readings(self, windows: Windows) -> Readings:
        """Return the readings of the first of `windows`, without a verdict before it is full."""
        if not windows.full[0]:
            return Readings.without_verdict(len(self.streams))
        first = self.test(windows.at(0) if len(windows) > 1 else windows)
        return Readings(first.statistic[0], first.threshold[0], first.p_value[0])

    def snapshot(self) -> bytes:
        """Return no bytes: a window test has no state."""
        return b""

    def restore(self, state: bytes) -> None:  # noqa: B027 # there is no state
        """Ignore the snapshot: a window test has no state."""
