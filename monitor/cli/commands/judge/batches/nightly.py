"""`plumbline judge nightly`: judge the samples of a day again, by batches at half price."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.arguments import positive_number
from monitor.cli.options import add_command, add_config, load_config
from monitor.errors import UserError

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from monitor.cli.commands.judge.batches.batch import BatchRun
    from monitor.cli.commands.judge.journal import Journal
    from monitor.config.schema import Config
    from monitor.events.evaluations import Evaluation

READ_SECONDS: Final = 600.0
"""Maximum time to read the samples topic."""
SAMPLES: Final = "samples.jsonl"
JOURNAL: Final = "journal"
REPORT: Final = "report.json"


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "nightly",
        _nightly,
        "judge yesterday's samples again by the batch API, such as by a better judge, and publish"
        " the evaluations; a run that was interrupted is continued",
        "plumbline judge nightly --model claude-opus-5-5 --work nightly --at 02:00",
    )
    parser.add_argument("--model", metavar="NAME", help="model that judges (default: judges.model)")
    parser.add_argument(
        "--work",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with a folder for each day: its journal and its report",
    )
    parser.add_argument(
        "--day", type=_day, metavar="YYYY-MM-DD", help="day of UTC to judge (default: yesterday)"
    )
    parser.add_argument(
        "--at",
        type=_time_of_day,
        metavar="HH:MM",
        help="run every day at this time of UTC, until the command is ended",
    )
    parser.add_argument(
        "--interval",
        type=positive_number,
        default=60.0,
        metavar="SECONDS",
        help="time between two queries of a batch (default: 60)",
    )
    add_config(parser)


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-11-30") from None


def _time_of_day(text: str) -> timedelta:
    try:
        found = datetime.strptime(text, "%H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 02:00") from None
    return timedelta(hours=found.hour, minutes=found.minute)


def next_run(now: datetime, at: timedelta) -> datetime:
    """Return the next time of the day after `now`."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    found = today + at
    return found if found > now else found + timedelta(days=1)


def _nightly(arguments: argparse.Namespace) -> int:
    if arguments.at is None:
        return _run(arguments, arguments.day or _yesterday())
    if arguments.day is not None:
        raise UserError("--day: is for one run; leave it out with --at")
    while True:
        due = next_run(datetime.now(UTC), arguments.at)
        _say(f"next run at {due:%Y-%m-%d %H:%M} UTC")
        time.sleep((due - datetime.now(UTC)).total_seconds())
        try:
            _run(arguments, _yesterday())
        except UserError as error:
            _say(f"{error}; the next run continues")  # a broker that is away must not end it


def _yesterday() -> datetime:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=1)


def _run(arguments: argparse.Namespace, day: datetime) -> int:
    """Finish the days that were begun, then judge a day."""
    config = load_config(arguments)
    if config.judges.model is None and arguments.model is None:
        raise UserError("no judge is configured; give --model NAME, or set judges.model")
    arguments.work.mkdir(mode=0o700, parents=True, exist_ok=True)
    begun = sorted(path.parent for path in arguments.work.glob(f"*/{SAMPLES}"))
    for folder in dict.fromkeys((*begun, arguments.work / f"{day:%Y-%m-%d}")):
        _judge(arguments, config, folder)
    return 0


def _judge(arguments: argparse.Namespace, config: Config, folder: Path) -> None:
    """Judge the day of a folder and publish its evaluations, unless both are done."""
    from monitor.cli.commands.judge.journal import Journal, today

    if (folder / REPORT).exists():
        _say(f"{folder.name}: is judged already")
        return
    samples = folder / SAMPLES
    if not samples.exists():
        _write_samples(config, samples, _day(folder.name))
    # The file has native records, whatever the logs have.
    native = config.model_copy(update={"format": "native"})
    journal = Journal(folder / JOURNAL, today)
    with journal.open():
        run = _batch_run(arguments, native, samples, journal)
        report = run.judge()
        found = _evaluations(run)
    if found:
        from monitor.roles import evaluation_publisher

        evaluation_publisher.publish(config.kafka, found)
    partial = folder / f"{REPORT}.part"
    partial.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / REPORT)
    samples.unlink()  # texts are kept no longer than they are needed
    _say(f"{folder.name}: {report['records']:,} samples, {len(found):,} evaluations published")


def _write_samples(config: Config, path: Path, day: datetime) -> None:
    """Write the samples of a day, each request once. The file is complete or absent."""
    from monitor.ingest.sampling.codec import decode_sample
    from monitor.kafka.readers.values import topic_values
    from monitor.kafka.topics import Topics

    first, last = day.timestamp(), (day + timedelta(days=1)).timestamp()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial, seen = path.with_suffix(".part"), set[str]()
    with partial.open("wb") as file:
        partial.chmod(0o600)
        for value in topic_values(config.kafka, Topics(config.kafka.prefix).samples, READ_SECONDS):
            if value is None:
                break
            try:
                sample = decode_sample(value)
            except ValueError:
                continue
            if first <= sample.timestamp < last and sample.request_id not in seen:
                seen.add(sample.request_id)
                file.write(value + b"\n")
    partial.replace(path)


def _batch_run(
    arguments: argparse.Namespace, config: Config, samples: Path, journal: Journal
) -> BatchRun:
    from random import SystemRandom

    from judges.live.rubric_evaluator import RubricEvaluator
    from monitor.cli.commands.judge.batches.batch import BatchRun
    from monitor.cli.commands.judge.connection import ledger_of
    from monitor.roles import judge_setup

    model: str = arguments.model or config.judges.model or ""
    prices = judge_setup.model_prices(config.judges)
    prices.require([model])
    rubrics = judge_setup.load_rubrics(config.judges)
    if not rubrics:
        raise UserError("nothing to judge by: set judges.rubrics")
    evaluators = [RubricEvaluator(rubric, model, SystemRandom()) for rubric in rubrics]
    ledger = ledger_of(config)
    return BatchRun(samples, config, evaluators, prices, journal, ledger, arguments.interval)


def _evaluations(run: BatchRun) -> list[Evaluation]:
    """Return the scores of a run as evaluations.

    They are not uniform: the live judge has scored the uniform samples already, and a second score
    of the same sample must enter no mean.
    """
    from monitor.events.evaluations import Evaluation

    return [
        Evaluation(
            name=evaluator.name,
            request_id=sample.request_id,
            model=sample.model,
            time=sample.timestamp,
            score=outcome.score,
            passed=outcome.passed,
            evaluator=evaluator.model,
            version=evaluator.version,
            dimensions=outcome.dimensions,
        )
        for evaluator, sample, outcome in run.outcomes()
        if outcome.score is not None
    ]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
