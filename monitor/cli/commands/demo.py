"""`plumbline demo`: the daemon on an embedded broker, with synthetic traffic that drifts."""

from __future__ import annotations

import argparse
from typing import Any

from monitor.cli.arguments import output_file, positive_number
from monitor.cli.options import add_command


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "demo",
        _demo,
        "run the daemon on an embedded broker, with synthetic traffic that drifts halfway",
        "plumbline demo --seconds 40 --report demo.json",
    )
    parser.add_argument(
        "--seconds", type=positive_number, default=40.0, help="duration (default: 40)"
    )
    parser.add_argument(
        "--rate", type=positive_number, default=2000.0, help="records per second (default: 2000)"
    )
    parser.add_argument(
        "--report", type=output_file, metavar="FILE", help="write the report as JSON"
    )


def _demo(arguments: argparse.Namespace) -> int:
    from monitor.cli.demo import runner

    return runner.run(arguments.seconds, arguments.rate, arguments.report)
