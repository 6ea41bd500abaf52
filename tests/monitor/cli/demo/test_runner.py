"""Tests of the demo and its embedded broker."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from rich.console import Console

from monitor.cli import main
from monitor.cli.demo import printing, runner
from monitor.cli.demo.broker import EmbeddedBroker
from monitor.cli.demo.experiment import EFFECT
from monitor.cli.demo.traffic import INJECTED
from monitor.cli.report import Report
from monitor.config.sections.detection import REFERENCE_WINDOWS
from monitor.errors import UserError
from monitor.events.codec import encode_event
from monitor.events.types import DriftEvent, Summary

PHASES = (
    "joining the consumer groups",
    "warming up: building references",
    "watching",
    "watching: after the change",
    "all records processed",
)
CHANGE = printing.EVENT_START + 10_000 / printing.EVENT_RATE


def event(**other: Any) -> DriftEvent:
    """Return a true alarm, ten seconds after the change."""
    side = Summary(n=300, missing=0.0, mean=1.0, p50=1.0, p95=1.0)
    given: dict[str, Any] = {
        "id": "e",
        "alarm": "a",
        "change": "opened",
        "model": INJECTED.model,
        "segment": "",
        "feature": INJECTED.features[0],
        "detector": "psi",
        "found_by": ("psi",),
        "severity": "critical",
        "position": 10_500,
        "record": 6000,
        "time": CHANGE + 10,
        "statistic": 0.3,
        "threshold": 0.1,
        "p_value": 1e-9,
        "psi": 0.3,
        "reference_id": "r",
        "reference": side,
        "current": side,
    }
    return DriftEvent(**given | other)


def verdict(*events: DriftEvent, records: int = 20_000) -> tuple[int, str]:
    """Return exit status and output of a demo of 20,000 records with these events."""
    file = io.StringIO()
    result = Report(
        records=records,
        rejected=0,
        rejections=[],
        seconds=5.0,
        models={},
        events=list(events),
        resolved=[],
        experiments={},
    )
    status = printing.print_verdict(Console(file=file, width=100), result, 20_000)
    return status, file.getvalue()


def test_injected_drift_alone_is_a_success() -> None:
    """If only the injected drift is reported, the status is 0."""
    derived = event(feature=INJECTED.features[1], time=CHANGE)
    status, text = verdict(event(), derived)
    assert status == 0
    assert "latency_ms critical 10 s (500 records) after the change, by psi, p 1e-09" in text
    assert text.endswith("verdict   The injected drift was reported, and nothing else.\n")


def test_alarm_without_a_p_value_is_printed() -> None:
    """An alarm by a detector without a p-value is printed without it."""
    status, text = verdict(event(p_value=None, detector="adwin", found_by=("adwin",)))
    assert status == 0
    assert "by adwin\n" in text


@pytest.mark.parametrize(
    ("events", "records", "expected"),
    [
        ([], 20_000, "missed    the drift of latency_ms was not reported"),
        ([event(feature="tokens_per_second")], 20_000, "missed"),
        ([event(), event(feature="cost_usd")], 20_000, "false     false alarm: cost_usd"),
        ([event(), event(model="code-small")], 20_000, "false"),
        ([event(), event(time=CHANGE - 0.02)], 20_000, "false"),  # before the change
        ([event()], 19_999, "lost      1 of 20,000 records were not processed"),
    ],
)
def test_other_results_are_failures(events: list[DriftEvent], records: int, expected: str) -> None:
    """A missed drift, a false alarm or a lost record is printed, and the status is 1."""
    status, text = verdict(*events, records=records)
    assert status == 1
    assert expected in text
    assert "nothing else" not in text


@pytest.mark.parametrize(
    ("records", "window"), [(12_000, 200), (20_000, 300), (80_000, 1000), (1_000_000, 1000)]
)
def test_window_fits_the_records(records: int, window: int) -> None:
    """Every model finishes its warm-up and fills a window before the change."""
    assert runner._window_records(records) == window
    slowest = 0.4 * records / 2  # code-small's records up to the change
    assert (REFERENCE_WINDOWS + 1) * window <= slowest


@pytest.mark.parametrize("records", [0, 11_999])
def test_too_few_records_are_an_error(records: int) -> None:
    """A number of records that is too small for a window raises UserError."""
    with pytest.raises(UserError, match="at least 12,000"):
        runner._window_records(records)


def test_error_starts_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of records is checked before the broker starts."""
    monkeypatch.setattr(runner, "EmbeddedBroker", None)
    with pytest.raises(UserError):
        runner.run(1.0, 1.0, None)


def test_embedded_broker_stores_messages() -> None:
    """The broker listens on loopback, creates topics, and returns the produced message."""
    broker = EmbeddedBroker()
    assert broker.bootstrap_servers.startswith("127.0.0.1:")
    broker.create(["one", "two"])
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    topics = producer.list_topics(timeout=10).topics
    assert {name: len(topic.partitions) for name, topic in topics.items()} == {"one": 4, "two": 4}
    producer.produce("one", b"hello", b"key")
    assert producer.flush(10) == 0
    reader = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "test",
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    reader.subscribe(["one"])
    try:
        [message] = reader.consume(1, 20.0)
    finally:
        reader.close()
    assert (message.key(), message.value()) == (b"key", b"hello")


def test_demo_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo reports the injected drift and nothing else, and loses no record."""
    path = tmp_path / "demo.json"
    status = main.main(["demo", "--seconds", "5", "--rate", "4000", "--report", str(path)])
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    report = json.loads(path.read_bytes())
    assert (report["records"], report["rejected"]) == (20_000, 0)
    assert set(report["models"]) == {"chat-large", "code-small"}
    found = {(event["model"], event["feature"]) for event in report["events"]}
    assert (INJECTED.model, INJECTED.features[0]) in found
    for one in report["events"]:
        assert INJECTED.explains(one["model"], one["feature"])
        assert one["time"] >= CHANGE
    lines = captured.out.splitlines()
    printed = [line for line in lines if " has drifted" in line]
    assert len(printed) == len(report["events"]) + len(report["updated"])
    assert "20,000 synthetic records of chat-large and code-small" in captured.out
    phases = [line.split("records  ")[1] for line in lines if " records  " in line]
    assert phases == [phase for phase in PHASES if phase in phases]  # a short phase may be missing
    assert phases[-1] == "all records processed"
    assert any(line.startswith("cost ") for line in lines)
    assert any(line.startswith("chat-large latency_ms (ms)") for line in lines)
    assert any(line.split()[:1] == ["p95"] for line in lines)
    experiment = report["experiments"][EFFECT.experiment]
    assert experiment["verdicts"].keys() == {EFFECT.treatment}
    assert any(line.startswith(f"compare   experiment {EFFECT.experiment}") for line in lines)
    assert lines[-1] == "verdict   The injected drift was reported, and nothing else."
    assert "\x1b" not in captured.out


def test_events_of_other_types_are_skipped() -> None:
    """The demo shows drift events only."""
    drift = encode_event(event())

    class Read:
        """A message without an error."""

        def __init__(self, value: bytes) -> None:
            self.value = lambda: value

        def error(self) -> None:
            """Return no error."""

    class Reader:
        """A consumer of three events."""

        def consume(self, *_: object) -> list[Read]:
            """Return the messages."""
            return [Read(b'{"type": "replay"}'), Read(drift), Read(b'{"type": "judge", "id": 1}')]

    reader: Any = Reader()
    assert list(runner._new_events(reader)) == [event()]
