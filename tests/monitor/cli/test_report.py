"""Tests of the JSON report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.cli import report
from monitor.events.types import DriftEvent
from monitor.ingest.files import FirstRejection, Rejection
from tests.monitor import synthetic

STREAM = synthetic.joined(
    synthetic.stream(synthetic.WARMUP + 400, seed=1),
    synthetic.stream(600, seed=2, factor=3.0, stops=0.5),
    synthetic.stream(600, seed=3),
)
REJECTIONS = [
    Rejection("empty", 4, FirstRejection("a", 7, "no bytes")),
    Rejection("not_json", 3),
]
EVENTS = synthetic.watcher().feed(STREAM)


def build(**other: Any) -> report.Report:
    """Build a report with default arguments."""
    given: dict[str, Any] = {
        "models": {"b": 2, "a": 1},
        "rejections": REJECTIONS,
        "seconds": 1.23456,
        "events": EVENTS,
    }
    return report.build(**given | other)


def decode(result: report.Report) -> dict[str, Any]:
    """Encode a report and decode it as strict JSON, without NaN."""

    def fail(constant: str) -> None:
        raise AssertionError(constant)

    read: dict[str, Any] = json.loads(report.encode(result), parse_constant=fail)
    return read


def test_report_has_all_keys() -> None:
    """Every key is present and has its type."""
    read = decode(build())
    number = (int, float)
    assert isinstance(read["records"], int)
    assert isinstance(read["rejected"], int)
    assert isinstance(read["seconds"], number)
    assert read["models"] == {"a": {"records": 1}, "b": {"records": 2}}
    assert isinstance(read["experiments"], dict)
    assert read["events"]
    for event in read["events"]:
        for key in ("id", "model", "feature", "detector"):
            assert isinstance(event[key], str)
            assert event[key]
        assert event["severity"] in {"warning", "critical"}
        assert isinstance(event["position"], int)
        for key in ("time", "statistic", "threshold", "psi"):
            assert isinstance(event[key], number)
        assert event["p_value"] is None or isinstance(event["p_value"], number)
        for side in ("reference", "current"):
            assert isinstance(event[side]["n"], int)
            assert {"mean", "p50", "p95"} <= event[side].keys()


def test_numeric_features_have_summaries() -> None:
    """For a numeric feature mean, p50 and p95 are numbers on both sides."""
    latency = [e for e in decode(build())["events"] if e["feature"] == "latency_ms"]
    assert latency
    for event in latency:
        for side in ("reference", "current"):
            assert all(isinstance(event[side][key], float) for key in ("mean", "p50", "p95"))


def test_counts_add_up() -> None:
    """`records` is the sum over models, `rejected` the sum over reasons."""
    read = decode(build())
    assert (read["records"], read["rejected"]) == (3, 7)
    assert read["rejections"] == [
        {"reason": "empty", "count": 4, "first": {"file": "a", "line": 7, "detail": "no bytes"}},
        {"reason": "not_json", "count": 3, "first": None},
    ]
    assert read["seconds"] == 1.235


def test_resolved_alarms_are_separate() -> None:
    """`events` contains alarms that opened or escalated, `resolved` those that ended."""
    result = build()
    assert {event.change for event in result.events} == {"opened", "escalated"}
    assert {event.change for event in result.resolved} == {"resolved"}
    assert len(result.events) + len(result.updated) + len(result.resolved) == len(EVENTS)


def test_events_keep_their_order() -> None:
    """Events are in the order in which they were given."""
    records = [event.record for event in build().events]
    assert records == sorted(records)
    assert len(records) > 2


def test_empty_run_has_a_report() -> None:
    """Without events and rejected records all keys are present."""
    read = decode(report.build(models={}, rejections=[], seconds=0.0, events=[]))
    assert (read["records"], read["rejected"], read["events"], read["experiments"]) == (
        0,
        0,
        [],
        {},
    )


def test_written_report_is_read_back(tmp_path: Path) -> None:
    """Events that are written to a file and decoded are equal to the originals."""
    path = tmp_path / "report.json"
    report.write(build(), path)
    read = json.loads(path.read_bytes())
    again = msgspec.convert(read["events"], list[DriftEvent])
    assert again == build().events
    assert path.read_text().startswith('{\n  "records": 3,\n')


def test_write_error_names_the_file(tmp_path: Path) -> None:
    """The error of a file that cannot be written contains its path."""
    with pytest.raises(OSError, match="report"):
        report.write(build(), tmp_path / "none" / "report.json")
