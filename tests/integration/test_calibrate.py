"""From labels to a corrected estimate in metrics and API, over a real broker."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import yaml
from confluent_kafka import Producer

from judges.live.quality import QualityEstimate, QualityHistory
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.errors import UserError
from monitor.events.evaluations import decode_evaluation, encode_evaluation
from monitor.kafka.topics import Topics
from monitor.roles.evaluation_publisher import publish
from tests.integration.broker import KafkaBroker
from tests.integration.harness import JUDGES, Daemon, read_all
from tests.judges.trust.calibration.evaluations import TRUTH, evaluation, simulated
from tests.monitor.cli.command_line import one_line_error, read_json

pytestmark = pytest.mark.usefixtures("real_broker")


def estimate(broker: KafkaBroker, topic: str) -> QualityEstimate:
    """Return the live quality from all evaluations of a topic."""
    history = QualityHistory()
    for each in read_all(broker.bootstrap, topic):
        history.add(decode_evaluation(each.value() or b""))
    [found] = history.estimates()
    return found


def test_published_labels_correct_the_live_quality(
    broker: KafkaBroker,
    topic: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The judge alone misses the truth; after publishing, twice, the interval contains it."""
    prefix = uuid.uuid4().hex
    name = Topics(prefix).evaluations
    config, file = tmp_path / "c.yaml", tmp_path / "labels.jsonl"
    kafka = {"bootstrap_servers": broker.bootstrap, "prefix": prefix}
    config.write_text(yaml.safe_dump({"kafka": kafka}))
    evaluations, labels = simulated(7, 150)
    file.write_bytes(b"\n".join(map(msgspec.json.encode, labels)))
    words = ("judge", "calibrate", file, "-c", config)

    broker.create_topic(name, 3)
    assert "was not judged" in one_line_error(capsys, *words)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for each in evaluations:
        producer.produce(name, encode_evaluation(each), each.request_id.encode())
    assert producer.flush(30) == 0
    alone = estimate(broker, name)
    assert not alone.corrected
    assert alone.lower > TRUTH

    for _ in range(2):
        report = read_json(capsys, *words, "--publish", "--json")
        assert report["rubrics"]["tone"]["published"] == 150
    found = estimate(broker, name)
    assert (found.corrected, found.labels) == (True, 150)
    assert abs(found.value - TRUTH) < 0.25 < alone.value - TRUTH
    assert found.lower < alone.lower
    with Daemon(
        tmp_path,
        broker.bootstrap,
        prefix=prefix,
        logs=[topic()],
        roles="ingest,judge",
        judges=JUDGES,
    ) as daemon:
        daemon.wait_metric("judge_quality", 1)
        assert daemon.metric("judge_quality", model="m", rubric="tone") == pytest.approx(
            found.value
        )
        assert daemon.metric("judge_quality_lower", model="m") == pytest.approx(found.lower)
        status, body = daemon.get("/api/v1/quality")
        [quality] = json.loads(body)["quality"]
        assert (status, quality["value"]) == (200, pytest.approx(found.value))
        assert daemon.stop() == 0
    for message in read_all(broker.bootstrap, name):
        assert message.key() == decode_evaluation(message.value() or b"").request_id.encode()


def test_labels_that_are_refused_are_an_error(broker: KafkaBroker) -> None:
    """The error names broker, topic and the number of published labels."""
    prefix = uuid.uuid4().hex
    broker.create_topic(Topics(prefix).evaluations, 1, {"max.message.bytes": "300"})
    large = evaluation(1, 3.0, explanation="x" * 1000)
    config = KafkaConfig(bootstrap_servers=broker.bootstrap, prefix=prefix)
    with pytest.raises(UserError, match=r"evaluations: .*; 0 of 2 labels were published") as caught:
        publish(config, [large, large])
    assert broker.bootstrap in str(caught.value)
