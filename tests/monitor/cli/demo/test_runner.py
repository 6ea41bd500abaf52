"""The demo: the daemon itself on the embedded broker, and what it says of it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from rich.console import Console

from monitor import cli
from monitor.config import REFERENCE_WINDOWS
from monitor.demo import show
from monitor.demo.broker import EmbeddedBroker
from monitor.demo.traffic import INJECTED
from monitor.errors import UserError
from monitor.events import DriftEvent, Summary
from monitor.report import Report

PHASES = (
    "joining the consumer groups",
    "warming up: gathering references",
    "watching",
    "watching: the change is in",
    "all seen",
)
CHANGE = show.EVENT_START + 10_000 / show.EVENT_RATE


def event(**other: Any) -> DriftEvent:
    """A true alarm, ten seconds after the change."""
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
    """The status of a demo of 20,000 records that ended so, and what it says."""
    file = io.StringIO()
    result = Report(
        records=records,
        rejected=0,
        rejections={},
        seconds=5.0,
        models={},
        events=list(events),
        resolved=[],
        experiments={},
    )
    status = show._verdict(Console(file=file, width=100), result, 20_000)
    return status, file.getvalue()


def test_verdict_of_the_injected_drift() -> None:
    """The injected drift and no other is a demo that ended well."""
    derived = event(feature=INJECTED.features[1], time=CHANGE)
    status, text = verdict(event(), derived)
    assert status == 0
    assert "latency_ms critical 10 s (500 records) after the change, by psi, p 1e-09" in text
    assert text.endswith("verdict   The injected drift was reported, and no other.\n")


def test_verdict_without_a_p_value() -> None:
    """An alarm that ADWIN found has none, and is told all the same."""
    status, text = verdict(event(p_value=None, detector="adwin", found_by=("adwin",)))
    assert status == 0
    assert "by adwin\n" in text


@pytest.mark.parametrize(
    ("events", "records", "said"),
    [
        ([], 20_000, "missed    the change of latency_ms was not reported"),
        ([event(feature="tokens_per_second")], 20_000, "missed"),
        ([event(), event(feature="cost_usd")], 20_000, "false     reported without cause: cost"),
        ([event(), event(model="code-small")], 20_000, "false"),
        ([event(), event(time=CHANGE - 0.02)], 20_000, "false"),  # before there was anything
        ([event()], 19_999, "lost      1 records did not arrive"),
    ],
)
def test_verdict_of_anything_else(events: list[DriftEvent], records: int, said: str) -> None:
    """A miss, a false alarm or a lost record is a demo that failed, and says so."""
    status, text = verdict(*events, records=records)
    assert status == 1
    assert said in text
    assert "and no other" not in text


@pytest.mark.parametrize(
    ("records", "window"), [(12_000, 200), (20_000, 300), (80_000, 1000), (1_000_000, 1000)]
)
def test_window_fits_the_records(records: int, window: int) -> None:
    """Each model warms up, and fills windows, well before the change."""
    assert show._window(records) == window
    slowest = 0.4 * records / 2  # code-small's records up to the change
    assert (REFERENCE_WINDOWS + 1) * window <= slowest


@pytest.mark.parametrize("records", [0, 11_999])
def test_too_few_records_are_refused(records: int) -> None:
    """A demo that could show nothing does not start."""
    with pytest.raises(UserError, match="at least 12,000"):
        show._window(records)


def test_refused_demo_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker is made for a demo that does not start."""
    monkeypatch.setattr(show, "EmbeddedBroker", None)
    with pytest.raises(UserError):
        show.run(1.0, 1.0, None)


def test_embedded_broker_keeps_what_it_is_given() -> None:
    """It listens on the loopback alone; topics are there once made, with what is written."""
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
    """Through the embedded broker: the injected drift is reported, no other, nothing is lost."""
    path = tmp_path / "demo.json"
    status = cli.main(["demo", "--seconds", "5", "--rate", "4000", "--report", str(path)])
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
    told = [line for line in lines if " has drifted" in line]
    assert len(told) == len(report["events"])
    assert "20,000 made inference logs" in captured.out
    phases = [line.split("records  ")[1] for line in lines if " records  " in line]
    assert phases == [phase for phase in PHASES if phase in phases]  # a quick one may go unseen
    assert phases[-1] == "all seen"
    assert any(line.startswith("cost ") for line in lines)
    assert any("┊ reference p50" in line for line in lines)
    assert lines[-1] == "verdict   The injected drift was reported, and no other."
    assert "\x1b" not in captured.out
