"""`plumbline judge`: check rubrics, judge files of records, and compare judges with people."""

from __future__ import annotations

from typing import Any

from monitor.cli.commands.judge import calibrate, check, run
from monitor.cli.commands.judge.batches import nightly
from monitor.cli.options import add_group


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(
        commands,
        "judge",
        "check rubrics; judge files of records by LLM judges; compare judges with people",
    )
    check.add(group)
    run.add(group)
    nightly.add(group)
    calibrate.add(group)
