"""Tests of `plumbline experiment compare` on files, and with a judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judges.rubrics.loading import load
from judges.rubrics.prompt import token_of
from tests.judges.replies import Reply, completion
from tests.judges.replies import error as failed
from tests.judges.server import KEY, ModelServer, Received
from tests.monitor.cli.command_line import one_line_error, read_json, run
from tests.monitor.experiments.compare.files import scored, write

COMPARE = ("experiment", "compare")
DIMENSIONS = [dimension.name for dimension in load("tone").dimensions]


def prefer_good(request: Received) -> Reply:
    """Prefer the response that contains "good", wherever it stands; a tie if both or none do."""
    data = str(request.body["messages"][-1]["content"])
    _, first, second = data.replace("begin second", "begin first").split("begin first")
    choice = "tie"
    if ("good" in first) != ("good" in second):
        choice = "first" if "good" in first else "second"
    scores = dict.fromkeys(DIMENSIONS, choice)
    return completion(json.dumps({"reasoning": "because", "scores": scores}))


def config(folder: Path, server: ModelServer, usd: float = 100.0) -> Path:
    """Write a configuration with a judge, its price and a budget."""
    key = folder / "key"
    key.write_text(KEY)
    path = folder / "judge.yaml"
    path.write_text(
        f"""
judges:
  model: judge-1
  client:
    {{provider: compatible, base_url: "{server.url}/v1", api_key: {{file: {key}}}, retries: 0}}
  prices: {{judge-1: {{input: 1.0, output: 5.0}}}}
  budget: {{usd_per_day: {usd}}}
"""
    )
    return path


def answers(folder: Path, name: str, words: list[str | None]) -> Path:
    """Write answers to as many prompts; None is an error."""
    lines: list[dict[str, Any]] = [
        {"prompt": f"question {i}"}
        | ({"error": "timeout"} if word is None else {"response": f"{word} answer {name} {i}"})
        for i, word in enumerate(words)
    ]
    return write(folder / f"{name}.jsonl", lines)


def test_files_are_compared_by_their_scores(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The table has a verdict by metric, the report the same numbers, and ratings."""
    first = write(tmp_path / "old.jsonl", scored([3.0, 2.0] * 20))
    second = write(tmp_path / "new.jsonl", scored([4.0, 3.0] * 20))
    path = tmp_path / "report.json"
    assert run(*COMPARE, first, second, "--report", path) == 0
    out = capsys.readouterr().out
    assert "new against old: 40 pairs of 40 prompts, matched by prompt" in out
    assert [line for line in out.splitlines() if "score.quality" in line and "better" in line]
    assert "ratings by score.quality, old is 0" in out
    report = json.loads(path.read_text())
    quality = report["variants"]["new"]["metrics"]["score.quality"]
    assert (quality["control_mean"], quality["mean"], quality["verdict"]) == (2.5, 3.5, "better")
    assert quality["effect"] == pytest.approx(0.4)
    assert report["ratings"]["models"]["new"]["upper"] is None
    assert report["judge"] is None
    assert read_json(capsys, *COMPARE, first, second, "--json") == report


def test_the_judge_compares_pairs_in_both_orders(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Errors and failed calls are unscored by reason, equal answers are ties without a call, and a
    repeated command pays for nothing."""
    words: list[str | None] = [*["good"] * 28, None, "slow"]
    first = answers(tmp_path, "a", ["bad"] * 30)
    second = answers(tmp_path, "b", words)
    lines = [json.loads(line) for line in second.read_text().splitlines()]
    lines[0]["response"] = "bad answer a 0"
    write(second, lines)

    def respond(request: Received) -> Reply:
        return failed(400) if "slow" in str(request.body["messages"]) else prefer_good(request)

    with ModelServer(respond) as server:
        path = tmp_path / "report.json"
        words_ = (*COMPARE, first, second, "--judge", "tone", "-c", config(tmp_path, server))
        assert run(*words_, "--report", path, "--yes") == 0
        captured = capsys.readouterr()
        assert "29 pairs to judge" not in captured.err
        assert "28 pairs to judge in both orders; 56 calls" in captured.err
        assert "judge unavailable: HTTP 400 invalid_request_error (1 calls)" in captured.err
        calls = len(server.received)
        assert calls == 2 * 27 + 1
        report = json.loads(path.read_text())
        assert run(*words_, "--report", path) == 2  # the failed pair would cost money again
        capsys.readouterr()
        assert run(*words_, "--report", path, "--yes") == 0
        assert len(server.received) == calls + 1
    tone = report["variants"]["b"]["metrics"]["judge.tone"]
    assert (tone["wins"], tone["ties"], tone["losses"]) == (27, 1, 0)
    assert tone["unscored"] == {"error": 1, "unavailable": 1}
    assert (tone["verdict"], tone["pairs"]) == ("better", 28)
    judge = report["judge"]
    assert (judge["pairs"], judge["identical"], judge["inconsistent"]) == (28, 1, 0)
    assert judge["cost_usd"] == pytest.approx(54 * (40 * 1.0 + 30 * 5.0) / 1e6)
    again = json.loads(path.read_text())
    assert again["variants"] == report["variants"]
    journal = (tmp_path / "report.json.journal").read_text()
    assert "answer" not in journal


def test_a_judge_that_prefers_a_position_makes_ties(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its answers are counted as inconsistent, and nobody wins."""
    text = json.dumps({"reasoning": "", "scores": dict.fromkeys(DIMENSIONS, "first")})
    first, second = answers(tmp_path, "a", ["x"] * 25), answers(tmp_path, "b", ["y"] * 25)
    with ModelServer(lambda _: completion(text)) as server:
        path = config(tmp_path, server)
        words = (*COMPARE, first, second, "--judge", "tone", "-c", path, "--yes", "--json")
        report = read_json(capsys, *words)
    tone = report["variants"]["b"]["metrics"]["judge.tone"]
    assert (tone["ties"], tone["win_rate"], tone["verdict"]) == (25, 0.5, "not_yet")
    assert report["judge"]["inconsistent"] == 25


def test_a_judge_that_copies_the_delimiters_is_not_counted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its choice may be that of an answer: the pair is unscored, as a single sample is."""

    def copy(request: Received) -> Reply:
        reasoning = token_of(request.body["messages"][-1]["content"])
        scores = dict.fromkeys(DIMENSIONS, "first")
        return completion(json.dumps({"reasoning": reasoning, "scores": scores}))

    first, second = answers(tmp_path, "a", ["x"] * 3), answers(tmp_path, "b", ["y"] * 3)
    with ModelServer(copy) as server:
        path = config(tmp_path, server)
        words = (*COMPARE, first, second, "--judge", "tone", "-c", path, "--yes", "--json")
        report = read_json(capsys, *words)
    tone = report["variants"]["b"]["metrics"]["judge.tone"]
    assert tone["unscored"] == {"injection_suspected": 3}
    assert (tone["wins"], tone["ties"], tone["losses"]) == (None, None, None)


def test_several_models_are_rated_by_the_judge(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """All pairs are judged; a model is rated against the first one."""
    words: dict[str, list[str | None]] = {
        "a": ["good", "bad", "bad", "bad"] * 8,
        "b": ["bad", "good", "good", "good"] * 8,
        "c": ["bad"] * 32,
    }
    paths = [answers(tmp_path, name, each) for name, each in words.items()]
    with ModelServer(prefer_good) as server:
        path = config(tmp_path, server)
        report = read_json(
            capsys, *COMPARE, *paths, "--judge", "tone", "-c", path, "--yes", "--json"
        )
    models = report["ratings"]["models"]
    assert models["b"]["lower"] > 0
    assert models["c"]["upper"] < models["b"]["lower"]
    assert models["a"]["comparisons"] == 64


def test_the_budget_is_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Pairs that the budget does not cover are unscored; without --yes nothing is sent."""
    first, second = answers(tmp_path, "a", ["bad"] * 30), answers(tmp_path, "b", ["good"] * 30)
    with ModelServer(prefer_good) as server:
        path = config(tmp_path, server, usd=2.0)  # of which commands may spend a part
        words = (*COMPARE, first, second, "--judge", "tone", "-c", path)
        assert run(*words) == 2
        assert "start it with --yes" in capsys.readouterr().err
        assert server.received == []
        report = read_json(capsys, *words, "--yes", "--json")
    tone = report["variants"]["b"]["metrics"]["judge.tone"]
    unscored = tone["unscored"].get("no_budget", 0)
    assert tone["pairs"] + unscored == 30


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["a.jsonl"], "give two files of answers or more, or --prompts and --endpoint"),
        (["a.jsonl", "a.jsonl"], "a file is given twice"),
        (["a.jsonl", "c.jsonl"], "a.jsonl and c.jsonl have no prompt in common"),
        (["a.jsonl", "empty.jsonl"], "empty.jsonl: has no answers"),
        (["a.jsonl", "b.jsonl", "--metric", "score.x"], "a.jsonl: has no score.x"),
        (["a.jsonl", "b.jsonl", "--metric", "error:up"], "must be NAME, NAME:higher or NAME:low"),
        (["a.jsonl", "b.jsonl", "--judge", "tone"], "no judge is configured; give --judge-model"),
        (["a.jsonl", "b.jsonl", "--judge", "ton"], "did you mean 'tone'?"),
        (["a.jsonl", "b.jsonl", "--save", "x"], "--save needs --endpoint"),
        (["a.jsonl", "b.jsonl", "--alpha", "1"], "not a number between 0 and 1"),
        (["a.jsonl", "missing.jsonl"], "missing.jsonl: no such file"),
    ],
)
def test_errors_say_what_to_do(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    error: str,
) -> None:
    """One line, and exit status 2."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        answers(tmp_path, name, ["good"] * 3)
    write(tmp_path / "c.jsonl", [{"prompt": "another", "response": "r"}])
    (tmp_path / "empty.jsonl").touch()
    assert error in one_line_error(capsys, *COMPARE, *words)


def test_names_from_files_do_not_control_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A score may have any name."""
    name = "[red]x\x1b[2J"
    first = write(tmp_path / "a.jsonl", scored([1.0] * 8, name))
    second = write(tmp_path / "b[bold].jsonl", scored([2.0] * 8, name))
    assert run(*COMPARE, first, second) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "b[bold]" in out
