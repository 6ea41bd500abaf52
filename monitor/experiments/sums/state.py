"""The state of a shard as bytes: its closed sums, which are published, and all the rest.

The closed sums change with a look, the rest with every exposure: they are two messages, of which
the first is seldom written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from monitor.experiments.design import Scale
from monitor.experiments.sums.clock import EventClock
from monitor.experiments.sums.layout import Layout, Mean
from monitor.experiments.sums.shard import Shard
from monitor.experiments.sums.totals import Totals, TotalsError
from monitor.experiments.sums.units import SeenUnits

VERSION: Final = 1


class ShardError(Exception):
    """The bytes are not the state of a shard, or of another version."""


class _Mean(msgspec.Struct, array_like=True):
    name: str
    feature: str
    scale: Scale
    cap: float | None


class _Layout(msgspec.Struct, array_like=True):
    arms: tuple[str, ...]
    means: tuple[_Mean, ...]
    histograms: tuple[str, ...]
    begin: float | None
    before: tuple[float, float] | None

    def layout(self) -> Layout:
        """Return the layout. Raises ShardError if it is too large to be one."""
        cells = len(self.arms) * (len(self.means) + 160 * len(self.histograms))
        if cells > 1_000_000:
            raise ShardError("not the state of a shard: its layout is too large")
        means = tuple(Mean(m.name, m.feature, m.scale, m.cap) for m in self.means)
        return Layout(self.arms, means, self.histograms, self.begin, self.before)


class _Closed(msgspec.Struct, array_like=True):
    """The closed sums. pending: whether there are open ones. first: see `EventClock`."""

    version: int
    phase: str
    layout: _Layout
    minute: int | None
    first: float
    settled: bool
    pending: bool
    totals: bytes


class _Rest(msgspec.Struct, array_like=True):
    """The state beside the closed sums. votes: unit, time and row."""

    version: int
    phase: str
    minute: int | None
    watermark: float
    first: float
    settled: bool
    rows: int
    votes: list[tuple[int, float, int]]
    open: list[tuple[int, bytes]]
    seen: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """The closed sums of a shard, as published.

    time: event time up to which exposures are in the sums. first: time of the first exposures;
    settled: whether it is final. pending: whether the shard has later exposures.
    """

    phase: str
    time: float
    first: float
    settled: bool
    pending: bool
    totals: Totals


def encode_closed(shard: Shard, phase: str) -> bytes:
    """Return the closed sums of a shard as bytes."""
    layout = shard.layout
    means = tuple(_Mean(m.name, m.feature, m.scale, m.cap) for m in layout.means)
    described = _Layout(layout.arms, means, layout.histograms, layout.begin, layout.before)
    clock, pending = shard.clock, bool(shard.open)
    return msgspec.msgpack.encode(
        _Closed(
            VERSION,
            phase,
            described,
            shard.minute,
            clock.first,
            clock.settled,
            pending,
            shard.closed.encode(),
        )
    )


def encode_rest(shard: Shard, phase: str) -> bytes:
    """Return the state of a shard beside its closed sums as bytes."""
    clock = shard.clock
    return msgspec.msgpack.encode(
        _Rest(
            VERSION,
            phase,
            shard.minute,
            clock.watermark,
            clock.first,
            clock.settled,
            clock.rows,
            [(unit, *vote) for unit, vote in clock.votes.items()],
            [(minute, totals.encode()) for minute, totals in sorted(shard.open.items())],
            shard.seen.encode(),
        )
    )


def partial_of(shard: Shard, phase: str) -> Partial:
    """Return the closed sums of a shard; they are not copied."""
    clock = shard.clock
    return Partial(phase, shard.time, clock.first, clock.settled, bool(shard.open), shard.closed)


def decode_partial(closed: bytes) -> Partial:
    """Return closed sums. Raises ShardError for other bytes."""
    found = _decode(closed, _Closed)
    try:
        totals = Totals.decode(found.totals, found.layout.layout())
    except TotalsError as error:
        raise ShardError(str(error)) from None
    time = 0.0 if found.minute is None else found.minute * 60.0
    return Partial(found.phase, time, found.first, found.settled, found.pending, totals)


def decode_shard(closed: bytes, rest: bytes, phase: str, layout: Layout) -> Shard | None:
    """Return a shard from its two parts; None if its sums are of another phase.

    Raises ShardError for other bytes.
    """
    found, other = _decode(closed, _Closed), _decode(rest, _Rest)
    if found.phase != phase or other.phase != phase:
        return None
    old, shard = found.layout.layout(), Shard(layout)
    try:
        shard.closed = Totals.decode(found.totals, old).adapted(layout)
        for minute, totals in other.open:
            shard.open[minute] = Totals.decode(totals, old).adapted(layout)
        shard.seen = SeenUnits.decode(other.seen)
    except (TotalsError, ValueError) as error:
        raise ShardError(f"not the state of a shard: {error}") from None
    shard.minute = other.minute
    shard.clock = EventClock()
    shard.clock.watermark, shard.clock.first = other.watermark, other.first
    shard.clock.settled, shard.clock.rows = other.settled, other.rows
    shard.clock.votes = {unit: (time, row) for unit, time, row in other.votes}
    return shard


T = TypeVar("T", _Closed, _Rest)


def _decode(content: bytes, kind: type[T]) -> T:
    try:
        found = msgspec.msgpack.decode(content, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ShardError(f"not the state of a shard: {error}") from None
    if found.version != VERSION:
        raise ShardError(f"state of version {found.version}; this program reads {VERSION}")
    return found
