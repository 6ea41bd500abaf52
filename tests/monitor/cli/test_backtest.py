"""Backtest: the daemon's code over files."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import msgspec
import pytest

from monitor import logfiles
from monitor.backtest import backtest
from monitor.config import Config, FileReference, WarmupReference, WindowsConfig
from monitor.demo.traffic import INJECTED, traffic
from monitor.events import DriftEvent
from monitor.references import UnusableReferenceError
from monitor.report import Report

CONFIG = Config(
    windows=WindowsConfig(records=200, stride=20), reference=WarmupReference(records=2000)
)
RECORDS, CHANGE = 10_000, 6000
LINES = [
    line + b"\n" for line in traffic(RECORDS, change_at=CHANGE, seed=7, rate=50.0, start=1.76e9)
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made traffic that drifts past its half."""
    path = tmp_path_factory.mktemp("logs") / "logs.jsonl"
    path.write_bytes(b"".join(LINES))
    return path


@pytest.fixture(scope="module")
def whole(log: Path) -> Report:
    """Its report."""
    return backtest([log], CONFIG)


def found(report: Report) -> list[DriftEvent]:
    """All events of a report."""
    return [*report.events, *report.resolved]


def test_injected_drift_is_found_and_no_other(whole: Report) -> None:
    """What the traffic holds is reported, at a line behind the change."""
    assert whole.records == RECORDS
    assert whole.rejected == 0
    assert sum(model["records"] for model in whole.models.values()) == RECORDS
    assert INJECTED.features[0] in {event.feature for event in whole.events}
    for event in whole.events:
        assert INJECTED.explains(event.model, event.feature)
        assert event.position > CHANGE


def test_models_without_a_reference_are_named(whole: Report, log: Path) -> None:
    """Who has had too few records for a reference is in the report, with what it takes."""
    assert whole.warming_up == {}
    models = set(whole.models)
    assert backtest([log], Config()).warming_up == dict.fromkeys(models, 50_000)


def test_position_is_a_line_of_the_log(whole: Report) -> None:
    """The line that an event names holds a record of its model and its time."""
    for event in whole.events:
        record = msgspec.json.decode(LINES[event.position - 1])
        assert (record["model"], record["timestamp"]) == (event.model, event.time)


def test_events_come_in_the_order_of_the_log(tmp_path: Path) -> None:
    """Models that drift at the same time have their events in the order of the log."""
    path = tmp_path / "twins.jsonl"
    twins = [line + line.replace(b"chat-large", b"chat-twin") for line in LINES]
    path.write_bytes(b"".join(twins))
    found_events = backtest([path], CONFIG).events
    positions = [event.position for event in found_events]
    assert positions == sorted(positions)
    models = [event.model for event in found_events]
    assert set(models) == {"chat-large", "chat-twin"}
    assert models not in (sorted(models), sorted(models, reverse=True))


@pytest.mark.parametrize("size", [10_000, 333_333, 1 << 30])
def test_nothing_depends_on_batches(
    log: Path, whole: Report, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """However the file is read, the events are the same, ids included."""
    monkeypatch.setattr(logfiles, "BATCH_BYTES", size)
    assert found(backtest([log], CONFIG)) == found(whole)


def test_several_files_are_one_log(tmp_path: Path, whole: Report) -> None:
    """Positions count on from file to file, packed or not."""
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    first.write_bytes(b"".join(LINES[:4321]))
    second.write_bytes(gzip.compress(b"".join(LINES[4321:]), 1))
    assert found(backtest([first, second], CONFIG)) == found(whole)


def test_standard_input_is_a_log(whole: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log may come through a pipe."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(LINES))))
    assert found(backtest([Path("-")], CONFIG)) == found(whole)


def test_broken_lines_are_counted_and_keep_their_place(tmp_path: Path, whole: Report) -> None:
    """Refused lines change no verdict, only the positions behind them; blank ones are nothing."""
    path = tmp_path / "broken.jsonl"
    path.write_bytes(b'{"model": "m"}\n\nnot json\n' + b"".join(LINES))
    report = backtest([path], CONFIG)
    assert (report.records, report.rejected) == (RECORDS, 2)
    assert report.rejections == {"missing_field": 1, "not_json": 1}
    assert [e.position - 3 for e in report.events] == [e.position for e in whole.events]
    assert [e.id for e in report.events] == [e.id for e in whole.events]


def test_callers_are_told_as_it_goes(log: Path, whole: Report) -> None:
    """All bytes are told of, and each event once."""
    read: list[int] = []
    told: list[DriftEvent] = []
    backtest([log], CONFIG, progress=read.append, on_event=told.append)
    assert sum(read) == log.stat().st_size
    assert sorted(told, key=lambda e: e.id) == sorted(found(whole), key=lambda e: e.id)


def test_reference_file_replaces_the_warm_up(tmp_path: Path, log: Path) -> None:
    """With a reference of earlier traffic a drift from the first line on is found."""
    earlier = tmp_path / "earlier.jsonl"
    earlier.write_bytes(b"".join(LINES[:CHANGE]))
    later = tmp_path / "later.jsonl"
    later.write_bytes(b"".join(LINES[CHANGE:]))
    assert backtest([later], CONFIG).events == []
    source = FileReference(source="file", path=earlier)
    report = backtest([later], CONFIG.model_copy(update={"reference": source}))
    assert {event.feature for event in report.events} <= set(INJECTED.features)
    assert report.events[0].record == 200


def test_empty_log_is_a_report(tmp_path: Path) -> None:
    """No records, no events, no error."""
    path = tmp_path / "empty.jsonl"
    path.touch()
    report = backtest([path], CONFIG)
    assert (report.records, report.models, report.events) == (0, {}, [])


def test_missing_files_are_said(tmp_path: Path) -> None:
    """A log that is not there is an OSError with its path, a reference one with its name."""
    with pytest.raises(FileNotFoundError, match="none"):
        backtest([tmp_path / "none"], CONFIG)
    source = FileReference(source="file", path=tmp_path / "none")
    with pytest.raises(UnusableReferenceError, match="cannot read"):
        backtest([], CONFIG.model_copy(update={"reference": source}))
