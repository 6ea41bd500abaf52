"""`plumbline evalset`: build, approve, freeze, check and export evaluation sets."""

from __future__ import annotations

from typing import Any

from monitor.cli.commands.replay.evalset import approval, build, check, export, failures, listing
from monitor.cli.options import add_group


def add(commands: Any) -> None:
    """Add the command group."""
    group = add_group(
        commands,
        "evalset",
        "build evaluation sets from traffic, files and language models; approve, freeze, check and"
        " export them",
    )
    build.add(group)
    approval.add(group)
    listing.add(group)
    check.add(group)
    export.add(group)
    failures.add(group)
