"""Samples: exactly once through crashes and rebalances, and no record that stops ingest."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from monitor.events.codec import encode_event
from monitor.ingest.fields.hashing import uniform_numbers
from monitor.ingest.sampling.codec import decode_sample
from monitor.kafka.topics import Topics
from monitor.records import Sample
from tests.integration.broker import KafkaBroker
from tests.integration.harness import (
    JUDGES,
    SHORT_SESSION,
    Daemon,
    committed,
    numbered,
    produce,
    read_all,
    until,
)
from tests.long_form import long_only
from tests.monitor.notify.drift_events import event

MakeTopic = Callable[..., str]
pytestmark = pytest.mark.usefixtures("real_broker")

NO_BOOST = {"errors": 0, "refusals": 0, "negative_feedback": {"rate": 0}}
RATE = 0.2
SECRET = "reach me at alice@example.com"


def ingest(directory: Path, broker: KafkaBroker, prefix: str, logs: str, **sampling: Any) -> Daemon:
    """Return an ingest process that draws samples."""
    return Daemon(
        directory,
        broker.bootstrap,
        prefix=prefix,
        logs=[logs],
        roles="ingest",
        kafka={"client": SHORT_SESSION},
        judges=JUDGES,
        sampling={"rate": RATE, "boost": NO_BOOST, **sampling},
    )


def samples(broker: KafkaBroker, prefix: str) -> list[Sample]:
    """Return all samples; each is keyed by its request id."""
    found = []
    for message in read_all(broker.bootstrap, Topics(prefix).samples):
        sample = decode_sample(message.value() or b"")
        assert message.key() == sample.request_id.encode()
        found.append(sample)
    return found


def records(count: int, start: int = 0) -> list[bytes]:
    """Return records with a text that is redacted."""
    return [numbered(i, response=f"{SECRET} {i}") for i in range(start, start + count)]


@pytest.mark.parametrize("processes", [pytest.param(1, marks=long_only), 2])
def test_samples_are_written_exactly_once(
    processes: int, broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """One process, or two with a rebalance and one kill -9 in the middle of a transaction, write
    the same samples, each once: those that the hash of their request id draws.
    """
    logs, prefix, n = topic(partitions=2), uuid.uuid4().hex, 6_000
    number = {value: i % 2 for i, value in enumerate(records(2 * n))}
    key = lambda value: str(number[value]).encode()  # noqa: E731  # both partitions get records
    with ingest(tmp_path, broker, prefix, logs) as first:
        first.wait_ready()
        produce(broker.bootstrap, logs, records(n), key)
        if processes == 2:
            with ingest(tmp_path, broker, prefix, logs) as second:  # a rebalance
                second.wait_ready()
                first.wait(lambda: first.metric("records_consumed_total") > 0, "a transaction")
                produce(broker.bootstrap, logs, records(n, n), key)
                first.kill()
                until(
                    lambda: committed(broker.bootstrap, f"{prefix}-ingest", logs) == 2 * n,
                    "all records",
                )
                assert second.stop() == 0
        else:
            produce(broker.bootstrap, logs, records(n, n), key)
            first.wait_metric("records_consumed_total", 2 * n)
            written = first.metric("samples_written_total", kind="uniform")
            assert first.metric("samples_redacted_total", kind="email") == written > 0
            assert first.stop() == 0
    found = samples(broker, prefix)
    ids = [str(i) for i in range(2 * n)]
    drawn = {i for i, u in zip(ids, uniform_numbers(ids), strict=True) if u < RATE}
    assert Counter(sample.request_id for sample in found) == Counter(drawn)
    assert {sample.inclusion.probability for sample in found} == {RATE}
    assert all(s.response == f"reach me at [email] {s.request_id}" for s in found)


HOSTILE: tuple[bytes, ...] = (
    numbered(0, response="x" * 3_000_000, prompt=[{"role": "user", "content": "y" * 900_000}]),
    numbered(1, contexts="x", experiments=3, metadata={"a": {"b": [1]}}, feedback="good"),
    numbered(2, response="\x00\x1b[31m\u202e", user_id="\x00", session_id=["s"]),
    numbered(3, response="@").replace(b"@", rb"\ud83d"),
    numbered(4, contexts=["@"], reference="@").replace(b"@", rb"\udc00"),
    numbered(5, metadata={"@": "@"}).replace(b"@", b"\xff\xfe"),
    numbered(6, metadata={str(i): "v" * 20 for i in range(20_000)}),
    numbered(7, contexts=["c"] * 100_000),
    numbered(8, prompt=[{"content": [{"type": "image", "data": "x" * 100_000}, "text"]}]),
    numbered(9, feedback=1, metadata="@").replace(b'"@"', b"[" * 900 + b"]" * 900),
    b'{"request_id": "' + b"i" * 200_000 + b'", "timestamp": 1, "model": "m"}',
    b'{"request_id": "", "timestamp": 1, "model": "m"}',
    b'{"request_id": "\\u0000", "timestamp": 1, "model": "m", "response": "-1e999"}',
    b"\xff\xfe",
    b"",
)


def test_no_record_stops_ingest(broker: KafkaBroker, topic: MakeTopic, tmp_path: Path) -> None:
    """Huge records, wrong types, NUL, half characters and bytes that are not UTF-8 become samples,
    are dropped and counted, or are rejected; the record after each of them becomes a sample.
    """
    logs, prefix = topic(config={"max.message.bytes": str(16 << 20)}), uuid.uuid4().hex
    values = [each for i, bad in enumerate(HOSTILE) for each in (bad, numbered(100 + i))]
    produce(broker.bootstrap, logs, values)
    with ingest(tmp_path, broker, prefix, logs, rate=1) as daemon:
        daemon.wait_metric("records_consumed_total", len(values))
        rejected = daemon.metric("records_rejected_total")
        dropped = daemon.metric("samples_dropped_total")
        assert daemon.metric("samples_written_total") == len(values) - rejected - dropped
        assert daemon.metric("samples_dropped_total", reason="too_large") == dropped == 1
        assert daemon.metric("samples_cut_total") == 3
        assert daemon.stop() == 0
        text = daemon.log_text()
    found = {sample.request_id: sample for sample in samples(broker, prefix)}
    assert {str(100 + i) for i in range(len(HOSTILE))} <= found.keys()
    assert found["0"].cut == ("prompt", "response")
    assert (found["1"].contexts, found["1"].experiments, found["1"].feedback) == (None,) * 3
    assert found["2"].response == "\x00\x1b[31m\u202e"
    assert found["3"].response == "\ufffd"
    assert found["6"].metadata is None
    assert "i" * 100 not in text
    assert len(max(map(json.dumps, [s.request_id for s in found.values()]), key=len)) < 100


def test_a_topic_that_refuses_samples(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Where the broker accepts no samples, they are dropped and counted, and records are read."""
    logs, prefix = topic(), uuid.uuid4().hex
    broker.create_topic(Topics(prefix).samples, config={"max.message.bytes": "500"})
    texts = ["".join(str(uuid.uuid4()) for _ in range(100)) for _ in range(500)]
    values = [numbered(i, response=text) for i, text in enumerate(texts)]
    produce(broker.bootstrap, logs, values)
    with ingest(tmp_path, broker, prefix, logs, rate=1) as daemon:
        daemon.wait_metric("records_consumed_total", len(values))
        assert daemon.metric("samples_dropped_total", reason="refused") == len(values)
        assert daemon.said("sample refused")[-1]["next_messages"] == "dropped"
        assert daemon.stop() == 0
    assert samples(broker, prefix) == []


def test_nothing_is_written_without_judges(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Without a judge there is neither a topic of samples nor a sample."""
    logs, prefix = topic(), uuid.uuid4().hex
    produce(broker.bootstrap, logs, records(200))
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], roles="ingest") as daemon:
        daemon.wait_metric("records_consumed_total", 200)
        assert daemon.metric("samples_written_total") == 0
        assert daemon.stop() == 0
    topics = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=30).topics
    assert Topics(prefix).samples not in topics


def test_records_of_a_model_with_an_open_alarm_are_drawn(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Ingest follows the events topic, which may come into being later, and never waits for it."""
    logs, prefix = topic(), uuid.uuid4().hex
    boost = NO_BOOST | {"open_alarms": 1}
    numbers = iter(range(10**6))

    def boosted() -> set[tuple[str, ...]]:
        produce(broker.bootstrap, logs, [numbered(next(numbers)) for _ in range(20)])
        end = next(numbers)
        produce(broker.bootstrap, logs, [numbered(end)])
        group = f"{prefix}-ingest"
        until(lambda: committed(broker.bootstrap, group, logs) == end + 1, "all records")
        last = [each for each in samples(broker, prefix) if int(each.request_id) > end - 20]
        return {each.inclusion.boosted for each in last} - {()}

    with ingest(tmp_path, broker, prefix, logs, boost=boost) as daemon:
        daemon.wait_ready()
        assert boosted() == set()
        opened = event(alarm="a", model="m", severity="critical")
        produce(broker.bootstrap, Topics(prefix).events, [encode_event(opened)])
        until(lambda: boosted() == {("open_alarm",)}, "boosted samples")
        resolved = event(alarm="a", model="m", severity="critical", change="resolved")
        produce(broker.bootstrap, Topics(prefix).events, [encode_event(resolved)])
        until(lambda: boosted() == set(), "no boosted samples")
        assert daemon.stop() == 0
