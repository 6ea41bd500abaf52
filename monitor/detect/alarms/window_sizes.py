"""Sizes of the changes in windows that are evaluated together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import Bools, Floats
from detectors.psi import DriftSize
from detectors.window import Windows
from monitor.detect.alarms.change_size import ChangeMeter, ChangeSize
from monitor.detect.alarms.newest_level import newest_levels


class WindowSizes:
    """Sizes of all windows, computed together when the first is needed.

    While an alarm is open, every stride needs the size of its window. Computed for one stride at a
    time, this takes several times as long as the detectors.
    """

    def __init__(self, meter: ChangeMeter, windows: Windows) -> None:
        self.meter = meter
        self.windows = windows
        self._drift: DriftSize | None = None
        self._newest: Floats | None = None
        self._one_level: dict[int, Bools] = {}

    def whole(self, window: Windows, index: int) -> ChangeSize:
        """Return the size in one of the windows; see `ChangeMeter.whole`."""
        if not window.full[0]:
            return self.meter.whole(window)
        if self._drift is None:
            self._drift = self.meter.drifts(self.windows)
        return ChangeSize(DriftSize(self._drift.values[index], self._drift.missing[index]), window)

    def newest(self, index: int) -> Floats:
        """Return the records of a window's newest stride (`Baseline.fine_counts`), (S, P)."""
        if self._newest is None:
            self._newest = self.meter.baseline.fine_counts(self.windows.newest_counts)
        newest: Floats = self._newest[index]
        return newest

    def is_whole(
        self,
        stream: int,
        found_by: Sequence[str],
        level_start: int | None,
        window: Windows,
        index: int,
    ) -> bool:
        """Return whether the size of a change is that of its whole window.

        `ChangeMeter.measure` then returns the size of the window. It does if nothing dates the
        change within the window: it began earlier, and all strides have one level.
        """
        if not window.full[0] or not self._has_one_level(stream, index):
            return False
        return self.meter.began_earlier(stream, found_by, window, level_start)

    def _has_one_level(self, stream: int, index: int) -> bool:
        """Return whether all strides of a full window have one level."""
        found = self._one_level.get(stream)
        if found is None:
            meter = self.meter
            cells = self.windows.history[1:, stream].astype(np.float64)
            found = self._one_level[stream] = (
                newest_levels(
                    meter.baseline.streams[stream],
                    cells,
                    meter.strides,
                    level=meter.level,
                    least=meter.least,
                )
                == 0
            )
        return bool(found[index])
