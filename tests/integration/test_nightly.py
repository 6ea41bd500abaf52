"""Samples of a day, judged again by batches, over a real broker and a server of the batch API."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer

from monitor.cli.commands.judge.batches.nightly import next_run
from monitor.errors import UserError
from monitor.events.evaluations import Evaluation, decode_evaluation
from monitor.ingest.sampling.codec import encode_sample
from monitor.kafka.topics import Topics
from monitor.records import Inclusion, Sample
from monitor.roles import evaluation_publisher
from tests.integration.broker import KafkaBroker
from tests.integration.harness import read_all
from tests.judges.replies import message_body
from tests.judges.samples import verdict_text
from tests.judges.server import KEY, ModelServer
from tests.monitor.cli.command_line import error, run

pytestmark = pytest.mark.usefixtures("real_broker")
DAY = datetime(2026, 11, 20, tzinfo=UTC)
COUNT = 12


def outcome(_: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a verdict of 4."""
    properties = params["output_config"]["format"]["schema"]["properties"]
    scores = dict.fromkeys(properties["scores"]["properties"], 4)
    return {"type": "succeeded", "message": message_body(verdict_text(scores))}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A provider with batches."""
    with ModelServer() as running:
        running.batches.outcome = outcome
        yield running


@pytest.fixture
def words(
    broker: KafkaBroker,
    topic: Callable[..., str],
    tmp_path: Path,
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[object, ...]:
    """The command, and a samples topic with records of three days."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    prefix = uuid.uuid4().hex
    key = tmp_path / "key"
    key.write_text(KEY)
    (tmp_path / "c.yaml").write_text(
        yaml.safe_dump(
            {
                "kafka": {"bootstrap_servers": broker.bootstrap, "prefix": prefix},
                "format": "otlp",
                "judges": {
                    "rubrics": ["tone"],
                    "model": "claude-haiku-5-5",
                    "client": {"base_url": server.url, "api_key": {"file": str(key)}},
                    "prices": {
                        name: {"input": 1.0, "output": 5.0}
                        for name in ("claude-haiku-5-5", "claude-opus-5-5")
                    },
                },
            }
        )
    )
    topics = Topics(prefix)
    for name in (topics.samples, topics.evaluations):
        broker.create_topic(name, 2)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for hours in (-1, *range(0, 24, 2), 24):
        sample = Sample(
            f"r{hours}",
            (DAY + timedelta(hours=hours)).timestamp(),
            "chat",
            Inclusion(True, 0.5),
            prompt=f"question {hours}",
            response=f"answer {hours}",
        )
        for _ in range(2):  # a sample may be written again after a crash of an older version
            producer.produce(topics.samples, encode_sample(sample), sample.request_id.encode())
    assert producer.flush(30) == 0
    options = "--work", tmp_path / "work", "--day", "2026-11-20", "--interval", "0.05"
    words = "judge", "nightly", *options, "--model", "claude-opus-5-5", "-c", tmp_path / "c.yaml"
    return (prefix, *words)


def published(broker: KafkaBroker, prefix: str) -> list[Evaluation]:
    """Return the evaluations of the topic."""
    found = read_all(broker.bootstrap, Topics(prefix).evaluations)
    return [decode_evaluation(each.value() or b"") for each in found]


def test_the_samples_of_a_day_are_judged_once(
    broker: KafkaBroker,
    tmp_path: Path,
    server: ModelServer,
    words: tuple[Any, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run whose evaluations were not published continues without another batch."""
    prefix, *command = words
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise UserError("the broker is away")

        patch.setattr(evaluation_publisher, "publish", fail)
        assert "the broker is away" in error(capsys, *command)
    assert published(broker, prefix) == []
    folder = tmp_path / "work" / "2026-11-20"
    assert (folder / "samples.jsonl").stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        assert run(*command) == 0
    assert server.batches.created == 1
    found = published(broker, prefix)
    assert sorted(each.request_id for each in found) == sorted(f"r{h}" for h in range(0, 24, 2))
    for each in found:
        assert (each.name, each.score, each.evaluator) == ("judge.tone", 4.0, "claude-opus-5-5")
        assert not each.uniform, "it must enter no mean of the live judge"
    report = json.loads((folder / "report.json").read_text())
    assert (report["records"], report["scored"]) == (COUNT, COUNT)
    assert not (folder / "samples.jsonl").exists(), "texts are removed"


def test_the_next_run_is_at_the_time_of_the_day() -> None:
    """Today if that is to come, else tomorrow; at the time itself, tomorrow."""
    at = timedelta(hours=2)
    for hour, wanted in ((1, 20), (2, 21), (3, 21)):
        found = next_run(DAY + timedelta(hours=hour), at)
        assert found == datetime(2026, 11, wanted, 2, tzinfo=UTC)
