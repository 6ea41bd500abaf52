"""Messages of any form and dead-letter topics with any limit: reading goes on behind them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.kafka.topics import Topics
from tests.integration.broker import KafkaBroker
from tests.integration.harness import Daemon, header, numbered, produce, read_all, times
from tests.integration.raw_producer import RawProducer
from tests.long_form import long_only

MakeTopic = Callable[..., str]

MANY = 200
NAMES = (b"tr\xe4ce", b"\xed\xa0\x80", b"\x1b[31m")

pytestmark = pytest.mark.usefixtures("real_broker")


@pytest.mark.parametrize(
    "name", [b"\xff\xfe\x00\x01", *(pytest.param(name, marks=long_only) for name in NAMES)]
)
def test_header_names_of_any_bytes(
    name: bytes, broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Records with such a header are read; messages that are no records become dead letters, also
    when there are so many that CPython has specialised the code that reads the headers.
    """
    logs, prefix = topic(), uuid.uuid4().hex
    produce(broker.bootstrap, logs, [numbered(0)])
    with RawProducer(broker.bootstrap) as raw:
        raw.produce(logs, numbered(1), name)
        for _ in range(MANY):
            raw.produce(logs, b"no record", name)
    produce(broker.bootstrap, logs, [numbered(2)])
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], roles="ingest") as daemon:
        daemon.wait_metric("records_consumed_total", MANY + 3)
        assert daemon.metric("records_rejected_total") == MANY
        assert daemon.metric("transactions_aborted_total") == 0
        assert daemon.stop() == 0
    assert times(broker.bootstrap, prefix) == [0, 1, 2]
    dead = read_all(broker.bootstrap, Topics(prefix).dead_letters)
    assert {letter.value() for letter in dead} == {b"no record"}
    offsets = sorted(int(header(letter, "plumbline.offset")) for letter in dead)
    assert offsets == list(range(2, MANY + 2))


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        pytest.param(16 << 20, "truncated", marks=long_only),
        pytest.param(1 << 20, "truncated", marks=long_only),
        (70_000, "truncated"),
        (5_000, "stub"),
    ],
)
def test_a_dead_letter_topic_of_any_limit(
    limit: int, outcome: str, broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """Rejected messages are truncated until the topic accepts them, and all records are read."""
    logs, prefix = topic(config={"max.message.bytes": str(16 << 20)}), uuid.uuid4().hex
    dead_letters = Topics(prefix).dead_letters
    broker.create_topic(dead_letters, 1, {"max.message.bytes": str(limit)})
    noise = random.Random(7).randbytes
    produce(broker.bootstrap, logs, [numbered(0)])
    produce(broker.bootstrap, logs, [noise(2 << 20)], headers=[("baggage", noise(100_000))])
    produce(broker.bootstrap, logs, [noise(9 << 20)], lambda _: b"k" * 100_000)
    produce(broker.bootstrap, logs, [noise(4_000) for _ in range(40)])
    produce(broker.bootstrap, logs, [numbered(1)], headers=[("baggage", noise(100_000))])
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], roles="ingest") as daemon:
        daemon.wait_metric("records_consumed_total", 44)
        assert daemon.metric("records_rejected_total") == 42
        assert daemon.metric("dead_letters_incomplete_total", outcome=outcome) >= 1
        assert daemon.metric("dead_letters_incomplete_total", outcome="dropped") == 0
        # librdkafka fails one more transaction after a refused batch, to reset its sequence.
        refused = len(daemon.said("dead letter refused"))
        assert daemon.metric("transactions_aborted_total") <= 2 * refused
        assert daemon.stop() == 0
    assert times(broker.bootstrap, prefix) == [0, 1]
    dead = read_all(broker.bootstrap, dead_letters)
    assert sorted(int(header(letter, "plumbline.offset")) for letter in dead) == list(range(1, 43))


def test_a_topic_that_refuses_stubs_does_not_stop_ingest(
    broker: KafkaBroker, topic: MakeTopic, tmp_path: Path
) -> None:
    """A compacted topic accepts no message without a key: such dead letters are dropped."""
    logs, prefix = topic(), uuid.uuid4().hex
    dead_letters = Topics(prefix).dead_letters
    broker.create_topic(dead_letters, 1, {"cleanup.policy": "compact"})
    produce(broker.bootstrap, logs, [b"no record", numbered(1)])
    with Daemon(tmp_path, broker.bootstrap, prefix=prefix, logs=[logs], roles="ingest") as daemon:
        daemon.wait_metric("records_consumed_total", 2)
        assert daemon.metric("dead_letters_incomplete_total", outcome="dropped") == 1
        assert daemon.said("dead letter refused")[0]["topic"] == dead_letters
        assert daemon.stop() == 0
    assert times(broker.bootstrap, prefix) == [1]
