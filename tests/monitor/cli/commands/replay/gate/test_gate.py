"""`plumbline gate` on real runs: lm-eval's real API against a local OpenAI-compatible server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.monitor.cli.command_line import run
from tests.replay.openai_server import OpenAIServer
from tests.replay.runner.toy import add, write_sums

ITEMS = 60


def degraded(prompt: str) -> str:
    """Answer every second question wrongly, and the test of the endpoint as well as before."""
    words = prompt.rstrip("?").split()
    return "7000" if "+" in words and int(words[-3]) % 2 else add(prompt)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Return the addresses of a good and a degraded model, and one where nothing answers."""
    with OpenAIServer(answer=add) as good, OpenAIServer(answer=degraded) as bad:
        yield {"good": good.url, "bad": bad.url, "dead": "http://127.0.0.1:9/v1"}


@pytest.fixture
def criteria(tmp_path: Path, servers: dict[str, str]) -> Any:
    """Return a function that writes criteria and returns their path."""
    write_sums(tmp_path / "tasks", ITEMS)

    def write(candidate: str, **changes: Any) -> Path:
        content = {
            "name": "sums",
            "candidate": {"model": {"name": "new", "base_url": servers[candidate]}},
            "baseline": {"model": {"name": "old", "base_url": servers["good"]}},
            "dimensions": {"quality": {"tasks": ["sums"], "margin": 0.1}},
            "include_paths": [str(tmp_path / "tasks")],
            "stages": ["L0"],
            "tiers": {"L0": ITEMS},
        } | changes
        path = tmp_path / "criteria.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def gate(tmp_path: Path, path: Path, *more: object) -> tuple[int, dict[str, Any]]:
    """Run the gate with all reports. Return its exit status and its result."""
    reports = {name: tmp_path / name for name in ("report", "junit", "comment", "summary", "audit")}
    options = [word for name, file in reports.items() for word in (f"--{name}", file)]
    status = run("gate", "--criteria", path, "--work", tmp_path / "work", *options, *more)
    return status, json.loads(reports["report"].read_bytes())


@pytest.mark.parametrize(
    ("candidate", "status", "outcome", "mark"),
    [
        ("good", 0, "passed", None),
        ("bad", 1, "regressed", "failure"),
        ("dead", 2, "error", "error"),
    ],
)
def test_two_real_runs_have_the_exit_status_of_their_outcome(
    tmp_path: Path, criteria: Any, candidate: str, status: int, outcome: str, mark: str | None
) -> None:
    """The same model passes, a degraded one is regressed, a dead endpoint is an error."""
    found, result = gate(tmp_path, criteria(candidate))
    assert (found, result["exit_status"], result["outcome"]) == (status, status, outcome)
    case = ElementTree.parse(tmp_path / "junit").getroot().find("testsuite/testcase")
    assert case is not None
    assert [child.tag for child in case if child.tag != "system-out"] == ([mark] if mark else [])
    (line,) = (tmp_path / "audit").read_bytes().splitlines()
    assert json.loads(line)["outcome"] == outcome
    assert outcome in (tmp_path / "comment").read_text()
    assert outcome in (tmp_path / "summary").read_text()
    (stage,) = result["stages"]
    if candidate == "dead":
        assert stage["reason"] == "endpoint_unavailable"
    else:
        (check,) = stage["checks"]
        assert check["items"] == ITEMS
        assert check["value"] == (1.0 if candidate == "good" else 0.5)
