"""`plumbline evalset approve` and `freeze`: a person accepts candidates, which become a version."""

from __future__ import annotations

import argparse
import time
from typing import Any

from monitor.cli.arguments import count, positive_number
from monitor.cli.commands.replay.evalset.listing import (
    add_directory,
    add_name,
    described,
    print_line,
    version_line,
)
from monitor.cli.options import add_command, add_json, print_json
from monitor.errors import UserError


def add(group: Any) -> None:
    """Add both commands."""
    approve = add_command(
        group,
        "approve",
        _approve,
        "approve candidates after reading them, or reject them for good",
        "plumbline evalset approve support --by ann --all",
    )
    add_name(approve)
    approve.add_argument("--by", required=True, metavar="PERSON", help="who has read the items")
    which = approve.add_mutually_exclusive_group(required=True)
    which.add_argument("--item", action="append", metavar="ID", help="an item; repeatable")
    which.add_argument("--all", action="store_true", help="all candidates")
    approve.add_argument(
        "--reject", action="store_true", help="reject the items: no later build adds them again"
    )
    freeze = add_command(
        group,
        "freeze",
        _freeze,
        "write the approved candidates as the next version, which never changes",
        "plumbline evalset freeze support --hold-out 0.2",
    )
    add_name(freeze)
    freeze.add_argument(
        "--hold-out",
        type=positive_number,
        metavar="SHARE",
        help="share of the items that is exported to nobody, up to 0.5; each version holds out"
        " another part",
    )
    freeze.add_argument(
        "--period",
        type=count,
        metavar="N",
        help="number of the period whose part is held out (default: the number of the version)",
    )
    for parser in (approve, freeze):
        add_directory(parser)
        add_json(parser)


def _approve(arguments: argparse.Namespace) -> int:
    from replay.sets import versions
    from replay.sets.item_set import approve

    directory, name = arguments.directory, arguments.name
    with versions.editing(directory, name):
        candidates = versions.read_candidates(directory, name)
        wanted = {item.id for item in candidates} if arguments.all else set(arguments.item)
        unknown = sorted(wanted - {item.id for item in candidates})
        if unknown:
            raise UserError(f"{name}: no candidate has the id {unknown[0]!r}")
        if not wanted:
            raise UserError(f"{name}: has no candidates in {directory}")
        chosen = approve((item for item in candidates if item.id in wanted), arguments.by)
        others = tuple(item for item in candidates if item.id not in wanted)
        if arguments.reject:
            rejected = versions.read_rejected(directory, name) | wanted
            versions.write_rejected(directory, name, rejected)
            versions.write_candidates(directory, name, others)
        else:
            versions.write_candidates(directory, name, (*others, *chosen))
    left = others if arguments.reject else (*others, *chosen)
    approved = sum(bool(item.approved) for item in left)
    if arguments.json:
        key = "rejected" if arguments.reject else "changed"
        return print_json(
            {"name": name, key: len(wanted), "candidates": len(left), "approved": approved}
        )
    verb = "rejected" if arguments.reject else "approved"
    print_line(
        f"{name}: {len(wanted):,} items {verb} by {arguments.by}; {len(left):,} candidates,"
        f" {approved:,} approved"
    )
    return 0


def _freeze(arguments: argparse.Namespace) -> int:
    from replay.sets import versions

    if arguments.period is not None and arguments.hold_out is None:
        raise UserError("--period needs --hold-out SHARE")
    if arguments.hold_out is not None and arguments.hold_out > 0.5:
        raise UserError(
            f"--hold-out {arguments.hold_out:g}: at most half of the items are held out"
        )
    directory, name = arguments.directory, arguments.name
    with versions.editing(directory, name):
        frozen = versions.freeze(
            directory,
            name,
            versions.read_candidates(directory, name),
            time.time(),
            arguments.hold_out,
            period=arguments.period,
        )
    found = described(frozen)
    if arguments.json:
        return print_json(found)
    print(f"{name}: {version_line(found)}")
    return 0
