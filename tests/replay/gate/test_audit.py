"""The audit trail of gates."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from monitor.errors import UserError
from replay.gate.audit import append, check, origin
from replay.gate.outcome import Origin
from tests.replay.gate.results import result, stage

RESULT = result("regressed", stage("L0", "regressed"))


def test_entries_form_a_chain(tmp_path: Path) -> None:
    """Each entry has who, when, which criteria, which commit and the hash of the one before."""
    path = tmp_path / "audit.jsonl"
    assert check(path) == []
    first = append(path, RESULT, b"{}")
    second = append(path, RESULT, b"{}")
    assert check(path) == [first, second]
    assert second.previous == first.hash != second.hash
    line = json.loads(path.read_bytes().splitlines()[0])
    assert line["origin"]["actor"] == "ana"
    assert line["origin"]["commit"].startswith("c0ffee")
    assert line["criteria_sha256"] == RESULT.criteria_sha256
    assert line["time"] == RESULT.started + RESULT.seconds
    assert line["stages"] == {"L0": "regressed"}


def _append(path: Path) -> None:
    for _ in range(10):
        append(path, RESULT, b"{}")


def test_concurrent_gates_keep_the_chain(tmp_path: Path) -> None:
    """Two processes that append at once lose no entry and break no link."""
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append, args=(path,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert len(check(path)) == 20


@pytest.mark.parametrize("change", ["edited", "removed", "swapped", "torn", "not_json"])
def test_changes_are_found(tmp_path: Path, change: str) -> None:
    """A line that was edited, removed, swapped or cut is named, and nothing more is appended."""
    path = tmp_path / "audit.jsonl"
    for _ in range(3):
        append(path, RESULT, b"{}")
    lines = path.read_bytes().splitlines(keepends=True)
    if change == "edited":
        lines[1] = lines[1].replace(b'"regressed"', b'"passed"', 1)
    elif change == "removed":
        del lines[0]
    elif change == "swapped":
        lines[1:] = reversed(lines[1:])
    elif change == "torn":
        lines[-1] = lines[-1][:40]
    else:
        lines[1] = b"{]\n"
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"audit.jsonl:[123]: "):
        check(path)
    with pytest.raises(UserError):
        append(path, RESULT, b"{}")
    assert path.read_bytes() == before


def test_origins_of_pipelines() -> None:
    """GitHub Actions and GitLab name actor, commit and pipeline; elsewhere there is a user."""
    github = origin(
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "bot",
            "GITHUB_TRIGGERING_ACTOR": "ana",
            "GITHUB_SHA": "abc",
            "GITHUB_REF": "refs/pull/1/merge",
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_RUN_ID": "7",
            "GITHUB_SERVER_URL": "https://git.example.com",
        },
        "root",
    )
    assert (github.actor, github.commit, github.ref) == ("ana", "abc", "refs/pull/1/merge")
    assert github.pipeline == "https://git.example.com/o/r/actions/runs/7"
    gitlab = origin(
        {
            "GITLAB_CI": "true",
            "GITLAB_USER_LOGIN": "ana",
            "CI_COMMIT_SHA": "abc",
            "CI_PIPELINE_URL": "https://gitlab.example.com/p/7",
        },
        "root",
    )
    assert (gitlab.actor, gitlab.commit, gitlab.system) == ("ana", "abc", "gitlab")
    assert gitlab.pipeline == "https://gitlab.example.com/p/7"
    assert origin({}, "ana") == Origin(actor="ana")
