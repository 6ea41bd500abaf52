"""`plumbline status` and `plumbline events`: the state of the models, and what has happened."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from monitor.cli.arguments import base_url, count
from monitor.cli.options import add_command, add_config, add_json, load_config
from monitor.errors import UserError


def add(commands: Any) -> None:
    """Add both commands."""
    status = add_command(
        commands,
        "status",
        _status,
        "show the state of each model, as a running daemon reports it",
        "plumbline status --url http://127.0.0.1:9464",
    )
    status.add_argument(
        "--url",
        type=base_url,
        metavar="URL",
        help="address of the daemon (default: http.host and http.port of the configuration)",
    )
    events = add_command(
        commands,
        "events",
        _events,
        "list drift events of the events topic, the newest last",
        "plumbline events --open",
    )
    which = events.add_mutually_exclusive_group()
    which.add_argument("--open", action="store_true", help="list the open alarms only")
    which.add_argument("--follow", action="store_true", help="continue with new events")
    events.add_argument("--model", metavar="NAME", help="list the events of one model")
    events.add_argument(
        "--last",
        type=count,
        default=50,
        metavar="N",
        help="list the N newest events (default: 50)",
    )
    for parser in (status, events):
        add_config(parser)
        add_json(parser)


def _status(arguments: argparse.Namespace) -> int:
    import msgspec

    from monitor.cli.console.daemon import address, get
    from monitor.cli.console.status_text import print_status
    from monitor.telemetry.http.status import Status

    config = load_config(arguments)
    body = get(f"{arguments.url or address(config)}api/v1/status")
    if arguments.json:
        sys.stdout.buffer.write(msgspec.json.format(body, indent=2) + b"\n")
        return 0
    try:
        status: Status = msgspec.json.decode(body, type=Status)
    except msgspec.ValidationError as error:
        raise UserError(f"the daemon has another version: {error}") from None
    print_status(status)
    return 0


def _events(arguments: argparse.Namespace) -> int:
    from monitor.cli.console.event_list import list_events

    return list_events(load_config(arguments).kafka, arguments)
