"""From chunks of any size to strides of one size, laid out as a baseline's streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import Floats
from detectors.baseline import Baseline
from monitor.columns import CategoryColumn, Columns


@dataclass(frozen=True, slots=True)
class Stride:
    """A full stride: what `Window.append` takes, and where its last record stood in its log."""

    values: Floats
    categories: NDArray[np.uint8]
    position: int
    time: float


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
        self._bin_of = {stream.name: stream.bin_of() for stream in baseline.categorical}
        self._rows: dict[tuple[str, ...], tuple[list[int], list[int], list[int]]] = {}

    def _empty(self) -> None:
        self.fill = 0
        self.values = np.full((len(self.baseline.numeric), self.stride), np.nan)
        self.categories = np.zeros((len(self.baseline.categorical), self.stride), np.uint8)

    def strides(self, columns: Columns) -> Iterator[Stride]:
        """The strides that `columns` complete; what is left waits for the next ones."""
        values, categories = self._aligned(columns), self._binned(columns)
        start, size = 0, self.stride
        while len(columns) - start >= size - self.fill:
            end = start + size - self.fill
            if self.fill:
                self._keep(values, categories, start, end)
                block = self.values, self.categories
                self._empty()
            else:
                block = values[:, start:end], categories[:, start:end]
            yield Stride(*block, int(columns.positions[end - 1]), float(columns.times[end - 1]))
            start = end
        self._keep(values, categories, start, len(columns))

    def _keep(self, values: Floats, categories: NDArray[np.uint8], start: int, end: int) -> None:
        at = slice(self.fill, self.fill + end - start)
        self.values[:, at] = values[:, start:end]
        self.categories[:, at] = categories[:, start:end]
        self.fill = at.stop

    def _aligned(self, columns: Columns) -> Floats:
        """The baseline's numeric and binary features, shape (F, n)."""
        names = columns.numeric + columns.binary
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
            if len(self._rows) < 64:  # a log with ever new sets of features must not fill memory
                self._rows[names] = rows
        return rows

    def _binned(self, columns: Columns) -> NDArray[np.uint8]:
        """The bins of the baseline's categorical features, shape (C, n)."""
        theirs = {column.name: column for column in columns.categories}
        new = [theirs[name] for name in theirs.keys() - self._bin_of.keys()]
        self.unwatched.update(column.name for column in new if (column.codes >= 0).any())
        binned = np.empty((len(self.baseline.categorical), len(columns)), np.uint8)
        for row, stream in zip(binned, self.baseline.categorical, strict=True):
            column, bin_of = theirs.get(stream.name, _ABSENT), self._bin_of[stream.name]
            other, missing = stream.bins - 2, stream.bins - 1
            # code -1, a missing value, finds the last entry
            table = np.array([*(bin_of.get(v, other) for v in column.vocabulary), missing])
            row[:] = table[column.codes]
        return binned


_ABSENT = CategoryColumn("", (), np.array(-1, np.int16))
