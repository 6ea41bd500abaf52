"""`plumbline replay`: run replays by hand, and read their results."""

from __future__ import annotations

from typing import Any, Final

from monitor.cli.commands.replay.runs import compare, export, listing, run, show, work
from monitor.cli.options import add_group

COMMANDS: Final = (run, listing, show, compare, export, work)


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(
        commands, "replay", "ask a model again and decide whether it got worse; show past replays"
    )
    for command in COMMANDS:
        command.add(group)
