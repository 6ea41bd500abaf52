"""`plumbline judge run`: judge a file of records, and report."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import input_file, output_file, positive_number
from monitor.cli.options import add_command, add_config, add_json, load_config, print_json
from monitor.errors import UserError

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from judges.budget.prices import Prices
    from monitor.cli.commands.judge.evaluators import Evaluator
    from monitor.cli.commands.judge.journal import Journal
    from monitor.cli.commands.judge.offline import CostEstimate
    from monitor.config.schema import Config


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "run",
        _run,
        "judge the records of a file by rubrics and RAGAS metrics; prints an estimate of the cost,"
        " and asks, before it starts",
        "plumbline judge run logs.jsonl --rubric answer_quality --report judged.json",
    )
    parser.add_argument(
        "file", type=input_file, metavar="FILE", help="JSON records; gzip and zstd are decompressed"
    )
    parser.add_argument(
        "--rubric",
        action="append",
        default=[],
        metavar="R",
        help="shipped rubric, or path of a YAML file; repeatable (default: judges.rubrics)",
    )
    parser.add_argument(
        "--ragas",
        action="append",
        default=[],
        metavar="M",
        help="metric of RAGAS; repeatable (default: judges.ragas)",
    )
    parser.add_argument(
        "--compare",
        type=input_file,
        metavar="FILE",
        help="judge these records as well, such as those of another pipeline, and compare: in pairs"
        " of the same request id, if there are enough",
    )
    parser.add_argument("--model", metavar="NAME", help="model that judges (default: judges.model)")
    parser.add_argument("--report", type=output_file, metavar="FILE", help="write the report")
    parser.add_argument(
        "--journal",
        type=output_file,
        metavar="FILE",
        help="keep paid results here; the same command resumes (default: beside the report, with"
        " the suffix .journal)",
    )
    _add_batch(parser)
    parser.add_argument("--yes", action="store_true", help="start without asking")
    add_config(parser)
    add_json(parser)


def _add_batch(parser: argparse.ArgumentParser) -> None:
    """Add the options of batches."""
    parser.add_argument(
        "--batch",
        action="store_true",
        help="judge by the batch API: at half price, within 24 hours; rubrics and the provider"
        " anthropic only. The same command resumes",
    )
    parser.add_argument(
        "--interval",
        type=positive_number,
        default=60.0,
        metavar="SECONDS",
        help="with --batch: time between two queries (default: 60)",
    )


def _run(arguments: argparse.Namespace) -> int:
    from monitor.cli.commands.judge import offline, summary
    from monitor.cli.commands.judge.journal import Journal, beside, today
    from monitor.roles import judge_setup
    from monitor.roles.judge_kpis import kpi_report

    if "-" in map(str, (arguments.file, arguments.compare)):
        raise UserError("FILE: judging reads the records twice, so standard input is not possible")
    config = load_config(arguments)
    model = arguments.model or config.judges.model
    if model is None:
        raise UserError("no judge is configured; give --model NAME, or set judges.model")
    prices = judge_setup.model_prices(config.judges)
    prices.require([model])
    evaluators = _evaluators(arguments, config, model)
    journal = Journal(arguments.journal or beside(arguments.report), today)
    with journal.open():
        judge = _judge_batches if arguments.batch else _judge_now
        report = judge(arguments, config, evaluators, prices, journal)
    report |= kpi_report(config.judges, summary.means(report))
    if arguments.report:
        arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if arguments.json:
        print_json(report)
    else:
        offline.print_report(report)
    # a script that compares means must not go on after a revoked key
    return 0 if report["scored"] and report.get("second", report)["scored"] else 1


def _judge_now(
    arguments: argparse.Namespace,
    config: Config,
    evaluators: list[Evaluator],
    prices: Prices,
    journal: Journal,
) -> dict[str, Any]:
    """Judge by one request for each call, and return the report."""
    from judges.budget.caps import Purpose
    from monitor.cli.commands.judge import connection, offline

    if journal.batches:
        raise UserError("the journal waits for a batch; add --batch, or its records are paid twice")
    files = [each for each in (arguments.file, arguments.compare) if each is not None]
    expected = [offline.estimate_cost(each, config, evaluators, prices, journal) for each in files]
    with connection.opened_account(config, Purpose.COMMAND_LINE) as account:
        total = sum(expected[1:], expected[0])
        _confirm(total, account.cap, yes=arguments.yes)
        return offline.judge_files(files, config, evaluators, prices, journal, account, expected)


def _judge_batches(
    arguments: argparse.Namespace,
    config: Config,
    evaluators: list[Evaluator],
    prices: Prices,
    journal: Journal,
) -> dict[str, Any]:
    """Judge by batches, and return the report."""
    from judges.budget.caps import Purpose
    from monitor.cli.commands.judge import connection, offline
    from monitor.cli.commands.judge.batches.batch import BatchRun, rubrics_only

    if arguments.compare is not None:
        raise UserError("--compare: is not possible with --batch")
    if not (arguments.journal or arguments.report):
        raise UserError("--batch needs --report or --journal, so that the batch can be found again")
    rubrics = rubrics_only(evaluators)
    ledger = connection.ledger_of(config)
    run = BatchRun(arguments.file, config, rubrics, prices, journal, ledger, arguments.interval)
    expected = offline.estimate_cost(
        arguments.file, config, evaluators, prices, journal, batch=True
    )
    _confirm(expected, ledger.remaining(Purpose.BATCH), yes=arguments.yes)
    return run.judge()


def _evaluators(arguments: argparse.Namespace, config: Config, model: str) -> list[Evaluator]:
    """Return the evaluators of the options, or of the configuration without options."""
    from random import SystemRandom

    from judges.live.rubric_evaluator import RubricEvaluator
    from judges.ragas.metrics import metrics_of
    from judges.rubrics.loading import load
    from judges.rubrics.rubric import Mode
    from monitor.roles.judge_setup import ragas_evaluators

    given = arguments.rubric or arguments.ragas
    rubrics = [load(name) for name in (arguments.rubric if given else config.judges.rubrics)]
    metrics = metrics_of(arguments.ragas if given else config.judges.ragas)
    if not rubrics and not metrics:
        raise UserError("nothing to judge by; give --rubric NAME or --ragas METRIC")
    for rubric in rubrics:
        if rubric.mode is Mode.PAIRWISE:
            raise UserError(f"rubric {rubric.name} compares pairs; a file has single responses")
    names = [rubric.name for rubric in rubrics] + [metric.name for metric in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"{twice} is given twice; a report has one result of each name")
    random = SystemRandom()
    found: list[Evaluator] = [RubricEvaluator(rubric, model, random) for rubric in rubrics]
    if metrics:
        found += ragas_evaluators(metrics, model)
    return found


def _confirm(expected: CostEstimate, cap: int, *, yes: bool) -> None:
    """Print the estimate, and ask before money is spent. Raises UserError if it must not start.

    cap: what the command may spend today, in nanodollars.
    """
    from monitor.cli.commands.judge.connection import confirm, usd

    print(
        f"{expected.records:,} records, {expected.evaluations:,} evaluations, of which"
        f" {expected.known:,} are in the journal; {expected.calls:,} calls.\n"
        f"Estimated cost ${usd(expected.typical):.4f}, at most ${usd(expected.most):.4f} without"
        f" retries; this run stops at ${usd(cap):.4f}.",
        file=sys.stderr,
    )
    if not expected.records:
        raise UserError("nothing was read: the file has no valid record")
    if expected.calls:
        confirm(yes=yes)
