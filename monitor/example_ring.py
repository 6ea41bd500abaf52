"""The examples of a watch: the newest records whose request ids are known, with their features."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from monitor import columns
from monitor.columns import Columns

MOST = 256
"""Examples of one watch; a window of 1,000 records has some thirty."""


class ExampleRing:
    """Keeps the newest examples as they come, and does nothing with them until it is asked.

    pieces: the examples of one chunk each, oldest first. Their positions are not those in the log:
    they count the records of the stream, from 1.
    What `within` gives does not depend on how the records were cut into chunks.
    """

    def __init__(self) -> None:
        self.pieces: deque[Columns] = deque()
        self.count = 0

    def add(self, chunk: Columns, seen: int) -> None:
        """Take in the examples among the stream's next records, of which `seen` came before."""
        places = chunk.examples.places
        if len(places):
            numbers = places + np.int64(seen + 1)
            self.pieces.append(replace(chunk.take(places), positions=numbers))
            self.count += len(places)

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
