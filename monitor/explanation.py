"""Why there is an event: what has moved, by how much, since when, where to look, and what besides.

All of it follows from the stream's records and their order, so that a back-test and a restart
explain an event in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from detectors import dependence
from detectors.base import Floats, Ints, Kind
from detectors.baseline import Baseline, Stream
from detectors.streams import NumericStream
from monitor.columns import Columns

if TYPE_CHECKING:
    from monitor.events import Summary

MOST_BINS = 3
"""Bins that grew, and as many that shrank."""
MOST_EXAMPLES = 5
MOST_TOGETHER = 5
TELLING = 0.05
"""What part of the PSI a bin must make up to be told of."""


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """When the change began, to a stride: with the stream's `record`-th record.

    time: event time of the record before that one; None where it is too long ago to be known.
    """

    record: int
    time: float | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """The share of a bin among all records, in the reference and in the window."""

    bin: str
    before: float
    after: float


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The number that tells the change best, in the feature's own unit.

    of: median, p95, p99, p05 or mean; "share", of records, where the feature is binary; else the
    bin (a category, or missing) whose share of records has moved most. unit: "" where the feature's
    name tells none.
    """

    of: str
    before: float
    after: float
    unit: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says beside its numbers; nothing where it is not known.

    bins: those that moved most, first those that grew. examples: request ids of records that came
    since the change and are in the bins that grew, newest first. together: the other features of
    the model (or segment) that have moved as well, with their PSI, the largest first. bet: what the
    e-detector takes the change for, where it is among those that found it.
    """

    since: Since | None = None
    effect: Effect | None = None
    bins: tuple[Move, ...] = ()
    examples: tuple[str, ...] = ()
    together: dict[str, float] = {}
    bet: str | None = None


_UNITS = {
    "_per_second": "per second",
    "_ms": "ms",
    "_seconds": "s",
    "_tokens": "tokens",
    "_usd": "USD",
    "_chars": "characters",
    "_bytes": "bytes",
}


def unit_of(feature: str) -> str:
    """The unit that a feature's name ends with; "" where it ends with none."""
    return next((unit for end, unit in _UNITS.items() if feature.endswith(end)), "")


def change_point(counts: Floats, expected: Floats) -> int:
    """After how many of K strides the change began, by maximum likelihood, 0 to K - 1.

    Strides before it are taken to follow the reference, those from it on shares of their own.
    counts: shape (K, B), records by bin; expected: shape (B,), those of the reference.
    """
    later = counts[::-1].cumsum(axis=0)[::-1]
    shares = np.maximum(expected, 0.5) / np.maximum(expected, 0.5).sum()
    own = later / np.maximum(later.sum(axis=1, keepdims=True), 1.0)
    gain = np.vecdot(later, np.log(np.where(later > 0, own / shares, 1.0)))
    return int(gain.argmax())


def by_bin(counts: Floats, stream: Stream) -> Floats:
    """Counts by bin, shape (..., B), of counts by cell, shape (..., G) or padded beyond."""
    bins = stream.bin_of_cell()
    return dependence.by_bin(counts[..., : len(bins)], bins)


def moved(expected: Floats, counts: Floats) -> tuple[Ints, Ints]:
    """(the bins that grew, those that shrank), the most telling first.

    expected, counts: shape (B,), records by bin of the reference and of the window.
    """
    p = np.maximum(expected, 0.5) / expected.sum()
    q = np.maximum(counts, 0.5) / counts.sum()
    part = (q - p) * np.log(q / p)
    order = np.argsort(-part, kind="stable")
    telling = order[part[order] > TELLING * part.sum()]
    grew, shrank = telling[q[telling] > p[telling]], telling[q[telling] < p[telling]]
    if not len(grew):  # many may have grown by a little
        grew = np.argsort(p - q, kind="stable")[:1]
    return grew[:MOST_BINS], shrank[:MOST_BINS]


def explain(
    baseline: Baseline,
    index: int,
    counts: Floats,
    sides: tuple[Summary, Summary],
    examples: Iterable[Columns],
) -> Explanation:
    """What there is to say of one stream's own change.

    counts: shape (B,), records of the window by bin. sides: what the event says of both.
    examples: records of the window since the change, in pieces, the newest first.
    """
    stream = baseline.streams[index]
    expected = stream.bin_counts()
    grew, shrank = moved(expected, counts)
    before, after = expected / expected.sum(), counts / counts.sum()
    names = stream.bin_names()
    moves = [
        Move(bin=names[b], before=float(before[b]), after=float(after[b]))
        for b in [*grew.tolist(), *shrank.tolist()]
    ]
    return Explanation(
        effect=_effect(stream, moves, *sides),
        bins=tuple(moves),
        examples=tuple(islice(_ids(examples, stream, grew), MOST_EXAMPLES)),
    )


def together(baseline: Baseline, index: int, psi: Floats, least: float) -> dict[str, float]:
    """The other features whose PSI, shape (S,), is at least `least`, the largest first."""
    others = [i for i in np.argsort(-psi, kind="stable").tolist() if i != index and psi[i] >= least]
    return {baseline.streams[i].name: float(psi[i]) for i in others[:MOST_TOGETHER]}


def pairs(before: Summary, after: Summary) -> dict[str, tuple[float, float]]:
    """The numbers that both sides have, those first that people ask for first."""
    numbers = {
        "median": (before.p50, after.p50),
        "p95": (before.p95, after.p95),
        "p99": (before.p99, after.p99),
        "p05": (before.p05, after.p05),
        "mean": (before.mean, after.mean),
    }
    return {name: (a, b) for name, (a, b) in numbers.items() if a is not None and b is not None}


def tail_of(side: Summary) -> float:
    """How far it is from the median to the 95th percentile."""
    return (side.p95 or 0.0) - (side.p50 or 0.0)


def differ(before: float, after: float, tail: float) -> bool:
    """Whether a number has moved by so much that people would call it a move.

    tail: `tail_of` the reference.
    """
    gap = abs(after - before)
    return gap > 0.05 * max(abs(before), abs(after)) or gap > tail / 2 > 0


def _effect(
    stream: Stream, moves: Sequence[Move], before: Summary, after: Summary
) -> Effect | None:
    """The number that has moved, or the bin, where the feature is no number or has none."""
    most = max(moves, key=lambda move: abs(move.after - move.before))
    if after.n == 0 or not isinstance(stream, NumericStream) or most.bin == stream.bin_names()[-1]:
        return Effect(of=most.bin, before=most.before, after=most.after)
    if stream.kind is Kind.BINARY:
        return Effect(of="share", before=before.mean or 0.0, after=after.mean or 0.0)
    both, tail = pairs(before, after), tail_of(before)
    told = next((name for name, pair in both.items() if differ(*pair, tail)), next(iter(both), ""))
    if not told:
        return None
    return Effect(of=told, before=both[told][0], after=both[told][1], unit=unit_of(stream.name))


def _ids(pieces: Iterable[Columns], stream: Stream, bins: Ints) -> Iterator[str]:
    """The request ids of those examples that are in one of the bins, newest first."""
    for piece in pieces:
        inside = np.isin(bins_of(stream, piece), bins)
        yield from (piece.examples.ids[i] for i in np.flatnonzero(inside)[::-1].tolist())


def bins_of(stream: Stream, columns: Columns) -> Ints:
    """The stream's bin of each record, shape (n,)."""
    if isinstance(stream, NumericStream):
        return stream.bin_of_cell()[stream.cell_of(columns.row(stream.name))]
    column = columns.category(stream.name)
    return stream.bins_by_code(column.vocabulary)[column.codes]
