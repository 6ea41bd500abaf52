"""The accepted baseline of one model: the references of its S streams, laid out for one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import Floats, Ints, Kind
from detectors.streams import CategoricalStream, NumericStream

Stream = NumericStream | CategoricalStream


@dataclass(frozen=True)
class Baseline:
    """The references of all streams of one model: F numeric and binary ones, then C categorical.

    What follows from them is laid out so that one numpy call serves all S = F + C streams.
    """

    records: int
    numeric: tuple[NumericStream, ...]
    categorical: tuple[CategoricalStream, ...]
    counts: Floats = field(init=False)
    """Reference records with a value, by stream, shape (S,)."""
    bin_counts: Floats = field(init=False)
    """Reference records by stream and bin, shape (S, B), zero beyond a stream's own bins."""
    cell_counts: Floats = field(init=False)
    """Reference records by stream and cell, shape (S, G), zero beyond a stream's own cells."""
    cell_slack: Floats = field(init=False)
    """What share of the reference one cell of several values holds at most, shape (F,)."""
    inflation: Floats = field(init=False)
    """What autocorrelation makes of the variances, by stream, shape (S,)."""
    cell_ranks: Floats = field(init=False)
    """The mid-rank of every numeric stream's every cell, shape (F, G); NaN for missing values."""
    cell_scores: Floats = field(init=False)
    """What stands for the values of every numeric stream's every cell; as cell_ranks."""
    _first_cells: Ints = field(init=False)
    """Place in the raveled cell_counts of every bin's first cell; a bin's cells are in a row."""
    _bin_places: Ints = field(init=False)
    """Place in the raveled bin_counts of the same bins."""

    def __post_init__(self) -> None:
        for name, value in _derived(self.numeric, self.categorical).items():
            object.__setattr__(self, name, value)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams, in the order of axis 0."""
        return (*self.numeric, *self.categorical)

    @property
    def cells(self) -> int:
        """G, the cells of the stream that has most."""
        return int(self.cell_counts.shape[1])

    def streams_of(self, kinds: frozenset[Kind]) -> Ints:
        """The streams whose values are of one of `kinds`, shape (k,)."""
        return np.array([i for i, s in enumerate(self.streams) if s.kind in kinds], np.intp)

    def blocks(self) -> Floats:
        """The reference's own counts by stream, block and cell, shape (S, K, G)."""
        count = min([len(stream.blocks) for stream in self.streams], default=0)
        stacked = np.zeros((len(self.streams), count, self.cells))
        for table, stream in zip(stacked, self.streams, strict=True):
            table[:, : stream.blocks.shape[1]] = stream.blocks[:count]
        return stacked

    def by_bin(self, cell_counts: Floats) -> Floats:
        """Counts by bin, shape (m, S, B), of counts by cell, shape (m, S, G)."""
        flat = cell_counts.reshape(len(cell_counts), -1)
        counts = np.zeros((len(flat), self.bin_counts.size))
        if len(self._first_cells):
            counts[:, self._bin_places] = np.add.reduceat(flat, self._first_cells, axis=1)
        return counts.reshape(len(flat), *self.bin_counts.shape)

    def cells_of(self, values: Floats, out: Ints) -> None:
        """Put the cells of values into `out`, both of shape (F, n); as `NumericStream.cell_of`."""
        for row, column, stream in zip(out, values, self.numeric, strict=True):
            row[:] = stream.cuts.searchsorted(column, "right")
        out += np.isnan(values)


def _derived(
    numeric: tuple[NumericStream, ...], categorical: tuple[CategoricalStream, ...]
) -> dict[str, NDArray[Any]]:
    """The arrays of a Baseline that follow from its streams."""
    streams: tuple[Stream, ...] = (*numeric, *categorical)
    bin_counts = _padded([s.bin_counts() for s in streams])
    bin_of_cell = _padded([s.bin_of_cell() for s in streams])
    rows = np.arange(len(streams))[:, None] * bin_counts.shape[1]
    cells = bin_of_cell.shape[1]
    places = (bin_of_cell + rows).astype(np.intp)
    # what is beyond a stream's own cells is empty, and may as well go to its last bin
    for row, stream in zip(places, streams, strict=True):
        own = len(stream.bin_of_cell())
        row[own:] = row[own - 1]
    first = np.flatnonzero(np.diff(places.ravel(), prepend=-1))
    return {
        "counts": np.array([s.count for s in streams], float),
        "bin_counts": bin_counts,
        "cell_counts": _padded([s.cell_counts() for s in streams], cells),
        "cell_slack": np.array([s.cell_slack() for s in numeric], float),
        "inflation": np.array([s.inflation for s in streams], float),
        "cell_ranks": _padded([s.cell_ranks() for s in numeric], cells),
        "cell_scores": _padded([s.cell_scores() for s in numeric], cells),
        "_first_cells": first,
        "_bin_places": places.ravel()[first],
    }


def _padded(rows: Sequence[NDArray[Any]], width: int = 0) -> Floats:
    """The rows one below the other, with zeros where one is shorter."""
    padded = np.zeros((len(rows), max([width, *map(len, rows)])))
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded
