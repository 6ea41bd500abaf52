"""The size of a change over all of its records, as its episode has counted them by bin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.arrays import Floats
from detectors.baseline import Stream
from detectors.categorical_stream import CategoricalStream
from detectors.conditional_stream import ConditionalStream
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream
from detectors.parts import Parts, parts_of
from detectors.psi import population_stability_index
from monitor.events.drift_types import MISSING_PREFIX


@dataclass(frozen=True, slots=True)
class LastingSize:
    """The records of a change of a stream.

    parts: of the stream, with these records as counts. records: their number.
    """

    stream: Stream
    parts: Parts
    records: float

    @classmethod
    def of(cls, stream: Stream, changed: Floats) -> LastingSize:
        """Return the size of an episode's records (`Baseline.fine_counts`), shape (P,)."""
        if isinstance(stream, CategoricalStream):
            parts = parts_of(stream, changed)
        else:
            expected = stream.bin_counts()
            own, bins = changed[: len(expected)], np.arange(len(expected))
            parts = Parts(stream.bin_names(), expected, own, bins, {})
        return cls(stream, parts, float(changed.sum()))

    @property
    def psi(self) -> float:
        """PSI of the values, less what chance gives for as many records."""
        before, after = self.parts.expected[:-1], self.parts.counts[:-1]
        if not before.sum() or not after.sum():
            return 0.0
        psi = float(population_stability_index(before, before.sum(), after, after.sum()))
        freedom = max(0, int((before > 0).sum()) - 1)
        return max(0.0, psi - freedom * self.stream.inflation / float(after.sum()))

    def share(self, of: str) -> tuple[float, float] | None:
        """Return a share (`Effect.of`) and half of its 95 % interval; None if it is no share."""
        stream, counts = self.stream, self.parts.counts
        total = float(counts.sum())
        if self._is_share_of_one(of):
            total -= float(counts[-1])
            count = float(counts[self._part_of_one()])
        elif of in self.parts.names and stream.kind is not Kind.NUMERIC:
            count = float(counts[self.parts.names.index(of)])
        else:
            return None
        if total <= 0:
            return None
        share, n = count / total, max(1.0, total / stream.inflation)
        return share, 1.96 * math.sqrt((share * (1 - share) + 1 / n) / n)

    def _is_share_of_one(self, of: str) -> bool:
        stream = self.stream
        kind = stream.of if isinstance(stream, ConditionalStream) else stream.kind
        flag = stream.name.startswith(MISSING_PREFIX)
        return kind is Kind.BINARY and (of == "share" or flag)

    def _part_of_one(self) -> int:
        if isinstance(self.stream, NumericStream):
            return int(self.stream.bin_of_cell()[self.stream.cell_of(np.array([1.0]))][0])
        return 1
