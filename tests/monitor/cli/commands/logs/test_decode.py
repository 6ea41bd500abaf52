"""Tests of `plumbline decode`."""

from __future__ import annotations

import base64
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.monitor.cli.command_line import PLUMBLINE, ROOT, one_line_error, run

RECORD: dict[str, Any] = {"request_id": "r", "timestamp": 1.76e9, "model": "m"}
TEXTS = RECORD | {"prompt": [{"role": "user", "content": "Grüße\n"}], "response": "ok \U0001f642"}


def decoded(
    capsysbinary: pytest.CaptureFixture[bytes], *words: object
) -> tuple[list[Any], dict[str, Any]]:
    """Run decode; return the records, and the counts on the last line of standard error."""
    assert run("decode", *words) == 0
    captured = capsysbinary.readouterr()
    counts = json.loads(captured.err.splitlines()[-1])
    assert list(counts) == ["records", "skipped", "rejected"]
    records = [json.loads(line) for line in captured.out.splitlines()]
    assert counts["records"] == len(records)
    return records, counts


@pytest.mark.parametrize("form", ["lines", "pretty", "array", "gzip"])
def test_records_of_every_layout_are_printed(
    form: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Lines, pretty-printed JSON, arrays and compressed files give the same records."""
    records = [TEXTS, RECORD | {"request_id": "s"}]
    lines = "\n".join(map(json.dumps, records)).encode()
    content = {
        "lines": lines,
        "pretty": "\n".join(json.dumps(each, indent=2) for each in records).encode(),
        "array": json.dumps(records).encode(),
        "gzip": gzip.compress(lines),
    }[form]
    (tmp_path / "log").write_bytes(content)
    found, counts = decoded(capsysbinary, "log")
    assert found == records
    assert counts == {"records": 2, "skipped": {}, "rejected": {}}


def test_rejected_messages_are_counted_and_located(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Rejections have counts by reason, and the file and line of the first of each."""
    lines = [json.dumps(RECORD), "", "no JSON", json.dumps({"model": "m"}), "no JSON either"]
    (tmp_path / "log").write_text("\n".join(lines))
    assert run("decode", "log") == 0
    *places, counts = capsysbinary.readouterr().err.decode().splitlines()
    assert json.loads(counts)["rejected"] == {"not_json": 2, "missing_field": 1}
    assert [place[:50].split(":")[1] for place in places] == [
        " 2 not_json, first in log line 3",
        " 1 missing_field, first in log line 4",
    ]


def test_envelopes_are_opened(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """With --envelope the value is decoded, from text or base64; without, the line is."""
    encoded = {"base64": base64.b64encode(json.dumps(RECORD).encode()).decode()}
    lines: list[dict[str, Any]] = [
        {"key": "k", "headers": {"h": "x"}, "value": json.dumps(TEXTS)},
        {"key": None, "headers": {}, "value": encoded},
        {"key": "k", "value": None},
        {"key": "k"},
    ]
    (tmp_path / "log").write_text("\n".join(map(json.dumps, lines)))
    found, counts = decoded(capsysbinary, "log", "--envelope")
    assert found == [TEXTS, RECORD]
    assert counts["rejected"] == {"empty": 1, "missing_field": 1}
    assert decoded(capsysbinary, "log")[1]["rejected"] == {"missing_field": 4}


def test_format_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--format replaces the format of the settings; an unknown one is an error with a hint."""
    (tmp_path / "log").write_text(json.dumps(RECORD))
    (tmp_path / "plumbline.yaml").write_text("format: otlp\n")
    assert run("decode", "log", "--format", "native") == 0
    assert json.loads(capsys.readouterr().out) == RECORD
    line = one_line_error(capsys, "decode", "log", "--format", "navite")
    assert "did you mean 'native'" in line


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A missing file, a directory and a damaged file are named in an error."""
    assert "none: no such file" in one_line_error(capsys, "decode", "none")
    assert "is a directory" in one_line_error(capsys, "decode", tmp_path)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"{}")[:-4])
    assert "a.gz" in one_line_error(capsys, "decode", "a.gz")


def test_standard_input_is_read(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` is standard input, binary content included."""
    content = io.BytesIO(gzip.compress(json.dumps(RECORD).encode()))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
    assert decoded(capsysbinary, "-")[0] == [RECORD]


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    """A reader that ends early, such as head, causes no traceback."""
    (tmp_path / "log").write_text((json.dumps(TEXTS) + "\n") * 20_000)
    process = subprocess.Popen(
        [*PLUMBLINE, "decode", "log"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline()) == TEXTS
    process.stdout.close()
    assert process.wait(60) == 1
    with process.stderr as errors:
        assert errors.read() == b""
