"""When a reference is collected: a warm-up, and the epochs that begin another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.ingest.chunks import columns
from monitor.ingest.chunks.columns import Columns

MAX_VOCABULARY = 32_000
"""Categories of a feature in a joined piece at most: their codes are 16-bit integers."""
MIN_SCORED = 0.1
"""Share of samples with a value of the same feature required of a reference of samples."""


class Warmup:
    """Collects `needed` records in pieces.

    pieces: the records in order. A piece has at least twice as many records as the next one, so
    that n records that arrive one at a time make log2(n) pieces. Smaller neighbours are joined, as
    in a log-structured merge tree: a checkpoint that writes the changed pieces writes each record
    at most log(n) times, with base 1.5.
    """

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.pieces: list[Columns] = []
        self.collected = 0

    @property
    def left(self) -> int:
        """Number of records that are still needed."""
        return max(0, self.needed - self.collected)

    def add(self, records: Columns) -> Columns | None:
        """Add records; return those beyond the needed ones, or None while there are too few."""
        taken = records.take(slice(0, self.left))
        self._append(taken)
        return None if self.collected < self.needed else records.take(slice(len(taken), None))

    def _append(self, piece: Columns) -> None:
        """Append a piece and join the last ones as long as they are too small."""
        pieces = self.pieces
        pieces.append(piece)
        self.collected += len(piece)
        while len(pieces) > 1 and len(pieces[-2]) < 2 * len(pieces[-1]) and _fit(*pieces[-2:]):
            pieces[-2:] = [columns.join(pieces[-2:])]


@dataclass(slots=True)
class Epochs:
    """The epoch that is watched, of one source of a model.

    Records of another epoch are skipped until `patience` of them have arrived without one of the
    watched epoch between them. While writers of two epochs run, as in a rolling upgrade, their
    records alternate, and the reference stays.

    current: the watched epoch; None before the first record. other, run: the newest other epoch,
    and the number of its records since the last one of the watched epoch.
    """

    patience: int
    current: str | None = None
    other: str = ""
    run: int = 0

    def skip(self, epoch: str, records: int) -> int:
        """Return how many of the next records, all of one epoch, to skip.

        `current` is then the epoch of those after them.
        """
        if not records:
            return 0
        if self.current in {None, epoch}:
            self.current, self.other, self.run = epoch, "", 0
            return 0
        if epoch != self.other:
            self.other, self.run = epoch, 0
        skipped = min(records, self.patience - self.run)
        self.run += skipped
        if self.run == self.patience:
            self.current, self.other, self.run = epoch, "", 0
        return skipped


def enough_scored(pieces: Sequence[Columns]) -> bool:
    """Return whether a reference of these samples could be watched.

    It cannot if fewer than MIN_SCORED of the samples have a value of the same feature, because the
    judge was down.
    """
    samples = sum(map(len, pieces))
    names = {name for piece in pieces for name in piece.numeric + piece.binary}
    scored = max((_scored(pieces, name) for name in names), default=0)
    return scored >= MIN_SCORED * samples


def _scored(pieces: Sequence[Columns], name: str) -> int:
    """Return the number of samples with a value of a feature."""
    return sum(int(np.count_nonzero(~np.isnan(piece.row(name)))) for piece in pieces)


def _fit(first: Columns, second: Columns) -> bool:
    """Return whether the vocabularies of two pieces fit into one."""
    return all(
        len(column.vocabulary) + len(second.category(column.name).vocabulary) <= MAX_VOCABULARY
        for column in first.categories
    )
