"""Ingest: what comes of good records, bad ones and large ones."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from monitor.kafka import Topics
from monitor.roles.ingest import CHUNK_BYTES
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    Daemon,
    chunks,
    header,
    letters,
    numbered,
    produce,
    read_all,
    times,
)

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")

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
        assert (letter.headers() or [])[0] == ("trace", b"\x00\xff")


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
