"""Derive from the reference of a sparse stream those of its values and of its missing values.

A sparse stream has a value in few records. In windows of all records its values cannot move any
statistic by much, so they are compared in windows that count values only. The reference keeps the
records by cell of every hundred records, so the values can be put in order again: exactly, but for
the order within such a block.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors import dependence
from detectors.arrays import Ints
from detectors.baseline import Stream, ValueStream
from detectors.categorical_stream import CategoricalStream
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream, build_numeric_stream

MIN_BINS = 4
"""Equal-frequency bins of a sparse numeric stream. With the usual EXPECTED_PER_BIN a window of
fifty values would have two, which miss every change that keeps the median."""


def missing_share(stream: Stream) -> float:
    """Return the share of the reference's records without a value."""
    return stream.missing / (stream.count + stream.missing)


def values_of(stream: ValueStream, window: int) -> ValueStream:
    """Return the reference of the stream's values: its records are those with a value.

    window: values of the windows to compare with it.
    """
    rng = np.random.default_rng(0)  # the order within a block of records is not kept
    if isinstance(stream, CategoricalStream):
        return _category_values(stream, window, rng)
    values = np.empty(stream.count)
    cells = _cells_in_order(stream.blocks, stream.cell_counts(), rng)
    values[np.lexsort((rng.random(len(cells)), cells))] = stream.values()
    return build_numeric_stream(stream.name, stream.kind, values, window, min_bins=MIN_BINS)


def missing_flag(stream: Stream, name: str, window: int) -> NumericStream:
    """Return the reference of a binary stream `name`: 1 where the stream has no value, else 0."""
    missing = stream.blocks[:, -1].astype(np.intp)
    records = np.full(len(missing), dependence.BLOCK_SIZE, np.intp)
    rest = stream.count + stream.missing - records.sum()
    missing = np.append(missing, stream.missing - missing.sum())
    present = np.append(records, rest) - missing
    counts = np.stack((missing, present), axis=1)
    flags = np.tile([1.0, 0.0], len(counts)).repeat(counts.ravel())
    return build_numeric_stream(name, Kind.BINARY, flags, window)


def _category_values(
    stream: CategoricalStream, window: int, rng: np.random.Generator
) -> CategoricalStream:
    """Return the reference of the values of a categorical stream."""
    own = stream.counts[: stream.frequent]
    by_cell = np.array([*own, *stream.rare_counts(), stream.other, 0])
    cells = _cells_in_order(stream.blocks, by_cell, rng)
    # the category of each record, to find its cell among the values alone
    cell_of = np.array(list(stream.cell_by_category().values()), np.intp)
    order = np.argsort(cell_of, kind="stable")
    names = np.append(np.repeat(order, stream.counts[order]), np.full(stream.other, -1))
    codes = np.empty(len(names), np.intp)
    codes[np.lexsort((rng.random(len(cells)), cells))] = names
    values = replace(stream, missing=0, blocks=np.zeros((0, 0), np.uint8), inflation=1.0)
    codes[cells == stream.cells - 2] = -1
    table = np.array([*values.cell_by_category().values(), values.cells - 2], np.intp)
    blocks = dependence.count_blocks(table[codes], values.cells)
    inflation = dependence.variance_inflation(blocks, values.bin_of_cell(), None, window)
    return replace(values, blocks=blocks, inflation=inflation)


def _cells_in_order(
    blocks: NDArray[np.uint8], counts: NDArray[np.number], rng: np.random.Generator
) -> Ints:
    """Return the cells of all records with a value, in random order within each block.

    blocks: shape (K, G). counts: all records by cell, shape (G,); the last cell is that of missing
    values. Records after the last block are the last ones. The blocks may have records of rare
    categories in the last cell but one ("other").
    """
    upto = blocks[:, :-1].astype(np.intp)
    rest = counts[:-1].astype(np.intp) - upto.sum(axis=0)
    for cell in range(len(rest) - 2, -1, -1):
        taken = min(max(0, -int(rest[-1])), max(0, int(rest[cell])))
        rest[cell] -= taken
        rest[-1] += taken
    rows = np.concatenate((upto, rest[None]))
    cells = np.tile(np.arange(rows.shape[1]), len(rows)).repeat(rows.ravel())
    number = np.arange(len(rows)).repeat(rows.sum(axis=1))
    return np.asarray(cells[np.lexsort((rng.random(len(cells)), number))], np.intp)
