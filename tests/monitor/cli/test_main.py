"""Tests of the command line as a whole: help, error messages, and robustness of the output."""

from __future__ import annotations

import argparse
import gzip
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from monitor.cli import main
from tests.monitor.cli.command_line import PLUMBLINE, ROOT, one_line_error, run


def leaf_commands(parser: argparse.ArgumentParser) -> Iterator[list[str]]:
    """Yield the words of every command that has no subcommands."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield []
    for group in groups:
        for name, subparser in group.choices.items():
            for rest in leaf_commands(subparser):
                yield [name, *rest]


COMMANDS = list(leaf_commands(main.parser()))


def test_all_commands_exist() -> None:
    """The commands are these, in this order."""
    assert COMMANDS == [
        ["run"],
        ["demo"],
        ["backtest"],
        ["decode"],
        ["feed"],
        ["status"],
        ["events"],
        ["reference", "build"],
        ["reference", "list"],
        ["reference", "show"],
        ["reference", "promote"],
        ["reference", "accept"],
        ["judge", "check"],
        ["judge", "run"],
        ["judge", "nightly"],
        ["judge", "calibrate"],
        ["experiment", "plan"],
        ["experiment", "assign"],
        ["experiment", "report"],
        ["experiment", "compare"],
        ["evalset", "build"],
        ["evalset", "approve"],
        ["evalset", "freeze"],
        ["evalset", "list"],
        ["evalset", "show"],
        ["evalset", "check"],
        ["evalset", "export"],
        ["evalset", "failures"],
        ["replay", "run"],
        ["replay", "list"],
        ["replay", "show"],
        ["replay", "compare"],
        ["replay", "export"],
        ["replay", "work"],
        ["gate"],
        ["config", "check"],
        ["config", "sniff"],
        ["config", "schema"],
        ["dashboards", "build"],
        ["dashboards", "check"],
        ["db", "upgrade"],
        ["db", "verify"],
        ["db", "erase-responses"],
        ["db", "erase-items"],
        ["notify", "test"],
        ["web", "create-token"],
        ["web", "list-tokens"],
        ["web", "revoke-token"],
        ["web", "erase"],
        ["version"],
    ]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_shows_a_valid_example(
    capsys: pytest.CaptureFixture[str], words: Sequence[str]
) -> None:
    """The help of every command ends with an example that its parser accepts."""
    assert run(*words, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    example = text.rpartition("example: ")[2]
    assert example.startswith(" ".join(["plumbline", *words]))
    arguments = example.split(" > ")[0].split()[1:]
    for name in re.findall(r"[a-z_]+\.(?:yaml|jsonl?)", example):
        Path(name).touch()
    parsed = main.parser().parse_args(arguments)
    assert callable(parsed.run)


@pytest.mark.parametrize("words", [[], ["reference"], ["config"], ["dashboards"], ["notify"]])
def test_help_of_a_group_lists_its_commands(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """The help of a group names its commands; the group alone is an error."""
    assert run(*words, "--help") == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        if command[: len(words)] == words:
            assert command[len(words)] in text
    assert "COMMAND" in one_line_error(capsys, *words)


def test_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command is named in an error of one line."""
    assert "'backtset'" in one_line_error(capsys, "backtset")


def test_unknown_option_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown option is named in an error of one line."""
    assert "--sedonds" in one_line_error(capsys, "demo", "--sedonds", "3")


def test_errors_cannot_control_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config: Path
) -> None:
    """Escape sequences in a file name are printed as text."""
    name = "a\x1b[31m\x9b2Jb"
    assert "no such file" in one_line_error(capsys, "backtest", name)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(b"{}")[:-4])
    assert "[31m" in one_line_error(capsys, "backtest", "-c", config, f"{name}.gz")


def test_interrupt_exits_with_status_130(
    capsys: pytest.CaptureFixture[str], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends a command with status 130 and without a traceback."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("monitor.cli.backtest.backtest", interrupt)
    assert run("backtest", log) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["config", "schema"], ["reference", "show", "chat"], ["version"]]
)
def test_closed_pipe_is_not_an_error(
    tmp_path: Path, log: Path, config: Path, words: list[str]
) -> None:
    """`plumbline ... | head` prints nothing on standard error, also not at exit."""
    assert run("reference", "build", "-c", config, "--name", "chat", log) == 0
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*PLUMBLINE, *words],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
            cwd=tmp_path,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_characters_that_cannot_be_encoded_are_replaced(tmp_path: Path) -> None:
    """On an ASCII terminal other characters are printed as question marks."""
    (tmp_path / "é.yaml").write_text("{}")
    done = subprocess.run(
        [*PLUMBLINE, "config", "check", "-c", "é.yaml"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "?.yaml: no errors")
