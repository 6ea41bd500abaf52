"""`plumbline experiment`: live and offline comparisons of variants."""

from __future__ import annotations

from typing import Any, Final

from monitor.cli.commands.experiment import assign, compare, plan, report
from monitor.cli.options import add_group

COMMANDS: Final = (plan, assign, report, compare)


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(
        commands, "experiment", "plan experiments, assign users, report results, compare offline"
    )
    for command in COMMANDS:
        command.add(group)
