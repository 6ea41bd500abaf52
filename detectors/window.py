"""The current window of S streams: a ring of records in compact arrays, filled stride by stride.

A window holds a fixed number of records, whether or not they have a value; missing values are a
cell like any other. What detectors read at every stride is kept up incrementally.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.base import Floats, Ints
from detectors.baseline import Baseline

_STATE = ("values", "cells", "block_cells")


class Window:
    """The newest `records` records of the baseline's streams, advanced by `stride` at a time.

    values: shape (F, records), a ring; NaN where missing.
    cells: shape (S, stride), the cells of the newest stride in the order of arrival.
    cell_counts: shape (S, G), the records in each of the baseline's cells.
    newest_counts: shape (S, G), the same for the newest stride alone.
    """

    def __init__(self, baseline: Baseline, records: int, stride: int) -> None:
        if records % stride:
            raise ValueError(f"a window of {records} records is no multiple of stride {stride}")
        self.baseline = baseline
        self.records = records
        self.stride = stride
        blocks = records // stride
        numeric, streams = len(baseline.numeric), len(baseline.streams)
        self.strides = 0
        self.values = np.full((numeric, records), np.nan)
        self.cells: Ints = np.zeros((streams, stride), np.intp)
        count = np.int16 if stride < 2**15 else np.int32
        self.block_cells = np.zeros((blocks, streams, baseline.cells), count)
        self.cell_counts: Floats = np.zeros((streams, baseline.cells))
        self.newest_counts: Floats = np.zeros((streams, baseline.cells))
        self._row: Ints = (np.arange(streams) * baseline.cells)[:, None]
        missing = np.array([len(stream.cuts) + 1 for stream in baseline.numeric], np.intp)
        self._missing_cell: Ints = self._row[:numeric, 0] + missing
        self._bin_counts: Floats | None = None

    @property
    def full(self) -> bool:
        """Whether it holds as many records as it should."""
        return self.strides * self.stride >= self.records

    def append(
        self, values: Floats, categories: NDArray[np.uint8], cells: Ints | None = None
    ) -> None:
        """Take in the next stride, and forget the oldest when full.

        values: shape (F, stride), NaN where missing.
        categories: shape (C, stride), bins of the categorical streams (`CategoricalStream.bin_of`).
        cells: shape (F, stride), those of the values, where they are known already.
        """
        block = self.strides % len(self.block_cells)
        at = slice(block * self.stride, (block + 1) * self.stride)
        self.values[:, at] = values
        numeric = len(values)
        if cells is None:
            self.baseline.cells_of(values, out=self.cells[:numeric])
        else:
            self.cells[:numeric] = cells
        self.cells[numeric:] = categories
        self.cell_counts -= self.block_cells[block]
        self.newest_counts = self._count()
        self.cell_counts += self.newest_counts
        self.block_cells[block] = self.newest_counts
        self.strides += 1
        self._bin_counts = None

    def _count(self) -> Floats:
        places = (self.cells + self._row).ravel()
        counts = np.bincount(places, minlength=self.cell_counts.size)
        return counts.reshape(self.cell_counts.shape).astype(np.float64)

    def bin_counts(self) -> Floats:
        """The records in each of the baseline's bins, shape (S, B)."""
        if self._bin_counts is None:
            shape = self.baseline.bin_counts.shape
            places, size = self.baseline.bin_of_cell, shape[0] * shape[1]
            counts = np.bincount(places, weights=self.cell_counts.ravel(), minlength=size)
            self._bin_counts = np.asarray(counts.reshape(shape), np.float64)
        return self._bin_counts

    def newest_ranks(self) -> Floats:
        """Mid-ranks of the newest stride in the order of arrival, shape (F, stride)."""
        numeric = len(self.values)
        return self.baseline.cell_ranks.take(self.cells[:numeric] + self._row[:numeric])

    def present(self) -> Floats:
        """How many values are not missing, by numeric stream, shape (F,)."""
        return self.records - self.cell_counts.take(self._missing_cell)

    def snapshot(self) -> dict[str, bytes | int]:
        """Its state, to be restored into a window made with the same arguments."""
        return {"strides": self.strides} | {name: getattr(self, name).tobytes() for name in _STATE}

    def restore(self, state: Mapping[str, bytes | int]) -> None:
        """Take over a snapshot.

        Raises ValueError when it is of a window of another shape.
        """
        for name in _STATE:
            ours, theirs = getattr(self, name), state[name]
            if not isinstance(theirs, bytes) or len(theirs) != ours.nbytes:
                raise ValueError(f"{name} of a window of another shape")
        for name in _STATE:
            ours, theirs = getattr(self, name), state[name]
            assert isinstance(theirs, bytes)
            ours[...] = np.frombuffer(theirs, ours.dtype).reshape(ours.shape)
        self.strides = int(state["strides"])
        self.cell_counts[...] = self.block_cells.sum(axis=0)
        self.newest_counts = self._count() if self.strides else self.newest_counts * 0
        self._bin_counts = None
