"""`plumbline replay show`: the report of a run."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import output_file
from monitor.cli.commands.replay.runs.store import opened
from monitor.cli.options import add_command, add_config, add_json, load_config
from monitor.errors import UserError
from monitor.events.wording.drift import printable

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from replay.report.summary import Report
    from replay.store import Store


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "show",
        _show,
        "print the report of a run: verdict, numbers by task and slice, items that flipped",
        "plumbline replay show 5f2a91c0 --html report.html",
    )
    parser.add_argument("identity", metavar="RUN", help="id of the run, or its beginning")
    parser.add_argument(
        "--html", type=output_file, metavar="FILE", help="write the report as a web page"
    )
    parser.add_argument(
        "--without-texts", action="store_true", help="leave out prompts and responses"
    )
    add_config(parser)
    add_json(parser)


def _show(arguments: argparse.Namespace) -> int:
    from replay.report.document import encode_report
    from replay.report.html.page import page
    from replay.report.markdown import markdown
    from replay.report.summary import without_texts

    with opened(load_config(arguments, secrets=False)) as store:
        from replay.store.queries.runs import resolve

        with store.read() as connection:
            run = resolve(connection, arguments.identity)
        if run.state != "finished":
            progress = f", {run.done} of {run.planned} items" if run.planned else ""
            raise UserError(f"run {run.id[:12]} is {run.state}{progress}: it has no report yet")
        report = run_report(store, run.id)
        if arguments.without_texts:
            report = without_texts(report)
    if arguments.html:
        arguments.html.write_bytes(page(report))
    if arguments.json:
        sys.stdout.buffer.write(encode_report(report))
    else:
        # the report contains texts of models, which a terminal must not interpret
        print("\n".join(map(printable, markdown(report).splitlines())))
    return 0


def run_report(store: Store, run: str) -> Report:
    """Return the report of a finished run. Raises StoreError if there is no such run."""
    import msgspec

    from monitor.roles.replay_plan import ReplayPlan
    from replay.report.summary import Report, RunSummary
    from replay.results import ErrorReason
    from replay.store import baselines
    from replay.store.queries import texts
    from replay.store.queries.runs import show
    from replay.verdict.decision import Decision

    with store.read() as connection:
        found = show(connection, run)
        at = found.run.finished_at
        baseline = baselines.find(connection, found.run.model, found.run.set_digest, at)
        then = "" if baseline is None else baseline.run
        decision, prompts = None, {}
        if found.decision is not None:
            decision = msgspec.convert(found.decision, Decision)
            decision = texts.with_responses(connection, decision, run, then)
            prompts = texts.prompts(connection, decision)
    plan = msgspec.convert(found.run.plan, ReplayPlan)
    version = found.item_set
    summary = RunSummary(
        run_id=found.run.id,
        model=found.run.model,
        verdict=found.run.verdict or "error",
        candidate=" ".join((plan.model.name, plan.model.revision)).strip(),
        baseline="" if baseline is None else f"run {then[:12]}",
        reason=msgspec.convert(found.run.reason or None, ErrorReason | None),
        detail=found.run.detail,
        set_name="" if version is None else version.name,
        set_version="" if version is None else str(version.version),
        set_digest=found.run.set_digest,
        alarm_id=found.run.alarm if found.run.trigger == "drift" else "",
        started=found.run.started_at,
        finished=found.run.finished_at,
        environment={key: str(value) for key, value in found.environment.items()},
        cost_usd=found.run.cost_usd,
        gpu_seconds=found.run.gpu_seconds,
    )
    return Report(run=summary, decision=decision, prompts=prompts)
