"""The command line: `plumbline COMMAND`.

An error that the user can correct is one line on standard error and exit status 2.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Final

from monitor import __version__
from monitor.cli.commands import demo, experiment, judge, reference, run, status
from monitor.cli.commands.logs import backtest, decode, feed
from monitor.cli.commands.replay import evalset, gate
from monitor.cli.commands.replay import runs as replay
from monitor.cli.commands.setup import config, dashboards, db, notify, version, web
from monitor.cli.options import Parser, print_error
from monitor.errors import UserError

COMMANDS: Final = (
    *(
        run,
        demo,
        backtest,
        decode,
        feed,
        status,
        reference,
        judge,
        experiment,
        evalset,
        replay,
        gate,
    ),
    *(config, dashboards, db, notify, web, version),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # print "?" instead of failing
    arguments = parser().parse_args(_words(sys.argv[1:] if argv is None else argv))
    try:
        status = int(arguments.run(arguments))
        sys.stdout.flush()  # a closed pipe raises here, inside the try
        return status
    except UserError as error:
        print_error(str(error))
    except BrokenPipeError:
        # Python flushes standard output at exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print_error(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        return 130
    return 2


def _words(argv: Sequence[str]) -> list[str]:
    """Return the arguments, with `help [COMMAND]` as `[COMMAND] --help`."""
    words = list(argv)
    return [*words[1:], "--help"] if words[:1] == ["help"] else words


def parser() -> Parser:
    """Return the parser of all commands."""
    root = Parser(prog="plumbline", description="Monitor language models in production for drift.")
    root.add_argument("--version", action="version", version=f"plumbline {__version__}")
    commands = root.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add(commands)
    return root
