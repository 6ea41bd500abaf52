"""The accepted reference of a stream whose values are compared within strata of the records.

The shares of the values depend on the stratum, such as the kind of the prompt. A change of the mix
of strata moves them although nothing has changed within any stratum. So counts are adjusted for the
mix: with n_s records in stratum s, reference shares p_s(v) within it and p(v) overall, the
count c(v) of a value becomes

    c(v) + sum_s n_s (p(v) - p_s(v)).

The adjusted shares deviate from p(v) by as much as the observed ones deviate from those expected of
the mix, sum_s n_s p_s(v) / n (direct standardisation). The adjustment is linear, so that adjusted
counts can be added up, and it keeps their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors import dependence
from detectors.arrays import Floats, Ints
from detectors.dependence import Blocks
from detectors.kinds import Kind
from detectors.strata import Candidates, Rows, Split, grow, strata_of

BORROWED = 2.0
"""Records of the whole reference that are added to each stratum: no share is 0."""
QUARTILES = (0.25, 0.5, 0.75)
MISSING = "missing"


@dataclass(frozen=True)
class ConditionalStream:
    """The reference window of one stream and its strata.

    of: kind of the values, binary or numeric. cuts: shape (V - 1,), ascending; they divide the
    values into V bins, those of a binary stream into 0 and 1.
    splits: of the records into S strata. counts: reference records by stratum and bin, (S, V).
    missing: records without a value.

    The cells are (stratum, bin) in this order, then missing values. The bins are V, and "missing".
    blocks: by cell. inflation: as in `NumericStream`, of adjusted counts.
    """

    name: str
    of: Kind
    cuts: Floats
    splits: tuple[Split, ...]
    counts: NDArray[np.int64]
    missing: int
    blocks: Blocks
    inflation: float

    kind = Kind.CONDITIONAL

    @property
    def shown_as(self) -> Kind:
        """The kind by which events describe it: values other than 0 and 1 by their bins."""
        return Kind.BINARY if self.of is Kind.BINARY else Kind.CATEGORICAL

    @property
    def count(self) -> int:
        """Number of records with a value."""
        return int(self.counts.sum())

    @property
    def bins(self) -> int:
        """Number of bins, with that of missing values."""
        return int(self.counts.shape[1]) + 1

    @property
    def cells(self) -> int:
        """Number of cells, with that of missing values."""
        return self.counts.size + 1

    @cached_property
    def shares(self) -> Floats:
        """The expected share of each bin within each stratum, shape (S, V), all above 0."""
        whole = (self.counts.sum(axis=0) + 0.5) / (self.count + 0.5 * self.counts.shape[1])
        borrowed = self.counts + BORROWED * whole
        return np.asarray(borrowed / borrowed.sum(axis=1, keepdims=True), np.float64)

    @cached_property
    def adjustment(self) -> Floats:
        """What a record in a cell adds to each bin, shape (cells, bins)."""
        values, strata = self.counts.shape[1], len(self.counts)
        # the reference's own counts are adjusted to themselves
        within = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        overall = self.counts.sum(axis=0) / max(1, self.count)
        table = np.zeros((self.cells, self.bins))
        moved = np.repeat(overall - within, values, axis=0)
        table[:-1, :-1] = np.tile(np.eye(values), (strata, 1)) + moved
        table[-1, -1] = 1.0
        return table

    def bin_counts(self) -> Floats:
        """Return reference records by bin, shape (bins,)."""
        return np.array([*self.counts.sum(axis=0), self.missing], np.float64)

    def cell_counts(self) -> Floats:
        """Return reference records by cell, shape (cells,)."""
        return np.array([*self.counts.ravel(), self.missing], np.float64)

    def bin_of_cell(self) -> Ints:
        """Return the bin of the value of every cell, shape (cells,)."""
        values = np.tile(np.arange(self.counts.shape[1]), len(self.counts))
        return np.append(values, self.counts.shape[1])

    def bin_names(self) -> tuple[str, ...]:
        """Return the display names of the bins."""
        if self.of is Kind.BINARY:
            return "no", "yes", MISSING
        ends = [f"{cut:.3g}" for cut in self.cuts.tolist()]
        between = (f"{low} to {high}" for low, high in pairwise(ends))
        return f"below {ends[0]}", *between, f"{ends[-1]} and above", MISSING

    def cells_of(self, rows: Rows, n: int) -> Ints:
        """Return the cell of each of n records, shape (n,)."""
        return _cells(rows(self.name), strata_of(self.splits, rows, n), self.cuts, self.cells)


class CellTable:
    """Assigns the cells of several conditional streams to records in a few steps.

    features: names of the features that they read. tested, test_cuts: the distinct tests of splits.
    splits: the k-th one of each stream that has it: streams, their tests, and the strata to split.
    cuts: of the values, shape (V - 1, C, 1), padded with cuts that no value reaches.
    """

    def __init__(self, streams: Sequence[ConditionalStream]) -> None:
        names = dict.fromkeys(stream.name for stream in streams)
        names |= dict.fromkeys(each.feature for stream in streams for each in stream.splits)
        self.features = tuple(names)
        index = {name: row for row, name in enumerate(self.features)}
        tests = dict.fromkeys((each.feature, each.cut) for s in streams for each in s.splits)
        self.tested = np.array([index[feature] for feature, _ in tests], np.intp)
        self.test_cuts = np.array([[cut] for _, cut in tests], np.float64).reshape(-1, 1)
        test_of = {test: row for row, test in enumerate(tests)}
        most = max([0, *(len(stream.splits) for stream in streams)])
        self.splits = [
            (
                np.array([i for i, s in enumerate(streams) if len(s.splits) > k], np.intp),
                np.array(
                    [
                        test_of[s.splits[k].feature, s.splits[k].cut]
                        for s in streams
                        if len(s.splits) > k
                    ],
                    np.intp,
                ),
                np.array([[s.splits[k].stratum] for s in streams if len(s.splits) > k], np.uint8),
            )
            for k in range(most)
        ]
        cuts = max([0, *(len(stream.cuts) for stream in streams)])
        self.own = np.array([index[stream.name] for stream in streams], np.intp)
        self.cuts = np.full((cuts, len(streams), 1), np.inf)
        for i, stream in enumerate(streams):
            self.cuts[: len(stream.cuts), i, 0] = stream.cuts
        self.bins = np.array([[len(stream.cuts) + 1] for stream in streams], np.uint8)
        self.missing = np.array([[stream.cells - 1] for stream in streams], np.uint8)

    def cells(self, values: Floats) -> NDArray[np.uint8]:
        """Return the cells of n records, shape (C, n). values: shape (len(features), n)."""
        cells = np.zeros((len(self.own), values.shape[1]), np.uint8)
        above = values[self.tested] > self.test_cuts
        for number, (rows, tests, strata) in enumerate(self.splits, 1):
            own = cells[rows]
            np.copyto(own, number, where=above[tests] & (own == strata))
            cells[rows] = own
        cells *= self.bins
        of_stream = values[self.own]
        for cut in self.cuts:
            cells += of_stream >= cut
        np.copyto(cells, self.missing, where=np.isnan(of_stream))
        return cells


def build_conditional_stream(
    name: str, of: Kind, rows: Rows, possible: Candidates, window: int
) -> ConditionalStream | None:
    """Return the reference of one stream; None if its values are constant.

    rows: returns the features of the N records in the order of arrival, that of the stream too.
    possible: splits of these records. window: records of the windows to compare with it.
    """
    values = rows(name)
    present = ~np.isnan(values)
    cuts = _cuts(of, values[present])
    codes = cuts.searchsorted(values, "right")
    if not len(cuts) or len(np.unique(codes[present])) < 2:
        return None
    splits: tuple[Split, ...] = ()
    if possible.cuts:
        splits = grow(possible, codes, present)
    strata = strata_of(splits, rows, len(values))
    width = (len(splits) + 1) * (len(cuts) + 1) + 1
    cells = _cells(values, strata, cuts, width)
    counts = np.bincount(cells, minlength=width)
    stream = ConditionalStream(
        name=name,
        of=of,
        cuts=cuts,
        splits=splits,
        counts=counts[:-1].reshape(-1, len(cuts) + 1).astype(np.int64),
        missing=int(counts[-1]),
        blocks=dependence.count_blocks(cells, width),
        inflation=1.0,
    )
    return replace(stream, inflation=_inflation(stream.blocks @ stream.adjustment, window))


def _inflation(counts: Floats, window: int) -> float:
    """Return the variance inflation of adjusted counts by block and bin, shape (K, bins), >= 1."""
    found = [1.0, dependence.window_inflation(counts, window)]
    for step in {1, max(1, window // dependence.BLOCK_SIZE)}:
        whole = len(counts) // step * step
        merged = counts[:whole].reshape(-1, step, counts.shape[1]).sum(axis=1)
        found.append(dependence.share_inflation(merged))
    return max(found)


def _cuts(of: Kind, present: Floats) -> Floats:
    """Return where values are divided: binary ones at 0.5, others at distinct quartiles."""
    if of is Kind.BINARY or not len(present):
        return np.array([0.5])
    cuts = np.unique(np.quantile(present, QUARTILES))
    return np.asarray(cuts[cuts > present.min()], np.float64)


def _cells(values: Floats, strata: Ints, cuts: Floats, width: int) -> Ints:
    cells = strata * (len(cuts) + 1) + cuts.searchsorted(values, "right")
    return np.where(np.isnan(values), width - 1, cells)


def adjustments(streams: Sequence[ConditionalStream], cells: int, bins: int) -> Floats:
    """Return the adjustments of streams, padded with zeros, shape (C, cells, bins)."""
    tables = np.zeros((len(streams), cells, bins))
    for table, stream in zip(tables, streams, strict=True):
        table[: stream.cells, : stream.bins] = stream.adjustment
    return tables
