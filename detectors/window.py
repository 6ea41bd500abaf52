"""The current window of S streams, moved on by any number of strides at once.

A window holds a fixed number of records, whether or not they have a value; missing values are a
cell like any other. Detectors read counts by cell, of all the windows that new strides make
together: one numpy call then serves all strides and streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors.base import Bools, Floats, Ints
from detectors.baseline import Baseline

SPAN = 50
"""Strides that are best evaluated together: their counts still fit into the processor's cache."""

_STATE = ("values", "counts")


@dataclass(frozen=True, eq=False)
class Windows:
    """The window as it stood after each of m successive strides: axis 0 of its arrays.

    number: strides seen at the first of them. records, stride: as in `Window`.
    full: which of them hold as many records as they should, shape (m,).
    cell_counts: shape (m, S, G), the records in each of the baseline's cells.
    newest_counts: shape (m, S, G), the same for the newest stride alone.
    places: shape (S, m * stride), the cell of each new record, as a place in a raveled (S, G).
    bin_counts: shape (m, S, B), the records in each of the baseline's bins.
    present: shape (m, F), how many values are not missing, by numeric stream.
    history: shape (K + m, S, G), the records by cell of each of the K strides that the window held
        before, and of each of the new ones.
    before, after: shape (F, records) and (F, n), values in the order of arrival, the newest last;
        NaN where missing or not seen yet. `values` picks a window's from them.
    """

    number: int
    records: int
    stride: int
    full: Bools
    cell_counts: Floats
    newest_counts: Floats
    places: Ints
    bin_counts: Floats
    present: Floats
    history: NDArray[np.signedinteger]
    before: Floats
    after: Floats

    def __len__(self) -> int:
        return len(self.cell_counts)

    def values(self, stream: int, at: int = -1) -> Floats:
        """The values of a numeric stream in one of the windows, in order, shape (records,)."""
        end = self.after.shape[1] - (len(self) - 1 - at % len(self)) * self.stride
        new = self.after[stream, max(0, end - self.records) : end]
        old = self.before.shape[1] - (self.records - len(new))
        return np.concatenate((self.before[stream, old:], new))

    def by_stride(self, stream: int) -> Floats:
        """The records of a stream by cell, of each stride of the last window, shape (K, G)."""
        return self.history[len(self) :, stream].astype(np.float64)

    def at(self, index: int) -> Windows:
        """One of them alone, without a copy of anything."""
        one, end = slice(index, index + 1), (index + 1) * self.stride
        return Windows(
            self.number + index,
            self.records,
            self.stride,
            self.full[one],
            self.cell_counts[one],
            self.newest_counts[one],
            self.places[:, end - self.stride : end],
            self.bin_counts[one],
            self.present[one],
            self.history[index : len(self.history) - (len(self) - 1 - index)],
            self.before,
            self.after[:, : self.after.shape[1] - (len(self) - 1 - index) * self.stride],
        )


class Window:
    """The newest `records` records of the baseline's streams, advanced by `stride` at a time.

    strides: seen so far.
    values: shape (F, records), in the order of arrival; NaN where missing or not seen yet.
    counts: shape (records / stride, S, G), the records of each stride by cell, the newest last.
    cell_counts: shape (S, G), their sum.
    """

    def __init__(self, baseline: Baseline, records: int, stride: int) -> None:
        if records % stride:
            raise ValueError(f"a window of {records} records is no multiple of stride {stride}")
        self.baseline = baseline
        self.records = records
        self.stride = stride
        numeric, streams = len(baseline.numeric), len(baseline.streams)
        self.strides = 0
        self.values = np.full((numeric, records), np.nan)
        small = np.int16 if stride < 2**15 else np.int32
        self.counts = np.zeros((records // stride, streams, baseline.cells), small)
        self.cell_counts: Floats = np.zeros(self.counts.shape[1:])
        self._row: Ints = (np.arange(streams) * baseline.cells)[:, None]
        missing = np.array([len(stream.cuts) + 1 for stream in baseline.numeric], np.intp)
        self._missing_cell: Ints = self._row[:numeric, 0] + missing

    @property
    def full(self) -> bool:
        """Whether it holds as many records as it should."""
        return self.strides * self.stride >= self.records

    def extend(self, values: Floats, categories: NDArray[np.uint8]) -> Windows:
        """Take in m whole strides, and forget as many of the oldest when full.

        values: shape (F, m * stride), NaN where missing.
        categories: shape (C, m * stride), bins of the categorical streams
            (`CategoricalStream.bin_of`).
        """
        places = self._places(values, categories)
        newest = self._count(places)
        history = np.concatenate((self.counts, newest.astype(self.counts.dtype)))
        made = self._windows(newest, places, values, history)
        self.strides += len(newest)
        self.cell_counts = made.cell_counts[-1].copy()
        kept = max(0, self.records - values.shape[1])
        self.values = np.concatenate(
            (self.values[:, self.records - kept :], values[:, -self.records :]), axis=1
        )
        self.counts = history[-len(self.counts) :].copy()
        return made

    def current(self) -> Windows:
        """The window as it stands, as `extend` gave it after the newest stride.

        Which of the newest records is in which cell is not known any more.
        """
        return self._of(
            max(1, self.strides),
            self.cell_counts[None],
            self.counts[-1:].astype(np.float64),
            self._row[:, :0],
            np.concatenate((self.counts[:1], self.counts)),
            self.values,
            self.values,
        )

    def newest(self, window: Windows, strides: int) -> Windows:
        """The newest strides of a window, as one that holds no more than these."""
        counts = window.history[-strides:].sum(axis=0, dtype=np.float64)[None]
        records = strides * self.stride
        present = records - counts.reshape(1, -1).take(self._missing_cell, axis=1)
        return replace(
            window,
            records=records,
            cell_counts=counts,
            bin_counts=self.baseline.by_bin(counts),
            present=present,
        )

    def _windows(
        self,
        newest: Floats,
        places: Ints,
        values: Floats,
        history: NDArray[np.signedinteger],
    ) -> Windows:
        """The windows that strides of these counts make."""
        strides, held = len(newest), len(self.counts)
        change = newest.copy()
        change[:held] -= self.counts[:strides]
        change[held:] -= newest[: max(0, strides - held)]
        change[0] += self.cell_counts
        for before, after in pairwise(change):  # np.cumsum takes five times as long
            np.add(after, before, out=after)
        return self._of(self.strides + 1, change, newest, places, history, self.values, values)

    def _of(
        self,
        number: int,
        cell_counts: Floats,
        newest: Floats,
        places: Ints,
        history: NDArray[np.signedinteger],
        before: Floats,
        after: Floats,
    ) -> Windows:
        flat = cell_counts.reshape(len(cell_counts), -1)
        strides = number + np.arange(len(flat))
        return Windows(
            number,
            self.records,
            self.stride,
            strides * self.stride >= self.records,
            cell_counts,
            newest,
            places,
            self.baseline.by_bin(cell_counts),
            self.records - flat.take(self._missing_cell, axis=1),
            history,
            before,
            after,
        )

    def _places(self, values: Floats, categories: NDArray[np.uint8]) -> Ints:
        """The cells of records as places in a raveled (S, G), shape (S, n)."""
        places = np.empty((len(self._row), values.shape[1]), np.intp)
        self.baseline.cells_of(values, out=places[: len(values)])
        places[len(values) :] = categories
        places += self._row
        return places

    def _count(self, places: Ints) -> Floats:
        """Records by stride, stream and cell, shape (m, S, G)."""
        size, strides = self.cell_counts.size, places.shape[1] // self.stride
        first = np.repeat(np.arange(strides) * size, self.stride)
        counts = np.bincount((places + first).ravel(), minlength=strides * size)
        return counts.reshape(strides, *self.cell_counts.shape).astype(np.float64)

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
        self.cell_counts = self.counts.sum(axis=0, dtype=np.float64)
