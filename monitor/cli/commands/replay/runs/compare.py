"""`plumbline replay compare`: two runs beside each other, and the parity of a repeated run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from monitor.cli.commands.replay.runs.store import opened
from monitor.cli.options import add_command, add_config, add_json, load_config, print_json
from monitor.errors import UserError
from monitor.events.wording.drift import printable

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from replay.store.queries.parity import Parity
    from replay.store.queries.runs import Comparison


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "compare",
        _compare,
        "compare the scores of two runs; with one run, check that it reproduces the one before it"
        " (exit status 1 if it does not)",
        "plumbline replay compare 5f2a91c0 77d0e1b2",
    )
    parser.add_argument("first", metavar="RUN", help="id of a run, or its beginning")
    parser.add_argument("second", metavar="OTHER", nargs="?", help="the run to compare it with")
    add_config(parser)
    add_json(parser)


def _compare(arguments: argparse.Namespace) -> int:
    import msgspec

    with opened(load_config(arguments, secrets=False)) as store, store.read() as connection:
        from replay.store.queries import parity, runs

        first = runs.resolve(connection, arguments.first)
        if arguments.second is None:
            audit = parity.audit(connection, first.id)
            if audit is None:
                raise UserError(f"run {first.id[:12]}: no earlier run of the same model and items")
            if arguments.json:
                print_json(msgspec.to_builtins(audit))
            else:
                _print_parity(audit)
            return 0 if audit.reproduced else 1
        second = runs.resolve(connection, arguments.second)
        found = runs.compare(connection, first.id, second.id)
    if arguments.json:
        return print_json(msgspec.to_builtins(found))
    _print_comparison(found)
    return 0


def _print_comparison(found: Comparison) -> None:
    for task in found.tasks:
        print(
            printable(
                f"{task.task} {task.metric}: {task.first:.4g} -> {task.second:.4g}"
                f" ({task.difference:+.4g}), {task.n:,} items, {task.changes:,} changed,"
                f" {task.unpaired:,} unpaired, {task.mismatched:,} mismatched"
            )
        )
    _print_environment(found.environment)


def _print_parity(found: Parity) -> None:
    state = "reproduced" if found.reproduced else "not reproduced"
    print(f"{state}: run {found.run.id[:12]} against {found.earlier.id[:12]}")
    for task, difference in found.tasks.items():
        text = "no pairs" if difference is None else f"{difference:+.4g}"
        print(printable(f"{task}: {text}"))
    _print_environment(found.environment)


def _print_environment(changes: dict[str, tuple[Any, Any]]) -> None:
    for name, (before, after) in changes.items():
        print(printable(f"environment {name}: {before} -> {after}"))
