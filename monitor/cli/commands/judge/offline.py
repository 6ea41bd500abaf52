"""Judge a file of records: the estimate, the calls with bounded memory, and the printed report."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from judges.budget.ledger_file import FileAccount
from judges.budget.prices import Prices
from judges.calls import Answer, Call, CallFailed, JudgeClient, UnscoredReason
from monitor.cli.commands.judge.connection import client_of
from monitor.cli.commands.judge.evaluators import calls_of, outcome_of_evaluation, typical_cost
from monitor.cli.commands.judge.journal import Journal, key_of
from monitor.cli.commands.judge.summary import Results, comparison, report_of
from monitor.cli.console.tables import new_console
from monitor.errors import UserError
from monitor.ingest.files.rejections import Rejections
from monitor.ingest.files.samples import read_samples
from monitor.records import Sample
from monitor.roles.judge_kpis import kpi_lines

if TYPE_CHECKING:
    from rich.console import Console

    from monitor.cli.commands.judge.evaluators import Evaluator
    from monitor.config.schema import Config

IN_FLIGHT: Final = 4
"""Evaluations at a time, in multiples of the highest number of requests: some wait for retries."""


class WatchedClient:
    """A client that counts why calls were not answered, such as the status. Implements JudgeClient.

    The report names the reason `unavailable` only, and keeps no texts of the provider.
    """

    def __init__(self, client: JudgeClient) -> None:
        self.failures: Counter[str] = Counter()
        self._client = client

    async def ask(self, call: Call) -> Answer:
        """Return the answer. Raises CallFailed."""
        try:
            return await self._client.ask(call)
        except CallFailed as failure:
            if failure.reason == UnscoredReason.UNAVAILABLE:
                self.failures[failure.detail] += 1
            raise

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()


@dataclass
class CostEstimate:
    """What a run will cost, in nanodollars.

    known: evaluations whose result, or whose batch, is in the journal.
    """

    records: int = 0
    evaluations: int = 0
    known: int = 0
    calls: int = 0
    typical: int = 0
    most: int = 0

    def __add__(self, other: CostEstimate) -> CostEstimate:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return CostEstimate(*(mine + its for mine, its in pairs))


class UniqueSamples:
    """The records of a file, each request id once. The first record of an id counts."""

    def __init__(self, path: Path, config: Config) -> None:
        self.rejections = Rejections()
        self.records = 0
        self.repeated = 0
        self._path = path
        self._config = config

    def __iter__(self) -> Iterator[Sample]:
        seen: set[str] = set()
        for sample in read_samples(self._path, self._config, self.rejections):
            if sample.request_id in seen:
                self.repeated += 1
                continue
            seen.add(sample.request_id)
            self.records += 1
            yield sample


def estimate_cost(
    path: Path,
    config: Config,
    evaluators: Sequence[Evaluator],
    prices: Prices,
    journal: Journal,
    *,
    batch: bool = False,
) -> CostEstimate:
    """Return what judging a file will cost, without results that the journal has or waits for.

    batch: at half price. Raises UserError if the journal waits for results of other evaluations.
    """
    found = CostEstimate()
    samples = UniqueSamples(path, config)
    waiting = {key for each in journal.batches.values() for key in each.keys.values()}
    missing = set(waiting)
    for sample in samples:
        for evaluator in evaluators:
            found.evaluations += 1
            key = key_of(evaluator, sample)
            missing.discard(key)
            if key in waiting or journal.find(key) is not None:
                found.known += 1
                continue
            for call in calls_of(evaluator, sample):
                found.calls += 1
                found.typical += typical_cost(call, prices, batch=batch)
                found.most += prices.worst_case(call, batch=batch)
    if missing:
        raise UserError(
            "the journal has a batch of other records, rubrics or another model; repeat the command"
            " that submitted it, or name another journal with --journal"
        )
    found.records = samples.records
    return found


def judge_files(
    paths: Sequence[Path],
    config: Config,
    evaluators: Sequence[Evaluator],
    prices: Prices,
    journal: Journal,
    account: FileAccount,
    expected: Sequence[CostEstimate],
) -> dict[str, Any]:
    """Judge all records of a file, or of two that are compared, and return the report."""
    judged = [
        _judge_file(path, config, evaluators, prices, journal, account, each)
        for path, each in zip(paths, expected, strict=True)
    ]
    cost = account.spent + journal.earlier.total()
    reports = [
        report_of(results, samples.records, samples.repeated, samples.rejections, cost)
        for samples, results in judged
    ]
    if len(reports) == 1:
        return reports[0]
    first, second = reports
    del second["cost_usd"]  # that of the report is of both files
    compared = comparison(*(results for _, results in judged))
    return first | {"second": second, "comparison": compared}


def _judge_file(
    path: Path,
    config: Config,
    evaluators: Sequence[Evaluator],
    prices: Prices,
    journal: Journal,
    account: FileAccount,
    expected: CostEstimate,
) -> tuple[UniqueSamples, list[Results]]:
    """Judge all records of a file."""
    samples = UniqueSamples(path, config)
    results = [Results(evaluator) for evaluator in evaluators]

    async def run() -> Counter[str]:
        slots = asyncio.Semaphore(config.judges.client.concurrency)
        client = WatchedClient(client_of(config, account, prices, slots))
        try:
            with progress(expected.evaluations, "judging") as advance:
                most = IN_FLIGHT * config.judges.client.concurrency
                await _judge_all(client, samples, results, journal, account, most, advance)
        finally:
            await client.close()
            journal.add_rest(account.spent)
        return client.failures

    for detail, count in sorted(asyncio.run(run()).items()):
        print(f"judge unavailable: {detail} ({count:,} calls)", file=sys.stderr)
    return samples, results


async def _judge_all(
    client: JudgeClient,
    samples: UniqueSamples,
    results: Sequence[Results],
    journal: Journal,
    account: FileAccount,
    most: int,
    advance: Callable[[], None],
) -> None:
    """Evaluate samples with at most `most` evaluations in memory."""
    free = asyncio.Semaphore(most)

    async def evaluate(each: Results, sample: Sample) -> None:
        try:
            key = key_of(each.evaluator, sample)
            outcome = journal.find(key)
            if outcome is None:
                evaluation = await each.evaluator.evaluate(sample, client)
                outcome = outcome_of_evaluation(evaluation)
                journal.add(key, outcome, account.spent)
            each.add(sample.request_id, outcome)
            advance()
        finally:
            free.release()

    async with asyncio.TaskGroup() as group:
        for sample in samples:
            for each in results:
                await free.acquire()
                group.create_task(evaluate(each, sample))


@contextmanager
def progress(total: int, text: str) -> Iterator[Callable[[], None]]:
    """Show a number of finished things on standard error, if that is a terminal."""
    console = new_console(stderr=True)
    if not console.is_terminal:
        yield lambda: None
        return
    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda: bar.advance(task)


def print_report(report: dict[str, Any]) -> None:
    """Print a report, and the comparison with a second file."""
    console = new_console()
    _print_file(console, report)
    if "second" in report:
        console.print("second file:")
        _print_file(console, report["second"])
        console.print("second file less the first:")
    for name, each in report.get("comparison", {}).items():
        pairs = "pairs" if each["paired"] else "other requests"
        console.print(f"{name}: {_difference(each)}, {pairs}")
    for line in kpi_lines(report):
        console.print(line, markup=False)


def _print_file(console: Console, report: dict[str, Any]) -> None:
    cost = f"; cost ${usd_text(report['cost_usd'])}" if "cost_usd" in report else ""
    unscored = ", ".join(f"{count:,} {reason}" for reason, count in report["unscored"].items())
    console.print(
        f"{report['records']:,} records: {report['scored']:,} evaluations scored, unscored"
        f" {unscored or 'none'}{cost}"
    )
    for name, each in report["rubrics"].items():
        rate = "" if each["pass_rate"] is None else f", {each['pass_rate']:.1%} passed"
        console.print(f"{name}: {_mean(each, ' of 5')}{rate}")
        for pair in (each["dimension_comparison"] or {}).get("contradictions", ()):
            console.print(
                f"  contradiction: {pair['high']} is high and {pair['low']} low in"
                f" {pair['cases']:,} records"
            )
    for name, each in report.get("ragas", {}).items():
        console.print(f"{name}: {_mean(each)}")
    if "rag" in report:
        console.print(f"weak component of the RAG pipeline: {report['rag']['weak']}")


def usd_text(dollars: float) -> str:
    """Return dollars with four decimals."""
    return f"{dollars:.4f}"


def _difference(each: dict[str, Any]) -> str:
    """Return a difference with its interval, and which file is better."""
    found = each["difference"]
    if found["mean"] is None:
        return "nothing to compare"
    if found["lower"] is None:
        return f"{found['mean']:+.3f} (too few for an interval)"
    better = "no difference" if each["better"] == "no_difference" else f"{each['better']} is better"
    return f"{found['mean']:+.3f} ({found['lower']:+.3f} to {found['upper']:+.3f}), {better}"


def _mean(each: dict[str, Any], scale: str = "") -> str:
    if each["mean"] is None:
        return "nothing was scored"
    if each["lower"] is None:
        return f"mean {each['mean']:.3f}{scale} (too few for an interval)"
    return f"mean {each['mean']:.3f} ({each['lower']:.3f} to {each['upper']:.3f}){scale}"
