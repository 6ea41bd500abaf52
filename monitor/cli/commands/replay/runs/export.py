"""`plumbline replay export`: runs as JSON lines."""

from __future__ import annotations

import argparse
from typing import Any

from monitor.cli.commands.replay.runs.store import opened
from monitor.cli.options import add_command, add_config, load_config


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "export",
        _export,
        "print runs, their tasks, items and ledger rows as JSON lines",
        "plumbline replay export 5f2a91c0 > run.jsonl",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="id of a run, or its beginning")
    parser.add_argument(
        "--texts", action="store_true", help="with the responses, which are strangers' texts"
    )
    add_config(parser)


def _export(arguments: argparse.Namespace) -> int:
    with opened(load_config(arguments, secrets=False)) as store, store.read() as connection:
        from replay.store.queries.export import export
        from replay.store.queries.runs import resolve

        ids = [resolve(connection, each).id for each in arguments.runs]
        for line in export(connection, ids, texts=arguments.texts):
            print(line)
    return 0
