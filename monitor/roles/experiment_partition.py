"""The state of one partition of the exposures topic: the sums of its shards and its offset."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog

from monitor.experiments.design import Design
from monitor.experiments.exposures.columns import ExposureError, decode_exposures
from monitor.experiments.sums.layout import Layout
from monitor.experiments.sums.shard import ALLOWANCE, Shard
from monitor.experiments.sums.state import (
    ShardError,
    decode_shard,
    encode_closed,
    encode_rest,
)
from monitor.roles.experiment_messages import Assembled, Name, encode

log = structlog.get_logger(__name__)

IDLE_SECONDS: Final = 3.0
"""Time without exposures after which minutes of the past are closed at the end of a partition."""
LIVE_SECONDS: Final = 86_400.0
"""With a watermark so close to the present, event time is the present."""

Experiments = Mapping[str, tuple[Design, Layout]]
"""Configured experiments by name."""


class _Offset(msgspec.Struct, array_like=True):
    """Where reading resumes. topic: id of the exposures topic; empty if it is not known."""

    offset: int
    topic: str


@dataclass(slots=True)
class ShardState:
    """A shard, and what of it is in the state topic.

    added: monotonic time of its last exposures. written: minute and pending of the closed sums that
    are written; sequence: of the last write. changed: whether there were exposures since then.
    """

    shard: Shard
    added: float = 0.0
    written: tuple[int | None, bool] | None = None
    sequence: int = 0
    changed: bool = False

    @property
    def published(self) -> tuple[int | None, bool]:
        """What the closed sums depend on."""
        return self.shard.minute, bool(self.shard.open)


@dataclass(slots=True)
class Partition:
    """The shards of a partition.

    offset: of the next exposures. at_end: whether the end of the partition was reached.
    ignored: exposures and messages that are not in the sums, by reason.
    """

    number: int
    experiments: Experiments
    offset: int
    topic_id: str = ""
    shards: dict[tuple[str, int], ShardState] = field(default_factory=dict)
    at_end: bool = False
    ignored: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    sequence: int = 0
    _written_offset: int = -1
    _pending: list[tuple[ShardState, tuple[int | None, bool]]] = field(default_factory=list)

    def add(self, payload: bytes, now: float, monotonic: float) -> None:
        """Add the exposures of a message. now: the present, epoch seconds."""
        self.at_end = False
        try:
            exposures = decode_exposures(payload)
        except ExposureError as error:
            self.ignored["unreadable"] += 1
            log.error("exposures skipped", partition=self.number, error=str(error))
            return
        found = self.experiments.get(exposures.experiment)
        if found is None:
            self.ignored["unknown_experiment"] += len(exposures)
        elif exposures.phase != found[0].phase:
            self.ignored["other_phase"] += len(exposures)
        else:
            key = exposures.experiment, exposures.shard
            state = self.shards.get(key)
            if state is None:
                state = self.shards[key] = ShardState(Shard(found[1]))
            state.shard.add(exposures, now)
            state.added, state.changed = monotonic, True
            self.counted[exposures.experiment] += len(exposures)

    def close(self, now: float, monotonic: float) -> None:
        """Close the minutes of the past of shards whose exposures were all read."""
        if not self.at_end:
            return
        for state in self.shards.values():
            shard = state.shard
            live = now - shard.clock.watermark < LIVE_SECONDS
            idle = monotonic - state.added >= IDLE_SECONDS
            if shard.open and (live or idle) and shard.close_until(now - ALLOWANCE):
                state.changed = True

    @property
    def needs_write(self) -> bool:
        """Whether the state differs from the written one."""
        changed = any(each.changed for each in self.shards.values())
        return changed or self.has_closed or self.offset != self._written_offset

    @property
    def has_closed(self) -> bool:
        """Whether there are closed sums that are not written."""
        return any(each.published != each.written for each in self.shards.values())

    def messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values of a checkpoint: what has changed, and the offset."""
        self.sequence += 1
        self._pending = []
        for (name, number), state in self.shards.items():
            published = state.published
            if not state.changed and published == state.written:
                continue
            self._pending.append((state, published))
            phase, shard = self.experiments[name][0].phase, state.shard
            if published != state.written:
                place = Name("closed", name, number, self.number)
                yield from encode(place, encode_closed(shard, phase), self.sequence)
            place = Name("rest", name, number, self.number)
            yield from encode(place, encode_rest(shard, phase), self.sequence)
        payload = msgspec.msgpack.encode(_Offset(self.offset, self.topic_id))
        yield from encode(Name("offset", "", 0, self.number), payload, self.sequence)

    def mark_written(self) -> None:
        """Record that the last result of `messages` is durable."""
        for state, published in self._pending:
            state.written, state.changed = published, False
        self._pending = []
        self._written_offset = self.offset


def restore(
    number: int, experiments: Experiments, values: Mapping[Name, Assembled]
) -> tuple[Partition | None, list[str]]:
    """Return the partition of a checkpoint, and what of it cannot be used.

    values: of the partition in the state topic. None without a checkpoint.
    """
    found = values.get(Name("offset", "", 0, number))
    if found is None:
        return None, []
    try:
        offset = msgspec.msgpack.decode(found.payload, type=_Offset)
    except msgspec.MsgspecError as error:
        return None, [f"offset: {error}"]
    partition = Partition(number, experiments, offset.offset, offset.topic)
    partition.sequence = max(each.sequence for each in values.values())
    unusable = []
    for place, closed in values.items():
        if place.kind != "closed" or place.experiment not in experiments:
            continue
        rest = values.get(Name("rest", place.experiment, place.shard, place.partition))
        design, layout = experiments[place.experiment]
        try:
            if rest is None:
                raise ShardError("a part of the state is missing")
            shard = decode_shard(closed.payload, rest.payload, design.phase, layout)
        except ShardError as error:
            unusable.append(f"{place.experiment}, shard {place.shard}: {error}")
            continue
        if shard is not None:
            state = ShardState(shard, time.monotonic())
            state.written = state.published
            partition.shards[place.experiment, place.shard] = state
    return partition, unusable
