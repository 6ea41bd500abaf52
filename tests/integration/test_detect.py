"""Detect: what it makes of chunks that are none, and of leaving and coming back."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from monitor.demo.traffic import traffic
from monitor.kafka import Topics
from tests.integration.broker import KafkaBroker
from tests.integration.harness import SHORT_SESSION, Daemon, numbered, produce, read_all

MakeTopic = Callable[..., str]

pytestmark = pytest.mark.usefixtures("real_broker")

CHUNK = (1, "m", b"", b"", (), (), b"", [])
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
    msgspec.msgpack.encode(CHUNK)[:0] + b"\x99" + msgspec.msgpack.encode(CHUNK)[1:] + b"\x91" * 9_999,
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


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_events_survive_a_restart(
    how: str, broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """A daemon that left, or was killed, amid the traffic and came back has found every event of
    one that stayed; none twice after an orderly end, and none under a second id ever.
    """
    logs, total = topic(), 12_000
    lines = list(traffic(total, change_at=4_000, seed=7, rate=50.0, start=1_760_000_000.0))
    prefixes = {name: uuid.uuid4().hex for name in ("stayed", "left")}
    kafka = {"client": SHORT_SESSION}
    setting = {"logs": [logs], "kafka": kafka, "state": {"checkpoint_seconds": 0.5}}
    produce(broker.bootstrap, logs, lines[:7_000])
    with (
        Daemon(tmp_path, broker.bootstrap, prefix=prefixes["stayed"], **setting) as stayed,
        Daemon(tmp_path, broker.bootstrap, prefix=prefixes["left"], **setting) as left,
    ):
        left.wait_metric("records_watched_total", 7_000)
        left.wait_metric("last_checkpoint_timestamp_seconds", 1)
        if how == "stop":
            assert left.stop() == 0
        else:
            left.kill()
        produce(broker.bootstrap, logs, lines[7_000:])
        with Daemon(tmp_path, broker.bootstrap, prefix=prefixes["left"], **setting) as back:
            back.wait_for("state restored")
            newest = len(lines) - (7_000 if how == "stop" else 0)
            back.wait_metric("records_watched_total", total - 7_000)
            assert back.metric("records_watched_total") <= max(newest, total)
            assert back.stop() == 0
        stayed.wait_metric("records_watched_total", total)
        assert stayed.stop() == 0
    found = {
        name: [m.value() for m in read_all(broker.bootstrap, Topics(prefix).events)]
        for name, prefix in prefixes.items()
    }
    assert found["stayed"]
    assert set(found["left"]) == set(found["stayed"])
    if how == "stop":
        assert len(found["left"]) == len(found["stayed"])


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
