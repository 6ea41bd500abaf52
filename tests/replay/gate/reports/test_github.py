"""Annotations of GitHub Actions."""

from __future__ import annotations

import re

from replay.gate.reports.github import MAX_ANNOTATIONS, command, commands, defused
from tests.replay.gate.results import HOSTILE, check, result, stage


def test_commands_are_escaped_as_the_toolkit_does_it() -> None:
    """Expected text by the rules of GitHub's toolkit for data and properties."""
    expected = "::error title=a%3A b%2C 5%25::x: y, 5%25%0Az%0D"
    assert command("error", "a: b, 5%", "x: y, 5%\nz\r") == expected


def test_each_open_check_has_an_annotation() -> None:
    """Regressions are errors, inconclusive checks warnings, passed ones have none."""
    found = result(
        "regressed",
        stage("L0", "regressed", check("a", "regressed"), check("b"), check("c", "inconclusive")),
    )
    error, warning = commands(found)
    assert error.startswith("::error title=L0 a%3A regressed::0.7, baseline 0.8, effect -0.1")
    assert warning.startswith("::warning title=L0 c%3A inconclusive::")
    (notice,) = commands(result("passed", stage("L0", "passed", check())))
    assert notice == "::notice title=plumbline gate::gate support: passed"


def test_a_broken_run_has_an_annotation_with_its_reason() -> None:
    """The reason of an error is in the message."""
    broken = stage("L0", "error", reason="deadline", detail="after 60 s")
    (line,) = commands(result("error", broken))
    assert line == "::error title=L0%3A error::deadline: after 60 s"


def test_a_stage_that_waits_for_labels_has_a_warning() -> None:
    """What is to be done next is in the message."""
    waiting = stage("L3", "inconclusive", detail="100 pairs wait for labels")
    (line,) = commands(result("inconclusive", waiting))
    assert line == "::warning title=L3%3A inconclusive::100 pairs wait for labels"


def test_annotations_are_limited() -> None:
    """GitHub shows ten of a kind: the last one counts the others."""
    many = [check(f"task {i}", "regressed") for i in range(25)]
    lines = commands(result("regressed", stage("L0", "regressed", *many)))
    assert len(lines) == MAX_ANNOTATIONS
    assert "16 more" in lines[-1]


def test_hostile_text_starts_no_command_of_its_own() -> None:
    """A name or an answer is one line, without a command of either syntax."""
    bad = check(HOSTILE, "regressed", HOSTILE)
    (line,) = commands(result("regressed", stage("L0", "regressed", bad)))
    assert "\n" not in line
    assert "\r" not in line
    assert "##[" not in line
    title = re.match(r"::error title=([^:,]*)::", line)
    assert title is not None
    cleaned = defused(f"text\n  ::stop-commands::x\n{HOSTILE}")
    assert not [part for part in cleaned.splitlines() if part.lstrip().startswith("::")]
    assert "##[" not in cleaned
