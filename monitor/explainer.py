"""What a watch remembers so that it can explain an event, and how it does."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from detectors.base import Detector, Floats
from detectors.baseline import Baseline
from detectors.e_detector import EDetector, Lead
from detectors.window import SPAN, Windows
from monitor.events import Summary
from monitor.example_ring import ExampleRing
from monitor.explanation import Explanation, Since, by_bin, change_point, explain, together

HISTORY = 256
"""Strides whose event times are remembered, to say since when something has changed."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A stride that is being evaluated: its window (one), and where its last record stood.

    held, newest: shapes (K, S, G) and (m, S, G), records by cell of the K strides of the window as
    it was, and of those that have come since, up to this one.
    record: how many records the stream had seen. position, time: of the last one.
    """

    window: Windows
    held: NDArray[np.signedinteger]
    newest: Floats
    record: int
    position: int
    time: float

    def by_stride(self, stream: int) -> Floats:
        """Records of a stream by cell, of the window's strides, shape (K, G)."""
        strides = len(self.held)
        counts = np.concatenate((self.held[:, stream], self.newest[-strides:, stream]))
        return np.asarray(counts[-strides:], np.float64)


class Memory(msgspec.Struct, frozen=True):
    """An explainer's state, as part of a checkpoint."""

    times: bytes = b""
    examples: bytes = b""


class Explainer:
    """Explains the events of one watch.

    least: the PSI from which on another feature counts as having moved too.
    times: of the last record of the newest strides; number: of the newest one, counted from 1.
    """

    def __init__(self, baseline: Baseline, detectors: Sequence[Detector], least: float) -> None:
        self.baseline = baseline
        self.least = least
        self.e_detector = next((d for d in detectors if isinstance(d, EDetector)), None)
        self.examples = ExampleRing()
        self.number = 0
        # within a span every stride is to have the whole history behind it
        self.times: deque[float] = deque(maxlen=HISTORY + SPAN)

    def extend(self, times: Floats, number: int) -> None:
        """Take in strides up to the `number`-th: event times of their last records, shape (m,)."""
        self.times.extend(times.tolist())
        self.number = number

    def explain(
        self,
        stream: int,
        finders: tuple[str, ...],
        psi: Floats,
        sides: tuple[Summary, Summary],
        at: Moment,
        known: Since | None,
    ) -> Explanation:
        """What there is to say of a change that was found at this moment.

        psi: shape (S,). known: since when the stream's alarm has been about it, where it is open.
        """
        lead = self._lead(stream, finders, at.window)
        since = known or self._since(stream, lead, at)
        first = max(since.record, at.record - at.window.records + 1)
        told = explain(
            self.baseline,
            stream,
            by_bin(at.window.cell_counts[0, stream], self.baseline.streams[stream]),
            sides,
            self.examples.within(first, at.record),
        )
        return structs.replace(
            told,
            since=since,
            together=together(self.baseline, stream, psi, self.least),
            bet=lead.bet if lead else None,
        )

    def _lead(self, stream: int, finders: tuple[str, ...], window: Windows) -> Lead | None:
        """The e-detector's own account of the change, where it has found it."""
        if self.e_detector is None or self.e_detector.name not in finders:
            return None
        return self.e_detector.lead(window, stream)

    def _since(self, stream: int, lead: Lead | None, at: Moment) -> Since:
        """When the change began: as the e-detector has it, or as the window's strides do."""
        if lead is not None:
            ago = at.window.number - lead.since
        else:
            reference = self.baseline.streams[stream]
            counts = by_bin(at.by_stride(stream), reference)
            ago = len(counts) - change_point(counts, reference.bin_counts())
        return Since(
            record=at.record - ago * at.window.stride + 1,
            time=self._time(at.window.number - ago) if ago < HISTORY else None,
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
