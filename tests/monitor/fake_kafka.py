"""One feature partition in memory, with the Kafka clients of a detect member that reads it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from confluent_kafka import TopicPartition

from monitor.config.schema import Config
from monitor.detect.monitor import References
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.chunk import encode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.roles import (
    detect,
    detect_commands,
    detect_restore,
    model_records,
    role,
    state_checks,
)
from monitor.roles.detect import Detect
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health


@dataclass
class FakeMessage:
    """A message of partition 0 of a topic."""

    content: bytes
    number: int
    name: str = "features"
    model: bytes = b""

    def topic(self) -> str:
        """Return the topic."""
        return self.name

    def key(self) -> bytes:
        """Return the model."""
        return self.model

    def partition(self) -> int:
        """Return the partition."""
        return 0

    def offset(self) -> int:
        """Return the offset."""
        return self.number

    def value(self) -> bytes:
        """Return the feature chunk or the command."""
        return self.content

    def error(self) -> None:
        """Return no error."""


class Killed(BaseException):
    """The process of the member was killed."""


@dataclass
class FakeKafka:
    """The topics of a detect member, and the member itself, which ends when it has nothing to read.

    rebalances: the partition is revoked and assigned again before these offsets are read.
    idle: called with the seconds that the member is ready to wait each time it waits for a chunk;
    returns whether the member ends.
    hangs: the member's next calls that add offsets to a transaction, so many, do not return.
    state: the newest committed value of each key of the state topic.
    events: all drift events, in order.
    commands: the messages of the command topic. first: offset of the oldest chunk that is kept.
    at_once: messages of a range that are read between two iterations.
    lives: messages and commits until the member is killed; None: it is not.
    """

    chunks: Sequence[Columns]
    rebalances: set[int] = field(default_factory=set)
    idle: Callable[[float], bool] = lambda _: True
    hangs: int = 0
    state: dict[bytes, bytes] = field(default_factory=dict)
    events: list[DriftEvent] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    first: int = 0
    lives: int | None = None
    at_once: int = 3
    metrics: Metrics = field(default_factory=Metrics)
    ended: bool = False
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.log = [encode_chunk(chunk) for chunk in self.chunks]

    def step(self) -> None:
        """Do something that the broker sees; raise Killed when the member is dead."""
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                raise Killed

    def run(
        self, monkeypatch: pytest.MonkeyPatch, config: Config, references: References | None = None
    ) -> None:
        """Run a detect member until it ends; it leaves its group in order."""
        with monkeypatch.context() as patch:
            patch.setattr(role, "wait_for_broker", lambda *_: {})
            patch.setattr(role, "ensure_topics", lambda *_, **__: None)
            patch.setattr(state_checks, "topic_states", lambda *_: {})
            patch.setattr(state_checks, "cleanup_policy", lambda *_: None)
            patch.setattr(role, "unwritable_topics", lambda *_: set())
            patch.setattr(detect_restore, "read_compacted", lambda *_: dict(self.state))
            patch.setattr(detect, "Consumer", lambda _: FakeConsumer(self))
            for module in (detect_commands, model_records):
                patch.setattr(module, "PartitionReader", lambda _, name, __: FakeReader(self, name))
            patch.setattr(detect, "Producer", lambda _: FakeProducer(self))
            member = Detect(config, references or {}, self.metrics, Health(), lambda _: self.ended)
            try:
                member.run()
            finally:
                self.released.set()


class FakeReader:
    """Reads partition 0 of the feature or command topic, without a group."""

    def __init__(self, cluster: FakeKafka, topic: str) -> None:
        self.cluster = cluster
        self.topic = topic
        self.ends: dict[int, int] = {}
        self.position: int | None = None

    def assign(self, _: int, offset: int) -> None:
        """Read on from an offset."""
        self.ends.clear()
        self.position = offset

    def unassign(self, _: int) -> None:
        """Read nothing."""
        self.position = None

    def partitions(self, _: str) -> int:
        """Return the number of partitions."""
        return 1

    def watermarks(self, topic: str, _: int) -> tuple[int, int]:
        """Return the first offset of a partition, and its end."""
        if topic.endswith("features"):
            return self.cluster.first, len(self.cluster.log)
        return 0, len(self.cluster.commands)

    def poll(self, _: float) -> FakeMessage | None:
        """Return the next message."""
        cluster = self.cluster
        log = cluster.commands if self.topic.endswith("commands") else cluster.log
        if self.position is None:
            return None
        if self.position >= len(log):
            self.ends[0] = len(log)
            return None
        self.position += 1
        offset = self.position - 1
        model = cluster.chunks[offset].model.encode() if log is cluster.log else b""
        return FakeMessage(log[offset], offset, self.topic, model)

    def read(self, _: int, last: int, __: float) -> Iterator[FakeMessage | None]:
        """Yield some messages below an offset, then None at the end."""
        for _ in range(self.cluster.at_once):
            message = self.poll(0) if self.position is not None and self.position < last else None
            yield message
            if message is None:
                return

    def close(self) -> None:
        """Do nothing."""


class FakeConsumer:
    """The only member of its group."""

    def __init__(self, cluster: FakeKafka) -> None:
        self.cluster = cluster
        self.position: int | None = None
        self.paused = False

    def pause(self, _: list[TopicPartition]) -> None:
        """Return no messages."""
        self.paused = True

    def resume(self, _: list[TopicPartition]) -> None:
        """Return messages again."""
        self.paused = False

    def subscribe(self, topics: list[str], **callbacks: Callable[..., None]) -> None:
        """Keep the callbacks of rebalances."""
        self.place = TopicPartition(topics[0], 0)
        self.callbacks = callbacks

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        """Read on from the offset of the partition."""
        self.position = places[0].offset

    def poll(self, timeout: float) -> FakeMessage | None:
        """Return the next message, after a rebalance if one is due."""
        if self.position is None:
            self.callbacks["on_assign"](self, [self.place])
        elif self.position in self.cluster.rebalances:
            self.cluster.rebalances.remove(self.position)
            self.close()
            self.callbacks["on_assign"](self, [self.place])
        assert self.position is not None
        if self.paused:
            return None
        if self.position < len(self.cluster.log):
            self.position += 1
            return FakeMessage(self.cluster.log[self.position - 1], self.position - 1)
        if timeout > 0:
            self.cluster.ended = self.cluster.idle(timeout)
        return None

    def get_watermark_offsets(self, *_: object, **__: object) -> tuple[int, int]:
        """Return the first offset and the end of the partition."""
        return 0, len(self.cluster.log)

    def consumer_group_metadata(self) -> None:
        """Return nothing."""

    def memberid(self) -> str:
        """Return the name of a member."""
        return "member"

    def close(self) -> None:
        """Give the partition away, if there is one; it is gone even if the callback fails."""
        if self.position is not None and (self.cluster.lives is None or self.cluster.lives >= 0):
            self.position = None
            self.callbacks["on_revoke"](self, [self.place])


class FakeProducer:
    """Delivers events at once, and messages of a transaction when it is committed."""

    def __init__(self, cluster: FakeKafka) -> None:
        self.cluster = cluster
        self.open: dict[bytes, bytes | None] | None = None
        self.answers: list[bytes] = []

    def init_transactions(self, *_: object) -> None:
        """Do nothing."""

    def begin_transaction(self) -> None:
        """Open a transaction."""
        self.open = {}

    def produce(self, topic: str, value: bytes | None, key: bytes, *_: Any, **__: Any) -> None:
        """Write a message of a checkpoint, or an event."""
        self.cluster.step()
        if topic.endswith("commands"):
            assert value is not None
            self.answers.append(value)
        elif self.open is not None:
            self.open[key] = value
        elif value is not None:
            self.cluster.events.append(msgspec.json.decode(value, type=DriftEvent))

    def send_offsets_to_transaction(self, *_: object) -> None:
        """Hang if that is due; detect resumes at the offset of its checkpoint, not at this one."""
        if self.cluster.hangs > 0:
            self.cluster.hangs -= 1
            self.cluster.released.wait()

    def commit_transaction(self, *_: object) -> None:
        """Make the open transaction visible."""
        self.cluster.step()
        assert self.open is not None
        self.cluster.commands += self.answers
        self.answers = []
        merged: Mapping[bytes, bytes | None] = self.cluster.state | self.open
        self.cluster.state = {key: value for key, value in merged.items() if value is not None}
        self.open = None

    def poll(self, *_: object) -> int:
        """Deliver nothing."""
        return 0

    def flush(self, *_: object) -> int:
        """Return the number of messages that are not delivered."""
        return 0
