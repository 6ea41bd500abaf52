"""Ingest: good, bad and large records, failed transactions and rebalances."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, unlisted
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from monitor.config.schema import Config
from monitor.ingest.features import Batch, FeatureExtractor
from monitor.kafka.errors import UnusableProducerError
from monitor.kafka.topics import Topics
from monitor.roles import ingest, ingest_records
from monitor.roles.ingest import Ingest
from monitor.roles.ingest_records import CHUNK_BYTES
from monitor.roles.ingest_transaction import Outgoing
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    Daemon,
    chunks,
    committed,
    header,
    headers,
    letters,
    numbered,
    produce,
    read_all,
    times,
)

MakeTopic = Callable[..., str]

on_a_real_broker = pytest.mark.usefixtures("real_broker")

MALFORMED: tuple[tuple[bytes | None, str], ...] = (
    (b'{"request_id": "a", "timestamp": 1, ', "not_json"),
    (b"not JSON at all", "not_json"),
    (b'{"request_id": "a"} trailing', "missing_field"),
    (b'{"x": ' + b"[" * 100_000, "not_json"),
    (b"null", "wrong_type"),
    (b'["a", 1, "m"]', "wrong_type"),
    (b'{"request_id": 1, "timestamp": 1, "model": "m"}', "wrong_type"),
    (b'{"request_id": "a", "timestamp": 1, "model": null}', "wrong_type"),
    (b'{"request_id": "a", "timestamp": 1, "model": "m", "latency_ms": "fast"}', "wrong_type"),
    (b'{"request_id": "a", "timestamp": 1}', "missing_field"),
    (b"{}", "missing_field"),
    (b'{"request_id": "a", "timestamp": "yesterday", "model": "m"}', "bad_timestamp"),
    (b'{"request_id": "a", "timestamp": 1e18, "model": "m"}', "bad_timestamp"),
    (b'{"request_id": "a", "timestamp": -1, "model": "m"}', "bad_timestamp"),
    (b'{"request_id": "a", "timestamp": 1, "model": ""}', "bad_model"),
    (b'{"request_id": "\xff\xfe", "timestamp": 1, "model": "m"}', "not_utf8"),
    (b"\x00\x01\x02\xff", "not_json"),
    (b"", "empty"),
    (None, "empty"),
)


@on_a_real_broker
def test_bad_messages_become_dead_letters(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """In a log whose every tenth message is not a record, all records are counted, and the other
    messages become dead letters, byte for byte, with the reason and the source in their headers.
    """
    logs, prefix = topic(), uuid.uuid4().hex
    total = 10 * 3 * len(MALFORMED)
    values = [
        MALFORMED[i // 10 % len(MALFORMED)][0] if i % 10 == 9 else numbered(i) for i in range(total)
    ]
    produce(broker.bootstrap, logs, values, lambda _: b"the key", [("trace", b"\x00\xff")])
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        daemon.wait_metric("records_consumed_total", total)
        daemon.wait_metric("records_watched_total", total * 0.9)
        for reason, count in Counter(reason for _, reason in MALFORMED).items():
            assert daemon.metric("records_rejected_total", reason=reason) == 3 * count, reason
        rejected = daemon.metric("records_rejected_total")
        watched = daemon.metric("records_watched_total")
        assert daemon.metric("records_consumed_total") == rejected + watched == total
        assert daemon.stop() == 0
    assert times(broker.bootstrap, prefix) == [i for i in range(total) if i % 10 != 9]
    dead = read_all(broker.bootstrap, Topics(prefix).dead_letters)
    assert len(dead) == total / 10
    by_offset = {int(header(letter, "plumbline.offset")): letter for letter in dead}
    for number, offset in enumerate(range(9, total, 10)):
        letter = by_offset[offset]
        value, reason = MALFORMED[number % len(MALFORMED)]
        assert (letter.value(), letter.key()) == (value, b"the key")
        assert header(letter, "plumbline.reason") == reason
        assert (header(letter, "plumbline.topic"), header(letter, "plumbline.partition")) == (
            logs,
            "0",
        )
        assert header(letter, "plumbline.detail")
        assert headers(letter)[0] == ("trace", b"\x00\xff")


@on_a_real_broker
def test_large_messages(broker: KafkaBroker, topic: MakeTopic, tmp_path: Path) -> None:
    """Records of 1 MB are accepted; one of 5 MB is rejected, and its dead letter has all bytes; one
    that is larger than a dead letter may be is cut, and a header has its size.
    """
    logs, prefix = topic(config={"max.message.bytes": str(16 << 20)}), uuid.uuid4().hex
    good = [numbered(i, prompt="x" * 1_000_000) for i in range(3)]
    rejected, cut = (numbered(9, prompt="x" * size) for size in (5 << 20, 12 << 20))
    produce(broker.bootstrap, logs, [*good, rejected, cut, numbered(10)])
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        daemon.wait_metric("records_watched_total", 4)
        assert daemon.metric("records_rejected_total", reason="too_large") == 2
        assert daemon.stop() == 0
    assert times(broker.bootstrap, prefix) == [0, 1, 2, 10]
    dead = read_all(broker.bootstrap, Topics(prefix).dead_letters)
    whole, part = sorted(dead, key=lambda letter: int(header(letter, "plumbline.offset")))
    assert whole.value() == rejected
    value = part.value() or b""
    assert 7 << 20 < len(value) < len(cut)
    assert cut.startswith(value)
    assert header(part, "plumbline.truncated_from") == str(len(cut))


@on_a_real_broker
def test_wide_records_are_split_into_chunks(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Records with many features are split into chunks below the size limit, in their order."""
    logs, prefix, total = topic(), uuid.uuid4().hex, 6_000
    scores = {f"s{i}": 0.5 for i in range(50)}
    extra = {f"n{i}": i for i in range(20)}
    values = [numbered(i, scores=scores, metadata=extra) for i in range(total)]
    produce(broker.bootstrap, logs, values)
    features = {"metadata": dict.fromkeys(extra, "numeric")}
    with Daemon(
        tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], features=features
    ) as daemon:
        daemon.wait_metric("records_watched_total", total)
        assert daemon.stop() == 0
    found = chunks(broker.bootstrap, prefix)
    assert [time for chunk in found for time in chunk.times.tolist()] == list(range(total))
    assert {len(chunk.numeric) for chunk in found} == {1 + 50 + 20}
    sizes = [len(m.value() or b"") for m in read_all(broker.bootstrap, Topics(prefix).features)]
    assert CHUNK_BYTES / 4 < max(sizes) <= CHUNK_BYTES


@on_a_real_broker
def test_failed_deliveries_are_rolled_back_and_repeated(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """While the broker rejects chunks, no record is counted; once it accepts them, every record and
    every dead letter is there once.
    """
    logs, prefix, total = topic(2), uuid.uuid4().hex, 3_000
    features = Topics(prefix).features
    broker.create_topic(features, 1, {"max.message.bytes": "2000"})
    values = [b"bad %d" % i if i % 10 == 9 else numbered(i) for i in range(total)]
    produce(broker.bootstrap, logs, values, key=lambda value: value)
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        daemon.wait_metric("transactions_aborted_total", 3)
        assert daemon.metric("records_consumed_total") == 0
        assert "too large" in daemon.said("transaction rolled back")[0]["error"]
        set_topic(broker, features, "max.message.bytes", str(8 << 20))
        daemon.wait_metric("records_consumed_total", total)
        daemon.wait_metric("records_watched_total", total * 0.9)
        assert daemon.metric("records_consumed_total") == total
        assert daemon.metric("records_rejected_total") == total / 10
        assert daemon.stop() == 0
    assert times(broker.bootstrap, prefix) == [i for i in range(total) if i % 10 != 9]
    bad: Counter[Any] = Counter(value for value in values if value.startswith(b"bad"))
    assert letters(broker.bootstrap, prefix) == bad


def set_topic(broker: KafkaBroker, topic: str, name: str, value: str) -> None:
    """Change a setting of a topic."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(30)


@dataclass
class FakeMessage:
    """A message of a log; a record unless it has another payload."""

    place: int
    number: int
    payload: bytes = b""

    def topic(self) -> str:
        """Return the topic."""
        return "logs"

    def partition(self) -> int:
        """Return the partition."""
        return self.place

    def offset(self) -> int:
        """Return the offset."""
        return self.number

    def value(self) -> bytes:
        """Return the payload, or a good record."""
        return self.payload or numbered(self.number)

    def error(self) -> None:
        """Return no error."""


@dataclass
class FakeClients:
    """Consumer and producer in one, which record the calls of their methods.

    batches: the results of `consume`. rebalance: called within it. failing: method -> its error.
    high: the end of the log; negative if unknown. first: the first offset of each partition.
    kept: the committed offset of each partition.
    """

    batches: list[list[FakeMessage]] = field(default_factory=list)
    rebalance: Callable[[], None] | None = None
    failing: dict[str, KafkaError] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    high: int = -1001
    first: int = 0
    kept: int = -1001

    def consume(self, count: int, _: float) -> list[FakeMessage]:
        """Return the next batch, after the rebalance."""
        self.calls.append(("consume", count))
        if self.rebalance is not None:
            self.rebalance()
        return self.batches.pop(0)

    def assignment(self) -> str:
        """Return the assigned partitions."""
        return "all"

    def seek(self, partition: TopicPartition) -> None:
        """Record the offset at which reading continues."""
        self.calls.append(("seek", partition.partition, partition.offset))

    def consumer_group_metadata(self) -> None:
        """Return nothing."""

    def memberid(self) -> str:
        """Return the name of a member."""
        return "me"

    def get_watermark_offsets(self, *_: object, cached: bool) -> tuple[int, int]:
        """Return the known start and end of the log."""
        assert cached, "a request would block the loop"
        return -1001, self.high

    def committed(self, places: list[TopicPartition], _: float) -> list[TopicPartition]:
        """Return the committed offset, the same for each partition, or raise an error."""
        if "committed" in self.failing:
            raise KafkaException(self.failing["committed"])
        return [TopicPartition(p.topic, p.partition, self.kept) for p in places]

    def offsets_for_times(self, places: list[TopicPartition], _: float) -> list[TopicPartition]:
        """Return the first offset, the same for each partition."""
        return [TopicPartition(p.topic, p.partition, self.first) for p in places]

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*arguments: object, **_: object) -> None:
            self.calls.append((name, *arguments))
            if name in self.failing:
                raise KafkaException(self.failing[name])

        return call

    def called(self, name: str) -> list[list[Any]]:
        """Return the arguments of all calls of a method."""
        return [arguments for called, *arguments in self.calls if called == name]


def worker(clients: FakeClients, stop: Callable[[float], bool] = lambda _: False) -> Any:
    """Return an ingest member with these clients."""
    role: Any = Ingest(Config(), Metrics(), Health(), stop)
    role.producer = role.consumer = clients
    role._unwritable = set
    return role


P0, P1 = TopicPartition("logs", 0), TopicPartition("logs", 1)
ABORTABLE = KafkaError(KafkaError._TIMED_OUT, "injected", txn_requires_abort=True)


def test_paused_partitions_are_resumed_after_a_rebalance() -> None:
    """Partitions that were paused before others were assigned are resumed with them."""
    clients = FakeClients()
    role = worker(clients)
    role.outbox.append(Outgoing("t", None, b""))
    role._apply_backpressure()
    assert clients.called("pause") == [["all"]]
    role._assigned(clients, [P1])
    role.outbox.clear()
    role._apply_backpressure()
    assert clients.called("resume") == [["all"]]


def test_a_partition_given_away_is_not_read_any_more() -> None:
    """Messages that `consume` returns of a partition revoked within it are not used."""
    clients = FakeClients([[FakeMessage(0, 5), FakeMessage(1, 7)]])
    role = worker(clients)
    clients.rebalance = lambda: role._revoked(clients, [P1])
    assert role._read() == [FakeMessage(0, 5)]
    assert clients.called("seek") == []


REBALANCES: dict[str, Callable[[Any, Any], None]] = {
    "lost": lambda role, clients: role._lost(clients, [P1]),
    "revoked": lambda role, clients: role._revoked(clients, [P1]),
}


@pytest.mark.parametrize("leave", REBALANCES)
@pytest.mark.parametrize(("kept", "start"), [(7, 7), (9, 9), (-1001, OFFSET_BEGINNING)])
def test_a_partition_given_away_and_back_is_read_again(leave: str, kept: int, start: int) -> None:
    """A partition that is assigned again within the same `consume` is read from its committed
    offset: messages of the batch, of either assignment, are not used.
    """
    clients = FakeClients([[FakeMessage(1, 7), FakeMessage(0, 5), FakeMessage(1, 9)]], kept=kept)
    role = worker(clients)

    def rebalance() -> None:
        REBALANCES[leave](role, clients)
        role._assigned(clients, [P1])

    clients.rebalance = rebalance
    assert role._read() == [FakeMessage(0, 5)]
    assert clients.called("seek") == [[1, start]]


def test_lost_assigned_and_lost_again() -> None:
    """The partition is gone: nothing of it is used, and it is not sought."""
    clients = FakeClients([[FakeMessage(1, 7), FakeMessage(0, 5)]])
    role = worker(clients)

    def rebalance() -> None:
        role._lost(clients, [P1])
        role._assigned(clients, [P1])
        role._lost(clients, [P1])

    clients.rebalance = rebalance
    assert role._read() == [FakeMessage(0, 5)]
    assert clients.called("seek") == []


def test_messages_wait_for_the_committed_offset() -> None:
    """While the committed offset cannot be read, messages of the partition are not used."""
    clients = FakeClients([[FakeMessage(1, 7)], [FakeMessage(1, 8)], [FakeMessage(1, 3)]], kept=3)
    clients.failing["committed"] = KafkaError(KafkaError._TRANSPORT)
    role = worker(clients)

    def rebalance() -> None:
        role._lost(clients, [P1])
        role._assigned(clients, [P1])

    clients.rebalance = rebalance
    assert role._read() == []
    clients.rebalance = None
    del clients.failing["committed"]
    assert role._read() == []
    assert clients.called("seek") == [[1, 3]]
    assert role._read() == [FakeMessage(1, 3)]


def test_an_abort_that_fails_gets_new_clients() -> None:
    """The session ends, not the role; a producer that was replaced ends the role."""
    clients = FakeClients([[FakeMessage(0, 5)], []])
    clients.failing["commit_transaction"] = ABORTABLE
    clients.failing["abort_transaction"] = KafkaError(KafkaError.INVALID_TXN_STATE, fatal=True)
    role = worker(clients)
    _turn_at(role, 0)
    with pytest.raises(UnusableProducerError, match="injected"):
        _turn_at(role, 60)
    forgotten = KafkaError(KafkaError.INVALID_PRODUCER_ID_MAPPING, txn_requires_abort=True)
    clients.batches, clients.failing = [[FakeMessage(0, 5)], []], {"commit_transaction": forgotten}
    _turn_at(role, 0)
    with pytest.raises(UnusableProducerError):
        _turn_at(role, 60)
    clients.batches, clients.failing = [[FakeMessage(0, 5)], []], {"commit_transaction": ABORTABLE}
    clients.failing["abort_transaction"] = KafkaError(KafkaError._FENCED, fatal=True)
    _turn_at(role, 0)
    with pytest.raises(KafkaException):
        _turn_at(role, 60)


def test_messages_that_expired_unread_are_counted() -> None:
    """Those before the first offset: at an assignment, and in a gap while reading. Other gaps are
    transaction markers.
    """
    batches = [[FakeMessage(0, 20)], [FakeMessage(0, 22)], [FakeMessage(0, 50)], []]
    clients = FakeClients(batches, first=20, kept=5)
    role = worker(clients)
    role._assigned(clients, [P0])
    role._run_once()
    assert role.metrics.expired["logs"] == 15
    _commit_and_measure(role)  # reads 22; 21 is a marker
    assert role.metrics.expired["logs"] == 15
    clients.first = 50
    role._run_once()
    _commit_and_measure(role)
    assert role.metrics.expired["logs"] == 15 + 27


def _commit_and_measure(role: Any) -> None:
    role.meter._due = 0.0
    _turn_at(role, 60)


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_a_commit_that_fails_in_a_rebalance_is_read_again(call: str) -> None:
    """Messages that could not be committed before a revocation are not counted. Those of partitions
    that remain are read again; the batch that `consume` returns meanwhile is not used.
    """
    batch = [FakeMessage(0, 5), FakeMessage(1, 7)]
    clients = FakeClients([batch, [FakeMessage(0, 6)]], failing={call: ABORTABLE})
    role = worker(clients)
    role._run_once()
    clients.rebalance = lambda: role._revoked(clients, [P1])
    role._run_once()
    assert clients.called("abort_transaction")
    assert clients.called("seek") == [[0, 5]]
    assert role.transaction is None
    assert role.metrics.consumed.total() == 0


def test_a_failed_produce_rolls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed delivery `produce` reports a wrong state, and the transaction is aborted."""
    monkeypatch.setattr(ingest_records, "EXTRACT_RECORDS", 1)
    monkeypatch.setattr(ingest_records, "CHUNK_RECORDS", 1)
    clients = FakeClients([[FakeMessage(0, 5)], []])
    clients.failing["produce"] = KafkaError(KafkaError._STATE)
    role = worker(clients)
    role._run_once()
    role._run_once()
    assert clients.called("abort_transaction")
    assert clients.called("seek") == [[0, 5]]


@pytest.mark.parametrize(
    ("high", "batch", "limit"),
    [
        (5, [3], ingest.BEHIND_SECONDS),  # a lag of 3 after a transaction of 2 messages
        (4, [3], ingest.COMMIT_SECONDS),
        (5, [], ingest.COMMIT_SECONDS),  # no more messages
    ],
)
def test_a_transaction_is_open_longer_while_behind(
    high: int, batch: list[int], limit: float
) -> None:
    """A transaction is committed after COMMIT_SECONDS. It is committed after BEHIND_SECONDS if the
    lag after the last one was larger than that one, and there are more messages.
    """
    clients = FakeClients([[FakeMessage(0, i)] for i in range(3)], high=high)
    role = worker(clients)
    role._assigned(clients, [P0])
    _turn_at(role, 0)
    _turn_at(role, ingest.COMMIT_SECONDS)
    assert len(clients.called("commit_transaction")) == 1
    _turn_at(role, 0)
    clients.batches = [[FakeMessage(0, i) for i in batch]] * 2
    _turn_at(role, limit - 0.1)
    assert len(clients.called("commit_transaction")) == 1
    _turn_at(role, limit)
    assert len(clients.called("commit_transaction")) == 2


@pytest.mark.parametrize(("size", "expected"), [(0, ingest.BATCH), (2_600, 2_000), (2**20, 6)])
def test_larger_messages_are_read_in_smaller_batches(size: int, expected: int) -> None:
    """The number of messages to read follows from the size of those before, to bound the memory."""
    messages = [FakeMessage(0, i, numbered(i, response="x" * size)) for i in range(3)]
    clients = FakeClients([messages, []])
    role = worker(clients)
    role._run_once()
    role._run_once()
    assert clients.called("consume") == [[ingest.FIRST_BATCH], [expected]]


def _turn_at(role: Any, age: float) -> None:
    """Run an iteration when the transaction has been open for `age` seconds."""
    if role.transaction is not None:
        role.transaction.opened = time.monotonic() - age
    role._run_once()


def test_a_fenced_producer_ends_the_role() -> None:
    """A producer that was replaced by another one neither aborts nor retries."""
    clients = FakeClients([[FakeMessage(0, 5)]])
    clients.failing["begin_transaction"] = KafkaError(KafkaError._FENCED, "injected", fatal=True)
    with pytest.raises(KafkaException, match="injected"):
        worker(clients)._run_once()
    assert clients.called("abort_transaction") == []


@on_a_real_broker
def test_a_failed_batch_is_never_committed(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an unexpected error ends the role in the middle of a transaction, the transaction commits
    neither records nor offsets, and the next process reads all of it again.
    """
    logs, prefix, total = topic(), uuid.uuid4().hex, 3_000
    values = [b"bad %d" % i if i % 10 == 9 else numbered(i) for i in range(total)]
    produce(broker.bootstrap, logs, values)
    kafka = {"bootstrap_servers": broker.bootstrap, "prefix": prefix, "logs": [logs]}
    metrics = Metrics()
    role = Ingest(Config.model_validate({"kafka": kafka}), metrics, Health(), lambda _: False)
    extract, extracted = FeatureExtractor.batch, list[Batch]()

    def fail_the_second_time(self: FeatureExtractor, *arguments: Any) -> Batch:
        if extracted:
            raise ZeroDivisionError("injected")
        extracted.append(extract(self, *arguments))
        return extracted[0]

    # One transaction for all, of which only the first part of the records has features.
    monkeypatch.setattr(ingest, "COMMIT_SECONDS", 60.0)
    monkeypatch.setattr(FeatureExtractor, "batch", fail_the_second_time)
    with pytest.raises(ZeroDivisionError, match="injected"):
        role.run()
    monkeypatch.undo()
    assert len(extracted[0].codes) > 0
    assert metrics.consumed.total() == 0
    assert committed(broker.bootstrap, f"{prefix}-ingest", logs) == 0
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        daemon.wait_metric("records_consumed_total", total)
        assert daemon.stop() == 0
    assert times(broker.bootstrap, prefix) == [i for i in range(total) if i % 10 != 9]
    dead = letters(broker.bootstrap, prefix)
    assert dead == Counter(value for value in values if value.startswith(b"bad"))
