"""Gathers the chunks of each model that are at hand, to be evaluated together."""

from __future__ import annotations

from collections import Counter, defaultdict

from monitor import columns
from monitor.columns import Columns

MOST_RECORDS = 5_000
"""Records of one model that are put together: more of them make none cheaper."""


class Gathering:
    """Chunks that wait to be evaluated, by model, in the order in which the models came.

    With many models a chunk holds few strides, and three cost hardly more to evaluate than one.
    Who gathers says when no more is at hand; nothing is kept waiting for what may come.
    """

    def __init__(self) -> None:
        self._waiting: defaultdict[str, list[Columns]] = defaultdict(list)
        self._sizes: Counter[str] = Counter()

    def add(self, chunk: Columns) -> list[Columns]:
        """Take in a chunk; what is to be evaluated before more can be gathered, one a model."""
        size = _size(chunk)
        # all models at once: they must become known in the order of their chunks
        due = self.take() if self._sizes[chunk.model] + size > MOST_RECORDS else []
        self._waiting[chunk.model].append(chunk)
        self._sizes[chunk.model] += size
        return due

    def take(self) -> list[Columns]:
        """All that waits, one a model."""
        waiting = [columns.join(chunks) for chunks in self._waiting.values()]
        self._waiting.clear()
        self._sizes.clear()
        return waiting


def _size(chunk: Columns) -> int:
    """Its records, or the longest of its vocabularies: a joined one has bounds as well."""
    return max([len(chunk), *(len(column.vocabulary) for column in chunk.categories)])
