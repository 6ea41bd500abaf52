"""The report: the contract's keys, counts that add up, JSON that any reader takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor import report
from monitor.events import DriftEvent
from tests.monitor import made

STREAM = made.joined(
    made.stream(made.WARMUP + 400, seed=1),
    made.stream(600, seed=2, factor=3.0, stops=0.5),
    made.stream(600, seed=3),
)
EVENTS = made.watcher().feed(STREAM)


def built(**other: Any) -> report.Report:
    """A report with the arguments that a test does not care about filled in."""
    given: dict[str, Any] = {
        "models": {"b": 2, "a": 1},
        "rejections": {"not_json": 3, "empty": 4},
        "seconds": 1.23456,
        "events": EVENTS,
    }
    return report.build(**given | other)


def plain(made_report: report.Report) -> dict[str, Any]:
    """What a program reads."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    read: dict[str, Any] = json.loads(report.encode(made_report), parse_constant=refuse)
    return read


def test_report_has_the_keys_of_the_contract() -> None:
    """Every key that the contract names is there, of the type that it names."""
    read = plain(built())
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


def test_report_of_numbers_has_their_summaries() -> None:
    """For a numeric feature mean, p50 and p95 are numbers on both sides."""
    latency = [e for e in plain(built())["events"] if e["feature"] == "latency_ms"]
    assert latency
    for event in latency:
        for side in ("reference", "current"):
            assert all(isinstance(event[side][key], float) for key in ("mean", "p50", "p95"))


def test_counts_add_up() -> None:
    """records are those of all models, rejected those of all reasons."""
    read = plain(built())
    assert (read["records"], read["rejected"]) == (3, 7)
    assert read["rejections"] == {"empty": 4, "not_json": 3}
    assert read["seconds"] == 1.235


def test_resolutions_are_apart() -> None:
    """`events` is what would have paged; what ended is listed beside it."""
    made_report = built()
    assert {event.change for event in made_report.events} == {"opened", "escalated"}
    assert {event.change for event in made_report.resolved} == {"resolved"}
    assert len(made_report.events) + len(made_report.resolved) == len(EVENTS)


def test_events_keep_their_order() -> None:
    """The order of the log is the order of the report."""
    records = [event.record for event in built().events]
    assert records == sorted(records)
    assert len(records) > 2


def test_quiet_run_is_a_report() -> None:
    """Nothing found, nothing refused: all keys are there all the same."""
    read = plain(report.build(models={}, rejections={}, seconds=0.0, events=[]))
    assert (read["records"], read["rejected"], read["events"], read["experiments"]) == (
        0,
        0,
        [],
        {},
    )


def test_written_report_is_read_back(tmp_path: Path) -> None:
    """The file holds the events as they are."""
    path = tmp_path / "report.json"
    report.write(built(), path)
    read = json.loads(path.read_bytes())
    again = msgspec.convert(read["events"], list[DriftEvent])
    assert again == built().events
    assert path.read_text().startswith('{\n  "records": 3,\n')


def test_error_of_writing_names_the_file(tmp_path: Path) -> None:
    """Where the report cannot be written, its path is said."""
    with pytest.raises(OSError, match="report"):
        report.write(built(), tmp_path / "none" / "report.json")
