"""Tests of `plumbline backtest`."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from monitor.cli.demo.traffic import traffic
from tests.monitor.cli.command_line import one_line_error, read_json, run


@pytest.mark.parametrize("command", [["backtest"], ["reference", "build", "--name", "x"]])
def test_missing_log_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, command: list[str]
) -> None:
    """Missing files and directories are named in an error before any file is read."""
    assert "none.jsonl: no such file" in one_line_error(capsys, *command, log, "none.jsonl")
    assert f"{tmp_path}: is a directory" in one_line_error(capsys, *command, tmp_path)
    missing = one_line_error(capsys, *command)
    assert "arguments are required" in missing or "files of records" in missing
    assert not (tmp_path / "references").exists()


def test_unreadable_log_is_an_error(
    capsys: pytest.CaptureFixture[str], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without read permission is named in an error."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    assert f"{log}: permission denied" in one_line_error(capsys, "backtest", log)


def test_damaged_gzip_file_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config: Path
) -> None:
    """A file that turns out to be unreadable later is named in an error too."""
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"{}")[:-4])
    assert "a.gz" in one_line_error(capsys, "backtest", "-c", config, "a.gz")


def test_unwritable_report_is_an_error_before_the_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report path that cannot be written is an error before the backtest starts."""
    monkeypatch.setattr("monitor.cli.backtest.backtest", None)
    assert "none/r.json" in one_line_error(capsys, "backtest", log, "--report", "none/r.json")
    assert "is a directory" in one_line_error(capsys, "backtest", log, "--report", tmp_path)


def test_report_is_written_and_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, config: Path
) -> None:
    """--report and --json give the same report; without --json a table is printed."""
    path = tmp_path / "report.json"
    printed = read_json(capsys, "backtest", "-c", config, log, "--report", path, "--json")
    assert json.loads(path.read_bytes()) == printed
    assert printed["records"] == 8000
    assert printed["events"]
    assert run("backtest", "-c", config, log) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("8,000 records of 2 models in ")
    assert "latency_ms of chat-large has drifted" in captured.err


def test_log_cannot_control_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Control characters in a model name reject the record; in other values they are replaced."""
    lines = list(traffic(12_000, change_at=8000, seed=7, rate=50.0, start=1.76e9))
    routes = b"\n".join(lines).replace(b'"web"', b'"web\\u001b[31m\xc2\x9b2J\xe2\x80\xae"')
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(routes.replace(b'"code-small"', b'"code\\u001b[31m"'))
    config = tmp_path / "segments.yaml"
    config.write_text(
        "windows: {records: 100, stride: 10}\nreference: {source: warmup, records: 1000}\n"
        "segments: [metadata.route]\n"
    )
    output = ""
    for words in (
        ("backtest", "-c", config, path),
        ("reference", "build", "-c", config, "--name", "chat", path),
        ("reference", "show", "chat"),
    ):
        assert run(*words) == 0
        captured = capsys.readouterr()
        output += captured.out + captured.err
    assert "[metadata.route=web\N{REPLACEMENT CHARACTER}[31m" in output
    assert "bad_model" in output
    assert not {"\x1b", "\x9b", "\u202e"} & set(output)


UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "blank": b"\n \n\n",
    "csv": b"request_id,timestamp,model\nr1,1,chat\n",
    "strings_for_numbers": b'{"request_id": "r", "timestamp": 1, "model": "m", "cost_usd": "1"}\n',
    "array": b'[{"model": "m"}, {"model": "n"}]',
    "binary": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_log_without_a_record_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    """If nothing was read the status is 2, drift is not mentioned, and the report is written."""
    path, report = tmp_path / "log", tmp_path / "report.json"
    path.write_bytes(UNREADABLE[kind])
    assert run("backtest", path, "--report", report) == 2
    captured = capsys.readouterr()
    assert "drift" not in captured.out
    assert "nothing was read" in captured.err
    assert str(path) in captured.err
    written = json.loads(report.read_bytes())
    assert written["records"] == 0
    assert (kind in {"empty", "blank"}) == (written["rejections"] == [])
    for each in written["rejections"]:
        assert each["first"]["file"] == str(path)
        assert f"line {each['first']['line']}: " in captured.out


def test_records_that_cannot_be_read_are_not_called_free_of_drift(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """If a part is rejected, the share is printed, and the rest is not called free of drift."""
    lines = list(traffic(6000, change_at=9000, seed=7, rate=50.0, start=1.76e9))
    path, config = tmp_path / "log", tmp_path / "config.yaml"
    path.write_bytes(b"\n".join(lines).replace(b'"latency_ms":', b'"latency_ms":"fast","x":', 500))
    config.write_text(
        "windows: {records: 100, stride: 10}\nreference: {source: warmup, records: 1000}"
    )
    assert run("backtest", "-c", config, path) == 0
    out = capsys.readouterr().out
    assert "500 of 6,000 (8.3 %) could not be read" in out
    assert "latency_ms" in out
    assert "no drift" not in out


def test_rejections_of_a_reference_are_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config: Path
) -> None:
    """A reference prints what it left out, and names the reasons if no record was usable."""
    path = tmp_path / "log"
    lines = list(traffic(6000, change_at=9000, seed=7, rate=50.0, start=1.76e9))
    path.write_bytes(b"\n".join([*lines, b"{}"]))
    assert run("reference", "build", "-c", config, "--name", "x", path) == 0
    assert "1 missing_field, first in " in capsys.readouterr().err
    path.write_bytes(b"{}\n")
    assert "1 missing_field" in one_line_error(
        capsys, "reference", "build", "-c", config, "--name", "x", path
    )


def test_a_damaged_file_does_not_discard_the_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, config: Path
) -> None:
    """What is before the damage and other files are reported; the error names what was read."""
    path, report = tmp_path / "cut.gz", tmp_path / "report.json"
    path.write_bytes(gzip.compress(log.read_bytes())[:-2000])
    assert run("backtest", "-c", config, path, log, "--report", report) == 2
    captured = capsys.readouterr()
    written = json.loads(report.read_text())
    lines = len(log.read_bytes().splitlines())
    [(file, records)] = written["damaged"].items()
    assert file == str(path)
    assert 0 < records < lines
    assert written["records"] == records + lines
    assert f"{path}: incomplete or damaged compressed file: {records:,} records" in captured.err
    assert f"{records + lines:,} records" in captured.out
