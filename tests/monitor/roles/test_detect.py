"""Detect without a broker: what is counted, and what is produced at a restore."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig
from monitor.detect.checkpoint import partition_state
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.monitor import DriftMonitor
from monitor.events.codec import decode_event
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.chunk import encode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.kafka.errors import RejoinError
from monitor.roles import detect as role
from monitor.roles.detect import Detect
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health
from tests.monitor import synthetic
from tests.monitor.synthetic import WARMUP

DRIFTED = synthetic.joined(
    synthetic.stream(WARMUP + 400, seed=1),
    synthetic.stream(600, seed=2, factor=3.0, stops=0.4),
    synthetic.stream(800, seed=3),
    synthetic.stream(600, seed=4, factor=3.0),
)
CHUNKS = list(synthetic.cut(DRIFTED, range(0, len(DRIFTED), 100)))


@dataclass
class Broker:
    """Keeps the messages of the topics; `fails` is the result of the next commits.

    newest: the state topic after the last commit. transaction: messages of the open transaction.
    """

    events: list[DriftEvent] = field(default_factory=list)
    newest: dict[bytes, bytes] = field(default_factory=dict)
    transaction: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    fails: bool = False

    def begin_transaction(self) -> None:
        """Begin a transaction."""
        self.transaction = []

    def abort_transaction(self, _: float) -> None:
        """Abort the transaction."""
        self.transaction = []

    def produce(self, topic: str, value: Any, key: Any, *_: Any, **__: Any) -> None:
        """Append a message."""
        if topic.endswith("events"):
            self.events.append(decode_event(value))
        else:
            self.transaction.append((key, value))

    def poll(self, _: float) -> int:
        """Return that no callback was called."""
        return 0

    def flush(self, _: float) -> int:
        """Return that no message waits."""
        return 0

    def commit(self, *_: Any) -> None:
        """Commit the transaction, or fail so that it can be aborted."""
        if self.fails:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "test", False, True, True))
        for key, value in self.transaction:
            self.newest.pop(key, None)
            if value is not None:
                self.newest[key] = value


class Process:
    """A detect process with one partition, restored from the broker."""

    def __init__(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch, config: Config | None = None
    ) -> None:
        self.config = config or synthetic.config()
        self.metrics = Metrics()
        self.detect = Detect(self.config, {}, self.metrics, Health(), lambda _: False)
        self.detect.event_producer = broker  # type: ignore[assignment] # what of it is used
        self.detect.state_producer = broker  # type: ignore[assignment] # what of it is used
        self.detect.consumer = object()  # type: ignore[assignment] # not used
        monkeypatch.setattr(role, "commit_with_offsets", broker.commit)
        restored = partition_state.restore(broker.newest, self.config, {})
        self.partition = restored or Partition(DriftMonitor(self.config, {}), 0)
        self.detect.partitions[0] = self.partition

    def read(self, chunks: list[Columns]) -> None:
        """Evaluate the chunks from the offset of the partition on."""
        for chunk in chunks:
            self.partition.offset += 1
            self.detect._evaluate(self.partition, [chunk])

    def counted(self) -> int:
        """Return the number of events counted."""
        return self.metrics.drift_events.total()


@pytest.mark.parametrize("saved", [0, 25, 27, 31, 44])
@pytest.mark.parametrize("beyond", [1, 5, 12])
def test_events_found_again_are_counted_once(
    monkeypatch: pytest.MonkeyPatch, saved: int, beyond: int
) -> None:
    """Of a process that is killed and its successor together, each event is counted once."""
    broker = Broker()
    first = Process(broker, monkeypatch)
    first.read(CHUNKS[:saved])
    first.detect._checkpoint()
    first.read(CHUNKS[saved : saved + beyond])  # then it is killed
    second = Process(broker, monkeypatch)
    second.read(CHUNKS[second.partition.offset :])
    second.detect._checkpoint()
    found = {e.id for e in broker.events if e.change in {"opened", "escalated"}}
    assert len(found) >= 3
    assert first.counted() + second.counted() == len(found)


def test_an_event_is_counted_with_its_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then its series is 0; a checkpoint that is rolled back counts nothing."""
    broker = Broker()
    process = Process(broker, monkeypatch)
    process.read(CHUNKS[:30])
    assert broker.events
    assert process.metrics.drift_events.keys()
    assert process.counted() == 0
    broker.fails = True
    process.detect._checkpoint()
    assert process.metrics.checkpoints_failed == 1
    assert process.counted() == 0
    broker.fails = False
    process.detect._checkpoint()
    process.detect._checkpoint()
    counted = [event for event in broker.events if event.change in {"opened", "escalated"}]
    assert process.counted() == len(counted) > 0


def test_a_lost_partition_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next owner finds the events again and counts them."""
    process = Process(Broker(), monkeypatch)
    process.read(CHUNKS[:30])
    process.detect.partitions.clear()
    process.detect._checkpoint()
    assert process.counted() == 0


def test_alarms_that_end_at_a_restore_are_produced_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They do not wait for the next records, and a crash before the checkpoint repeats them."""
    broker = Broker()
    process = Process(broker, monkeypatch)
    process.read(CHUNKS[:30])
    process.detect._checkpoint()
    opened = len(broker.events)
    changed = synthetic.config(alarms=AlarmsConfig(critical_psi=0.5))
    for _ in range(2):
        process = Process(broker, monkeypatch, changed)
        for event in process.partition.monitor.take_pending():
            process.detect._emit(process.partition, event)
    closed = broker.events[opened:]
    assert closed
    assert {event.change for event in closed} == {"resolved"}
    assert len({event.id for event in closed}) == len(closed) / 2
    process.detect._checkpoint()
    assert not Process(broker, monkeypatch, changed).partition.monitor.pending


class Message:
    """A chunk of the only partition at an offset."""

    def __init__(self, chunk: Columns, offset: int) -> None:
        self._value, self._offset = encode_chunk(chunk), offset

    def value(self) -> bytes:
        """Return the chunk."""
        return self._value

    def topic(self) -> str:
        """Return the topic."""
        return "plumbline.features"

    def partition(self) -> int:
        """Return the partition."""
        return 0

    def offset(self) -> int:
        """Return the offset."""
        return self._offset


@pytest.mark.parametrize("offset", [0, 3, 9])
def test_an_offset_that_is_read_again(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    """The client starts anew in a topic that was made again: the state is restored first."""
    process = Process(Broker(), monkeypatch)
    for nth, chunk in enumerate(CHUNKS[:10]):
        process.detect._add(Message(chunk, nth))  # type: ignore[arg-type] # a stand-in
    before = process.partition.offset
    with pytest.raises(RejoinError, match=f"offset {offset} "):
        process.detect._add(Message(CHUNKS[10], offset))  # type: ignore[arg-type] # a stand-in
    assert process.partition.offset == before
    process.detect._add(Message(CHUNKS[10], 12))  # type: ignore[arg-type] # a stand-in


@pytest.mark.parametrize(
    ("mine", "found", "again"),
    [("a", "b", True), ("a", "a", False), ("", "b", False), ("", "", False)],
)
def test_a_feature_topic_that_was_made_again(
    monkeypatch: pytest.MonkeyPatch, mine: str, found: str, again: bool
) -> None:
    """The role joins the group again, which restores the state, without another checkpoint."""
    broker = Broker()
    process = Process(broker, monkeypatch)
    process.read(CHUNKS[:5])
    process.partition.features_id, process.detect.checks.features_id = mine, found
    monkeypatch.setattr(process.detect.checks, "check", lambda: (False, False))
    if again:
        with pytest.raises(RejoinError, match="made again"):
            process.detect._check_state_topic()
    else:
        process.detect._check_state_topic()
    assert not broker.newest
