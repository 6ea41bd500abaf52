"""Gathers the chunks of each model that are at hand, to be evaluated together."""

from __future__ import annotations

from monitor import columns
from monitor.columns import Columns

MOST_RECORDS = 5_000
"""Records of one model that are put together: more of them make none cheaper."""


class Gathering:
    """Chunks that wait to be evaluated, by model, in the order in which the models came.

    With many models a chunk holds few records, and to evaluate it costs as much as twice as many.
    Who gathers says when no more is at hand; nothing is kept waiting for what may come.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Columns]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, chunk: Columns) -> list[Columns]:
        """Take in a chunk; what is to be evaluated before more can be gathered, one a model."""
        size = self._sizes.get(chunk.model, 0) + _size(chunk)
        due = self.take() if size > MOST_RECORDS else []
        self._waiting.setdefault(chunk.model, []).append(chunk)
        self._sizes[chunk.model] = self._sizes.get(chunk.model, 0) + _size(chunk)
        return due

    def take(self) -> list[Columns]:
        """All that waits, one a model."""
        waiting = [columns.join(chunks) for chunks in self._waiting.values()]
        self._waiting, self._sizes = {}, {}
        return waiting


def _size(chunk: Columns) -> int:
    """Its records, or the longest of its vocabularies: a joined one has bounds as well."""
    return max([len(chunk), *(len(column.vocabulary) for column in chunk.categories)])
