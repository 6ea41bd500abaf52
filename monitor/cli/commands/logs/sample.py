"""`plumbline config sniff`, and the table of `plumbline config check --sample`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import input_file
from monitor.cli.commands.logs.decode import add_envelope
from monitor.cli.options import add_command, add_json, print_error, print_json
from monitor.events.wording.drift import printable

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config.schema import Config
    from monitor.ingest.files.sniff.finding import Finding
    from monitor.ingest.files.sniff.sniff import Sniffed

NO_RECORDS = "no record in the sample"


def add_sniff(group: Any) -> None:
    """Add `sniff` to the group."""
    parser = add_command(
        group,
        "sniff",
        _sniff,
        "propose the format of messages, or a mapping for them, and show which fields they have",
        "plumbline config sniff messages.jsonl",
    )
    parser.add_argument(
        "sample",
        nargs="+",
        type=input_file,
        metavar="SAMPLE",
        help="files with some messages of the log, as for decode; the first 1,000 are read",
    )
    add_envelope(parser)
    add_json(parser)


def _sniff(arguments: argparse.Namespace) -> int:
    from monitor.config.sections.process.section import LogConfig
    from monitor.ingest.files.sniff.sniff import read_sample, sniff
    from monitor.telemetry import logging

    logging.configure(LogConfig(level="warning"))
    found = sniff(read_sample(arguments.sample, enveloped=arguments.envelope))
    if arguments.json:
        print_json(
            {
                "format": found.format,
                "notes": found.notes,
                "lacking": found.lacking,
                **as_json(found.finding),
            }
        )
    else:
        _print_sniffed(found)
    if not found.lacking:
        return 0
    print_error(
        f"no path was found for {', '.join(found.lacking)}: add"
        f" {'it' if len(found.lacking) == 1 else 'them'} to the mapping"
    )
    return 2


def _print_sniffed(found: Sniffed) -> None:
    if found.names and isinstance(found.format, str):
        print(f"# recognized: {', '.join(found.names)}")
    print("\n".join(map(printable, found.yaml().splitlines())))
    print()
    print_finding(found.finding)


def check_sample(path: Path, config: Config, *, enveloped: bool) -> Finding:
    """Return what a configuration gives of the messages of a file."""
    from monitor.ingest.files.sniff.finding import find
    from monitor.ingest.files.sniff.sniff import read_sample
    from monitor.kafka.readers.registry.files import schemas_of

    return find(read_sample([path], enveloped=enveloped), config, schemas_of(config))


def as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as values for JSON."""
    return {
        "messages": finding.messages,
        "records": finding.records,
        "formats": dict(finding.formats),
        "skipped": dict(finding.rejections.skipped),
        "rejected": dict(finding.rejections.counts),
        "fields": [asdict(row) for row in finding.fields],
        "missing": dict(finding.missing),
    }


def print_finding(finding: Finding) -> None:
    """Print the table of fields, what is missing, and what was skipped and rejected."""
    from rich.markup import escape
    from rich.table import Table

    from monitor.cli.console.tables import new_console
    from monitor.ingest.files.rejections import text

    console = new_console()
    counts = f"records: {finding.records:,}, in messages: {finding.messages:,}"
    console.print(counts)
    for kind, count in sorted(finding.rejections.skipped.items()):
        console.print(f"skipped: {count:,} {escape(kind)}")
    for rejection in finding.rejections.by_reason():
        console.print(f"rejected: {escape(printable(text(rejection)))}")
    if finding.fields:
        table = Table("field", "path", "records", "example")
        for row in finding.fields:
            share = f"{row.records:,} of {finding.records:,}"
            cells = (row.field, row.path, share, row.example)
            table.add_row(*(escape(printable(cell)) for cell in cells))
        console.print(table)
    for name, cost in finding.missing.items():
        console.print(f"no {name}: {cost}")
