"""Run commands in tests: exit status, errors and JSON output."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main

ROOT = Path(__file__).parents[3]
PLUMBLINE = [
    sys.executable,
    "-c",
    "import sys; from monitor.cli.main import main; sys.exit(main(sys.argv[1:]))",
]
"""The command in a new process."""


def run(*words: object) -> int:
    """Run a command and return its exit status."""
    try:
        return main.main([str(word) for word in words])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1


def error(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that fails with status 2 and an error on standard error; return the error."""
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err.endswith("\n")
    return captured.err.removesuffix("\n")


def one_line_error(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that fails with an error of one printable line; return the line."""
    text = error(capsys, *words)
    assert "\n" not in text
    assert text.isprintable()
    return text


def read_json(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    """Run a command that prints JSON; return its value."""
    assert run(*words) == 0
    return json.loads(capsys.readouterr().out)
