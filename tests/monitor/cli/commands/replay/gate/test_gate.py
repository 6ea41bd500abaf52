"""`plumbline gate` on real runs: lm-eval's real API against a local OpenAI-compatible server."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import junitparser
import pytest
import yaml

from replay.gate.audit import check as check_audit
from replay.gate.stages.kept import read_scores
from tests.long_form import long_only
from tests.monitor.cli.command_line import PLUMBLINE, ROOT, one_line_error, run
from tests.replay.openai_server import OpenAIServer
from tests.replay.runner.toy import add, write_sums

ITEMS = 60
KEY = "sk-gate-0123456789"
OUTPUTS = ("report", "junit", "comment", "summary", "audit")


def degraded(prompt: str) -> str:
    """Answer every second question wrongly."""
    words = prompt.rstrip("?").split()
    return "7000" if "+" in words and int(words[-3]) % 2 else add(prompt)


def question(number: int) -> str:
    """Return the prompt of an item."""
    return f"What is {number} + {number % 5}?"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Return the addresses of a good and a degraded model, and one where nothing answers."""
    with OpenAIServer(answer=add, key=KEY) as good, OpenAIServer(answer=degraded) as bad:
        yield {"good": good.url, "bad": bad.url, "dead": "http://127.0.0.1:9/v1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a task, in which the gate keeps the scores of the first test."""
    folder = tmp_path_factory.mktemp("gate")
    write_sums(folder / "tasks", ITEMS)
    return folder


def write_criteria(folder: Path, candidate: Any, baseline: Any, **changes: Any) -> Path:
    """Write criteria on the task and return their path."""
    content = {
        "name": "sums",
        "candidate": candidate,
        "baseline": baseline,
        "dimensions": {"quality": {"tasks": ["sums"], "margin": 0.1}},
        "include_paths": [str(folder / "tasks")],
        "stages": ["L0"],
        "tiers": {"L0": ITEMS},
    } | changes
    path = folder / "criteria.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def model(url: str, name: str = "new") -> dict[str, Any]:
    """Return the keys of a model."""
    return {"model": {"name": name, "base_url": url, "api_key_env": "GATE_KEY"}}


def gate(tmp_path: Path, criteria: Path, work: Path, *more: object) -> tuple[int, dict[str, Any]]:
    """Run the gate with all outputs. Return its exit status and its result."""
    options = [word for name in OUTPUTS for word in (f"--{name}", tmp_path / name)]
    status = run("gate", "--criteria", criteria, "--work", work, *options, *more)
    return status, json.loads((tmp_path / "report").read_bytes())


def kinds(tmp_path: Path) -> list[str]:
    """Return the kinds of results in the JUnit report."""
    suites = junitparser.JUnitXml.fromfile(str(tmp_path / "junit"))
    return [type(each).__name__ for suite in suites for case in suite for each in case.result]


@pytest.fixture
def passed(
    tmp_path: Path, folder: Path, servers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, dict[str, Any]]:
    """Return the result of a gate whose candidate and baseline are the same model.

    Only the first one runs the model: the folder keeps its scores.
    """
    monkeypatch.setenv("GATE_KEY", KEY)
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    good = servers["good"]
    criteria = write_criteria(folder, model(good), model(good, "old"))
    return gate(tmp_path, criteria, folder / "work")


def test_the_same_model_passes(
    tmp_path: Path, folder: Path, passed: tuple[int, dict[str, Any]]
) -> None:
    """Two real runs of one model: exit status 0, all reports, and the key in none of them."""
    status, result = passed
    assert (status, result["exit_status"], result["outcome"]) == (0, 0, "passed")
    (check,) = result["stages"][0]["checks"]
    assert (check["items"], check["value"], check["baseline"]) == (ITEMS, 1.0, 1.0)
    assert kinds(tmp_path) == []
    (kept, *_) = read_scores(folder / "work" / "candidate.jsonl")
    assert {score.prompt for score in kept.scores} <= {question(n) for n in range(ITEMS)}
    (entry,) = check_audit(tmp_path / "audit")
    assert (entry.outcome, entry.exit_status, entry.candidate) == ("passed", 0, "new")
    written = [path for path in (*tmp_path.rglob("*"), *folder.rglob("*")) if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    _, again = gate(tmp_path, folder / "criteria.yaml", folder / "work")
    (stage,) = again["stages"]
    assert stage["detail"] == "scores that an earlier command kept: baseline, candidate"


def test_a_degraded_model_is_regressed(
    tmp_path: Path,
    folder: Path,
    servers: dict[str, str],
    passed: tuple[int, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A real run that loses half of the items, against kept scores: exit status 1, a failure."""
    step = tmp_path / "step"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    monkeypatch.setenv("GITHUB_SHA", "c0ffee")
    same = model(servers["good"])
    text = one_line_error(
        capsys,
        *("gate", "--work", folder / "work", "--criteria"),
        write_criteria(folder, same, model(servers["good"], "old")),
    )
    assert "another model" in text  # of another commit
    baseline = {"results": str(folder / "work" / "baseline.jsonl")}
    criteria = write_criteria(folder, model(servers["bad"]), baseline)
    status, result = gate(tmp_path, criteria, tmp_path / "work")
    assert (status, result["outcome"]) == (1, "regressed")
    (check,) = result["stages"][0]["checks"]
    assert (check["value"], check["baseline"], check["effect"]) == (0.5, 1.0, -0.5)
    assert kinds(tmp_path) == ["Failure"]
    output = capsys.readouterr().out
    assert "::error title=L0 quality%3A sums margin%3A regressed::0.5, baseline 1" in output
    assert "gate sums: regressed in L0" in step.read_text()
    assert "regressed" in (tmp_path / "comment").read_text()
    *_, entry = check_audit(tmp_path / "audit")
    assert (entry.outcome, entry.origin.commit, entry.origin.system) == (
        "regressed",
        "c0ffee",
        "github",
    )


def test_a_dead_endpoint_is_an_error(
    tmp_path: Path, folder: Path, servers: dict[str, str], passed: tuple[int, dict[str, Any]]
) -> None:
    """Nothing answers: exit status 2 with a reason, an error in JUnit, and no verdict."""
    baseline = {"results": str(folder / "work" / "baseline.jsonl")}
    criteria = write_criteria(folder, model(servers["dead"]), baseline)
    status, result = gate(tmp_path, criteria, tmp_path / "work")
    assert (status, result["outcome"]) == (2, "error")
    assert result["stages"][0]["reason"] == "endpoint_unavailable"
    assert result["stages"][0]["checks"] == []
    assert kinds(tmp_path) == ["Error"]


def test_few_items_are_inconclusive(
    tmp_path: Path, folder: Path, passed: tuple[int, dict[str, Any]]
) -> None:
    """Twenty items decide nothing: exit status 3, skipped in JUnit, and how many are needed."""
    sides = [
        {"results": str(folder / "work" / f"{name}.jsonl")} for name in ("candidate", "baseline")
    ]
    status, result = gate(
        tmp_path, write_criteria(folder, *sides, tiers={"L0": 20}), tmp_path / "work"
    )
    assert (status, result["outcome"]) == (3, "inconclusive")
    (check,) = result["stages"][0]["checks"]
    assert check["items"] == 20
    assert kinds(tmp_path) == ["Skipped"]


@long_only
def test_a_killed_gate_resumes(
    tmp_path: Path, folder: Path, passed: tuple[int, dict[str, Any]]
) -> None:
    """After SIGKILL in the middle of a run, the gate asks for no finished item again."""
    resumed = threading.Event()

    def hang_after_thirty(number: int, _: str) -> None:
        if number > 30:  # the first request is that of the check of the endpoint
            resumed.wait(60)

    with OpenAIServer(answer=add, disturb=hang_after_thirty) as server:
        baseline = {"results": str(folder / "work" / "baseline.jsonl")}
        candidate = {"model": {"name": "new", "base_url": server.url, "concurrency": 1}}
        criteria = write_criteria(folder, candidate, baseline, chunk_size=10)
        work = tmp_path / "work"
        command = [*PLUMBLINE, "gate", "--criteria", str(criteria), "--work", str(work)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            kept = work / "candidate.jsonl"
            _wait(lambda: kept.exists() and kept.read_bytes().count(b"\n") == 4)
            process.send_signal(signal.SIGKILL)
        finished = {prompt for prompt in server.prompts()[:31] if "+" in prompt}
        before = len(server.received)
        resumed.set()
        status, result = gate(tmp_path, criteria, work)
        asked = {prompt for prompt in server.prompts()[before:] if "+" in prompt}
    assert (status, result["outcome"]) == (0, "passed")
    assert len(finished) == len(asked) == ITEMS // 2
    assert not finished & asked
    assert result["stages"][0]["checks"][0]["items"] == ITEMS


def _wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
