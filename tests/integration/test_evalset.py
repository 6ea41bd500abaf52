"""From samples and evaluations of a real broker to candidates of an evaluation set."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Producer

from monitor.events.evaluations import encode_evaluation
from monitor.ingest.sampling.codec import encode_sample
from monitor.kafka.topics import Topics
from replay.sets import versions
from tests.integration.broker import KafkaBroker
from tests.monitor.cli.command_line import one_line_error, read_json
from tests.replay.sets.items import label, sample

pytestmark = pytest.mark.usefixtures("real_broker")


def test_a_set_is_built_from_the_topics(
    broker: KafkaBroker,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Accepted samples of all partitions become candidates; a missing topic is an error."""
    prefix = uuid.uuid4().hex
    topics, config = Topics(prefix), tmp_path / "c.yaml"
    kafka = {"bootstrap_servers": broker.bootstrap, "prefix": prefix}
    config.write_text(yaml.safe_dump({"kafka": kafka}))
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for name in (topics.samples, topics.evaluations):
        broker.create_topic(name, 3)
    for n in range(12):
        key = f"r{n}".encode()
        asked = sample(f"r{n}", prompt=f"alpha{n} beta{n} gamma{n} delta{n}?")
        producer.produce(topics.samples, encode_sample(asked), key)
        if n % 2:
            producer.produce(topics.evaluations, encode_evaluation(label(f"r{n}")), key)
    assert producer.flush(30) == 0
    words = ("evalset", "build", "s", "--topic", "--judged", "--directory", tmp_path, "-c", config)
    report = read_json(capsys, *words, "--json")
    assert (report["added"], report["skipped"]) == (6, {"not_accepted": 6})
    items = versions.read_candidates(tmp_path, "s")
    assert {item.provenance.request_id for item in items} == {f"r{n}" for n in range(1, 12, 2)}
    assert {item.provenance.accepted_by for item in items} == {"human"}
    monkeypatch.setattr("monitor.cli.commands.replay.evalset.sources.READ_SECONDS", 3.0)
    config.write_text(yaml.safe_dump({"kafka": kafka | {"prefix": uuid.uuid4().hex}}))
    assert "no such topic" in one_line_error(capsys, *words)
