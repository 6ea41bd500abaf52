"""The accepted baseline of S streams, frozen: what every detector compares with.

A numeric stream keeps its whole empirical distribution (the sorted distinct values and how many
records lie below each), because an exact KS test needs it. What every record needs is small:

- cells: a fine division of the real line, about 64 equal-frequency intervals of the reference,
  in which every frequent value stands alone, below and above all that the reference had are cells
  of their own, and so are missing values. A record is put into its cell on arrival, once;
- bins: at most ten equal-frequency groups of cells, and again below, above and missing. PSI and
  chi-squared count by bin, KS bounds its distance by cell, ADWIN and Page-Hinkley take the cell's
  mid-rank, the z-score takes the median of the cell for the value.

Cells and bins are fixed for the life of the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import Floats, Ints, Kind

BLOCK = 100
"""Records a block: the grain at which a baseline remembers order, for long-run variances."""

EXPECTED_PER_BIN = 50
"""PSI's chi-squared tail is right within 15 % from here on (measured down to 1e-4)."""

MAX_BINS = 10
FINE_CELLS = 64
"""Equal-frequency cells of a numeric stream, before bins and frequent values add theirs."""

MIN_PER_BLOCK = 5
"""Bins that hold fewer records of a block say nothing of its variance."""

RARE_SHARE = 0.01
"""Categories below this share of the reference are counted together."""


@dataclass(frozen=True)
class NumericStream:
    """The reference window of one numeric or binary stream.

    support: shape (U,), the sorted distinct values, infinities included.
    below: shape (U + 1,), how many records had a value less than support[i]; below[U] counts all.
    edges: shape (E,), the values at which a new equal-frequency bin starts.
    cuts: shape (G - 2,), the values at which a new cell starts; `edges` is a part of it.
    block_sums, block_counts: shape (K,), sums of `cell_scores` and numbers of values over
        consecutive blocks of BLOCK records, in their order.
    rank_inflation: variance of block means of ranks and of shares of bins over what independent
        records would give, in the worst case, >= 1.
    """

    name: str
    kind: Kind
    support: Floats
    below: NDArray[np.int64]
    missing: int
    edges: Floats
    cuts: Floats
    block_sums: Floats
    block_counts: NDArray[np.int64]
    rank_inflation: float

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
        whole = len(self.block_sums) // step * step
        sums = self.block_sums[:whole].reshape(-1, step).sum(axis=1)
        counts = self.block_counts[:whole].reshape(-1, step).sum(axis=1)
        return np.asarray(sums[counts > 0] / counts[counts > 0])

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

        The median of the reference's values in the cell, moved and scaled to fit into [-1, 1], so
        that a mean of scores is a mean of values winsorised at the middle of the outermost cells.
        Cells without a finite value take what lies between their neighbours.
        """
        counts = self.cell_counts()[:-1]
        upto = counts.cumsum()
        held = np.flatnonzero(counts > 0)
        middle = self.below[1:].searchsorted(upto[held] - counts[held] / 2)
        medians = self.support[middle]
        finite = np.isfinite(medians)
        held, medians = held[finite], medians[finite]
        if not len(held):
            return np.append(np.zeros(len(counts)), np.nan)
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

    other: records of the categories that were too many to be kept.
    """

    name: str
    categories: tuple[str, ...]
    counts: NDArray[np.int64]
    missing: int
    other: int = 0

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

    def bin_names(self) -> tuple[str, ...]:
        """What each bin holds, for people."""
        return (*self.categories[: self.own], "rare", "other", "missing")


Stream = NumericStream | CategoricalStream


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
        block_sums=np.zeros(0),
        block_counts=np.zeros(0, np.int64),
        rank_inflation=1.0,
    )
    cells = stream.cell_of(values)
    scores = _blocks(stream.cell_scores()[cells], BLOCK)
    ranks, bins_of = stream.cell_ranks()[cells], stream.bin_of_cell()[cells]
    sizes = {BLOCK, max(BLOCK, window)}
    return replace(
        stream,
        block_sums=np.nansum(scores, axis=1),
        block_counts=(~np.isnan(scores)).sum(axis=1),
        rank_inflation=max(
            *(_mean_inflation(ranks, size) for size in sizes),
            *(_share_inflation(bins_of, size) for size in sizes),
        ),
    )


def categorical_stream(
    name: str, counts: Mapping[str | None, int], *, most: int = 1000
) -> CategoricalStream:
    """The reference of one categorical stream, from its records by category; None where missing.

    most: how many categories are told apart, the most frequent ones; the others are "other".
    """
    known = [(category, count) for category, count in counts.items() if category is not None]
    known.sort(key=lambda item: (-item[1], item[0]))
    return CategoricalStream(
        name=name,
        categories=tuple(category for category, _ in known[:most]),
        counts=np.array([count for _, count in known[:most]], np.int64),
        missing=counts.get(None, 0),
        other=sum(count for _, count in known[most:]),
    )


def _next(values: Floats) -> Floats:
    """The smallest double above each value."""
    with np.errstate(over="ignore"):  # infinity follows the largest
        return np.asarray(np.nextafter(values, np.inf), np.float64)


def _unit(values: Floats) -> Floats:
    """The values over the largest of their magnitudes."""
    largest = float(np.abs(values).max(initial=0.0))
    return values / largest if largest else values


def _blocks(values: Floats, size: int) -> Floats:
    whole = len(values) // size * size
    return values[:whole].reshape(-1, size)


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
    lone = np.concatenate((support[:1], frequent, fine, edges))
    after = _next(np.append(frequent, support[-1]))
    return np.unique(np.concatenate((lone, after)))


def _mean_inflation(ranks: Floats, size: int) -> float:
    """How much more block means of mid-ranks vary than independent records would let them."""
    blocks = _blocks(ranks, size)
    counts = (~np.isnan(blocks)).sum(axis=1)
    present = counts > 0
    variance = float(np.var(ranks[~np.isnan(ranks)])) if present.any() else 0.0
    if present.sum() < 2 or variance == 0.0:
        return 1.0
    means = np.nansum(blocks[present], axis=1) / counts[present]
    return max(1.0, float(means.var(ddof=1)) * float(counts[present].mean()) / variance)


def _share_inflation(bins: Ints, size: int) -> float:
    """The same for the sum of shares of bins, however weighted, that varies most.

    That is the largest eigenvalue of the covariance of the blocks' counts, each over the root of
    what is expected. Estimated from K blocks and d bins, it exceeds 1 even for independent records,
    up to (1 + sqrt(d / K))^2; from there on the bias can be taken off (Baik & Silverstein 2006).
    """
    blocks = len(bins) // size
    bins, width = bins[: blocks * size], int(bins.max(initial=0)) + 1
    place = np.repeat(np.arange(blocks), size) * width + bins
    counts = np.bincount(place, minlength=blocks * width).reshape(blocks, width).astype(float)
    counts = counts[:, counts.sum(axis=0) >= MIN_PER_BLOCK * blocks]
    if counts.shape[1] >= blocks:
        return 1.0
    ratio = counts.shape[1] / blocks
    expected = counts.mean(axis=0)
    scaled = (counts - expected) / np.sqrt(expected)
    largest = float(np.linalg.eigvalsh(scaled.T @ scaled / blocks).max(initial=0.0))
    if largest <= (1 + ratio**0.5) ** 2:
        return 1.0
    middle = largest + 1 - ratio
    return (middle + float(np.sqrt(middle**2 - 4 * largest))) / 2


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
    """What autocorrelation makes of the variances, by stream, shape (S,); 1 for categories."""
    cell_ranks: Floats = field(init=False)
    """The mid-rank of every numeric stream's every cell, shape (F, G); NaN for missing values."""
    cell_scores: Floats = field(init=False)
    """What stands for the values of every numeric stream's every cell; as cell_ranks."""
    bin_of_cell: Ints = field(init=False)
    """Place in the raveled bin_counts of every stream's every cell, shape (S * G,)."""

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
        return len(self.bin_of_cell) // max(1, len(self.streams))

    def streams_of(self, kinds: frozenset[Kind]) -> Ints:
        """The streams whose values are of one of `kinds`, shape (k,)."""
        return np.array([i for i, s in enumerate(self.streams) if s.kind in kinds], np.intp)

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
    return {
        "counts": np.array([s.count for s in streams], float),
        "bin_counts": bin_counts,
        "cell_counts": _padded([s.cell_counts() for s in streams], cells),
        "cell_slack": np.array([s.cell_slack() for s in numeric], float),
        "inflation": np.array([s.rank_inflation for s in numeric] + [1.0] * len(categorical)),
        "cell_ranks": _padded([s.cell_ranks() for s in numeric], cells),
        "cell_scores": _padded([s.cell_scores() for s in numeric], cells),
        "bin_of_cell": (bin_of_cell + rows).ravel().astype(np.intp),
    }


def _padded(rows: Sequence[NDArray[Any]], width: int = 0) -> Floats:
    """The rows one below the other, with zeros where one is shorter."""
    width = max([width, *map(len, rows)])
    return np.array([np.pad(row, (0, width - len(row))) for row in rows], float).reshape(-1, width)
