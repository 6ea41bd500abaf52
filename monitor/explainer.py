"""What a watch remembers so that it can explain an event, and how it does."""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np
from msgspec import structs

from detectors.base import Floats
from detectors.baseline import Baseline
from detectors.window import SPAN
from monitor.alarm_path import Turn
from monitor.events import Summary
from monitor.example_ring import ExampleRing
from monitor.explanation import Explanation, Since, by_bin, change_point, explain, together

HISTORY = 256
"""Strides whose event times are remembered, to say since when something has changed."""


class Memory(msgspec.Struct, frozen=True):
    """An explainer's state, as part of a checkpoint."""

    times: bytes = b""
    examples: bytes = b""


class Explainer:
    """Explains the events of one watch.

    least: the PSI from which on another feature counts as having moved too.
    times: of the last record of the newest strides; number: of the newest one, counted from 1.
    """

    def __init__(self, baseline: Baseline, least: float) -> None:
        self.baseline = baseline
        self.least = least
        self.examples = ExampleRing()
        self.number = 0
        # within a span every stride is to have the whole history behind it
        self.times: deque[float] = deque(maxlen=HISTORY + SPAN)

    def extend(self, times: Floats, number: int) -> None:
        """Take in strides up to the `number`-th: event times of their last records, shape (m,)."""
        self.times.extend(times.tolist())
        self.number = number

    def explain(self, turn: Turn, sides: tuple[Summary, Summary]) -> Explanation:
        """What there is to say of a change of an alarm, which may know since when it is about it.

        sides: the reference and the records that the change is measured on.
        """
        stream, extent = turn.stream, turn.extent
        since = turn.alarm.since or self._since(turn)
        first = max(since.record, turn.record - turn.window.records + 1)
        told = explain(
            self.baseline,
            stream,
            by_bin(extent.sample.cell_counts[0, stream], self.baseline.streams[stream]),
            sides,
            self.examples.within(first, turn.record),
        )
        return structs.replace(
            told,
            since=since,
            together=together(self.baseline, stream, extent.psi, self.least),
            bet=extent.lead.bet if extent.lead else None,
        )

    def _since(self, turn: Turn) -> Since:
        """When the change began: as the e-detector has it, or as the window's strides do."""
        window, lead = turn.window, turn.extent.lead
        if lead is not None:
            ago = window.number - lead.since
        else:
            reference = self.baseline.streams[turn.stream]
            counts = by_bin(window.by_stride(turn.stream), reference)
            ago = len(counts) - change_point(counts, reference.bin_counts())
        return Since(
            record=turn.record - ago * window.stride + 1,
            time=self._time(window.number - ago) if ago < HISTORY else None,
        )

    def _time(self, number: int) -> float | None:
        """The event time of a stride's last record, as far as it is remembered."""
        ago = self.number - number
        return self.times[-1 - ago] if ago < len(self.times) else None

    def snapshot(self) -> Memory:
        """Its state, to be restored into an explainer of the same baseline."""
        times = np.array(self.times, np.float64).tobytes()
        return Memory(times, self.examples.snapshot(self.baseline))

    def restore(self, state: Memory) -> None:
        """Take over a snapshot.

        Raises ChunkError or ValueError for anything else.
        """
        self.times.extend(np.frombuffer(state.times).tolist())
        self.examples.restore(state.examples)
