"""Tests of `plumbline experiment assign`."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest

from monitor.experiments.assignment.assign import assign
from tests.monitor.cli.command_line import error, one_line_error, read_json, run

CONFIGURATION = """
experiments:
  new-prompt:
    variants: {control: 1, treatment: 1, third: 2}
    coverage: 0.5
    namespace: {name: ui, range: [0, 0.8]}
    overrides: {tester: treatment}
    stopped: [third]
    goal: error
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """Return the path of a configuration with an experiment."""
    path = tmp_path / "plumbline.yaml"
    path.write_text(CONFIGURATION)
    return path


def test_units_have_the_variants_of_the_configuration(
    capsys: pytest.CaptureFixture[str], configuration: Path
) -> None:
    """All reasons occur, each with the variant or without one."""
    names = ["tester", *(f"user-{number}" for number in range(200))]
    units = [option for name in names for option in ("--unit", name)]
    command = ("experiment", "assign", "new-prompt", *units, "-c", configuration)
    found = read_json(capsys, *command, "--json")
    assert [each["unit"] for each in found] == names
    variants = {"control": 1, "treatment": 1, "third": 2}
    for each in found[1:]:
        expected = assign(
            each["unit"],
            variants,
            "new-prompt",
            coverage=0.5,
            namespace=("ui", 0, 0.8),
            stopped=["third"],
        )
        assert (each["variant"], each["reason"]) == expected
    reasons = Counter(each["reason"] for each in found)
    assert {*reasons} == {"override", "hash", "not_covered", "namespace", "stopped"}
    assert run(*command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tester  treatment  override"
    assert lines[-1].startswith("201 units: - ")


def test_units_are_read_from_a_file_and_from_standard_input(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One id a line, with any line ends; empty lines are skipped, and other characters are kept."""
    path = tmp_path / "ids"
    path.write_bytes("a\r\n\nhéllo wörld\n b\x0b\u2028".encode())
    options = ("--variants", "control=0.5,treatment=0.5", "--seed", "s", "--json")
    found = read_json(capsys, "experiment", "assign", "x", "--file", path, *options)
    assert [each["unit"] for each in found] == ["a", "héllo wörld", " b\x0b\u2028"]
    stream = io.TextIOWrapper(io.BytesIO(path.read_bytes()))
    monkeypatch.setattr("sys.stdin", stream)
    assert read_json(capsys, "experiment", "assign", "x", "--file", "-", *options) == found


def test_variants_can_be_given_without_a_configuration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The default seed is the name, and the coverage applies."""
    options = ("--variants", "prompt-a=1,prompt=b=3", "--coverage", "0.5", "--json")
    units = [option for number in range(50) for option in ("--unit", f"user-{number}")]
    found = read_json(capsys, "experiment", "assign", "new", *units, *options)
    for each in found:
        expected = assign(each["unit"], {"prompt-a": 1, "prompt=b": 3}, "new", coverage=0.5)
        assert (each["variant"], each["reason"]) == expected


def test_a_terminal_gets_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """An id is printed without characters that a terminal would interpret."""
    assert run("experiment", "assign", "x", "--unit", "a\x1b[2J", "--variants", "a=1,b=1") == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new"], "no unit is given; add --unit ID or --file IDS"),
        (["new", "--unit", "u", "--seed", "s"], "--seed and --coverage need --variants"),
        (["new", "--unit", "u", "--variants", "a=1"], "has one variant"),
        (["new", "--unit", "u", "--variants", "a=1,a=1"], "is not a list such as"),
        (["new", "--unit", "u", "--variants", "a=1,b=0"], "is not a number above 0"),
        (
            ["new", "--unit", "u", "--variants", "a=1,b=1", "--coverage", "2"],
            "is not a number from 0 to 1",
        ),
        (["new", "--file", "absent"], "no such file"),
        (["new", "--unit", "u"], "unknown experiment 'new'"),
    ],
)
def test_errors_are_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    configuration: Path,
    arguments: list[str],
    message: str,
) -> None:
    """Each wrong option or name is explained."""
    monkeypatch.chdir(configuration.parent)
    assert message in one_line_error(capsys, "experiment", "assign", *arguments)


def test_an_unknown_experiment_gets_a_suggestion(
    capsys: pytest.CaptureFixture[str], configuration: Path, tmp_path: Path
) -> None:
    """The error names a similar experiment, and a file that is not text is named."""
    command = ("experiment", "assign", "new-promt", "--unit", "u", "-c", configuration)
    assert "did you mean 'new-prompt'?" in error(capsys, *command)
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe")
    assert "is not UTF-8 text" in error(capsys, *command, "--file", path)
