"""The accepted baseline of one model: the references of its S streams in joint arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import dependence
from detectors.arrays import Bools, Floats, Ints
from detectors.categorical_stream import CategoricalStream
from detectors.conditional_stream import ConditionalStream, adjustments
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream

BinnedStream = CategoricalStream | ConditionalStream
"""A stream whose records reach the window as cells, not as values."""
ValueStream = NumericStream | CategoricalStream
"""A stream whose values are compared as they are."""
Stream = NumericStream | BinnedStream


@dataclass(frozen=True)
class Baseline:
    """The references of all streams of one model: F numeric and binary ones, then C binned ones.

    The binned ones, whose records reach the window as cells, are categorical, then conditional.

    Derived arrays cover all S = F + C streams, so that one numpy call processes them together.

    of_values: whether its records are those with a value of a sparse stream (`sparse.values_of`).
    """

    records: int
    numeric: tuple[NumericStream, ...]
    categorical: tuple[CategoricalStream, ...]
    of_values: bool = False
    conditional: tuple[ConditionalStream, ...] = ()
    counts: Floats = field(init=False)
    """Reference records with a value, by stream, shape (S,)."""
    bin_counts: Floats = field(init=False)
    """Reference records by stream and bin, shape (S, B), zero beyond a stream's own bins."""
    missing_bins: Bools = field(init=False)
    """Where a bin is that of missing values, shape (S, B)."""
    cell_counts: Floats = field(init=False)
    """Reference records by stream and cell, shape (S, G), zero beyond a stream's own cells."""
    cell_slack: Floats = field(init=False)
    """Largest share of the reference in a cell that can hold several values, shape (F,)."""
    inflation: Floats = field(init=False)
    """Variance inflation by autocorrelation, by stream, shape (S,)."""
    cell_ranks: Floats = field(init=False)
    """Mid-ranks of the cells of numeric streams, shape (F, G); NaN for missing values."""
    cell_scores: Floats = field(init=False)
    """Scores of the cells of numeric streams, shape (F, G); NaN for missing values."""
    cuts: Floats = field(init=False)
    """Cuts of all numeric streams (`NumericStream.cuts`), one stream after the other."""
    cut_starts: Ints = field(init=False)
    """Where those of each stream begin, and where the last ones end, shape (F + 1,)."""
    _first_cells: Ints = field(init=False)
    """Index in the raveled cell_counts of every bin's first cell; a bin's cells are adjacent."""
    _bin_indices: Ints = field(init=False)
    """Index in the raveled bin_counts of the same bins."""
    _conditional: Ints = field(init=False)
    """Indices of the conditional streams, shape (c,)."""
    _adjustments: Floats = field(init=False)
    """What a record in each of their cells adds to each bin, shape (c, G, B)."""

    def __post_init__(self) -> None:
        for name, value in _derived(self.numeric, self.binned).items():
            object.__setattr__(self, name, value)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams, in the order of axis 0."""
        return (*self.numeric, *self.binned)

    @property
    def binned(self) -> tuple[BinnedStream, ...]:
        """The streams whose records reach the window as cells: categorical and conditional."""
        return (*self.categorical, *self.conditional)

    @property
    def max_cells(self) -> int:
        """G, the largest number of cells of a stream."""
        return int(self.cell_counts.shape[1])

    def stream_indices(self, kinds: frozenset[Kind]) -> Ints:
        """Return the indices of the streams of the given kinds, shape (k,)."""
        return np.array([i for i, s in enumerate(self.streams) if s.kind in kinds], np.intp)

    def bin_weights(self, window: int) -> Floats:
        """Return the weights of bins in sums over bins, shape (S, B), at most 1.

        Where records of a rare bin come in bursts, the variance of its count exceeds that of
        independent records by more than the stream's inflation; its weight is the ratio.
        window: records of the windows to compare with the reference.
        """
        weights = np.ones_like(self.bin_counts)
        for row, stream in zip(weights, self.streams, strict=True):
            if len(stream.blocks):
                counts = sum_by_bin(stream.blocks, stream)
                bursts = dependence.burst_inflation(counts, window)
                row[: len(bursts)] = np.minimum(1.0, stream.inflation / bursts)
        return weights

    def stacked_blocks(self) -> Floats:
        """Return the reference's counts by stream, block and cell, shape (S, K, G)."""
        count = min([len(stream.blocks) for stream in self.streams], default=0)
        stacked = np.zeros((len(self.streams), count, self.max_cells))
        for table, stream in zip(stacked, self.streams, strict=True):
            table[:, : stream.blocks.shape[1]] = stream.blocks[:count]
        return stacked

    def sum_by_bin(self, cell_counts: Floats) -> Floats:
        """Return counts by bin, shape (m, S, B), from counts by cell, shape (m, S, G).

        Those of conditional streams are adjusted for the mix of strata.
        """
        flat = cell_counts.reshape(len(cell_counts), -1)
        counts = np.zeros((len(flat), self.bin_counts.size))
        if len(self._first_cells):
            counts[:, self._bin_indices] = np.add.reduceat(flat, self._first_cells, axis=1)
        by_bin = counts.reshape(len(flat), *self.bin_counts.shape)
        if len(self._conditional):
            own = cell_counts[:, self._conditional].transpose(1, 0, 2)
            adjusted = (own @ self._adjustments).transpose(1, 0, 2)
            by_bin[:, self._conditional] = adjusted.clip(0.0)
        return by_bin

    @property
    def fine_width(self) -> int:
        """P, the largest number of bins, or of cells of a categorical stream."""
        bins = int(self.bin_counts.shape[1])
        return max([bins, *(stream.cells for stream in self.categorical)])

    def fine_counts(self, cell_counts: Floats) -> Floats:
        """Return counts by bin, or by cell of categorical streams, shape (m, S, P).

        cell_counts: by cell, shape (m, S, G).
        """
        by_bin, width = self.sum_by_bin(cell_counts), self.fine_width
        if all(stream.divisions == 1 for stream in self.categorical):
            return by_bin
        fine = np.zeros((*by_bin.shape[:2], width))
        fine[..., : by_bin.shape[2]] = by_bin
        first, last = len(self.numeric), len(self.numeric) + len(self.categorical)
        fine[:, first:last] = cell_counts[:, first:last, :width]
        return fine


def sum_by_bin(counts: NDArray[np.number], stream: Stream) -> Floats:
    """Return counts by bin, shape (..., B), from counts by cell, shape (..., G) or padded.

    Those of a conditional stream are adjusted for the mix of strata.
    """
    bins = stream.bin_of_cell()
    own = counts[..., : len(bins)]
    if isinstance(stream, ConditionalStream):
        return np.asarray((own @ stream.adjustment).clip(0.0), np.float64)
    return dependence.sum_by_bin(own, bins)


def _derived(
    numeric: tuple[NumericStream, ...], binned: tuple[BinnedStream, ...]
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a Baseline that its streams determine."""
    streams: tuple[Stream, ...] = (*numeric, *binned)
    bin_counts = _padded([s.bin_counts() for s in streams])
    bin_of_cell = _padded([s.bin_of_cell() for s in streams])
    rows = np.arange(len(streams))[:, None] * bin_counts.shape[1]
    max_cells = bin_of_cell.shape[1]
    bin_indices = (bin_of_cell + rows).astype(np.intp)
    # cells beyond a stream's own are always empty, so they can belong to its last bin
    for row, stream in zip(bin_indices, streams, strict=True):
        own = len(stream.bin_of_cell())
        row[own:] = row[own - 1]
    first = np.flatnonzero(np.diff(bin_indices.ravel(), prepend=-1))
    conditional = [i for i, stream in enumerate(streams) if isinstance(stream, ConditionalStream)]
    tables = adjustments(
        [stream for stream in binned if isinstance(stream, ConditionalStream)],
        max_cells,
        bin_counts.shape[1],
    )
    return {
        "counts": np.array([s.count for s in streams], float),
        "bin_counts": bin_counts,
        "missing_bins": np.arange(bin_counts.shape[1]) == _last_bins(streams)[:, None],
        "cell_counts": _padded([s.cell_counts() for s in streams], max_cells),
        "cell_slack": np.array([s.cell_slack() for s in numeric], float),
        "inflation": np.array([s.inflation for s in streams], float),
        "cell_ranks": _padded([s.cell_ranks() for s in numeric], max_cells),
        "cell_scores": _padded([s.cell_scores() for s in numeric], max_cells),
        "cuts": np.concatenate([np.zeros(0), *(s.cuts for s in numeric)]),
        "cut_starts": np.cumsum([0, *(len(s.cuts) for s in numeric)], dtype=np.intp),
        "_first_cells": first,
        "_bin_indices": bin_indices.ravel()[first],
        "_conditional": np.array(conditional, np.intp),
        "_adjustments": tables,
    }


def _last_bins(streams: Sequence[Stream]) -> Ints:
    """Return the last bin of each stream, which is that of missing values, shape (S,)."""
    return np.array([stream.bin_of_cell()[-1] for stream in streams], np.intp)


def _padded(rows: Sequence[NDArray[Any]], width: int = 0) -> Floats:
    """Return the rows as one array, padded with zeros to the longest row or `width`."""
    padded = np.zeros((len(rows), max([width, *map(len, rows)])))
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded
