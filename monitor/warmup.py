"""Warm-up: the first records of a model, gathered until they make its reference."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.columns import Columns


class Warmup:
    """Gathers `needed` records, in pieces as they come.

    saved: how many pieces each part of a checkpoint holds; a part never changes once it is made,
    because a warm-up only grows.
    """

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.pieces: list[Columns] = []
        self.gathered = 0
        self.saved: list[int] = []

    def take(self, columns: Columns) -> Columns | None:
        """Gather more records; what is beyond the needed ones, or None while there are too few."""
        taken = columns.take(slice(0, max(0, self.needed - self.gathered)))
        self.pieces.append(taken)
        self.gathered += len(taken)
        return None if self.gathered < self.needed else columns.take(slice(len(taken), None))

    def parts(self) -> list[Sequence[Columns]]:
        """The pieces, in the parts made before and one more for what has come since."""
        if len(self.pieces) > sum(self.saved):
            self.saved.append(len(self.pieces) - sum(self.saved))
        parts: list[Sequence[Columns]] = []
        start = 0
        for size in self.saved:
            parts.append(self.pieces[start : start + size])
            start += size
        return parts

    def restore(self, parts: Sequence[Sequence[Columns]]) -> None:
        """Take over parts that `parts` gave."""
        for part in parts:
            self.pieces += part
            self.saved.append(len(part))
        self.gathered = sum(map(len, self.pieces))
