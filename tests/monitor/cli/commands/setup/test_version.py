"""Tests of `plumbline version`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from monitor import __version__
from tests.monitor.cli.command_line import ROOT, read_json, run


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is printed as text or as JSON."""
    assert run("version") == 0
    assert capsys.readouterr().out == f"plumbline {__version__}\n"
    assert read_json(capsys, "version", "--json") == {"version": __version__}


def test_version_and_help_have_the_usual_spellings(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` is `version`, and `help COMMAND` is `COMMAND --help`, for groups too."""
    assert run("--version") == 0
    assert capsys.readouterr().out == f"plumbline {__version__}\n"
    for words in ([], ["run"], ["reference"], ["reference", "build"]):
        assert run(*words, "--help") == 0
        expected = capsys.readouterr().out
        assert run("help", *words) == 0
        assert capsys.readouterr().out == expected
    assert run("help", "nonsense") == 2


def test_large_libraries_are_not_imported() -> None:
    """`plumbline version` imports neither scipy, numpy, pydantic nor the Kafka client."""
    code = (
        "import sys; from monitor.cli.main import main; main(['version']);"
        "print(sorted({'scipy', 'numpy', 'confluent_kafka', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
