"""`plumbline replay list`: the runs in the result store."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import count
from monitor.cli.commands.replay.runs.store import opened
from monitor.cli.options import add_command, add_config, add_json, load_config, print_json
from monitor.events.wording.drift import printable

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from replay.store.queue import Run

VERDICTS = ("regressed", "not_regressed", "inconclusive", "cancelled", "error")


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "list",
        _list,
        "list runs, the newest first",
        "plumbline replay list --model llama-3.3 --verdict regressed",
    )
    parser.add_argument("--model", default="", metavar="MODEL", help="of this model")
    parser.add_argument("--alarm", default="", metavar="ID", help="started by this alarm")
    parser.add_argument("--verdict", default="", choices=VERDICTS, help="with this verdict")
    parser.add_argument(
        "--limit", type=count, default=50, metavar="N", help="most runs to list (default: 50)"
    )
    add_config(parser)
    add_json(parser)


def _list(arguments: argparse.Namespace) -> int:
    import msgspec

    with opened(load_config(arguments, secrets=False)) as store, store.read() as connection:
        from replay.store.queries.runs import Filter, list_runs

        wanted = Filter(model=arguments.model, alarm=arguments.alarm, verdict=arguments.verdict)
        found = list_runs(connection, wanted, arguments.limit)
    if arguments.json:
        return print_json(msgspec.to_builtins(found))
    for run in found:
        print(_line(run))
    if not found:
        print("no runs")
    return 0


def _line(run: Run) -> str:
    created = f"{datetime.fromtimestamp(run.created_at, UTC):%Y-%m-%d %H:%M:%S}"
    ended = f"{run.verdict} {run.reason}".strip() or run.state
    if run.trigger == "baseline" and run.verdict == "inconclusive":
        ended = "baseline"
    items = f"{run.done} of {run.planned} items" if run.planned else "-"
    columns = run.id[:12], created, f"{ended:<24}", f"{run.trigger:<8}", items, run.model
    return printable("  ".join(columns))
