"""Detect: damaged feature chunks, restarts and kills, and scrapes under load."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from monitor.cli.backtest import backtest
from monitor.cli.demo.traffic import traffic
from monitor.config.schema import Config
from monitor.kafka.topics import Topics
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    QUICK,
    SHORT_SESSION,
    Daemon,
    committed,
    numbered,
    produce,
    read_all,
)

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")

CHUNK: tuple[object, ...] = (1, "m", b"", b"", (), (), b"", [])
POISON: tuple[bytes | None, ...] = (
    b"",
    None,
    b"\x00\xff\xfe",
    b'{"not": "a chunk"}',
    msgspec.msgpack.encode((99, *CHUNK[1:])),
    msgspec.msgpack.encode(CHUNK)[:-2],
    msgspec.msgpack.encode((1, "m", b"1234567", b"", (), (), b"", [])),
    msgspec.msgpack.encode((1, "m", bytes(8), bytes(16), (), (), b"", [])),
    msgspec.msgpack.encode((1, "m", bytes(8), bytes(8), ("x",), (), b"", [])),
    msgspec.msgpack.encode((1, "m", bytes(8), bytes(8), (), (), b"", [("c", (), bytes(2))])),
    b"\x91" * 100_000,
    msgspec.msgpack.encode(CHUNK)[:0]
    + b"\x99"
    + msgspec.msgpack.encode(CHUNK)[1:]
    + b"\x91" * 9_999,
)


def test_poison_in_the_feature_topic_is_skipped(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Messages that are no feature chunk are counted, logged with their offset and skipped."""
    logs, prefix = topic(), uuid.uuid4().hex
    features = Topics(prefix).features
    broker.create_topic(features)
    produce(broker.bootstrap, features, POISON)
    produce(broker.bootstrap, logs, map(numbered, range(100)))
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        daemon.wait_metric("records_watched_total", 100)
        assert daemon.metric("chunks_rejected_total") == len(POISON)
        skipped = daemon.said("feature chunk skipped")
        assert [line["offset"] for line in skipped] == list(range(len(POISON)))
        assert daemon.stop() == 0


def test_events_survive_a_restart_and_a_kill(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Restarted and then killed amid the traffic, a daemon finds the events of an undisturbed one:
    none twice after the restart, and no others after the kill.
    """
    logs, prefix, total = topic(), uuid.uuid4().hex, 12_000
    lines = list(traffic(total, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0))
    file = tmp_path / "logs.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    report = backtest([file], Config.model_validate(QUICK))
    expected = {
        (event.id, event.change) for event in [*report.events, *report.updated, *report.resolved]
    }
    kafka = {"client": SHORT_SESSION | {"transaction.timeout.ms": 5_000}}

    def daemon() -> Daemon:
        state = {"checkpoint_seconds": 0.5}
        return Daemon(
            tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], kafka=kafka, state=state
        )

    def found() -> list[tuple[str, str]]:
        messages = read_all(broker.bootstrap, Topics(prefix).events)
        events = [msgspec.json.decode(message.value() or b"") for message in messages]
        return [(event["id"], event["change"]) for event in events]

    def processed() -> bool:
        if committed(broker.bootstrap, f"{prefix}-ingest", logs) < total:
            return False
        features = Topics(prefix).features
        ends = {m.partition(): (m.offset() or 0) + 1 for m in read_all(broker.bootstrap, features)}
        return committed(broker.bootstrap, f"{prefix}-detect", features) == sum(ends.values())

    produce(broker.bootstrap, logs, lines[:6_000])
    with daemon() as leaves:
        leaves.wait_metric("records_watched_total", 6_000)
        assert leaves.stop() == 0
    produce(broker.bootstrap, logs, lines[6_000:9_000])
    with daemon() as dies:
        dies.wait_metric("records_watched_total", 3_000)
        assert dies.metric("records_watched_total") == 3_000
        assert len(found()) == len(set(found())) > 0
        dies.kill()
    produce(broker.bootstrap, logs, lines[9_000:])
    with daemon() as last:
        # after a kill, the number of records that are watched again is unknown
        last.wait(processed, "the end of both topics")
        assert last.stop() == 0
    assert set(found()) == expected


def test_a_scrape_is_whole_while_models_come_and_go(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """The metrics page is complete while models, and with them label sets, are added."""
    logs, prefix, models = topic(), uuid.uuid4().hex, 400
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs]) as daemon:
        daemon.wait_ready()
        for i in range(models):
            producer.produce(logs, numbered(i, f"m{i}"))
            if i % 10 == 0:
                producer.flush(30)
                assert daemon.get("/metrics")[0] == 200
        producer.flush(30)
        daemon.wait_metric("records_watched_total", models)
        assert "Traceback" not in daemon.log_text()
        assert daemon.stop() == 0
