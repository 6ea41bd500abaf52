"""`plumbline backtest`: run files of records through the detectors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import output_file
from monitor.cli.commands.logs.decode import add_envelope
from monitor.cli.options import (
    add_command,
    add_config,
    add_json,
    add_logs,
    load_config,
    print_error,
)

if TYPE_CHECKING:
    from monitor.cli.report import Report


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "backtest",
        _backtest,
        "report the drift events that files of records would have caused",
        "plumbline backtest logs.jsonl --report report.json",
    )
    add_logs(parser)
    add_envelope(parser)
    add_config(parser)
    parser.add_argument(
        "--report", type=output_file, metavar="FILE", help="write the report as JSON"
    )
    parser.add_argument(
        "--html", type=output_file, metavar="FILE", help="write the report as a web page"
    )
    add_json(parser)


def _backtest(arguments: argparse.Namespace) -> int:
    from monitor.cli import report
    from monitor.cli.backtest import backtest
    from monitor.cli.console import tables
    from monitor.cli.html import page
    from monitor.detect.explain.distribution import Distribution
    from monitor.events.types import DriftEvent

    distributions: dict[str, Distribution] = {}

    def keep(event: DriftEvent, whole: Distribution) -> None:
        distributions[event.id] = whole

    config = load_config(arguments, secrets=False)
    with tables.read_progress(arguments.logs) as (progress, print_event):
        result = backtest(
            arguments.logs,
            config,
            progress=progress,
            on_event=print_event,
            observer=keep if arguments.html else None,
            enveloped=arguments.envelope,
        )
    if result.damaged and not result.records:
        return _status(result)
    if arguments.report:
        report.write(result, arguments.report)
    if arguments.html:
        page.write(result, distributions, arguments.logs, arguments.html)
    if arguments.json:
        sys.stdout.buffer.write(report.encode(result))
    else:
        tables.print_report(result)
    if not result.records:
        print_error(_nothing_read(arguments.logs, result.rejected))
    return _status(result)


def _status(result: Report) -> int:
    """Return the exit status; print an error for each damaged file."""
    for file, records in result.damaged.items():
        print_error(
            f"{file}: incomplete or damaged compressed file: {records:,} records before the damage"
            " were read, and nothing after it"
        )
    return 0 if result.records and not result.damaged else 2


def _nothing_read(paths: Sequence[Path], rejected: int) -> str:
    """Return the error for logs without a single valid record."""
    names = ", ".join(map(str, paths[:3])) + (", ..." if len(paths) > 3 else "")
    if rejected:
        return f"nothing was read: all records of {names} were rejected"
    return f"nothing was read: no records in {names}"
