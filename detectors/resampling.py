"""Records like those of a reference, without end: resampled in runs, as dependent as they were.

A reference keeps how many records of each block of 100 fell into each cell, of all streams of a
model together. Runs of consecutive blocks, each begun at a random place, are put one after the
other (the circular block bootstrap of Politis & Romano 1992): within a run all that is known of the
dependence between records and between features is as it was. Not known is the order within a block,
and which of a cell's values a record had; both are drawn at random.

Runs are of many lengths. In long ones slow cycles stay what they were, but the windows in them are
those of the reference and no others; where two runs meet, there are windows that never were.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.base import Floats, Ints
from detectors.baseline import Baseline
from detectors.dependence import BLOCK, Blocks
from detectors.streams import NumericStream

LONGEST_RUN = 0.1
"""Of the reference; the shortest run is a window."""
LEAST_WINDOWS = 2
"""Windows that a reference must hold to be resampled."""


class Resampling:
    """An endless supply of records of a baseline's streams; the same seed gives the same records.

    Raises ValueError where the reference holds no two windows to resample.
    """

    def __init__(self, baseline: Baseline, window: int, seed: int | list[int]) -> None:
        self.rng = np.random.default_rng(seed)
        self.baseline = baseline
        self.blocks = min((len(stream.blocks) for stream in baseline.streams), default=0)
        if self.blocks * BLOCK < LEAST_WINDOWS * window:
            held = self.blocks * BLOCK
            raise ValueError(f"a reference of {held} records holds no two windows of {window}")
        shortest = -(-window // BLOCK)
        self.runs = shortest, max(shortest, int(LONGEST_RUN * self.blocks))
        self.at, self.left = 0, 0
        self.rest: tuple[Floats, NDArray[np.uint8]] = (
            np.empty((len(baseline.numeric), 0)),
            np.empty((len(baseline.categorical), 0), np.uint8),
        )

    def take(self, records: int) -> tuple[Floats, NDArray[np.uint8]]:
        """The next records, as `Window.extend` takes them: values (F, n) and bins (C, n)."""
        values, categories = self.rest
        lacking = records - values.shape[1]
        if lacking > 0:
            more = self._of_blocks(self._next_blocks(-(-lacking // BLOCK)))
            values = np.concatenate((values, more[0]), axis=1)
            categories = np.concatenate((categories, more[1]), axis=1)
        self.rest = values[:, records:], categories[:, records:]
        return values[:, :records], categories[:, :records]

    def _next_blocks(self, count: int) -> Ints:
        """The places of the next blocks in the reference, shape (count,)."""
        picked = np.empty(count, np.intp)
        for i in range(count):
            if not self.left:
                self.at, self.left = int(self.rng.integers(self.blocks)), self._length()
            picked[i] = self.at
            self.at, self.left = (self.at + 1) % self.blocks, self.left - 1
        return picked

    def _length(self) -> int:
        """How many blocks the next run has: as often one to two windows as two to four."""
        shortest, longest = self.runs
        return int(shortest * (longest / shortest) ** self.rng.random())

    def _of_blocks(self, picked: Ints) -> tuple[Floats, NDArray[np.uint8]]:
        values = np.empty((len(self.baseline.numeric), len(picked) * BLOCK))
        categories = np.empty((len(self.baseline.categorical), values.shape[1]), np.uint8)
        for row, stream in zip(values, self.baseline.numeric, strict=True):
            row[:] = self._values(stream, self._cells(stream.blocks, picked))
        for bins, category in zip(categories, self.baseline.categorical, strict=True):
            bins[:] = self._cells(category.blocks, picked)
        return values, categories

    def _cells(self, blocks: Blocks, picked: Ints) -> Ints:
        """The cells of the records of some blocks, in any order within each, shape (n,)."""
        counts = blocks[picked]
        cells = np.tile(np.arange(counts.shape[1]), len(picked)).repeat(counts.ravel())
        return self.rng.permuted(cells.reshape(-1, BLOCK), axis=1).ravel()

    def _values(self, stream: NumericStream, cells: Ints) -> Floats:
        """Any of the reference's values in each of the cells, NaN in that of missing ones."""
        held = stream.cell_counts().astype(np.intp)
        held[-1] = 0
        first = held.cumsum() - held
        places = first[cells] + (self.rng.random(len(cells)) * held[cells]).astype(np.intp)
        if len(stream.support) < stream.count:
            places = stream.below[1:].searchsorted(places, "right")
        missing = cells == len(held) - 1
        return np.where(
            missing, np.nan, stream.support[np.minimum(places, len(stream.support) - 1)]
        )
