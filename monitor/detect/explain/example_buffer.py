"""The examples of a watch: the newest records whose request ids are known, with their features."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from detectors.base import Kind
from detectors.baseline import Baseline
from monitor import columns
from monitor.columns import CategoryColumn, Columns
from monitor.examples import Examples

MOST = 256
"""Examples of one watch; a window of 1,000 records has some thirty."""
LAST = 2**62
"""More records than any stream will have."""


class ExampleRing:
    """Keeps the newest examples as they come, and does nothing with them until it is asked.

    pieces: the examples of one chunk each, oldest first, as `Columns.of_examples` gives them.
    first: the first record that is still needed.
    What `within` gives does not depend on how the records were cut into chunks.
    """

    def __init__(self) -> None:
        self.pieces: deque[Columns] = deque()
        self.count = 0
        self.first = 0

    def add(self, chunk: Columns, seen: int) -> None:
        """Take in the examples among the stream's next records, of which `seen` came before."""
        if chunk.examples.ids:
            self.pieces.append(chunk.of_examples(seen))
            self.count += len(chunk.examples.ids)

    def trim(self, first: int) -> None:
        """Forget what stands before the `first` record, and what is more than MOST."""
        self.first = first
        while self.pieces and self.pieces[0].positions[-1] < first:
            self.count -= len(self.pieces.popleft())
        while self.count > MOST:
            oldest, spare = self.pieces.popleft(), self.count - MOST
            if len(oldest) > spare:
                self.pieces.appendleft(oldest.take(slice(spare, None)))
            self.count -= min(spare, len(oldest))

    def within(self, first: int, last: int) -> Iterator[Columns]:
        """The examples from the `first` record to the `last`, the newest piece first.

        Of those up to the last one, no more than the newest MOST count.
        """
        left = MOST
        for piece in reversed(self.pieces):
            upto = int(piece.positions.searchsorted(last, "right"))
            start = max(0, upto - left)
            left -= upto - start
            start = max(start, int(piece.positions.searchsorted(first)))
            if start < upto:
                yield piece.take(slice(start, upto))

    def snapshot(self, baseline: Baseline) -> bytes:
        """All that is still needed, as one chunk; the same bytes however the records were cut."""
        kept = [*self.within(self.first, LAST)][::-1]
        return columns.encode(_joined(kept, baseline)) if kept else b""

    def restore(self, chunk: bytes) -> None:
        """Take over a snapshot.

        Raises ChunkError for anything else.
        """
        self.pieces = deque([columns.decode(chunk)] if chunk else [])
        self.count = sum(map(len, self.pieces))


def _joined(pieces: Sequence[Columns], baseline: Baseline) -> Columns:
    """Examples as one piece, with the features of the baseline in its order and no others."""
    ids = tuple(each for piece in pieces for each in piece.examples.ids)
    numeric = tuple(s.name for s in baseline.numeric if s.kind is Kind.NUMERIC)
    binary = tuple(s.name for s in baseline.numeric if s.kind is Kind.BINARY)
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
    """One category of all pieces, coded in the order in which its values appear."""
    values = [value for piece in pieces for value in piece.texts(name)]
    met = [value for value in dict.fromkeys(values) if value is not None]
    code_of = {value: code for code, value in enumerate(met)}
    codes = [-1 if value is None else code_of[value] for value in values]
    return CategoryColumn(name, tuple(met), np.array(codes, np.int16))
