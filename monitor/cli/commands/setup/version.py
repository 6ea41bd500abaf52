"""`plumbline version`."""

from __future__ import annotations

import argparse
from typing import Any

from monitor import __version__
from monitor.cli.options import add_command, add_json, print_json


def add(commands: Any) -> None:
    """Add the command."""
    add_json(add_command(commands, "version", _version, "print the version", "plumbline version"))


def _version(arguments: argparse.Namespace) -> int:
    if arguments.json:
        return print_json({"version": __version__})
    print(f"plumbline {__version__}")
    return 0
