"""The examples of a watch: the newest records whose request ids are known, with their features."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from monitor import columns
from monitor.columns import Columns

MOST = 256
"""Examples of one watch; a window of 1,000 records has some thirty."""


class ExampleRing:
    """Keeps the newest examples as they come, and does nothing with them until it is asked.

    pieces: the examples of one chunk each, oldest first, as `Columns.of_examples` gives them.
    What `within` gives does not depend on how the records were cut into chunks.
    """

    def __init__(self) -> None:
        self.pieces: deque[Columns] = deque()
        self.count = 0

    def add(self, chunk: Columns, seen: int) -> None:
        """Take in the examples among the stream's next records, of which `seen` came before."""
        if chunk.examples.ids:
            self.pieces.append(chunk.of_examples(seen))
            self.count += len(chunk.examples.ids)

    def trim(self, first: int) -> None:
        """Forget what stands before the `first` record, and what is more than MOST."""
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

    def snapshot(self) -> list[bytes]:
        """Its pieces as chunks."""
        return [columns.encode(piece) for piece in self.pieces]

    def restore(self, pieces: Sequence[bytes]) -> None:
        """Take over a snapshot.

        Raises ChunkError for anything else.
        """
        self.pieces = deque(map(columns.decode, pieces))
        self.count = sum(map(len, self.pieces))
