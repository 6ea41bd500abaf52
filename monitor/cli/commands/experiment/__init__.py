"""`plumbline experiment`: compare variants."""

from __future__ import annotations

from typing import Any, Final

from monitor.cli.commands.experiment import compare
from monitor.cli.options import add_group

COMMANDS: Final = (compare,)


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(commands, "experiment", "compare variants of a model or a prompt")
    for command in COMMANDS:
        command.add(group)
