"""Tests of `plumbline judge check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from judges.rubrics.loading import load, shipped
from tests.monitor.cli.command_line import error, one_line_error, read_json, run


def test_shipped_rubrics_have_no_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints name, version, hash, pass mark and shares of all of them."""
    found = read_json(capsys, "judge", "check", *shipped(), "--json")
    assert [each["name"] for each in found] == list(shipped())
    assert found[0]["hash"] == load("answer_quality").hash
    assert sum(found[0]["dimensions"].values()) == pytest.approx(1, abs=1e-3)
    assert run("judge", "check", "tone") == 0
    assert "tone: no errors; version 1" in capsys.readouterr().out


def test_all_errors_of_all_rubrics_are_reported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line for each problem, with exit status 2."""
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nversion: 0\n")
    lines = error(capsys, "judge", "check", "tones", path, "absent.yaml").splitlines()
    assert lines[0].startswith("unknown rubric 'tones'; did you mean 'tone'?")
    assert f"{path}:2: version: must be at least 1" in lines
    assert f"{path}:1: dimensions: is missing" in lines
    assert lines[-1] == "absent.yaml: cannot be read: no such file or directory"


def test_a_rubric_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    """Without one the error names the argument."""
    assert "RUBRIC" in one_line_error(capsys, "judge", "check")
