"""Detect: what it makes of chunks that are none, and of leaving and coming back."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from monitor.backtest import backtest
from monitor.config import Config
from monitor.demo.traffic import traffic
from monitor.kafka import Topics
from tests.integration.broker import KafkaBroker
from tests.integration.harness import QUICK, SHORT_SESSION, Daemon, numbered, produce, read_all

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
    """Bytes that are no chunk are counted, named with their place and skipped."""
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


def test_events_survive_leaving_and_dying(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """A daemon that leaves amid the traffic, comes back, is killed and comes back again has found
    the events of one that never left: none twice after the orderly end, and no others ever.
    """
    logs, prefix, total = topic(), uuid.uuid4().hex, 12_000
    lines = list(traffic(total, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0))
    file = tmp_path / "logs.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    report = backtest([file], Config.model_validate(QUICK))
    expected = {(event.id, event.change) for event in [*report.events, *report.resolved]}
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
        last.wait_metric("records_watched_total", 3_000)
        last.wait(lambda: last.metric("consumer_lag_records", topic=logs) == 0, "the end")
        assert last.stop() == 0
    assert set(found()) == expected


def test_a_scrape_is_whole_while_models_come_and_go(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """The numbers can be read at any moment while models, and so label sets, are added."""
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
