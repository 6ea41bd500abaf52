"""Cuts chunks of any size into strides of equal size, in the row order of a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.conditional_stream import CellTable
from detectors.window import STRIDES_PER_BATCH
from monitor.ingest.chunks.columns import Columns


@dataclass(frozen=True, slots=True)
class Strides:
    """Full strides for `Window.extend`, with position, number and time of the last record of each.

    values: shape (F, m * stride). categories: cells, shape (C, m * stride).
    positions, numbers, times: shape (m,). A number is that among the records of the model.
    """

    values: Floats
    categories: NDArray[np.uint8]
    positions: NDArray[np.int64]
    numbers: NDArray[np.int64]
    times: Floats

    def __len__(self) -> int:
        return len(self.positions)


class StrideBuffer:
    """Buffers the records of one model until a stride is full.

    The strides depend on the order of the records only, not on chunk borders. Features that the
    baseline lacks are dropped and listed in `unwatched`.

    fill: records that wait for a full stride.
    """

    def __init__(self, baseline: Baseline, stride: int) -> None:
        self.baseline = baseline
        self.stride = stride
        self.unwatched: set[str] = set()
        self._reset()
        self._row_of = {stream.name: row for row, stream in enumerate(baseline.numeric)}
        self._names = tuple(self._row_of)
        self._cells = CellTable(baseline.conditional)
        self._category_of = {stream.name: row for row, stream in enumerate(baseline.categorical)}
        self._rows: dict[tuple[str, ...], tuple[list[int], list[int], list[int]]] = {}
        self._tables: dict[tuple[int, tuple[str, ...]], NDArray[np.uint8]] = {}

    def _reset(self) -> None:
        self.fill = 0
        self.values = np.full((len(self.baseline.numeric), self.stride), np.nan)
        self.categories = np.zeros((len(self.baseline.binned), self.stride), np.uint8)

    def strides(self, columns: Columns, numbers: NDArray[np.int64]) -> Iterator[Strides]:
        """Yield the strides that `columns` complete, in batches; keep the remaining records.

        numbers: shape (n,), number of each record among those of the model.
        """
        values, categories = self._aligned(columns), self._binned(columns)
        buffered, size = self.fill, self.stride
        count = (buffered + len(columns)) // size
        if buffered and count:
            values = np.concatenate((self.values[:, :buffered], values), axis=1)
            categories = np.concatenate((self.categories[:, :buffered], categories), axis=1)
            self._reset()
        earlier = values.shape[1] - len(columns)
        for first in range(0, count, STRIDES_PER_BATCH):
            last = min(count, first + STRIDES_PER_BATCH)
            ends = np.arange(first + 1, last + 1) * size - earlier - 1
            part = slice(first * size, last * size)
            yield Strides(
                values[:, part],
                categories[:, part],
                columns.positions[ends],
                numbers[ends],
                columns.times[ends],
            )
        self._keep(values, categories, count * size, values.shape[1])

    def _keep(self, values: Floats, categories: NDArray[np.uint8], start: int, end: int) -> None:
        at = slice(self.fill, self.fill + end - start)
        self.values[:, at] = values[:, start:end]
        self.categories[:, at] = categories[:, start:end]
        self.fill = at.stop

    def _aligned(self, columns: Columns) -> Floats:
        """Return the baseline's numeric and binary features, shape (F, n)."""
        names = columns.numeric + columns.binary
        if names == self._names:
            return columns.values
        target, source, unknown = self._matching_rows(names)
        # a segment has the feature names of the whole chunk, perhaps without values
        self.unwatched.update(
            names[row]
            for row in unknown
            if names[row] not in self._cells.features and not np.isnan(columns.values[row]).all()
        )
        aligned = np.full((len(self.baseline.numeric), len(columns)), np.nan)
        aligned[target] = columns.values[source]
        return aligned

    def _matching_rows(self, names: tuple[str, ...]) -> tuple[list[int], list[int], list[int]]:
        """Return matching rows of baseline and columns, and the rows missing in the baseline."""
        rows = self._rows.get(names)
        if rows is None:
            source = [row for row, name in enumerate(names) if name in self._row_of]
            unknown = [row for row, name in enumerate(names) if name not in self._row_of]
            rows = [self._row_of[names[row]] for row in source], source, unknown
            if len(self._rows) < _CACHE_SIZE:
                self._rows[names] = rows
        return rows

    def _binned(self, columns: Columns) -> NDArray[np.uint8]:
        """Return the cells of the baseline's binned features, shape (C, n)."""
        binned = np.empty((len(self.baseline.binned), len(columns)), np.uint8)
        absent = set(range(len(self.baseline.categorical)))
        for column in columns.categories:
            row = self._category_of.get(column.name)
            if row is not None:
                self._table(row, column.vocabulary).take(column.codes, out=binned[row], mode="wrap")
                absent.discard(row)
            elif (column.codes >= 0).any():
                self.unwatched.add(column.name)
        for row in absent:
            binned[row] = self.baseline.categorical[row].cells - 1
        if self.baseline.conditional:
            self._assign_cells(columns, binned[len(self.baseline.categorical) :])
        return binned

    def _assign_cells(self, columns: Columns, out: NDArray[np.uint8]) -> None:
        """Write the cells of the conditional streams, shape (c, n)."""
        names = {name: row for row, name in enumerate(columns.numeric + columns.binary)}
        rows = [names.get(name, -1) for name in self._cells.features]
        values = (
            columns.values[rows] if len(columns.values) else np.empty((len(rows), len(columns)))
        )
        values[np.array(rows) < 0] = np.nan
        out[:] = self._cells.cells(values)

    def _table(self, row: int, vocabulary: tuple[str, ...]) -> NDArray[np.uint8]:
        """Return `CategoricalStream.cells_by_code` from a cache."""
        table = self._tables.get((row, vocabulary))
        if table is None:
            table = self.baseline.categorical[row].cells_by_code(vocabulary).astype(np.uint8)
            if len(self._tables) < _CACHE_SIZE:
                self._tables[row, vocabulary] = table
        return table


_CACHE_SIZE = 64
"""Cached name lists and vocabularies; a log may contain new ones without end."""
