"""The accepted reference of one stream, frozen.

A numeric stream keeps its whole empirical distribution (the sorted distinct values and how many
records lie below each), because an exact KS test needs it. What every record needs is small:

- cells: a fine division of the real line, about 64 equal-frequency intervals of the reference and
  finer ones in its tails, in which every frequent value stands alone; below and above all that the
  reference had are cells of their own, and so are missing values. A record is put into its cell on
  arrival, once;
- bins: at most ten equal-frequency groups of cells, and again below, above and missing. PSI and
  chi-squared count by bin, KS bounds its distance by cell, ADWIN, Page-Hinkley and the e-detector
  count by cell, the z-score takes the median of the cell for the value.

Cells and bins are fixed for the life of the reference. How many records of each hundred fell into
each cell is kept as well: it holds all that is known of how the records depend on each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors import dependence
from detectors.base import Floats, Ints, Kind
from detectors.dependence import BLOCK, Blocks

EXPECTED_PER_BIN = 50
"""PSI's chi-squared tail is right within 15 % from here on (measured down to 1e-4)."""

MAX_BINS = 10
FINE_CELLS = 64
"""Equal-frequency cells of a numeric stream, before bins and frequent values add theirs."""

TAILS = (0.001, 0.003, 0.01)
"""Shares of the reference beyond which, at either end, cells start too: where answers are slowest,
and costs highest, a 64th of the records is too coarse."""

MIN_IN_TAIL = 20
"""Fewer records of the reference do not say where a tail begins."""

RARE_SHARE = 0.01
"""Categories below this share of the reference are counted together."""


@dataclass(frozen=True)
class NumericStream:
    """The reference window of one numeric or binary stream.

    support: shape (U,), the sorted distinct values, infinities included.
    below: shape (U + 1,), how many records had a value less than support[i]; below[U] counts all.
    edges: shape (E,), the values at which a new equal-frequency bin starts.
    cuts: shape (G - 2,), the values at which a new cell starts; `edges` is a part of it.
    blocks: shape (K, G), records by cell of consecutive blocks of BLOCK records, in their order.
    inflation: variance of block means of ranks and of shares of bins over what independent
        records would give, in the worst case, >= 1.
    """

    name: str
    kind: Kind
    support: Floats
    below: NDArray[np.int64]
    missing: int
    edges: Floats
    cuts: Floats
    blocks: Blocks
    inflation: float

    @property
    def count(self) -> int:
        """Records that had a value."""
        return int(self.below[-1])

    @property
    def mean(self) -> float:
        """Mean of the finite values; NaN without any."""
        finite = np.isfinite(self.support)
        weights = np.diff(self.below)[finite]
        if not len(weights):
            return float("nan")
        # divided before it is summed, so that huge values do not overflow
        return float((self.support[finite] * (weights / weights.sum())).sum())

    def block_means(self, records: int) -> Floats:
        """Mean scores of consecutive blocks of about `records` records (a multiple of BLOCK)."""
        step = max(1, records // BLOCK)
        if step not in self._block_means:
            self._block_means[step] = self._means_of_blocks(records)
        return self._block_means[step]

    @cached_property
    def _block_means(self) -> dict[int, Floats]:
        # by hundreds of records; several detectors ask for the same ones
        return {}

    def _means_of_blocks(self, records: int) -> Floats:
        counts = dependence.in_blocks_of(records, self.blocks)[:, :-1]
        present = counts.sum(axis=1)
        sums = counts @ self.cell_scores()[:-1]
        return np.asarray(sums[present > 0] / present[present > 0])

    def quantile(self, q: float) -> float:
        """The smallest value with at least a share q of the records at or below it."""
        if not self.count:
            return float("nan")
        index = int(np.searchsorted(self.below[1:], q * self.count, side="left"))
        return float(self.support[min(index, len(self.support) - 1)])

    def values(self) -> Floats:
        """All values of the reference, sorted, shape (count,)."""
        return np.repeat(self.support, np.diff(self.below))

    def cell_of(self, values: Floats) -> Ints:
        """The cells of values, both of shape (n,)."""
        # NaN is searched to the end, into the cell of too large values; its own is one further
        cells: Ints = self.cuts.searchsorted(values, side="right").astype(np.intp, copy=False)
        return cells + np.isnan(values)

    def cell_counts(self) -> Floats:
        """Reference records by cell, shape (G,)."""
        return self._cell_counts

    @cached_property
    def _cell_counts(self) -> Floats:
        # nearly all else follows from it, and a restart makes it for thousands of streams
        weights = np.diff(self.below).astype(float)
        counts = np.bincount(self.cell_of(self.support), weights, minlength=len(self.cuts) + 2)
        counts[-1] = self.missing
        counts.flags.writeable = False
        return np.asarray(counts, np.float64)

    def cell_slack(self) -> float:
        """The largest share of the reference in any cell that has room for two values."""
        lone = np.append(_next(self.cuts[:-1]) == self.cuts[1:], self.cuts[-1] == np.inf)
        within = self.cell_counts()[1:-1]
        return float(within[~lone].max(initial=0.0)) / max(1, self.count)

    def cell_ranks(self) -> Floats:
        """The mid-rank of every cell, shape (G,): the reference's share below plus half its own.

        Over the reference its mean is 1/2. NaN for missing values.
        """
        counts = self.cell_counts()[:-1]
        ranks = (counts.cumsum() - counts / 2) / max(1, self.count)
        return np.append(ranks, np.nan)

    def cell_scores(self) -> Floats:
        """A stand-in for the values of every cell, shape (G,); NaN for missing values.

        The median of the reference's values in the cell, but no more extreme than the middle of the
        outermost 64th of them, moved and scaled to fit into [-1, 1]: a mean of scores is a mean of
        winsorised values.
        Cells without a finite value take what lies between their neighbours.
        """
        return self._cell_scores

    @cached_property
    def _cell_scores(self) -> Floats:
        counts = self.cell_counts()[:-1]
        upto = counts.cumsum()
        held = np.flatnonzero(counts > 0)
        middle = self.below[1:].searchsorted(upto[held] - counts[held] / 2)
        medians = self.support[middle]
        finite = np.isfinite(medians)
        held, medians = held[finite], medians[finite]
        if not len(held):
            return np.append(np.zeros(len(counts)), np.nan)
        outermost = [self.quantile(q) for q in (0.5 / FINE_CELLS, 1 - 0.5 / FINE_CELLS)]
        medians = medians.clip(*np.clip(outermost, medians[0], medians[-1]))
        scores = _unit(_unit(medians) - _unit(medians)[len(medians) // 2])
        return np.append(np.interp(np.arange(len(counts)), held, scores), np.nan)

    def bin_of_cell(self) -> Ints:
        """The bin of every cell, shape (G,): below, the len(edges) + 1 within, above, missing."""
        within = 1 + self.edges.searchsorted(self.cuts[:-1], side="right")
        above = len(self.edges) + 2
        return np.concatenate(([0], within, [above, above + 1])).astype(np.intp)

    def bin_counts(self) -> Floats:
        """Reference records by bin, shape (len(edges) + 4,)."""
        return np.asarray(np.bincount(self.bin_of_cell(), self.cell_counts()), np.float64)

    def bin_names(self) -> tuple[str, ...]:
        """What each bin holds, for people."""
        if not self.count:
            return ("below", "any", "above", "missing")
        low, high = float(self.support[0]), float(self.support[-1])
        marks = [low, *self.edges.tolist(), high]
        within = [f"{a:g} to {b:g}" for a, b in pairwise(marks)]
        return (f"below {low:g}", *within, f"above {high:g}", "missing")


@dataclass(frozen=True, slots=True)
class CategoricalStream:
    """The reference window of one categorical stream: its categories, most frequent first.

    other: records of the categories that were too many to be kept. blocks, inflation: as those of
    a numeric stream; a category needs no cells finer than its bins.
    """

    name: str
    categories: tuple[str, ...]
    counts: NDArray[np.int64]
    missing: int
    other: int
    blocks: Blocks
    inflation: float

    kind = Kind.CATEGORICAL

    @property
    def count(self) -> int:
        """Records that had a value."""
        return int(self.counts.sum()) + self.other

    def cell_counts(self) -> Floats:
        """A category needs no cells finer than its bins, shape (bins,)."""
        return self.bin_counts()

    @property
    def own(self) -> int:
        """How many categories have a bin of their own."""
        return int((self.counts >= RARE_SHARE * (self.count + self.missing)).sum())

    @property
    def bins(self) -> int:
        """Bins: the frequent categories, rare (known but below RARE_SHARE), other, missing."""
        return self.own + 3

    def bin_counts(self) -> Floats:
        """Reference records by bin, shape (bins,)."""
        rare = self.counts[self.own :].sum()
        return np.concatenate((self.counts[: self.own], [rare, self.other, self.missing])).astype(
            float
        )

    def bin_of_cell(self) -> Ints:
        """Every cell is a bin, shape (bins,)."""
        return np.arange(self.bins)

    def bin_of(self) -> dict[str, int]:
        """The bin of every known category; what is not in it is "other"."""
        return {name: min(i, self.own) for i, name in enumerate(self.categories)}

    def bins_by_code(self, vocabulary: Sequence[str]) -> Ints:
        """The bin of every code of a vocabulary; code -1, a missing value, finds the last entry."""
        bin_of, missing, unknown = self.bin_of(), self.bins - 1, self.bins - 2
        return np.array([*(bin_of.get(name, unknown) for name in vocabulary), missing], np.intp)

    def bin_names(self) -> tuple[str, ...]:
        """What each bin holds, for people."""
        return (*self.categories[: self.own], "rare", "other", "missing")


def numeric_stream(name: str, kind: Kind, values: Floats, window: int) -> NumericStream:
    """The reference of one numeric or binary stream.

    values: shape (N,), in the order of arrival, NaN where missing.
    window: records of the windows to be compared with it; bins expect EXPECTED_PER_BIN of them.
    """
    present = values[~np.isnan(values)]
    support, counts = np.unique(present, return_counts=True)
    below = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    bins = max(2, min(MAX_BINS, min(window, len(present)) // EXPECTED_PER_BIN))
    edges = support[_equal_frequency(below, bins)]
    stream = NumericStream(
        name=name,
        kind=kind,
        support=support,
        below=below,
        missing=len(values) - len(present),
        edges=edges,
        cuts=_cuts(support, below, edges),
        blocks=np.zeros((0, 0), np.uint8),
        inflation=1.0,
    )
    blocks = dependence.count_blocks(stream.cell_of(values), len(stream.cuts) + 2)
    inflation = dependence.inflation(blocks, stream.bin_of_cell(), stream.cell_ranks(), window)
    return replace(stream, blocks=blocks, inflation=inflation)


def categorical_stream(
    name: str, vocabulary: Sequence[str], codes: Ints, window: int, *, most: int = 1000
) -> CategoricalStream:
    """The reference of one categorical stream.

    codes: shape (N,), in the order of arrival, places in the vocabulary; -1 where missing.
    window: as in `numeric_stream`.
    most: how many categories are told apart, the most frequent ones; the others are "other".
    """
    counts = np.bincount(codes[codes >= 0], minlength=len(vocabulary))
    order = sorted(np.flatnonzero(counts).tolist(), key=lambda i: (-counts[i], vocabulary[i]))
    kept, dropped = order[:most], order[most:]
    stream = CategoricalStream(
        name=name,
        categories=tuple(vocabulary[i] for i in kept),
        counts=counts[kept].astype(np.int64),
        missing=int((codes < 0).sum()),
        other=int(counts[dropped].sum()),
        blocks=np.zeros((0, 0), np.uint8),
        inflation=1.0,
    )
    # code -1, a missing value, finds the last entry
    bins = np.full(len(vocabulary) + 1, stream.bins - 2, np.intp)
    bins[kept] = np.minimum(np.arange(len(kept)), stream.own)
    bins[-1] = stream.bins - 1
    blocks = dependence.count_blocks(bins[codes], stream.bins)
    inflation = dependence.inflation(blocks, stream.bin_of_cell(), None, window)
    return replace(stream, blocks=blocks, inflation=inflation)


def _next(values: Floats) -> Floats:
    """The smallest double above each value."""
    with np.errstate(over="ignore"):  # infinity follows the largest
        return np.asarray(np.nextafter(values, np.inf), np.float64)


def _unit(values: Floats) -> Floats:
    """The values over the largest of their magnitudes."""
    largest = float(np.abs(values).max(initial=0.0))
    return values / largest if largest else values


def _equal_frequency(below: NDArray[np.int64], bins: int) -> Ints:
    """Where the bins start: the distinct values nearest to the equal-frequency cuts."""
    distinct = len(below) - 1
    if distinct <= bins:
        return np.arange(1, distinct, dtype=np.intp)
    cuts = below[-1] * np.arange(1, bins) / bins
    right = np.searchsorted(below, cuts)
    nearest = np.where(cuts - below[right - 1] <= below[right] - cuts, right - 1, right)
    edges = np.unique(nearest)
    return edges[(edges > 0) & (edges < distinct)].astype(np.intp)


def _cuts(support: Floats, below: NDArray[np.int64], edges: Floats) -> Floats:
    """Where the cells start: equal-frequency cuts, bins, and both sides of frequent values."""
    if not len(support):
        return np.zeros(1)
    frequent = support[np.diff(below) * FINE_CELLS >= below[-1]]
    fine = support[_equal_frequency(below, FINE_CELLS)]
    lone = np.concatenate((support[:1], frequent, fine, edges, support[_tail_marks(below)]))
    after = _next(np.append(frequent, support[-1]))
    return np.unique(np.concatenate((lone, after)))


def _tail_marks(below: NDArray[np.int64]) -> Ints:
    """The distinct values nearest to the quantiles in TAILS, from either end."""
    shares = np.array([q for q in TAILS if q * below[-1] >= MIN_IN_TAIL])
    marks = np.searchsorted(below, below[-1] * np.concatenate((shares, 1 - shares)))
    return np.unique(marks[marks < len(below) - 1]).astype(np.intp)
