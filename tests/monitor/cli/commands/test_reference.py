"""Tests of `plumbline reference`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from monitor.cli.arguments import moment
from tests.monitor.cli.command_line import one_line_error, read_json, run


def test_references_are_built_listed_shown_promoted_and_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, config: Path
) -> None:
    """Two versions of a name go through all commands, and a backtest uses the promoted one."""
    build = ("reference", "build", "-c", config, "--name", "chat")
    [first] = read_json(capsys, *build, log, "--json")
    assert (first["version"], first["promoted"], first["source"]) == (1, True, "logs.jsonl")
    assert first["records"] == 8000
    assert first["models"] == ["chat-large", "code-small"]
    [second] = read_json(capsys, *build, log, "--json")
    assert (second["version"], second["promoted"], second["id"]) == (2, False, first["id"])
    assert [v["version"] for v in read_json(capsys, "reference", "list", "--json")] == [1, 2]

    shown = read_json(capsys, "reference", "show", "chat", "--json")
    assert shown["version"] == 1
    assert "latency_ms" in shown["profiles"][0]["features"]
    two = read_json(capsys, "reference", "show", "chat", "--version", "2", "--json")
    assert two["version"] == 2

    [promoted] = read_json(capsys, "reference", "promote", "chat", "2", "--json")
    assert (promoted["version"], promoted["promoted"]) == (2, True)
    assert [v["promoted"] for v in read_json(capsys, "reference", "list", "--json")] == [
        False,
        True,
    ]
    for words in (("list",), ("show", "chat"), ("promote", "chat", "1")):
        assert run("reference", *words) == 0
        assert "chat" in capsys.readouterr().out

    named = tmp_path / "named.yaml"
    named.write_text(
        "windows: {records: 200, stride: 20}\nreference: {source: named, name: chat}\n"
    )
    report = read_json(capsys, "backtest", "-c", named, log, "--json")
    assert report["records"] == 8000


def test_directory_option_applies_to_all_commands(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, config: Path
) -> None:
    """All four commands use the directory of --directory."""
    there = ("--directory", tmp_path / "elsewhere", "--json")
    read_json(capsys, "reference", "build", "-c", config, "--name", "chat", log, *there)
    assert not (tmp_path / "references").exists()
    for words in (["list"], ["show", "chat"], ["promote", "chat", "1"]):
        assert read_json(capsys, "reference", *words, *there)
    assert read_json(capsys, "reference", "list", "--json") == []


def test_unknown_reference_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path
) -> None:
    """The error names the reference and the command that builds it."""
    assert "build it with" in one_line_error(capsys, "reference", "show", "chat")
    assert "no version 3" in one_line_error(capsys, "reference", "promote", "chat", "3")
    assert "no version 3" in one_line_error(capsys, "reference", "show", "chat", "--version", "3")
    named = tmp_path / "named.yaml"
    named.write_text("reference: {source: named, name: chat}\n")
    assert "build it with" in one_line_error(capsys, "backtest", "-c", named, log)


@pytest.mark.parametrize("name", ["../x", "/x", ".x", "", "a b", "a\x1b[31m"])
def test_invalid_name_is_an_error(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    log: Path,
    config: Path,
    name: str,
) -> None:
    """A name that is unsafe as a path is an error before logs are read, and nothing is written."""
    before = sorted(tmp_path.parent.rglob("*"))
    monkeypatch.setattr("monitor.detect.reference.loader.from_files", None)
    text = one_line_error(capsys, "reference", "build", "-c", config, f"--name={name}", log)
    assert "cannot name a reference" in text
    assert "cannot name" in one_line_error(capsys, "reference", "show", f"{name}")
    assert sorted(tmp_path.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["accept"], "model"),
        (["accept", "chat", "--since", "yesterday"], "neither a time such as"),
        (["accept", "chat", "--since", "90"], "neither a time such as"),
        (["accept", "chat", "--since", "1h", "--until", "2h"], "--since is not before --until"),
        (["accept", "chat", "--records", "0"], "not a whole number"),
        (["accept", "chat", "--timeout", "-1"], "not a number above 0"),
        (["build", "--name", "chat"], "give either files of records or --from-topic MODEL"),
        (["build", "--name", "chat", "--from-topic", "m", "LOG"], "give either files"),
        (["build", "--name", "chat", "LOG", "--since", "1h"], "--since needs --from-topic"),
        (["build", "--name", "../x", "--from-topic", "m"], "../x"),
    ],
)
def test_wrong_selections_of_traffic_are_one_line(
    capsys: pytest.CaptureFixture[str], log: Path, words: list[str], text: str
) -> None:
    """Impossible periods, numbers and sources are refused before the broker is asked."""
    arguments = [str(log) if word == "LOG" else word for word in words]
    assert text in one_line_error(capsys, "reference", *arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", 1_769_860_800.0),
        ("2026-01-31 13:00+01:00", 1_769_860_800.0),
        ("2026-01-31T12:00:00", 1_769_860_800.0),
    ],
)
def test_times_without_an_offset_are_utc(text: str, expected: float) -> None:
    """The event times of all messages are UTC, and so are the arguments."""
    assert moment(text) == expected


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("2h", 7200), ("1d", 86_400)])
def test_durations_count_back_from_now(text: str, seconds: int) -> None:
    """A duration is so long ago."""
    assert moment(text) == pytest.approx(time.time() - seconds, abs=5)
