"""The newest records of a watch that carry a request id, with their features."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Baseline
from detectors.kinds import Kind
from monitor.ingest.chunks.chunk import decode_chunk, encode_chunk
from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.sampling.examples import Examples

MAX_EXAMPLES = 256
"""Examples kept per watch; a window of 1,000 records has about thirty."""
_NO_LIMIT = 2**62
"""A record number beyond the end of any stream."""


class ExampleBuffer:
    """Keeps the newest examples. Adding is cheap; selection happens in `within`.

    pieces: the examples of one chunk each (`Columns.examples_only`), oldest first.
    first: the first record that is still needed.
    The result of `within` does not depend on how the records were cut into chunks.
    """

    def __init__(self) -> None:
        self.pieces: deque[Columns] = deque()
        self.count = 0
        self.first = 0

    def add(self, chunk: Columns, numbers: NDArray[np.int64]) -> None:
        """Add the examples of a chunk. numbers: of its records, see `Columns.examples_only`."""
        if chunk.examples.ids:
            self.pieces.append(chunk.examples_only(numbers))
            self.count += len(chunk.examples.ids)

    def trim(self, first: int) -> None:
        """Discard examples before the `first` record, and the oldest beyond MAX_EXAMPLES."""
        self.first = first
        while self.pieces and self.pieces[0].positions[-1] < first:
            self.count -= len(self.pieces.popleft())
        while self.count > MAX_EXAMPLES:
            oldest, excess = self.pieces.popleft(), self.count - MAX_EXAMPLES
            if len(oldest) > excess:
                self.pieces.appendleft(oldest.take(slice(excess, None)))
            self.count -= min(excess, len(oldest))

    def within(self, first: int, last: int) -> Iterator[Columns]:
        """Yield the examples from the `first` record to the `last`, newest piece first.

        Only the newest MAX_EXAMPLES up to the last record are considered.
        """
        left = MAX_EXAMPLES
        for piece in reversed(self.pieces):
            end = int(piece.positions.searchsorted(last, "right"))
            start = max(0, end - left)
            left -= end - start
            start = max(start, int(piece.positions.searchsorted(first)))
            if start < end:
                yield piece.take(slice(start, end))

    def snapshot(self, baseline: Baseline) -> bytes:
        """Return the examples still needed as one chunk, independent of chunk borders."""
        kept = [*self.within(self.first, _NO_LIMIT)][::-1]
        return encode_chunk(_joined(kept, baseline)) if kept else b""

    def restore(self, chunk: bytes) -> None:
        """Restore a snapshot.

        Raises ChunkError if it is invalid.
        """
        self.pieces = deque([decode_chunk(chunk)] if chunk else [])
        self.count = sum(map(len, self.pieces))


def _joined(pieces: Sequence[Columns], baseline: Baseline) -> Columns:
    """Join examples into one piece that has exactly the features of the baseline, in its order."""
    ids = tuple(each for piece in pieces for each in piece.examples.ids)
    kinds = {s.name: s.kind for s in baseline.numeric}
    kinds |= {s.name: s.of for s in baseline.conditional}
    numeric = tuple(name for name, kind in kinds.items() if kind is Kind.NUMERIC)
    binary = tuple(name for name, kind in kinds.items() if kind is Kind.BINARY)
    rows = [np.concatenate([piece.row(name) for piece in pieces]) for name in numeric + binary]
    return Columns(
        pieces[0].model,
        np.concatenate([piece.positions for piece in pieces]),
        np.concatenate([piece.times for piece in pieces]),
        numeric,
        binary,
        np.array(rows).reshape(len(rows), len(ids)),
        tuple(_category(pieces, stream.name) for stream in baseline.categorical),
        Examples(np.arange(len(ids), dtype=np.int32), ids),
    )


def _category(pieces: Sequence[Columns], name: str) -> CategoryColumn:
    """Join one category of all pieces; values are coded in order of appearance."""
    values = [value for piece in pieces for value in piece.texts(name)]
    vocabulary = [value for value in dict.fromkeys(values) if value is not None]
    code_of = {value: code for code, value in enumerate(vocabulary)}
    codes = [-1 if value is None else code_of[value] for value in values]
    return CategoryColumn(name, tuple(vocabulary), np.array(codes, np.int16))
