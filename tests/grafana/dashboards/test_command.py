"""Tests of the command `plumbline dashboards`: its files, its output and its imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from grafana.dashboards import build
from monitor.cli import main

ROOT = Path(__file__).parents[3]


def run(*words: object) -> int:
    """Run a command and return its exit status."""
    try:
        return main.main(["dashboards", *map(str, words)])
    except SystemExit as ended:
        return int(ended.code or 0)


def error(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that fails with status 2 and return its single line on standard error."""
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.strip()


def subprocess_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a new process, in which nothing is imported yet."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_build_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`build` creates the folder and prints each file; `check` then succeeds."""
    folder = tmp_path / "dashboards"
    assert run("build", folder) == 0
    assert capsys.readouterr().out.split() == [str(folder / name) for name in build.DASHBOARDS]
    assert run("check", folder) == 0
    assert capsys.readouterr().out.startswith(f"{folder}: ")


def test_check_uses_the_committed_files_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a directory `check` compares the committed files."""
    assert run("check") == 0
    assert str(build.SHIPPED) in capsys.readouterr().out


def test_a_difference_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error locates the first difference and contains no control characters."""
    build.write(tmp_path)
    changed = json.loads((tmp_path / "fleet.json").read_text())
    changed["panels"][1]["title"] = "\x1b[31mChanged"
    (tmp_path / "fleet.json").write_text(json.dumps(changed))
    line = error(capsys, "check", tmp_path)
    assert line.startswith(f"{tmp_path / 'fleet.json'}: panels[1].title is ")
    assert line.isprintable()


def test_a_directory_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error contains the path if it is a file."""
    (tmp_path / "taken").touch()
    assert "taken" in error(capsys, "build", tmp_path / "taken")


@pytest.mark.parametrize("url", ["wiki", "javascript:alert(1)", 'https://a/"', "https://a b", ""])
def test_an_invalid_url_is_rejected(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A URL becomes part of links and of JSON, so it must be valid."""
    assert "such as https://" in error(capsys, "build", "x", "--runbooks", url)


@pytest.mark.parametrize("url", ["https://wiki.test/runbooks", "https://wiki.test/runbooks/"])
def test_the_url_is_written_to_the_files(tmp_path: Path, url: str) -> None:
    """A trailing slash makes no difference."""
    assert run("build", tmp_path, "--runbooks", url) == 0
    assert '"query": "https://wiki.test/runbooks/"' in (tmp_path / "drift.json").read_text()


def test_without_the_extra_the_error_names_it() -> None:
    """The error is one line with the command that installs the extra."""
    done = subprocess_python(
        "import sys; sys.modules['grafana_foundation_sdk'] = None\n"
        "from monitor.cli.main import main; sys.exit(main(['dashboards', 'check']))"
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("pip install '.[dashboards]' in a checkout of the repository\n")


def test_another_missing_module_is_not_reported_as_the_extra() -> None:
    """A missing module of the project is a defect and causes a traceback."""
    done = subprocess_python(
        "import sys; sys.modules['grafana.dashboards.fleet'] = None\n"
        "from monitor.cli.main import main; sys.exit(main(['dashboards', 'check']))"
    )
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_other_commands_do_not_import_the_sdk() -> None:
    """Other commands work without the extra."""
    done = subprocess_python(
        "import sys; from monitor.cli.main import main; main(['version'])\n"
        "sys.exit(any(name.startswith('grafana_foundation_sdk') for name in sys.modules))"
    )
    assert done.returncode == 0, done.stderr
