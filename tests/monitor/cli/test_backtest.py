"""Tests of the backtest over files of records."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import msgspec
import pytest

from monitor.cli.backtest import backtest
from monitor.cli.demo.traffic import INJECTED, traffic
from monitor.cli.report import Report
from monitor.config.schema import Config
from monitor.config.sections.detection import FileReference, WarmupReference, WindowsConfig
from monitor.detect.reference.store import UnusableReferenceError
from monitor.events.types import DriftEvent
from monitor.ingest.files.splitting import framing

CONFIG = Config(
    windows=WindowsConfig(records=200, stride=20), reference=WarmupReference(records=2000)
)
RECORDS, CHANGE = 10_000, 6000
LINES = [
    line + b"\n" for line in traffic(RECORDS, change_at=CHANGE, seed=7, rate=50.0, start=1.76e9)
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of synthetic traffic that drifts in its second half."""
    path = tmp_path_factory.mktemp("logs") / "logs.jsonl"
    path.write_bytes(b"".join(LINES))
    return path


@pytest.fixture(scope="module")
def whole(log: Path) -> Report:
    """The report of the file."""
    return backtest([log], CONFIG)


def found(report: Report) -> list[DriftEvent]:
    """Return all events of a report."""
    return [*report.events, *report.updated, *report.resolved]


def test_only_the_injected_drift_is_reported(whole: Report) -> None:
    """The injected drift is reported after the change, and nothing else."""
    assert whole.records == RECORDS
    assert whole.rejected == 0
    assert sum(model["records"] for model in whole.models.values()) == RECORDS
    assert INJECTED.features[0] in {event.feature for event in whole.events}
    for event in whole.events:
        assert INJECTED.explains(event.model, event.feature)
        assert event.position > CHANGE


def test_models_without_a_reference_are_listed(whole: Report, log: Path) -> None:
    """The report lists models that are still warming up, with the size of their reference."""
    assert whole.warming_up == {}
    models = set(whole.models)
    assert backtest([log], Config()).warming_up == dict.fromkeys(models, 50_000)


def test_position_is_a_line_of_the_log(whole: Report) -> None:
    """The line at the position of an event contains a record of its model and time."""
    for event in whole.events:
        record = msgspec.json.decode(LINES[event.position - 1])
        assert (record["model"], record["timestamp"]) == (event.model, event.time)


def test_events_are_in_the_order_of_the_log(tmp_path: Path) -> None:
    """Events of models that drift at the same time are in the order of the log."""
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
def test_events_do_not_depend_on_the_batch_size(
    log: Path, whole: Report, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """For every batch size the events are the same, including their ids."""
    monkeypatch.setattr(framing, "BATCH_BYTES", size)
    assert found(backtest([log], CONFIG)) == found(whole)


def test_several_files_are_one_log(tmp_path: Path, whole: Report) -> None:
    """Positions continue from file to file, compressed or not."""
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    first.write_bytes(b"".join(LINES[:4321]))
    second.write_bytes(gzip.compress(b"".join(LINES[4321:]), 1))
    assert found(backtest([first, second], CONFIG)) == found(whole)


def test_standard_input_is_a_log(whole: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads the log from standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(LINES))))
    assert found(backtest([Path("-")], CONFIG)) == found(whole)


def test_rejected_lines_are_counted(tmp_path: Path, whole: Report) -> None:
    """Rejected and blank lines shift the positions of events and change nothing else."""
    path = tmp_path / "invalid.jsonl"
    path.write_bytes(b'{"model": "m"}\n\nnot json\n' + b"".join(LINES))
    report = backtest([path], CONFIG)
    assert (report.records, report.rejected) == (RECORDS, 2)
    assert [(each.reason, each.count) for each in report.rejections] == [
        ("missing_field", 1),
        ("not_json", 1),
    ]
    assert [each.first.line for each in report.rejections if each.first] == [1, 3]
    assert [e.position - 3 for e in report.events] == [e.position for e in whole.events]
    assert [e.id for e in report.events] == [e.id for e in whole.events]


def test_progress_and_events_are_passed_to_callbacks(log: Path, whole: Report) -> None:
    """The callbacks receive all bytes, and each event once."""
    read: list[int] = []
    received: list[DriftEvent] = []
    backtest([log], CONFIG, progress=read.append, on_event=received.append)
    assert sum(read) == log.stat().st_size
    assert sorted(received, key=lambda e: e.id) == sorted(found(whole), key=lambda e: e.id)


def test_reference_file_replaces_the_warm_up(tmp_path: Path, log: Path) -> None:
    """With a reference of earlier traffic, drift is detected from the first record on."""
    earlier = tmp_path / "earlier.jsonl"
    earlier.write_bytes(b"".join(LINES[:CHANGE]))
    later = tmp_path / "later.jsonl"
    later.write_bytes(b"".join(LINES[CHANGE:]))
    assert backtest([later], CONFIG).events == []
    source = FileReference(source="file", path=earlier)
    report = backtest([later], CONFIG.model_copy(update={"reference": source}))
    assert {event.feature for event in report.events} <= set(INJECTED.features)
    assert report.events[0].record <= 200  # the first window need not be full


def test_empty_log_has_a_report(tmp_path: Path) -> None:
    """An empty log gives an empty report and no error."""
    path = tmp_path / "empty.jsonl"
    path.touch()
    report = backtest([path], CONFIG)
    assert (report.records, report.models, report.events) == (0, {}, [])


def test_missing_files_are_errors(tmp_path: Path) -> None:
    """A missing log raises OSError with its path, a missing reference UnusableReferenceError."""
    with pytest.raises(FileNotFoundError, match="none"):
        backtest([tmp_path / "none"], CONFIG)
    source = FileReference(source="file", path=tmp_path / "none")
    with pytest.raises(UnusableReferenceError, match="cannot read"):
        backtest([], CONFIG.model_copy(update={"reference": source}))


def test_experiments_without_exposures_are_reported(tmp_path: Path, log: Path) -> None:
    """A configured experiment is in the report, with the records that lack a unit."""
    lines = log.read_bytes().splitlines()[:100]
    named = [line.rstrip()[:-1] + b', "experiments": {"one": "b"}}' for line in lines]
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join(named))
    experiment = {"variants": {"a": 1, "b": 1}, "goal": "latency_ms", "unit": "metadata.absent"}
    config = Config.model_validate({"experiments": {"one": experiment, "two": experiment}})
    found = backtest([path], config).experiments
    for name, without_unit in (("one", 100), ("two", 0)):
        assert found[name]["verdicts"] == {"b": "not_yet"}
        assert found[name]["variants"]["b"] == {"users": 0, "n_eff": 0.0, "requests": 0}
        assert found[name]["records_without_unit"] == without_unit
