"""The cells of rare categories.

The share of all rare categories together hardly moves when one of them multiplies: 30 of 0.3 % have
9 %, and 14 % when one has 5 %. So a category that the reference knows well has a cell of its own.
The others are dealt into cells so small that one category can multiply each.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MIN_IN_CELL = 10
"""Records of the reference from which on a rare category has a cell of its own."""
SHARED_SHARE = 0.005
"""Share of the values in a cell of several categories: the default of alarms.min_rate_change."""


def assign_rare_cells(
    counts: NDArray[np.int64],
    lone: NDArray[np.bool_],
    values: int,
    available: int,
    known: float,
) -> NDArray[np.uint8]:
    """Return the cell of each rare category, shape (k,); none if all share one.

    The most frequent ones have cells of their own, except those of which one window has all
    records: they will not come again. The others are dealt in turn, so that each of their cells has
    about the same categories by frequency: what is known of all of them holds for each cell.

    counts: reference records of the categories, most frequent first, shape (k,). lone: which occur
    in one window only. values: reference records with a value. available: number of cells.
    known: expected share of the records of rare categories that are not of unseen ones.
    """
    single = np.flatnonzero((counts >= MIN_IN_CELL) & ~lone)
    # a cell shared by all others remains
    own = min(len(single), available - (len(single) < len(counts)))
    shared = _shared_cells(counts, single[:own], values, known)
    if own + shared > available:
        own = max(available // 2, available - shared) if shared < available else available // 2
        own = min(own, len(single))
        shared = min(available - own, _shared_cells(counts, single[:own], values, known))
    if own + shared < 2:
        return np.zeros(0, np.uint8)
    cells = np.zeros(len(counts), np.uint8)
    others = np.ones(len(counts), np.bool_)
    others[single[:own]] = False
    cells[single[:own]] = np.arange(own)
    cells[others] = own + np.arange(int(others.sum())) % max(1, shared)
    return cells


def _shared_cells(
    counts: NDArray[np.int64], single: NDArray[np.intp], values: int, known: float
) -> int:
    """Return the number of cells of SHARED_SHARE for the categories that are not in `single`.

    Each expects MIN_IN_CELL records of the reference.
    """
    rest = len(counts) - len(single)
    records = known * float(counts.sum() - counts[single].sum())
    cells = min(math.ceil(records / (SHARED_SHARE * max(1, values))), int(records / MIN_IN_CELL))
    return min(rest, max(1, cells))
