"""The page about tasks agrees with the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from replay.results import ErrorReason
from replay.runner.plan import MODEL_KINDS
from replay.runner.suites import SUITES
from replay.sets.item import SCORINGS

PAGE = (Path(__file__).parents[3] / "docs" / "replay-tasks.md").read_text()
ELSEWHERE = {"no_items", "no_baseline", "mismatched_items", "budget", "judge_unavailable"}
"""Reasons that have nothing to do with tasks: docs/replay.md has them."""


def table(heading: str) -> dict[str, str]:
    """Return the rows of the first table under a heading, by the names in the first cell."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*)$", section, re.MULTILINE)
    return {name: rest for cell, rest in rows for name in re.findall(r"`([^`]+)`", cell)}


def test_tables_are_complete() -> None:
    """Models, scorings, suites with their tasks, and reasons are those of the code."""
    assert set(table("Models")) == set(MODEL_KINDS)
    assert set(table("Frozen items")) == set(SCORINGS)
    suites = {name: tuple(row.split(" | ")[0].split(", ")) for name, row in suite_rows()}
    assert suites == SUITES
    assert set(table("Errors")) | ELSEWHERE == set(get_args(ErrorReason))


def suite_rows() -> list[tuple[str, str]]:
    """Return the rows of the table of suites."""
    return list(table("Standing suites").items())
