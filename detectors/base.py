"""What every detector takes and gives.

Detectors work on all streams of one model, and on all windows that new strides make, at once, so
that one numpy call serves them all. Axis 0 is the window, axis 1 the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from detectors.baseline import Baseline
    from detectors.window import Window, Windows

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

MIN_VALUES = 50
"""Fewer values than this, in the window or the reference, are no distribution to speak of."""


class Kind(StrEnum):
    """What the values of a stream are."""

    NUMERIC = "numeric"
    BINARY = "binary"
    CATEGORICAL = "categorical"


@dataclass(frozen=True, slots=True)
class Readings:
    """The numbers behind one detector's verdict on the k streams it watches, each of shape (k,).

    NaN in `statistic` means no verdict (warming up, or nothing to compute it from); NaN in
    `threshold` or `p_value` means that there is none. A change is found where
    statistic >= threshold.
    """

    statistic: Floats
    threshold: Floats
    p_value: Floats

    @classmethod
    def silent(cls, streams: int) -> Readings:
        """No verdict on any of `streams` streams."""
        nothing = np.full(streams, np.nan)
        return cls(nothing, nothing, nothing)


class Detector(Protocol):
    """Compares current windows with the baseline, for the streams of the kinds it can read.

    `update` is on the path of every record and says only what the alarms need; `readings` says
    the rest to those who ask: events, metrics, people.
    `level` is the false-alarm probability allowed to one evaluation of one stream.
    """

    name: ClassVar[str]
    kinds: ClassVar[frozenset[Kind]]
    streams: Ints
    """Which of the baseline's streams it watches, shape (k,)."""

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None: ...

    def update(self, windows: Windows) -> Bools:
        """Where a change is found, shape (m, k), in the m windows that new strides have made.

        To be called once for every stride, in order; how many strides come together makes no
        difference.
        """
        ...

    def readings(self, windows: Windows) -> Readings:
        """The numbers behind the verdict on the first of `windows`; changes nothing.

        It has to be among those of the last `update`.
        """
        ...

    def snapshot(self) -> bytes:
        """All that `restore` needs to go on as if nothing had happened; empty without memory."""
        ...

    def restore(self, state: bytes) -> None:
        """Take over a snapshot of a detector made with the same baseline, window and level."""
        ...


def rows_of(streams: Ints) -> slice | Ints:
    """What picks `streams` from axis 0: a slice, which copies nothing, where they are in a row."""
    first, count = (int(streams[0]), len(streams)) if len(streams) else (0, 0)
    consecutive = np.array_equal(streams, np.arange(first, first + count))
    return slice(first, first + count) if consecutive else streams


class WindowTest:
    """What detectors without a memory share: they test the window, once it is full."""

    kinds: ClassVar[frozenset[Kind]]

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None:
        self.baseline = baseline
        self.level = level
        self.streams = baseline.streams_of(self.kinds)
        self.rows = rows_of(self.streams)
        self.prepare(window)

    def prepare(self, window: Window) -> None:
        """Compute once what all evaluations share."""

    def rejects(self, windows: Windows) -> Bools:
        """Where the null hypothesis is rejected, shape (m, k), the windows being full."""
        raise NotImplementedError

    def test(self, windows: Windows) -> Readings:
        """The readings of full windows, each of shape (m, k)."""
        raise NotImplementedError

    def update(self, windows: Windows) -> Bools:
        """Where the windows differ from the baseline; nowhere while the first one fills."""
        full = windows.full
        if not full[-1] or not len(self.streams):
            return np.zeros((len(windows), len(self.streams)), bool)
        found = self.rejects(windows)
        return found if full[0] else found & full[:, None]

    def readings(self, windows: Windows) -> Readings:
        """The readings of the first of `windows`, silent while it fills."""
        if not windows.full[0]:
            return Readings.silent(len(self.streams))
        one = self.test(windows.at(0) if len(windows) > 1 else windows)
        return Readings(one.statistic[0], one.threshold[0], one.p_value[0])

    def snapshot(self) -> bytes:
        """Nothing: a window test remembers nothing."""
        return b""

    def restore(self, state: bytes) -> None:
        """Nothing to take over."""
