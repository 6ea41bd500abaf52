"""`plumbline run`: the daemon."""

from __future__ import annotations

import argparse
from typing import Any

from monitor.cli.options import add_command, add_config, load_config
from monitor.roles.names import ROLES


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(commands, "run", _run, "run the daemon", "plumbline run -c plumbline.yaml")
    add_config(parser)
    parser.add_argument(
        "--roles",
        type=parse_roles,
        default=ROLES,
        metavar="ROLE,...",
        help=f"roles to run, of {', '.join(ROLES)}"
        " (default: all; judge, experiment, replay and notify only if configured)",
    )
    parser.add_argument(
        "--processes",
        action="store_true",
        help="run ingest in a process of its own, for a core of its own",
    )


def parse_roles(text: str) -> tuple[str, ...]:
    """Return the roles of a comma-separated list, each once.

    Raises ArgumentTypeError for an unknown role.
    """
    roles = tuple(dict.fromkeys(role.strip() for role in text.split(",")))
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown role {unknown[0]!r}; the roles are {', '.join(ROLES)}"
        )
    return roles


def _run(arguments: argparse.Namespace) -> int:
    from monitor import app
    from monitor.telemetry import logging

    config = load_config(arguments)
    logging.configure(config.log)
    return app.run(config, arguments.roles, processes=arguments.processes)
