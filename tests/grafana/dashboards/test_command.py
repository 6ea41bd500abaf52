"""`plumbline dashboards`: what it writes, what it says, and that it costs nobody else anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from grafana.dashboards import build
from monitor import cli

ROOT = Path(__file__).parents[3]


def run(*words: object) -> int:
    """The exit status of a command."""
    try:
        return cli.main(["dashboards", *map(str, words)])
    except SystemExit as ended:
        return int(ended.code or 0)


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command that is refused says: one line on standard error, and status 2."""
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.strip()


def outside(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, where nothing is imported yet."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_build_writes_and_check_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is made, each file is named, and check finds nothing."""
    folder = tmp_path / "dashboards"
    assert run("build", folder) == 0
    assert capsys.readouterr().out.split() == [str(folder / name) for name in build.DASHBOARDS]
    assert run("check", folder) == 0
    assert capsys.readouterr().out == f"{folder}: all is as the code builds it\n"


def test_check_takes_the_files_that_come_with_plumbline(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a directory it looks at the committed ones."""
    assert run("check") == 0
    assert str(build.SHIPPED) in capsys.readouterr().out


def test_a_difference_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first one, with the panel's place, and status 2."""
    build.write(tmp_path)
    made = json.loads((tmp_path / "fleet.json").read_text())
    made["panels"][1]["title"] = "\x1b[31mMine"
    (tmp_path / "fleet.json").write_text(json.dumps(made))
    line = said(capsys, "check", tmp_path)
    assert line.startswith(f"{tmp_path / 'fleet.json'}: panels[1].title is ")
    assert line.isprintable()


def test_a_directory_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file in its place is named."""
    (tmp_path / "taken").touch()
    assert "taken" in said(capsys, "build", tmp_path / "taken")


@pytest.mark.parametrize("url", ["wiki", "javascript:alert(1)", 'https://a/"', "https://a b", ""])
def test_a_bad_address_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It would become part of links and of JSON."""
    assert "is no address such as https://" in said(capsys, "build", "x", "--runbooks", url)


@pytest.mark.parametrize("url", ["https://wiki.test/runbooks", "https://wiki.test/runbooks/"])
def test_the_address_reaches_the_files(tmp_path: Path, url: str) -> None:
    """With or without a slash at its end."""
    assert run("build", tmp_path, "--runbooks", url) == 0
    assert '"query": "https://wiki.test/runbooks/"' in (tmp_path / "drift.json").read_text()


def test_without_the_extra_it_says_what_to_install() -> None:
    """One sentence, not a traceback."""
    done = outside(
        "import sys; sys.modules['grafana_foundation_sdk'] = None\n"
        "from monitor.cli import main; sys.exit(main(['dashboards', 'check']))"
    )
    assert done.returncode == 2
    assert done.stderr == (
        "dashboards are built with an extra that is not installed:"
        " pip install 'plumbline[dashboards]'\n"
    )


def test_a_fault_of_ours_is_no_missing_extra() -> None:
    """Another module that is missing is a fault, and shown as one."""
    done = outside(
        "import sys; sys.modules['grafana.dashboards.fleet'] = None\n"
        "from monitor.cli import main; sys.exit(main(['dashboards', 'check']))"
    )
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_other_commands_do_not_import_it() -> None:
    """The extra is for this command alone."""
    done = outside(
        "import sys; from monitor.cli import main; main(['version'])\n"
        "sys.exit(any(name.startswith('grafana_foundation_sdk') for name in sys.modules))"
    )
    assert done.returncode == 0, done.stderr
