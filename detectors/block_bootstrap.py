"""Circular block bootstrap: an unlimited number of records resampled from a reference.

A reference keeps the number of records in each cell for each block of 100 records, for all streams
of a model together. The bootstrap concatenates runs of consecutive blocks, each with a random start
(Politis & Romano 1992). A run keeps the dependence between records and between features. The
reference does not keep the order within a block, nor the exact value of a record in its cell; both
are drawn at random.

The lengths of runs vary. Long runs keep slow cycles, but their windows are those of the reference.
Windows across two runs are new.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats, Ints
from detectors.baseline import Baseline
from detectors.categorical_stream import CategoricalStream
from detectors.dependence import BLOCK_SIZE, Blocks
from detectors.numeric_stream import NumericStream

MAX_RUN_SHARE = 0.1
"""Length of the longest run as share of the reference; the shortest run is a window."""
MIN_WINDOWS = 2
"""Windows of the reference required to resample it."""


class BlockBootstrap:
    """A generator of records of a baseline's streams; the same seed gives the same records.

    Raises ValueError if the reference is shorter than MIN_WINDOWS windows.
    """

    def __init__(self, baseline: Baseline, window: int, seed: int | list[int]) -> None:
        self.rng = np.random.default_rng(seed)
        self.baseline = baseline
        self.blocks = min((len(stream.blocks) for stream in baseline.streams), default=0)
        if self.blocks * BLOCK_SIZE < MIN_WINDOWS * window:
            held = self.blocks * BLOCK_SIZE
            raise ValueError(
                f"reference of {held} records is shorter than {MIN_WINDOWS} windows of {window}"
            )
        shortest = -(-window // BLOCK_SIZE)
        self.runs = shortest, max(shortest, int(MAX_RUN_SHARE * self.blocks))
        self.at, self.left = 0, 0
        self.rest: tuple[Floats, NDArray[np.uint8]] = (
            np.empty((len(baseline.numeric), 0)),
            np.empty((len(baseline.binned), 0), np.uint8),
        )

    def take(self, records: int) -> tuple[Floats, NDArray[np.uint8]]:
        """Return the next records for `Window.extend`: values (F, n) and cells (C, n)."""
        values, categories = self.rest
        needed = records - values.shape[1]
        if needed > 0:
            more = self._draw_records(self._next_blocks(-(-needed // BLOCK_SIZE)))
            values = np.concatenate((values, more[0]), axis=1)
            categories = np.concatenate((categories, more[1]), axis=1)
        self.rest = values[:, records:], categories[:, records:]
        return values[:, :records], categories[:, :records]

    def _next_blocks(self, count: int) -> Ints:
        """Return the indices of the next blocks in the reference, shape (count,)."""
        picked = np.empty(count, np.intp)
        for i in range(count):
            if not self.left:
                self.at, self.left = int(self.rng.integers(self.blocks)), self._run_length()
            picked[i] = self.at
            self.at, self.left = (self.at + 1) % self.blocks, self.left - 1
        return picked

    def _run_length(self) -> int:
        """Return the number of blocks of the next run, with a uniformly distributed logarithm."""
        shortest, longest = self.runs
        return int(shortest * (longest / shortest) ** self.rng.random())

    def _draw_records(self, picked: Ints) -> tuple[Floats, NDArray[np.uint8]]:
        """Return records of the picked blocks: values (F, n) and cells (C, n)."""
        values = np.empty((len(self.baseline.numeric), len(picked) * BLOCK_SIZE))
        categories = np.empty((len(self.baseline.binned), values.shape[1]), np.uint8)
        for row, stream in zip(values, self.baseline.numeric, strict=True):
            row[:] = self._draw_values(stream, self._draw_cells(stream.blocks, picked))
        for codes, category in zip(categories, self.baseline.binned, strict=True):
            cells = self._draw_cells(category.blocks, picked)
            if isinstance(category, CategoricalStream):
                cells = self._with_unseen(category, cells)
            codes[:] = cells
        return values, categories

    def _with_unseen(self, stream: CategoricalStream, cells: Ints) -> Ints:
        """Return cells in which as many rare records as expected are of unseen categories.

        The blocks have those that one window contains, and not those that Good's estimate adds
        (see `CategoricalStream.unseen`).
        """
        more = stream.unseen - stream.unseen_in_blocks
        if more <= 0:
            return cells
        losing = np.zeros(stream.cells, np.bool_)
        losing[stream.frequent : -2] = stream.unseen_from
        held = float(stream.rare_counts()[stream.unseen_from].sum()) - stream.unseen_in_blocks
        unseen = losing[cells] & (self.rng.random(len(cells)) * held < more)
        return np.where(unseen, stream.cells - 2, cells)

    def _draw_cells(self, blocks: Blocks, picked: Ints) -> Ints:
        """Return the cells of the picked blocks' records, in random order in each, shape (n,)."""
        counts = blocks[picked]
        cells = np.tile(np.arange(counts.shape[1]), len(picked)).repeat(counts.ravel())
        return self.rng.permuted(cells.reshape(-1, BLOCK_SIZE), axis=1).ravel()

    def _draw_values(self, stream: NumericStream, cells: Ints) -> Floats:
        """Return a random value of the reference from each cell, NaN for missing values."""
        counts = stream.cell_counts().astype(np.intp)
        counts[-1] = 0
        starts = counts.cumsum() - counts
        positions = starts[cells] + (self.rng.random(len(cells)) * counts[cells]).astype(np.intp)
        if len(stream.support) < stream.count:
            positions = stream.below[1:].searchsorted(positions, "right")
        missing = cells == len(counts) - 1
        return np.where(
            missing, np.nan, stream.support[np.minimum(positions, len(stream.support) - 1)]
        )
