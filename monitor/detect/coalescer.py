"""Joins the chunks of each source of a model that are available, to evaluate them together."""

from __future__ import annotations

from collections import Counter, defaultdict

from monitor.ingest.chunks import columns
from monitor.ingest.chunks.columns import Columns
from monitor.records import Source

MAX_RECORDS = 10_000
"""Records of one source of a model joined at most. Larger batches do not cost less per record."""


class Coalescer:
    """Pending chunks by model and source, in the order in which these first appeared.

    All pending chunks of a source of a model have the same epoch.

    With many models a chunk holds few strides, and evaluating three strides costs hardly more than
    evaluating one. The caller decides when to evaluate; the coalescer never waits for more chunks.
    """

    def __init__(self) -> None:
        self._pending: defaultdict[tuple[str, Source], list[Columns]] = defaultdict(list)
        self._sizes: Counter[tuple[str, Source]] = Counter()

    def add(self, chunk: Columns) -> list[Columns]:
        """Add a chunk; if it does not fit, return the joined chunks to be evaluated first.

        A chunk does not fit if there would be too many records, or if its epoch is another one.
        """
        key, size = (chunk.model, chunk.source), _size(chunk)
        pending = self._pending.get(key)
        fits = self._sizes[key] + size <= MAX_RECORDS and (
            not pending or pending[0].epoch == chunk.epoch
        )
        # release all models: the monitor must see new models in the order of their chunks
        due = [] if fits else self.take()
        self._pending[key].append(chunk)
        self._sizes[key] += size
        return due

    def take(self) -> list[Columns]:
        """Remove and return the pending chunks, joined by model and source."""
        joined = [columns.join(chunks) for chunks in self._pending.values()]
        self._pending.clear()
        self._sizes.clear()
        return joined


def _size(chunk: Columns) -> int:
    """Return the records, or the size of the largest vocabulary if that is larger.

    The vocabulary of a joined chunk is limited too: codes are 16-bit integers.
    """
    return max([len(chunk), *(len(column.vocabulary) for column in chunk.categories)])
