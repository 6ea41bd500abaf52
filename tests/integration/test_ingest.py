"""Ingest: what comes of good records, bad ones and large ones."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, unlisted
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from monitor.config import Config
from monitor.health import Health
from monitor.kafka import Topics
from monitor.metrics import Metrics
from monitor.roles import ingest
from monitor.roles.ingest import CHUNK_BYTES, Ingest, Outgoing
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    Daemon,
    chunks,
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
    """Of a log in which every tenth message is no record, every record is counted, every other is
    a dead letter byte for byte that says why and whence, and the counters add up exactly.
    """
    logs, prefix = topic(), uuid.uuid4().hex
    total = 10 * 3 * len(MALFORMED)
    values = [
        MALFORMED[i // 10 % len(MALFORMED)][0] if i % 10 == 9 else numbered(i) for i in range(total)
    ]
    produce(broker.bootstrap, logs, values, lambda _: b"the key", [("trace", b"\x00\xff")])
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
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
    """Records of a megabyte work; one of more than four is refused, byte for byte, and one that no
    dead letter can hold is cut, which it says.
    """
    logs, prefix = topic(config={"max.message.bytes": str(16 << 20)}), uuid.uuid4().hex
    sound = [numbered(i, prompt="x" * 1_000_000) for i in range(3)]
    refused, cut = (numbered(9, prompt="x" * size) for size in (5 << 20, 12 << 20))
    produce(broker.bootstrap, logs, [*sound, refused, cut, numbered(10)])
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        daemon.wait_metric("records_watched_total", 4)
        assert daemon.metric("records_rejected_total", reason="too_large") == 2
        assert daemon.stop() == 0
    assert times(broker.bootstrap, prefix) == [0, 1, 2, 10]
    dead = read_all(broker.bootstrap, Topics(prefix).dead_letters)
    whole, part = sorted(dead, key=lambda letter: int(header(letter, "plumbline.offset")))
    assert whole.value() == refused
    value = part.value() or b""
    assert 7 << 20 < len(value) < len(cut)
    assert cut.startswith(value)
    assert header(part, "plumbline.truncated_from") == str(len(cut))


@on_a_real_broker
def test_wide_records_are_split_into_chunks(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Records with many features come in chunks below the bound, all of them in their order."""
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
def test_failed_deliveries_are_rolled_back_and_made_good(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """While the broker refuses chunks nothing is counted and nothing lost; once it takes them,
    every record and every dead letter is there once.
    """
    logs, prefix, total = topic(2), uuid.uuid4().hex, 3_000
    features = Topics(prefix).features
    broker.create_topic(features, 1, {"max.message.bytes": "2000"})
    values = [b"bad %d" % i if i % 10 == 9 else numbered(i) for i in range(total)]
    produce(broker.bootstrap, logs, values, key=lambda value: value)
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        daemon.wait_metric("transactions_aborted_total", 3)
        assert daemon.metric("records_consumed_total") == 0
        assert "too large" in daemon.said("transaction rolled back, reading again")[0]["error"]
        set_topic(broker, features, "max.message.bytes", str(8 << 20))
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
    """A message as far as ingest looks at it."""

    place: int
    number: int

    def topic(self) -> str:
        """The one topic."""
        return "logs"

    def partition(self) -> int:
        """Its partition."""
        return self.place

    def offset(self) -> int:
        """Its offset."""
        return self.number

    def value(self) -> bytes:
        """A good record."""
        return numbered(self.number)

    def error(self) -> None:
        """No error."""
        return


@dataclass
class FakeClients:
    """Consumer and producer in one: what was asked of them, and what they are to do.

    batches: what `consume` returns. rebalance: what happens within it. failing: by call, an error.
    high: the end of the log, where it is known.
    """

    batches: list[list[FakeMessage]] = field(default_factory=list)
    rebalance: Callable[[], None] | None = None
    failing: dict[str, KafkaError] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    high: int = -1001

    def consume(self, *_: object) -> list[FakeMessage]:
        """The next batch, after the rebalance."""
        if self.rebalance is not None:
            self.rebalance()
        return self.batches.pop(0)

    def assignment(self) -> str:
        """All that is assigned."""
        return "all"

    def seek(self, partition: TopicPartition) -> None:
        """Note where reading goes on."""
        self.calls.append(("seek", partition.partition, partition.offset))

    def consumer_group_metadata(self) -> None:
        """Of no interest."""

    def memberid(self) -> str:
        """A member of its group."""
        return "me"

    def get_watermark_offsets(self, *_: object, cached: bool) -> tuple[int, int]:
        """What is known."""
        return -1001, self.high

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*arguments: object, **_: object) -> None:
            self.calls.append((name, *arguments))
            if name in self.failing:
                raise KafkaException(self.failing[name])

        return call

    def called(self, name: str) -> list[list[Any]]:
        """The arguments of all calls of a method."""
        return [arguments for called, *arguments in self.calls if called == name]


def worker(clients: FakeClients, stop: Callable[[float], bool] = lambda _: False) -> Any:
    """An ingest that works with these clients."""
    made: Any = Ingest(Config(), Metrics(), Health(), stop)
    made.producer = made.consumer = clients
    return made


P0, P1 = TopicPartition("logs", 0), TopicPartition("logs", 1)
ABORTABLE = KafkaError(KafkaError._TIMED_OUT, "made up", txn_requires_abort=True)


def test_paused_partitions_are_resumed_after_a_rebalance() -> None:
    """Partitions paused before others were added are read again when there is room."""
    clients = FakeClients()
    made = worker(clients)
    made.outbox.append(Outgoing("t", None, b""))
    made._apply_backpressure()
    assert clients.called("pause") == [["all"]]
    made._assigned(clients, [P1])
    made.outbox.clear()
    made._apply_backpressure()
    assert clients.called("resume") == [["all"]]


def test_a_partition_given_away_is_not_read_any_more() -> None:
    """Messages that `consume` had fetched before a revocation within it are left to the next."""
    clients = FakeClients([[FakeMessage(0, 5), FakeMessage(1, 7)]])
    made = worker(clients)
    clients.rebalance = lambda: made._revoked(clients, [P1])
    assert made._read() == [FakeMessage(0, 5)]
    assert clients.called("seek") == []


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_a_commit_that_fails_in_a_rebalance_is_read_again(call: str) -> None:
    """What could not be committed before a revocation is read again as far as it is still ours, and
    is not counted; what `consume` returns of it at that moment is not used.
    """
    batch = [FakeMessage(0, 5), FakeMessage(1, 7)]
    clients = FakeClients([batch, [FakeMessage(0, 6)]], failing={call: ABORTABLE})
    made = worker(clients)
    made._turn()
    clients.rebalance = lambda: made._revoked(clients, [P1])
    made._turn()
    assert clients.called("abort_transaction")
    assert clients.called("seek") == [[0, 5]]
    assert made.transaction is None
    assert made.metrics.consumed.total() == 0


def test_a_failed_produce_rolls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed delivery `produce` names no more than a wrong state: that is rolled back."""
    monkeypatch.setattr(ingest, "EXTRACT_RECORDS", 1)
    monkeypatch.setattr(ingest, "CHUNK_RECORDS", 1)
    clients = FakeClients([[FakeMessage(0, 5)], []])
    clients.failing["produce"] = KafkaError(KafkaError._STATE)
    made = worker(clients)
    made._turn()
    made._turn()
    assert clients.called("abort_transaction")
    assert clients.called("seek") == [[0, 5]]


@pytest.mark.parametrize(
    ("high", "batch", "limit"),
    [
        (5, [3], ingest.BEHIND_SECONDS),  # three waited, and two were in the last transaction
        (4, [3], ingest.COMMIT_SECONDS),
        (5, [], ingest.COMMIT_SECONDS),  # nothing comes any more
    ],
)
def test_a_transaction_is_open_longer_while_behind(
    high: int, batch: list[int], limit: float
) -> None:
    """A transaction is committed after COMMIT_SECONDS; after BEHIND_SECONDS, and no later, where
    more waited when the last one ended than that held, and more is read.
    """
    clients = FakeClients([[FakeMessage(0, i)] for i in range(3)], high=high)
    made = worker(clients)
    _turn_at(made, 0)
    _turn_at(made, ingest.COMMIT_SECONDS)
    assert len(clients.called("commit_transaction")) == 1
    _turn_at(made, 0)
    clients.batches = [[FakeMessage(0, i) for i in batch]] * 2
    _turn_at(made, limit - 0.1)
    assert len(clients.called("commit_transaction")) == 1
    _turn_at(made, limit)
    assert len(clients.called("commit_transaction")) == 2


def _turn_at(made: Any, age: float) -> None:
    """A turn when the open transaction has been open for so many seconds."""
    if made.transaction is not None:
        made.transaction.opened = time.monotonic() - age
    made._turn()


def test_a_fenced_producer_ends_the_role() -> None:
    """Where another has taken over there is nothing to roll back and nothing to try again."""
    clients = FakeClients([[FakeMessage(0, 5)]])
    clients.failing["begin_transaction"] = KafkaError(KafkaError._FENCED, "made up", fatal=True)
    with pytest.raises(KafkaException, match="made up"):
        worker(clients)._turn()
    assert clients.called("abort_transaction") == []


def test_half_a_batch_is_never_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """When something unforeseen ends the role, leaving the group commits nothing of the batch."""
    clients = FakeClients([[FakeMessage(0, 5)]])
    monkeypatch.setattr(ingest, "Consumer", lambda _: clients)
    monkeypatch.setattr(ingest, "Producer", lambda _: clients)
    monkeypatch.setattr(ingest, "EXTRACT_RECORDS", 1)
    made = worker(clients)
    monkeypatch.setattr(clients, "close", lambda: made._revoked(clients, [P0]), raising=False)
    monkeypatch.setattr(made.extractor, "batch", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made._session()
    assert clients.called("begin_transaction")
    assert clients.called("send_offsets_to_transaction") == clients.called("commit_transaction")
    assert clients.called("commit_transaction") == []


def test_a_stuck_client_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that does not come back in time costs the session its clients, not the daemon."""
    from monitor import kafka

    monkeypatch.setattr(kafka, "GRACE_SECONDS", 0.0)
    released = threading.Event()
    clients = FakeClients()
    monkeypatch.setattr(
        clients, "send_offsets_to_transaction", lambda *_: released.wait(30), raising=False
    )
    with pytest.raises(kafka.StuckError):
        kafka.send_offsets(clients, [], None, 0.01, lambda _: False)  # type: ignore[arg-type]  # fakes
    released.set()
