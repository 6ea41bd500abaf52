"""The protocol of a detector."""

from __future__ import annotations

from typing import ClassVar, Protocol

from detectors.arrays import Bools, Ints
from detectors.baseline import Baseline
from detectors.kinds import Kind
from detectors.readings import Readings
from detectors.window import Window, Windows


class Detector(Protocol):
    """Compares current windows with the baseline, for all streams of the kinds it supports.

    A detector processes all streams of one model, and all windows that new strides complete, in
    one numpy call. Axis 0 of an array is the window, axis 1 the stream.

    `update` runs for every record and returns only the verdicts that the alarms need. `readings`
    returns the numbers for events, metrics and reports on demand.

    level: false-alarm probability allowed to one evaluation of one stream.
    state_version: version of the snapshots. Raise it with every change that gives a saved state
    another meaning or shape: a constant, a bet, a formula. The detector of a watch whose saved
    state has another version starts anew; the reference, the window and open alarms are kept.
    """

    name: ClassVar[str]
    kinds: ClassVar[frozenset[Kind]]
    state_version: ClassVar[int]
    streams: Ints
    """Indices of the baseline's streams that the detector watches, shape (k,)."""

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None: ...

    def update(self, windows: Windows) -> Bools:
        """Return where a change is found in the m windows of new strides, shape (m, k).

        Call it once for every stride, in order. The batch size does not change the result.
        """
        ...

    def readings(self, windows: Windows) -> Readings:
        """Return the readings of the first of `windows`, without a change of state.

        windows: must be among those of the last `update`.
        """
        ...

    def snapshot(self) -> bytes:
        """Return the state that `restore` needs to continue; empty for a detector without state."""
        ...

    def restore(self, state: bytes) -> None:
        """Load a snapshot of a detector with the same baseline, window and level."""
        ...
