"""`plumbline evalset failures`: the backlog of known failures, and its state after a run."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

from monitor.cli.arguments import input_file
from monitor.cli.commands.replay.evalset.listing import add_directory, add_name, print_line
from monitor.cli.options import add_command, add_json, print_json
from monitor.errors import UserError


def add(group: Any) -> None:
    """Add the command."""
    parser = add_command(
        group,
        "failures",
        _failures,
        "show the backlog of known failures by cause; update it with the scores of a run",
        "plumbline evalset failures known --scores run.json --run nightly-7",
    )
    add_name(parser)
    parser.add_argument(
        "--scores", type=input_file, metavar="FILE", help="scores of a run, to update the backlog"
    )
    parser.add_argument(
        "--run", dest="run_id", metavar="ID", help="with --scores: id of the run; it counts once"
    )
    add_directory(parser)
    add_json(parser)


def path_of(arguments: argparse.Namespace) -> Path:
    """Return the path of the backlog of a set."""
    from replay.sets.measures.backlog import backlog_path

    return backlog_path(arguments.directory, arguments.name)


def _failures(arguments: argparse.Namespace) -> int:
    import msgspec

    from replay.sets.measures.backlog import read_backlog

    path = path_of(arguments)
    if (arguments.scores is None) != (arguments.run_id is None):
        raise UserError("--scores FILE and --run ID go together")
    changes: list[dict[str, Any]] = []
    if arguments.scores is not None:
        changes = _update(arguments, path)
    backlog = read_backlog(path)
    if not backlog:
        raise UserError(f"{arguments.name}: has no known failures in {arguments.directory}")
    if arguments.json:
        return print_json({"failures": msgspec.to_builtins(backlog), "changes": changes})
    by_cause = Counter((each.cause, each.state) for each in backlog)
    for cause in sorted({each.cause for each in backlog}):
        states = ", ".join(
            f"{by_cause[cause, state]:,} {state}" for state in ("open", "regressed", "fixed")
        )
        print_line(f"{cause}: {states}")
    for change in changes:
        print_line(f"  {change['item']} {change['before']} -> {change['after']}")
    return 0


def _update(arguments: argparse.Namespace, path: Path) -> list[dict[str, Any]]:
    """Update the backlog with a run, and return the changes of states."""
    import msgspec

    from monitor.cli.commands.replay.evalset.scores import read_run
    from replay.sets import versions
    from replay.sets.measures.backlog import read_backlog, update, write_backlog

    scores = read_run(arguments.scores)
    with versions.editing(arguments.directory, arguments.name):
        backlog, changes = update(read_backlog(path), scores, arguments.run_id, time.time())
        write_backlog(path, backlog)
    found: list[dict[str, Any]] = msgspec.to_builtins(changes)
    return found
