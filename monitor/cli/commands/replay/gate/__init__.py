"""`plumbline gate`: decide by criteria whether a model may be released."""

from __future__ import annotations

import argparse
import os
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.arguments import input_file, output_file
from monitor.cli.options import add_command, add_config, add_json, load_config
from monitor.errors import UserError

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from replay.gate.criteria.model import Criteria

STAGES: Final = ("L0", "L1", "L2", "L3", "canary")


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "gate",
        _gate,
        "decide by criteria whether a model may be released: exit status 0 passed, 1 regressed,"
        " 2 error, 3 inconclusive",
        "plumbline gate --criteria criteria.yaml --junit gate.xml --audit audit.jsonl",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--criteria", type=Path, metavar="FILE", help="file of the criteria")
    what.add_argument(
        "--check-audit",
        type=input_file,
        metavar="FILE",
        help="check the hashes of an audit trail, and do nothing else",
    )
    parser.add_argument(
        "--check-criteria", action="store_true", help="check the criteria, and do nothing else"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("plumbline-gate"),
        metavar="DIR",
        help="folder of kept scores: a gate that is repeated runs no item again"
        " (default: plumbline-gate)",
    )
    parser.add_argument("--until", choices=STAGES, help="last stage to run (default: all)")
    parser.add_argument(
        "--records",
        type=side_file,
        action="append",
        default=[],
        metavar="SIDE=FILE",
        help="records of the candidate or the baseline, for measures such as latency_ms",
    )
    parser.add_argument(
        "--labels", type=input_file, metavar="FILE", help="labels of people, for the stage L3"
    )
    _add_outputs(parser)
    add_config(parser)
    add_json(parser)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    for option, text in (
        ("--report", "write the result as JSON"),
        ("--junit", "write the result as JUnit XML"),
        ("--comment", "write the text of a pull-request comment"),
        ("--summary", "append the result in Markdown"),
        ("--audit", "append who ran the gate, when, by which criteria, at which commit"),
    ):
        parser.add_argument(option, type=output_file, metavar="FILE", help=text)
    parser.add_argument(
        "--audit-store",
        action="store_true",
        help="append the same to the ledger of the result store (store.url), which `plumbline db"
        " verify` checks",
    )


def side_file(text: str) -> tuple[str, Path]:
    """Return side and file of candidate=FILE or baseline=FILE."""
    side, _, name = text.partition("=")
    if side not in {"candidate", "baseline"} or not name:
        raise ArgumentTypeError(f"{text!r} is neither candidate=FILE nor baseline=FILE")
    return side, input_file(name)


def _gate(arguments: argparse.Namespace) -> int:
    if arguments.check_audit is not None:
        return _check_audit(arguments.check_audit)
    from monitor.cli.commands.replay.gate.loading import load_criteria

    criteria, sha256 = load_criteria(arguments.criteria)
    if arguments.check_criteria:
        print(f"{arguments.criteria}: valid; SHA-256 {sha256}")
        return 0
    return _run(arguments, _with_records(criteria, dict(arguments.records)), sha256)


def _run(arguments: argparse.Namespace, criteria: Criteria, sha256: str) -> int:
    import sys

    from monitor.cli.commands.replay.gate.inputs import gate_inputs, needs_store, user
    from monitor.cli.commands.replay.gate.outputs import encode, text_report, write_reports
    from replay.gate import audit
    from replay.gate.stages.sequence import run_gate

    if arguments.until is not None and arguments.until not in criteria.stages:
        raise UserError(f"--until: the criteria have no stage {arguments.until}")
    if arguments.audit is not None:
        audit.check(arguments.audit)  # before the runs: a broken trail must not end a long gate
    config = load_config(arguments, secrets=needs_store(criteria) or arguments.audit_store)
    if arguments.audit_store:
        from monitor.cli.commands.replay.runs.store import opened

        with opened(config):  # before the runs, for the same reason
            pass
    inputs = gate_inputs(criteria, config, arguments.work, arguments.labels)
    origin = audit.origin(os.environ, user())
    result = run_gate(criteria, sha256, inputs, origin, arguments.until)
    if arguments.json:
        sys.stdout.buffer.write(encode(result))
    else:
        print(text_report(result))
    write_reports(result, arguments, config, os.environ)
    return result.exit_status


def _with_records(criteria: Criteria, records: dict[str, Path]) -> Criteria:
    """Return the criteria with the records of the options. Raises UserError."""
    if "baseline" in records and criteria.baseline is None:
        raise UserError("--records: the criteria have no baseline")
    changed = {
        side: getattr(criteria, side).model_copy(update={"records": path})
        for side, path in records.items()
    }
    return criteria.model_copy(update=changed)


def _check_audit(path: Path) -> int:
    from replay.gate import audit

    entries = audit.check(path)
    last = f"; hash of the last one {entries[-1].hash}" if entries else ""
    print(f"{path}: {len(entries)} entries, the chain is intact{last}")
    return 0
