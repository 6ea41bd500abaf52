"""From chunks of any size to strides of one size, laid out as a baseline's streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import Floats
from detectors.baseline import Baseline
from detectors.window import SPAN
from monitor.columns import Columns


@dataclass(frozen=True, slots=True)
class Strides:
    """Full strides: what `Window.extend` takes, and where the last record of each stood in its log.

    values: shape (F, m * stride). categories: shape (C, m * stride). positions, times: shape (m,).
    """

    values: Floats
    categories: NDArray[np.uint8]
    positions: NDArray[np.int64]
    times: Floats

    def __len__(self) -> int:
        return len(self.positions)


class StrideBuffer:
    """Collects the records of one model until a stride is full.

    What comes out depends on the order of the records alone, not on how they were cut into chunks.
    Features that the baseline does not have are passed over; `unwatched` names them.
    """

    def __init__(self, baseline: Baseline, stride: int) -> None:
        self.baseline = baseline
        self.stride = stride
        self.unwatched: set[str] = set()
        self._empty()
        self._row_of = {stream.name: row for row, stream in enumerate(baseline.numeric)}
        self._names = tuple(self._row_of)
        self._category_of = {stream.name: row for row, stream in enumerate(baseline.categorical)}
        self._rows: dict[tuple[str, ...], tuple[list[int], list[int], list[int]]] = {}
        self._tables: dict[tuple[int, tuple[str, ...]], NDArray[np.uint8]] = {}

    def _empty(self) -> None:
        self.fill = 0
        self.values = np.full((len(self.baseline.numeric), self.stride), np.nan)
        self.categories = np.zeros((len(self.baseline.categorical), self.stride), np.uint8)

    def strides(self, columns: Columns) -> Iterator[Strides]:
        """The strides that `columns` complete; what is left waits for the next ones."""
        values, categories = self._aligned(columns), self._binned(columns)
        waiting, size = self.fill, self.stride
        whole = (waiting + len(columns)) // size
        if waiting and whole:
            values = np.concatenate((self.values[:, :waiting], values), axis=1)
            categories = np.concatenate((self.categories[:, :waiting], categories), axis=1)
            self._empty()
            waiting = 0
        held = values.shape[1] - len(columns)
        for first in range(0, whole, SPAN):
            last = min(whole, first + SPAN)
            ends = np.arange(first + 1, last + 1) * size - held - 1
            part = slice(first * size, last * size)
            yield Strides(
                values[:, part], categories[:, part], columns.positions[ends], columns.times[ends]
            )
        self._keep(values, categories, whole * size, values.shape[1])

    def _keep(self, values: Floats, categories: NDArray[np.uint8], start: int, end: int) -> None:
        at = slice(self.fill, self.fill + end - start)
        self.values[:, at] = values[:, start:end]
        self.categories[:, at] = categories[:, start:end]
        self.fill = at.stop

    def _aligned(self, columns: Columns) -> Floats:
        """The baseline's numeric and binary features, shape (F, n)."""
        names = columns.numeric + columns.binary
        if names == self._names:
            return columns.values
        ours, theirs, new = self._matching(names)
        # a name may stand for nothing: a part of a chunk has the names of all of it
        self.unwatched.update(names[row] for row in new if not np.isnan(columns.values[row]).all())
        aligned = np.full((len(self.baseline.numeric), len(columns)), np.nan)
        aligned[ours] = columns.values[theirs]
        return aligned

    def _matching(self, names: tuple[str, ...]) -> tuple[list[int], list[int], list[int]]:
        """Which of our rows are which of theirs, and which of theirs are not ours."""
        rows = self._rows.get(names)
        if rows is None:
            theirs = [row for row, name in enumerate(names) if name in self._row_of]
            new = [row for row, name in enumerate(names) if name not in self._row_of]
            rows = [self._row_of[names[row]] for row in theirs], theirs, new
            if len(self._rows) < _REMEMBERED:
                self._rows[names] = rows
        return rows

    def _binned(self, columns: Columns) -> NDArray[np.uint8]:
        """The bins of the baseline's categorical features, shape (C, n)."""
        binned = np.empty((len(self.baseline.categorical), len(columns)), np.uint8)
        absent = set(range(len(binned)))
        for column in columns.categories:
            row = self._category_of.get(column.name)
            if row is not None:
                self._table(row, column.vocabulary).take(column.codes, out=binned[row], mode="wrap")
                absent.discard(row)
            elif (column.codes >= 0).any():
                self.unwatched.add(column.name)
        for row in absent:
            binned[row] = self.baseline.categorical[row].bins - 1
        return binned

    def _table(self, row: int, vocabulary: tuple[str, ...]) -> NDArray[np.uint8]:
        """`CategoricalStream.bins_by_code`, remembered."""
        table = self._tables.get((row, vocabulary))
        if table is None:
            table = self.baseline.categorical[row].bins_by_code(vocabulary).astype(np.uint8)
            if len(self._tables) < _REMEMBERED:
                self._tables[row, vocabulary] = table
        return table


_REMEMBERED = 64
"""Sets of names, and vocabularies, to remember: a log with ever new ones must not fill memory."""
