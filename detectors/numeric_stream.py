"""The accepted reference of one numeric or binary stream.

A numeric stream keeps its whole empirical distribution (the sorted distinct values and the number
of records below each), because an exact KS test needs it. Detectors read two coarser divisions:

- Cells divide the real line finely: about 64 equal-frequency intervals of the reference, and
  smaller ones in its tails. Every frequent value has its own cell. Values below the reference's
  minimum, values above its maximum and missing values have a cell each. A record is assigned to
  its cell once, on arrival.
- Bins group cells: at most ten equal-frequency bins, and bins for below, above and missing.

Bins and cells start between values of the reference, and the cell of a frequent value includes what
differs from it by less than the `resolution`. So a change of rounding moves no record to another
bin, however many records have the same value.

PSI and chi-squared count by bin. KS bounds its distance by cell. ADWIN, Page-Hinkley and the
e-detector count by cell. The z-score replaces a value with the median of its cell.

Cells and bins do not change during the life of the reference. The reference also keeps the number
of records in each cell for every block of a hundred records, from which the dependence between
records is estimated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detectors import dependence
from detectors.arrays import Floats, Ints
from detectors.dependence import BLOCK_SIZE, Blocks
from detectors.kinds import Kind
from detectors.range_names import range_names

EXPECTED_PER_BIN = 50
"""Expected records of the window in a bin. From this number on, PSI's chi-squared tail is accurate
within 15 % (measured down to 1e-4)."""

MAX_BINS = 10
FINE_CELLS = 64
"""Equal-frequency cells of a numeric stream, without those of bins and frequent values."""

TAILS = (0.001, 0.003, 0.01)
"""Shares of the reference, at either end, at which additional cells start. The slowest and the
most expensive records are there, and a 64th of the records is too coarse for them."""

MIN_IN_TAIL = 20
"""Records of the reference required in a tail to locate its start."""

RELATIVE_RESOLUTION = 2.0**-21
"""Relative difference between values that are considered equal: several units in the last place of
a single-precision number."""
MAX_SPACED = 1e300
"""Magnitude up to which differences between values cannot overflow."""
ABSOLUTE_RESOLUTION = 1e-9
"""The same difference near 0, relative to the stream's median magnitude: what a difference of two
values leaves of their rounding."""


@dataclass(frozen=True)
class NumericStream:
    """The reference window of one numeric or binary stream.

    support: shape (U,), the sorted distinct values, infinities included.
    below: shape (U + 1,), number of records with a value less than support[i]; below[U] is the
        number of all records with a value.
    edges: shape (E,), where a new equal-frequency bin starts.
    cuts: shape (G - 2,), where a new cell starts; includes `edges`.
    blocks: shape (K, G), records by cell of consecutive blocks of BLOCK_SIZE records.
    inflation: largest ratio, >= 1, of the variance of block means of ranks and of shares of bins
        to the variance with independent records.
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
        """Number of records with a value."""
        return int(self.below[-1])

    @cached_property
    def mean(self) -> float:
        """Mean of the finite values; NaN if there are none."""
        values, shares = self._finite
        # shares, not counts: the sum of huge values would overflow
        return float((values * shares).sum()) if len(values) else float("nan")

    @cached_property
    def variance(self) -> float:
        """Variance of the finite values; infinite if they are huge, NaN if there are none."""
        values, shares = self._finite
        with np.errstate(over="ignore"):
            return float(shares @ (values - self.mean) ** 2) if len(values) else float("nan")

    @property
    def _finite(self) -> tuple[Floats, Floats]:
        """The finite distinct values, and the share of records with each."""
        finite = np.isfinite(self.support)
        counts = np.diff(self.below)[finite]
        return self.support[finite], counts / max(1, counts.sum())

    def block_means(self, records: int) -> Floats:
        """Return mean scores of consecutive blocks of about `records` records.

        The length of a block is a multiple of BLOCK_SIZE.
        """
        step = max(1, records // BLOCK_SIZE)
        if step not in self._block_means:
            self._block_means[step] = self._means_of_blocks(records)
        return self._block_means[step]

    @cached_property
    def _block_means(self) -> dict[int, Floats]:
        # by blocks of BLOCK_SIZE merged; several detectors use the same ones
        return {}

    def _means_of_blocks(self, records: int) -> Floats:
        counts = dependence.merge_blocks(records, self.blocks)[:, :-1]
        present = counts.sum(axis=1)
        sums = counts @ self.cell_scores()[:-1]
        return np.asarray(sums[present > 0] / present[present > 0])

    def quantile(self, q: float) -> float:
        """Return the smallest value with at least a share q of the records at or below it."""
        if not self.count:
            return float("nan")
        index = int(np.searchsorted(self.below[1:], q * self.count, side="left"))
        return float(self.support[min(index, len(self.support) - 1)])

    def values(self) -> Floats:
        """Return all values of the reference, sorted, shape (count,)."""
        return np.repeat(self.support, np.diff(self.below))

    def cell_of(self, values: Floats) -> Ints:
        """Return the cells of values, both of shape (n,)."""
        # searchsorted puts NaN into the cell above the maximum; the next one is for NaN
        cells: Ints = self.cuts.searchsorted(values, side="right").astype(np.intp, copy=False)
        return cells + np.isnan(values)

    def cell_counts(self) -> Floats:
        """Return reference records by cell, shape (G,)."""
        return self._cell_counts

    @cached_property
    def _cell_counts(self) -> Floats:
        # most derived arrays need it, and a restart computes them for thousands of streams
        weights = np.diff(self.below).astype(float)
        counts = np.bincount(self.cell_of(self.support), weights, minlength=len(self.cuts) + 2)
        counts[-1] = self.missing
        counts.flags.writeable = False
        return np.asarray(counts, np.float64)

    def cell_slack(self) -> float:
        """Return the largest share of the reference in a cell that can hold several values."""
        stops = np.append(self.cuts[1:], np.inf)
        with np.errstate(over="ignore"):  # infinity follows the largest number
            narrow = self.cuts + 4 * self.resolution(self.cuts)
            single = stops <= np.maximum(narrow, np.nextafter(self.cuts, np.inf))
        within = self.cell_counts()[1:-1]
        return float(within[~single].max(initial=0.0)) / max(1, self.count)

    def resolution(self, values: Floats) -> Floats:
        """Return the differences from values below which other values are considered equal."""
        return resolution(values, self._magnitude)

    @cached_property
    def _magnitude(self) -> float:
        return median_magnitude(self.support, self.below)

    def cell_ranks(self) -> Floats:
        """Return the mid-rank of every cell, shape (G,); NaN for missing values.

        The mid-rank is the reference's share below the cell plus half the share in it. Its mean
        over the reference is 1/2.
        """
        counts = self.cell_counts()[:-1]
        ranks = (counts.cumsum() - counts / 2) / max(1, self.count)
        return np.append(ranks, np.nan)

    def cell_scores(self) -> Floats:
        """Return the score of every cell, shape (G,); NaN for missing values.

        The score is the median of the reference's values in the cell, clipped to the medians of
        the outermost 64ths of the values, then shifted and scaled into [-1, 1]. A mean of scores is
        therefore a mean of winsorised values. Cells without a finite value are interpolated.
        """
        return self._cell_scores

    @cached_property
    def _cell_scores(self) -> Floats:
        counts = self.cell_counts()[:-1]
        upto = counts.cumsum()
        filled = np.flatnonzero(counts > 0)
        middle = self.below[1:].searchsorted(upto[filled] - counts[filled] / 2)
        medians = self.support[middle]
        finite = np.isfinite(medians)
        filled, medians = filled[finite], medians[finite]
        if not len(filled):
            return np.append(np.zeros(len(counts)), np.nan)
        outermost = [self.quantile(q) for q in (0.5 / FINE_CELLS, 1 - 0.5 / FINE_CELLS)]
        medians = medians.clip(*np.clip(outermost, medians[0], medians[-1]))
        scores = _scaled(_scaled(medians) - _scaled(medians)[len(medians) // 2])
        return np.append(np.interp(np.arange(len(counts)), filled, scores), np.nan)

    def bin_of_cell(self) -> Ints:
        """Return the bin of every cell, shape (G,).

        Bins are: below, the len(edges) + 1 within, above, missing.
        """
        within = 1 + self.edges.searchsorted(self.cuts[:-1], side="right")
        above = len(self.edges) + 2
        return np.concatenate(([0], within, [above, above + 1])).astype(np.intp)

    def bin_counts(self) -> Floats:
        """Return reference records by bin, shape (len(edges) + 4,)."""
        return np.asarray(np.bincount(self.bin_of_cell(), self.cell_counts()), np.float64)

    def bin_names(self) -> tuple[str, ...]:
        """Return the display names of the bins."""
        if not self.count:
            return ("below", "any", "above", "missing")
        starts = self.support.searchsorted(self.edges)
        first = self.support[np.concatenate(([0], starts))]
        last = self.support[np.concatenate((starts, [len(self.support)])) - 1]
        return range_names(first.tolist(), last.tolist())


def build_numeric_stream(
    name: str, kind: Kind, values: Floats, window: int, *, min_bins: int = 2
) -> NumericStream:
    """Return the reference of one numeric or binary stream.

    values: shape (N,), in the order of arrival, NaN where missing.
    window: records of the windows to compare with it; a bin expects EXPECTED_PER_BIN of them.
    min_bins: number of equal-frequency bins however short the window is.
    """
    present = values[~np.isnan(values)]
    support, counts = np.unique(present, return_counts=True)
    below = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    bins = max(min_bins, min(MAX_BINS, min(window, len(present)) // EXPECTED_PER_BIN))
    clusters = _Clusters(support, below)
    edges = clusters.starts(_equal_frequency(clusters.below, bins))
    stream = NumericStream(
        name=name,
        kind=kind,
        support=support,
        below=below,
        missing=len(values) - len(present),
        edges=edges,
        cuts=clusters.cuts(edges),
        blocks=np.zeros((0, 0), np.uint8),
        inflation=1.0,
    )
    blocks = dependence.count_blocks(stream.cell_of(values), len(stream.cuts) + 2)
    inflation = dependence.variance_inflation(
        blocks, stream.bin_of_cell(), stream.cell_ranks(), window
    )
    return replace(stream, blocks=blocks, inflation=inflation)


def resolution(values: Floats, magnitude: float) -> Floats:
    """Return the differences from values below which other values are considered equal.

    magnitude: median of the stream's magnitudes.
    """
    sizes = np.where(np.isfinite(values), np.abs(values), 0.0)
    return np.asarray(
        np.maximum(RELATIVE_RESOLUTION * sizes, ABSOLUTE_RESOLUTION * magnitude), np.float64
    )


def median_magnitude(support: Floats, below: NDArray[np.int64]) -> float:
    """Return the median of the magnitudes of finite values other than 0.

    1 without any: what a stream of zeros measures is not known, and a rounding error that small is
    no change.
    """
    known = np.isfinite(support) & (support != 0)
    sizes, counts = np.abs(support[known]), np.diff(below)[known]
    if not len(sizes):
        return 1.0
    order = np.argsort(sizes)
    middle = int(counts[order].cumsum().searchsorted(counts.sum() / 2))
    return float(sizes[order][middle])


class _Clusters:
    """The distinct values of a reference, those that are equal within the resolution together.

    Only values near a frequent value are put together: of others each has few records.
    below: shape (C + 1,), number of records with a value below each cluster, and of all.
    """

    def __init__(self, support: Floats, below: NDArray[np.int64]) -> None:
        self.support, self.total = support, int(below[-1])
        magnitude = median_magnitude(support, below)
        self.frequent = np.diff(below) * FINE_CELLS >= self.total
        margin = resolution(support, magnitude)
        with np.errstate(over="ignore", invalid="ignore"):  # infinities are far from any value
            near = np.append(False, np.diff(support) <= margin[1:])[: len(support)]
        beside = self.frequent | np.roll(self.frequent, 1) if len(support) else self.frequent
        self.first = np.flatnonzero(~(near & beside))
        self.below = np.append(below[self.first], below[-1])
        self.margin = margin

    def starts(self, clusters: Ints) -> Floats:
        """Return where clusters start: midway between their least value and the one below."""
        index = self.first[clusters]
        low, high = self.support[index - 1], self.support[index]
        with np.errstate(invalid="ignore"):  # there is nothing between two infinities
            middle = low / 2 + high / 2
        between: Floats = np.where((low < middle) & (middle < high), middle, high)
        return between

    def cuts(self, edges: Floats) -> Floats:
        """Return where cells start: quantiles, bins, tails, and both sides of frequent values."""
        if not len(self.support):
            return np.zeros(1)
        quantiles = self.starts(_equal_frequency(self.below, FINE_CELLS))
        tails = _tail_starts(self.below)
        least, largest = self.support[:1], self.support[-1:]
        outside = np.maximum(self._spacing() / 2, self.margin)
        frequent, around = self.support[self.frequent], self.margin[self.frequent]
        with np.errstate(over="ignore"):  # infinity follows the largest number
            low, high = least - outside[:1], _above(largest, outside[-1:])
            sides = np.concatenate((frequent - around, _above(frequent, around)))
        inner = np.concatenate((quantiles, edges, self.starts(tails[tails > 0]), sides))
        return np.unique(np.concatenate((low, inner.clip(low, high), high)))

    def _spacing(self) -> float:
        """Return the median difference between neighbouring clusters; 0 for a constant."""
        values = self.support[self.first]
        gaps = np.diff(values[np.abs(values) <= MAX_SPACED])
        return float(np.median(gaps)) if len(gaps) else 0.0


def _above(values: Floats, margin: Floats) -> Floats:
    """Return the sums, and the next double of a value that its sum equals."""
    return np.asarray(np.maximum(values + margin, np.nextafter(values, np.inf)), np.float64)


def _scaled(values: Floats) -> Floats:
    """Return the values divided by the largest of their magnitudes."""
    largest = float(np.abs(values).max(initial=0.0))
    return values / largest if largest else values


def _equal_frequency(below: NDArray[np.int64], bins: int) -> Ints:
    """Return where bins start: indices of the distinct values nearest to equal-frequency cuts."""
    distinct = len(below) - 1
    if distinct <= bins:
        return np.arange(1, distinct, dtype=np.intp)
    cuts = below[-1] * np.arange(1, bins) / bins
    right = np.searchsorted(below, cuts)
    nearest = np.where(cuts - below[right - 1] <= below[right] - cuts, right - 1, right)
    edges = np.unique(nearest)
    return edges[(edges > 0) & (edges < distinct)].astype(np.intp)


def _tail_starts(below: NDArray[np.int64]) -> Ints:
    """Return indices of the distinct values nearest to the quantiles of TAILS, at both ends."""
    shares = np.array([q for q in TAILS if q * below[-1] >= MIN_IN_TAIL])
    starts = np.searchsorted(below, below[-1] * np.concatenate((shares, 1 - shares)))
    return np.unique(starts[starts < len(below) - 1]).astype(np.intp)
