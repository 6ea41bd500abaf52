"""Sums over exposures of a shard. They are added up from any parts, in any order, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.experiments.design import Scale
from monitor.experiments.sums.layout import (
    SHARD_BUCKETS,
    SHARD_HISTOGRAM_BUCKETS,
    Layout,
    Mean,
    bins_of,
    positive_logarithms,
)
from monitor.experiments.sums.look import BINS
from monitor.statistics.exact import Counts, ExactSums

DAY: Final = 86_400
HistogramCounts = NDArray[np.uint32]
_BUCKET_SHIFT: Final = np.uint64(54)
_HISTOGRAM_SHIFT: Final = np.uint64(56)
_MONDAY: Final = int(datetime(1970, 1, 5, tzinfo=UTC).timestamp())


class TotalsError(Exception):
    """The bytes are not totals."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Exposures of n requests with a known arm.

    units: shape (n,), hashes. arms: shape (n,), indices. values: by feature, shape (n,), NaN if
    missing.
    """

    units: NDArray[np.uint64]
    arms: NDArray[np.int64]
    values: dict[str, Floats]


class MeanSums:
    """Sums of means, by metric, arm and bucket of a shard, in this order.

    x: sums of the values. n: shape (cells,), number of values.
    """

    __slots__ = ("n", "x")

    def __init__(self, cells: int) -> None:
        self.x = ExactSums(cells)
        self.n: Counts = np.zeros(cells, np.int64)

    def add(self, means: tuple[Mean, ...], arms: int, rows: Rows, logs: dict[str, Floats]) -> None:
        """Add the values of exposures. logs: logarithms by feature; others are added to it."""
        buckets = (rows.units >> _BUCKET_SHIFT).astype(np.int64) % SHARD_BUCKETS
        cell_of = rows.arms * SHARD_BUCKETS + buckets
        cells, terms = [], []
        for index, mean in enumerate(means):
            values = rows.values.get(mean.feature)
            if values is None:
                continue
            if mean.scale is Scale.LOG:
                _fill_logarithms(logs, mean.feature, values)
            found = mean.terms(values, logs.get(mean.feature, values))
            present = np.flatnonzero(~np.isnan(found))
            cells.append(cell_of[present] + index * arms * SHARD_BUCKETS)
            terms.append(found[present])
        if cells and (all_cells := np.concatenate(cells)).size:
            self.x.add(all_cells, np.concatenate(terms))
            self.n += np.bincount(all_cells, minlength=len(self.n))

    def merge(self, other: MeanSums) -> None:
        """Add other sums of the same layout."""
        self.x.merge(other.x)
        self.n += other.n

    def chosen(self, old: tuple[int, int], rows: list[int], arms: list[int]) -> MeanSums:
        """Return the sums in another order; -1 stands for a new metric or arm, without values.

        old: number of metrics and of arms. rows, arms: index of each among the old ones.
        """
        shape = *old, SHARD_BUCKETS
        sums = MeanSums(len(rows) * len(arms) * SHARD_BUCKETS)
        sums.n = _reordered(self.n.reshape(shape), rows, arms).ravel()
        for index, limb in enumerate(self.x.limbs):
            sums.x.limbs[index] = _reordered(limb.reshape(shape), rows, arms).ravel()
        return sums


class _Encoded(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Totals in a message. cells, counts: of the histograms, of the cells that are not empty."""

    x: bytes
    n: bytes
    before_x: bytes
    before_n: bytes
    cells: bytes
    counts: bytes
    requests: bytes
    users: tuple[int, ...]
    weekdays: bytes
    numbers: tuple[int, int, int, int]


class Totals:
    """All that a look needs of a part of the exposures of a shard.

    means: over the experiment. before: over the pre-period.
    histograms: shape (H, A, SHARD_HISTOGRAM_BUCKETS, BINS), counts.
    requests: shape (A, SHARD_BUCKETS). users: shape (A,), first exposures. weekdays: shape (A, 7),
    requests by day of the week, 0 is Monday.
    in_several_arms, disagreements, other_variants, late: as in `LookData`.
    """

    def __init__(self, layout: Layout) -> None:
        arms = len(layout.arms)
        cells = len(layout.means) * arms * SHARD_BUCKETS
        self.layout = layout
        self.means = MeanSums(cells)
        self.before = MeanSums(cells if layout.before else 0)
        shape = len(layout.histograms), arms, SHARD_HISTOGRAM_BUCKETS, BINS
        self.histograms: HistogramCounts = np.zeros(shape, np.uint32)
        self.requests: Counts = np.zeros((arms, SHARD_BUCKETS), np.int64)
        self.users: Counts = np.zeros(arms, np.int64)
        self.weekdays: Counts = np.zeros((arms, 7), np.int64)
        self.in_several_arms = 0
        self.disagreements = 0
        self.other_variants = 0
        self.late = 0

    def add_values(self, rows: Rows) -> None:
        """Add the values of exposures."""
        logs: dict[str, Floats] = {}
        arms = len(self.layout.arms)
        self.means.add(self.layout.means, arms, rows, logs)
        for index, feature in enumerate(self.layout.histograms):
            values = rows.values.get(feature)
            if values is None:
                continue
            _fill_logarithms(logs, feature, values)
            present = np.flatnonzero(~np.isnan(values))
            bins = bins_of(feature, logs[feature][present])
            buckets = (rows.units[present] >> _HISTOGRAM_SHIFT).astype(np.int64)
            row = rows.arms[present] * SHARD_HISTOGRAM_BUCKETS + buckets % SHARD_HISTOGRAM_BUCKETS
            np.add.at(self.histograms[index].reshape(-1), row * BINS + bins, 1)

    def add_before(self, rows: Rows) -> None:
        """Add the values of exposures in the pre-period, whose arms are those of the hash."""
        self.before.add(self.layout.means, len(self.layout.arms), rows, {})

    def add_requests(self, rows: Rows, first: NDArray[np.int64], times: Floats) -> None:
        """Add requests.

        first: indices of the first exposures of units. times: shape (n,), event times.
        """
        arms = len(self.layout.arms)
        buckets = (rows.units >> _BUCKET_SHIFT).astype(np.int64) % SHARD_BUCKETS
        cells = rows.arms * SHARD_BUCKETS + buckets
        counts = np.bincount(cells, minlength=arms * SHARD_BUCKETS)
        self.requests += counts.reshape(arms, SHARD_BUCKETS)
        self.users += np.bincount(rows.arms[first], minlength=arms)
        days = ((times - _MONDAY) // DAY).astype(np.int64) % 7
        counts = np.bincount(rows.arms * 7 + days, minlength=7 * arms)
        self.weekdays += counts.reshape(arms, 7)

    def merge(self, other: Totals) -> None:
        """Add other totals of the same layout."""
        self.means.merge(other.means)
        self.before.merge(other.before)
        self.histograms += other.histograms
        self.requests += other.requests
        self.users += other.users
        self.weekdays += other.weekdays
        self.in_several_arms += other.in_several_arms
        self.disagreements += other.disagreements
        self.other_variants += other.other_variants
        self.late += other.late

    def encode(self) -> bytes:
        """Return the totals as bytes; equal totals have equal bytes."""
        flat = self.histograms.reshape(-1)
        cells = np.flatnonzero(flat)
        return msgspec.msgpack.encode(
            _Encoded(
                self.means.x.encode(),
                self.means.n.tobytes(),
                self.before.x.encode(),
                self.before.n.tobytes(),
                cells.astype("<u4").tobytes(),
                flat[cells].tobytes(),
                self.requests.tobytes(),
                tuple(self.users.tolist()),
                self.weekdays.tobytes(),
                (self.in_several_arms, self.disagreements, self.other_variants, self.late),
            )
        )

    @classmethod
    def decode(cls, content: bytes, layout: Layout) -> Totals:
        """Return the totals of `encode`. Raises TotalsError for all other bytes."""
        totals = cls(layout)
        try:
            found = msgspec.msgpack.decode(content, type=_Encoded)
            totals.means = _mean_sums(found.x, found.n, len(totals.means.n))
            totals.before = _mean_sums(found.before_x, found.before_n, len(totals.before.n))
            cells = np.frombuffer(found.cells, "<u4")
            totals.histograms.reshape(-1)[cells] = np.frombuffer(found.counts, np.uint32)
            requests = np.frombuffer(found.requests, np.int64)
            totals.requests = requests.reshape(totals.requests.shape).copy()
            totals.users[:] = np.array(found.users, np.int64).reshape(totals.users.shape)
            weekdays = np.frombuffer(found.weekdays, np.int64)
            totals.weekdays = weekdays.reshape(totals.weekdays.shape).copy()
        except (msgspec.MsgspecError, ValueError, IndexError, OverflowError) as error:
            raise TotalsError(f"not totals: {error}") from None
        several, disagreements, others, late = found.numbers
        totals.in_several_arms, totals.disagreements = several, disagreements
        totals.other_variants, totals.late = others, late
        return totals

    def adapted(self, layout: Layout) -> Totals:
        """Return the totals for another layout: metrics and arms that are new have no values."""
        old = self.layout
        if layout == old:
            return self
        totals = Totals(layout)
        arms = [old.arms.index(arm) if arm in old.arms else -1 for arm in layout.arms]
        rows = [old.means.index(mean) if mean in old.means else -1 for mean in layout.means]
        shape = len(old.means), len(old.arms)
        totals.means = self.means.chosen(shape, rows, arms)
        if layout.before and layout.before == old.before:
            totals.before = self.before.chosen(shape, rows, arms)
        features = [
            old.histograms.index(name) if name in old.histograms else -1
            for name in layout.histograms
        ]
        totals.histograms = _reordered(self.histograms, features, arms)
        totals.requests = _reordered(self.requests[np.newaxis], [0], arms)[0]
        totals.users = _reordered(self.users[np.newaxis], [0], arms)[0]
        totals.weekdays = _reordered(self.weekdays[np.newaxis], [0], arms)[0]
        totals.in_several_arms = self.in_several_arms
        totals.disagreements, totals.late = self.disagreements, self.late
        totals.other_variants = self.other_variants
        return totals


def _fill_logarithms(logs: dict[str, Floats], feature: str, values: Floats) -> None:
    if feature not in logs:
        logs[feature] = positive_logarithms(values)


def _mean_sums(x: bytes, n: bytes, cells: int) -> MeanSums:
    """Return sums from their bytes. Raises ValueError if these have another length."""
    sums = MeanSums(cells)
    sums.x = ExactSums.decode(x, cells)
    sums.n = np.frombuffer(n, np.int64).reshape(cells).copy()
    return sums


T = TypeVar("T", np.int64, np.uint32)


def _reordered(old: NDArray[T], rows: list[int], arms: list[int]) -> NDArray[T]:
    """Return an array with rows and arms in another order; zeros for the index -1.

    old: shape (rows, arms, ...).
    """
    new: NDArray[T] = np.zeros((len(rows), len(arms), *old.shape[2:]), old.dtype)
    kept_rows = [index for index, row in enumerate(rows) if row >= 0]
    kept_arms = [index for index, arm in enumerate(arms) if arm >= 0]
    if kept_rows and kept_arms:
        chosen = np.ix_([rows[index] for index in kept_rows], [arms[index] for index in kept_arms])
        new[np.ix_(kept_rows, kept_arms)] = old[chosen]
    return new
