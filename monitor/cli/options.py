"""Parsers and options shared by the commands, loading of the configuration, JSON output."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from monitor.cli.arguments import input_file
from monitor.events.wording.drift import printable

if TYPE_CHECKING:  # pydantic is slow to import, and `plumbline version` does not need it
    from monitor.config.schema import Config

Command = Callable[[argparse.Namespace], int]
"""Runs a command with its parsed arguments and returns the exit status."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with status 2."""
        print_error(f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help")
        self.exit(2)


def print_error(text: str) -> None:
    """Print to standard error, without characters that a terminal would interpret."""
    with suppress(OSError):  # a full disk must not replace the exit status by a traceback
        print("\n".join(map(printable, text.splitlines())), file=sys.stderr, flush=True)


def print_json(value: object) -> int:
    """Print a value as JSON; return exit status 0."""
    print(json.dumps(value, indent=2, default=str))
    return 0


def load_config(arguments: argparse.Namespace, *, secrets: bool = True) -> Config:
    """Return the configuration of -c, of plumbline.yaml if that exists, or the defaults.

    secrets: whether the command needs passwords, URLs and tokens.
    The log of the process goes to standard error from then on: standard output is for results.
    Raises ConfigError.
    """
    from monitor.config.load import load
    from monitor.telemetry import logging

    config = load(config_path(arguments), os.environ, secrets=secrets)
    logging.configure(config.log)
    return config


def config_path(arguments: argparse.Namespace) -> Path | None:
    """Return the path of -c, plumbline.yaml if that exists, or None. Sets the option to it."""
    if arguments.config is None and Path("plumbline.yaml").exists():
        arguments.config = Path("plumbline.yaml")
    path: Path | None = arguments.config
    return path


def add_group(commands: Any, name: str, text: str) -> Any:
    """Add a command with subcommands."""
    parser = commands.add_parser(name, help=text, description=text)
    return parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)


def add_command(
    commands: Any, name: str, run: Command, text: str, example: str
) -> argparse.ArgumentParser:
    """Add a command; its help shows the example."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=f"example: {example}"
    )
    parser.set_defaults(run=run)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add -c."""
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration file (default: plumbline.yaml, if it exists)",
    )


def add_logs(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add files of records as positional arguments."""
    parser.add_argument(
        "logs",
        nargs="+" if required else "*",
        type=input_file,
        metavar="LOGS.jsonl",
        help="files of records in any format: one message per line, pretty-printed JSON, an array,"
        " or one binary message; gzip and zstd are decompressed; - is standard input",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
