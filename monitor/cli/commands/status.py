"""`plumbline status` and `plumbline events`: the state of the models, and what has happened."""

from __future__ import annotations

import argparse
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import base_url, count
from monitor.cli.options import add_command, add_config, add_json, load_config
from monitor.errors import UserError

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from monitor.config.schema import Config
    from monitor.telemetry.http.status import Status

HTTP_SECONDS = 15.0
"""Time limit of a request; the daemon may have to read the events topic first."""


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

    from monitor.cli.console.status_text import print_status
    from monitor.telemetry.http.status import Status

    config = load_config(arguments)
    body = _get(f"{arguments.url or _address(config)}api/v1/status")
    if arguments.json:
        sys.stdout.buffer.write(msgspec.json.format(body, indent=2) + b"\n")
        return 0
    try:
        status: Status = msgspec.json.decode(body, type=Status)
    except msgspec.ValidationError as error:
        raise UserError(f"the daemon has another version: {error}") from None
    print_status(status)
    return 0


def _address(config: Config) -> str:
    """Return the address of a daemon with this configuration, for a client on its machine."""
    any_address = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    host = any_address.get(config.http.host, config.http.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.http.port}/"


def _get(url: str) -> bytes:
    """Return the content of a page, without a proxy. Raises UserError."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=HTTP_SECONDS) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        with error:
            detail = error.read(1000).decode(errors="replace").strip()
        raise UserError(f"{url}: status {error.code}: {detail}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{url}: {reason}; is the daemon running there? See --url") from None


def _events(arguments: argparse.Namespace) -> int:
    from monitor.cli.console.event_list import list_events

    return list_events(load_config(arguments).kafka, arguments)
