"""The current window of S streams, which advances by any number of strides at once.

A window holds a fixed number of records, with or without a value; missing values have their own
cell. Detectors read counts by cell of all windows that new strides complete, so that one numpy call
processes all strides and streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Bools, Floats, Ints
from detectors.baseline import Baseline
from detectors.strides import assign_cells

STRIDES_PER_BATCH = 100
"""Strides to evaluate at once: more of them would not fit into the processor's cache."""

_STATE = ("values", "counts")


@dataclass(frozen=True, eq=False)
class Windows:
    """The window after each of m successive strides: axis 0 of the arrays.

    stride_number: number of strides seen at the first window. records, stride: as in `Window`.
    full: whether a window holds `records` records, shape (m,).
    cell_counts: shape (m, S, G), records by stream and cell.
    newest_counts: shape (m, S, G), records of the newest stride by stream and cell.
    cell_indices: shape (S, m * stride), the cell of each new record, as index of a raveled (S, G).
    bin_counts: shape (m, S, B), records by stream and bin.
    present: shape (m, F), number of values that are not missing, by numeric stream.
    history: shape (K + m, S, G), records by cell of each of the K strides that the window held
        before, and of each of the new ones.
    old_values, new_values: shapes (F, records) and (F, n), values in the order of arrival, the
        newest last; NaN where missing or not seen yet. Use `values` to read those of a window.
    """

    stride_number: int
    records: int
    stride: int
    full: Bools
    cell_counts: Floats
    newest_counts: Floats
    cell_indices: Ints
    bin_counts: Floats
    present: Floats
    history: NDArray[np.signedinteger]
    old_values: Floats
    new_values: Floats

    def __len__(self) -> int:
        return len(self.cell_counts)

    def values(self, stream: int, at: int = -1) -> Floats:
        """Return the values of a numeric stream in one of the windows, in order, (records,)."""
        end = self.new_values.shape[1] - (len(self) - 1 - at % len(self)) * self.stride
        new = self.new_values[stream, max(0, end - self.records) : end]
        old = self.old_values.shape[1] - (self.records - len(new))
        return np.concatenate((self.old_values[stream, old:], new))

    def cells_by_stride(self, stream: int) -> Floats:
        """Return a stream's records by stride and cell of the last window, shape (K, G)."""
        return self.history[len(self) :, stream].astype(np.float64)

    def at(self, index: int) -> Windows:
        """Return one of the windows, as a view."""
        one, later = slice(index, index + 1), len(self) - 1 - index
        end = (index + 1) * self.stride
        return replace(
            self,
            stride_number=self.stride_number + index,
            full=self.full[one],
            cell_counts=self.cell_counts[one],
            newest_counts=self.newest_counts[one],
            cell_indices=self.cell_indices[:, end - self.stride : end],
            bin_counts=self.bin_counts[one],
            present=self.present[one],
            history=self.history[index : len(self.history) - later],
            new_values=self.new_values[:, : self.new_values.shape[1] - later * self.stride],
        )


class Window:
    """The newest `records` records of the baseline's streams, advanced by `stride` at a time.

    strides: number of strides seen.
    values: shape (F, records), in the order of arrival; NaN where missing or not seen yet.
    counts: shape (records / stride, S, G), the records of each stride by cell, the newest last.
    cell_counts: shape (S, G), their sum.
    state_version: version of the snapshots; see `Detector.state_version`.
    """

    state_version: ClassVar[int] = 1

    def __init__(self, baseline: Baseline, records: int, stride: int) -> None:
        if records % stride:
            raise ValueError(
                f"window of {records} records is not a multiple of the stride {stride}"
            )
        self.baseline = baseline
        self.records = records
        self.stride = stride
        numeric, streams = len(baseline.numeric), len(baseline.streams)
        self.strides = 0
        self.values = np.full((numeric, records), np.nan)
        small = np.int16 if stride < 2**15 else np.int32
        self.counts = np.zeros((records // stride, streams, baseline.max_cells), small)
        self.cell_counts: Floats = np.zeros(self.counts.shape[1:])
        self._row: Ints = (np.arange(streams) * baseline.max_cells)[:, None]
        missing = np.array([len(stream.cuts) + 1 for stream in baseline.numeric], np.intp)
        self._missing_cell: Ints = self._row[:numeric, 0] + missing

    @property
    def full(self) -> bool:
        """Whether the window holds `records` records."""
        return self.strides * self.stride >= self.records

    def extend(self, values: Floats, categories: NDArray[np.uint8]) -> Windows:
        """Append m whole strides, drop as many of the oldest, and return the windows.

        values: shape (F, m * stride), NaN where missing.
        categories: shape (C, m * stride), cells of the categorical streams
            (`CategoricalStream.cell_by_category`).
        """
        indices, counts = self._assign(values, categories)
        history = np.concatenate((self.counts, counts.astype(self.counts.dtype)))
        windows = self._windows(
            self.strides + 1, self._cell_counts(history), history, indices, values
        )
        self.strides += len(windows)
        self.cell_counts = windows.cell_counts[-1].copy()
        kept = max(0, self.records - values.shape[1])
        self.values = np.concatenate(
            (self.values[:, self.records - kept :], values[:, -self.records :]), axis=1
        )
        self.counts = history[-len(self.counts) :].copy()
        return windows

    def current(self) -> Windows:
        """Return the window after the newest stride, as `extend` did, but without cell indices."""
        history = np.concatenate((self.counts[:1], self.counts))
        number = max(1, self.strides)
        return self._windows(number, self.cell_counts[None], history, self._row[:, :0], self.values)

    def last_strides(self, window: Windows, strides: int) -> Windows:
        """Return the newest strides of a window, as a window of only these."""
        counts = window.history[-strides:].sum(axis=0, dtype=np.float64)[None]
        records = strides * self.stride
        return replace(
            window,
            records=records,
            cell_counts=counts,
            bin_counts=self.baseline.sum_by_bin(counts),
            present=self._present(counts, records),
        )

    def _windows(
        self,
        stride_number: int,
        cell_counts: Floats,
        history: NDArray[np.signedinteger],
        cell_indices: Ints,
        new_values: Floats,
    ) -> Windows:
        """Return the windows with these counts; see `Windows` for the arguments."""
        strides = stride_number + np.arange(len(cell_counts))
        return Windows(
            stride_number=stride_number,
            records=self.records,
            stride=self.stride,
            full=strides * self.stride >= self.records,
            cell_counts=cell_counts,
            newest_counts=history[len(self.counts) :].astype(np.float64),
            cell_indices=cell_indices,
            bin_counts=self.baseline.sum_by_bin(cell_counts),
            present=self._present(cell_counts, self.records),
            history=history,
            old_values=self.values,
            new_values=new_values,
        )

    def _cell_counts(self, history: NDArray[np.signedinteger]) -> Floats:
        """Return records by cell after each new stride, shape (m, S, G)."""
        held = len(self.counts)
        # each stride adds its own records and drops those of the stride `held` strides before it
        counts: Floats = np.subtract(history[held:], history[:-held], dtype=np.float64)
        counts[0] += self.cell_counts
        for before, after in pairwise(counts):  # np.cumsum takes five times as long
            np.add(after, before, out=after)
        return counts

    def _present(self, cell_counts: Floats, records: int) -> Floats:
        """Return the number of values that are not missing, by numeric stream, shape (m, F)."""
        flat = cell_counts.reshape(len(cell_counts), -1)
        return np.asarray(records - flat.take(self._missing_cell, axis=1), np.float64)

    def _assign(
        self, values: Floats, categories: NDArray[np.uint8]
    ) -> tuple[Ints, NDArray[np.int32]]:
        """Return the cells of n records as indices of a raveled (S, G), shape (S, n), and how many
        there are by stride, stream and cell, shape (m, S, G).
        """
        indices = np.empty((len(self._row), values.shape[1]), np.intp)
        counts = np.zeros((values.shape[1] // self.stride, *self.cell_counts.shape), np.int32)
        baseline = self.baseline
        assign_cells(values, categories, baseline.cuts, baseline.cut_starts, indices, counts)
        return indices, counts

    def snapshot(self) -> dict[str, bytes | int]:
        """Return the state, for a window with the same arguments."""
        return {"strides": self.strides} | {name: getattr(self, name).tobytes() for name in _STATE}

    def restore(self, state: Mapping[str, bytes | int]) -> None:
        """Load a snapshot.

        Raises ValueError if it belongs to a window of another shape.
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
        self.cell_counts = self.counts.sum(axis=0, dtype=np.float64)
