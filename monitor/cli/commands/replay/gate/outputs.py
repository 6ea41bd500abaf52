"""Where the result of a gate goes: terminal, files, the pipeline, the audit trail."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from monitor.errors import UserError, os_error_reason
from replay.gate import audit
from replay.gate.outcome import GateResult
from replay.gate.reports.github import commands, defused
from replay.gate.reports.junit import junit
from replay.gate.reports.markdown import comment, summary
from replay.gate.reports.texts import WORDS, finding, headline, plain, stage_line

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from monitor.config.schema import Config


def encode(result: GateResult) -> bytes:
    """Return the result as JSON. Numbers that are not finite are null."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


def write_reports(
    result: GateResult,
    arguments: argparse.Namespace,
    config: Config,
    environment: Mapping[str, str],
) -> None:
    """Write all reports that are asked for, the audit trails first. Raises UserError.

    In GitHub Actions, annotations and the step summary are written without an option.
    """
    content = encode(result)
    if arguments.audit is not None:
        with _writing(arguments.audit):
            entry = audit.append(arguments.audit, result, content)
        print(f"audit trail: {arguments.audit}, hash {entry.hash}", file=sys.stderr)
    if arguments.audit_store:
        _to_ledger(result, content, config)
    files: tuple[tuple[Path | None, bytes], ...] = (
        (arguments.report, content),
        (arguments.junit, junit(result)),
        (arguments.comment, comment(result).encode()),
    )
    for path, text in files:
        if path is not None:
            with _writing(path):
                path.write_bytes(text)
    github = environment.get("GITHUB_ACTIONS") == "true"
    step = environment.get("GITHUB_STEP_SUMMARY") if github else None
    for path in (arguments.summary, Path(step) if step else None):
        if path is not None:
            with _writing(path), path.open("a", encoding="utf-8") as file:
                file.write(summary(result))
    if github:
        print("\n".join(commands(result)), file=sys.stderr if arguments.json else sys.stdout)


def _to_ledger(result: GateResult, content: bytes, config: Config) -> None:
    """Append the entry of a result to the ledger of the result store. Raises UserError."""
    from monitor.cli.commands.replay.runs.store import opened
    from replay.store import chain

    fields = audit.fields(result, content)
    with opened(config) as store, store.write() as connection:
        entry = chain.append(connection, "gate", result.name, fields, fields["time"])
    print(f"ledger: entry {entry.seq}, hash {entry.hash}", file=sys.stderr)


def text_report(result: GateResult) -> str:
    """Return the result for a terminal or a log, without workflow commands of strangers."""
    lines = []
    for stage in result.stages:
        lines.append(stage_line(stage))
        for check in stage.checks:
            optional = "" if check.required else ", in the balance only"
            lines.append(f"  {plain(check.name)}: {WORDS[check.outcome]}{optional}")
            lines.append(f"    {finding(check)}; rule: {plain(check.rule)}")
    lines.append(headline(result))
    return defused("\n".join(lines))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise UserError for a file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {os_error_reason(error)}") from None
