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
        self.fill = 0
        self.values = np.full((len(baseline.numeric), stride), np.nan)
        self.categories = np.zeros((len(baseline.categorical), stride), np.uint8)
        self.unwatched: set[str] = set()
        self._row_of = {stream.name: row for row, stream in enumerate(baseline.numeric)}
        self._bin_of = [stream.bin_of() for stream in baseline.categorical]
        self._rows: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}

    def strides(self, columns: Columns) -> Iterator[Stride]:
        """The strides that `columns` complete; what is left waits for the next ones."""
        values, categories = self._aligned(columns), self._binned(columns)
        start, size = 0, self.stride
        while len(columns) - start >= size - self.fill:
            end = start + size - self.fill
            if self.fill:
                self._keep(values, categories, start, end)
                self.fill = 0
                block = self.values.copy(), self.categories.copy()
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
        ours, theirs = self._matching(columns.numeric + columns.binary)
        aligned = np.full((len(self.baseline.numeric), len(columns)), np.nan)
        aligned[ours] = columns.values[theirs]
        return aligned

    def _matching(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """Which of our rows are which of theirs."""
        rows = self._rows.get(names)
        if rows is None:
            self.unwatched.update(name for name in names if name not in self._row_of)
            theirs = [row for row, name in enumerate(names) if name in self._row_of]
            rows = [self._row_of[names[row]] for row in theirs], theirs
            if len(self._rows) < 64:  # a log with ever new sets of features must not fill memory
                self._rows[names] = rows
        return rows

    def _binned(self, columns: Columns) -> NDArray[np.uint8]:
        """The bins of the baseline's categorical features, shape (C, n)."""
        theirs = {column.name: column for column in columns.categories}
        binned = np.empty((len(self.baseline.categorical), len(columns)), np.uint8)
        for row, stream, bin_of in zip(
            binned, self.baseline.categorical, self._bin_of, strict=True
        ):
            column = theirs.get(stream.name, CategoryColumn(stream.name, (), _MISSING))
            other, missing = stream.bins - 2, stream.bins - 1
            # code -1, a missing value, finds the last entry
            table = np.array([*(bin_of.get(v, other) for v in column.vocabulary), missing])
            row[:] = table[column.codes]
        return binned


_MISSING = np.array(-1, np.int16)
