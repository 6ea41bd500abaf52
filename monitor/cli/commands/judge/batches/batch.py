"""`plumbline judge run --batch`: judge a file by the batch API, at half price.

    plan -> create -> store the id -> wait -> collect -> plan the rest ... -> report

Each step is in the journal before the next one, so a command that was interrupted continues where
it stopped and pays for nothing twice. If it was killed between `create` and `store the id`, the
batch is looked for among those of the provider: the ids of its requests contain a random number
that the journal had before.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from judges.budget.caps import Purpose
from judges.budget.ledger_file import LedgerFile
from judges.budget.prices import Prices
from judges.calls import Call, CallFailed, Unscored, UnscoredReason, Usage
from judges.client.batches import MAX_REQUESTS, BatchResult, BatchStatus, MessageBatches
from judges.live.rubric_evaluator import RubricEvaluator
from judges.rubrics.judge import unscored_without_call, verdict_of
from judges.rubrics.prompt import judge_call
from monitor.cli.commands.judge.evaluators import Outcome, outcome_of
from monitor.cli.commands.judge.journal import Journal, JournalBatch, key_of
from monitor.cli.commands.judge.offline import UniqueSamples
from monitor.cli.commands.judge.summary import Results, report_of
from monitor.errors import UserError
from monitor.records import Sample
from monitor.roles import judge_setup

if TYPE_CHECKING:
    from monitor.cli.commands.judge.evaluators import Evaluator
    from monitor.config.schema import Config

BATCH_CHARS: Final = 32_000_000
"""Size of a batch, in characters of its calls. The API accepts 256 MB."""
CLOCK_SECONDS: Final = 600.0
"""Difference of the clocks of this machine and the provider up to which a lost batch is found."""
FIND_LIMIT: Final = 1000
"""Newest batches of the account among which a lost one is looked for."""
RESUME: Final = "the same command continues"
_NO_RESULT: Final = Unscored(
    UnscoredReason.UNAVAILABLE, "the batch has no result for the request", Usage(unmetered=1)
)
_NO_BUDGET: Final = Outcome(None, str(UnscoredReason.NO_BUDGET))


def rubrics_only(evaluators: Sequence[Evaluator]) -> list[RubricEvaluator]:
    """Return the evaluators. Raises UserError if one of them is a metric of RAGAS."""
    rubrics = [each for each in evaluators if isinstance(each, RubricEvaluator)]
    if len(rubrics) < len(evaluators):
        raise UserError(
            "--batch judges by rubrics only: a metric of RAGAS needs several calls in turn; run"
            " the metrics without --batch"
        )
    return rubrics


@dataclass
class BatchRun:
    """One run of the command.

    ledger: what batches are paid from. It holds the highest cost of a batch until its end.
    interval: time between two queries, in seconds.
    transient: outcomes that are not in the journal, because a later run asks again, by key.
    """

    path: Path
    config: Config
    evaluators: Sequence[RubricEvaluator]
    prices: Prices
    journal: Journal
    ledger: LedgerFile
    interval: float
    transient: dict[str, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.config.judges.client.provider != "anthropic":
            raise UserError("--batch: only the provider anthropic has batches")
        self._batches = MessageBatches(judge_setup.client_settings(self.config.judges))

    def judge(self) -> dict[str, Any]:
        """Submit what was not submitted, wait for all batches, and return the report.

        Raises UserError if the provider refuses; the journal then has what was reached.
        """
        try:
            asyncio.run(self._run())
        except CallFailed as failure:
            raise UserError(f"the batch API failed ({failure.detail}); {RESUME}") from None
        except KeyboardInterrupt:
            left = sum(each.id is not None for each in self.journal.batches.values())
            say(f"stopped; {left} batches go on at the provider, and {RESUME}")
            raise
        return self._report()

    async def _run(self) -> None:
        for batch in [each for each in self.journal.batches.values() if each.id is None]:
            await self._find(batch)
        while True:
            for batch, calls in self._plan():
                await self._submit(batch, calls)
            if not self.journal.batches:
                return
            for batch in list(self.journal.batches.values()):
                assert batch.id is not None
                self._store_results(batch, await self._results(batch.id))

    # --- submission -------------------------------------------------------------------------------

    def _plan(self) -> Iterator[tuple[JournalBatch, dict[str, Call]]]:
        """Yield the batches of all evaluations without a result, as far as the caps cover them.

        Others are planned when these have ended, which cost less than what is held for them.
        """
        waiting = {key for each in self.journal.batches.values() for key in each.keys.values()}
        batch, calls, size = self._new_batch(), dict[str, Call](), 0
        left = self.ledger.remaining(Purpose.BATCH)
        for evaluator, sample, key in self._evaluations():
            if key in waiting or self._has_ended(key):
                continue
            if unscored_without_call(evaluator.rubric, sample) is not None:
                continue
            call = call_of(evaluator, sample, batch.nonce, key)
            most = self.prices.worst_case(call, batch=True)
            if batch.most + most > left:
                self.transient[key] = _NO_BUDGET
                continue
            custom_id = f"{batch.nonce}-{len(calls)}"
            batch.keys[custom_id], calls[custom_id] = key, call
            batch.most += most
            size += len(call.instructions) + len(call.data)
            if len(calls) == MAX_REQUESTS or size >= BATCH_CHARS:
                yield batch, calls
                batch, calls, size = self._new_batch(), {}, 0
                left = self.ledger.remaining(Purpose.BATCH)
        if calls:
            yield batch, calls

    def _has_ended(self, key: str) -> bool:
        """Return whether this run has a result of an evaluation, or the journal has one."""
        transient = self.transient.get(key)
        ended = transient is not None and transient.unscored != UnscoredReason.NO_BUDGET
        return ended or self.journal.find(key) is not None

    def _new_batch(self) -> JournalBatch:
        return JournalBatch(secrets.token_hex(16), self.journal.today(), time.time(), 0, {})

    async def _submit(self, batch: JournalBatch, calls: dict[str, Call]) -> None:
        async def store(batch_id: str) -> None:
            self.journal.store_batch_id(batch, batch_id)

        # before anything else, so that nothing is paid that the ledger does not have
        held = self.ledger.hold(batch.nonce, Purpose.BATCH, batch.most, batch.most)
        if held < batch.most:  # another process was faster
            self.transient |= dict.fromkeys(batch.keys.values(), _NO_BUDGET)
            return
        batch.created = time.time()
        self.journal.plan_batch(batch)
        await self._batches.submit(calls, store)
        say(f"{batch.id}: {len(calls):,} requests submitted")

    async def _find(self, batch: JournalBatch) -> None:
        """Store the id of a batch whose creation was interrupted; forget it if there is none."""
        for status in await self._batches.find(FIND_LIMIT):
            if not may_be(status, batch):
                continue
            say(f"{status.id}: may be the batch whose id was not stored")
            # The ids of requests can be read only when the batch has ended.
            if batch.keys.keys() & (await self._results(status.id)).keys():
                self.journal.store_batch_id(batch, status.id)
                return
        self.journal.end_batch(batch)
        self.ledger.settle(batch.nonce, 0)

    # --- results ----------------------------------------------------------------------------------

    async def _results(self, batch_id: str) -> dict[str, BatchResult]:
        """Wait until a batch has ended, and return its results by the id of their request.

        Failures that may pass are repeated after the interval. Raises CallFailed for others.
        """
        shown = ""
        while True:
            try:
                status = await self._batches.status(batch_id)
                results = await self._batches.collect(batch_id) if status.ended else None
            except CallFailed as failure:
                if failure.fatal:
                    raise
                text = f"not read ({failure.detail}), retrying"
            else:
                if results is not None:
                    return results
                text = f"{status.finished:,} of {status.requests:,} requests finished"
            if text != shown:
                say(f"{batch_id}: {text}")
                shown = text
            await asyncio.sleep(self.interval)

    def _store_results(self, batch: JournalBatch, results: dict[str, BatchResult]) -> None:
        """Add the results of a batch to the journal. Raises UserError if FILE has changed."""
        by_key = {key: results.get(name, _NO_RESULT) for name, key in batch.keys.items()}
        found = []
        for evaluator, sample, key in self._evaluations():
            result = by_key.pop(key, None)
            if result is not None:
                call = call_of(evaluator, sample, batch.nonce, key)
                verdict = (
                    result
                    if isinstance(result, Unscored)
                    else verdict_of(evaluator.rubric, call, result)
                )
                cost = self.prices.cost(call, result.usage, batch=True)
                found.append((key, outcome_of(verdict), cost))
        if by_key:
            raise UserError(f"{self.path}: has changed; restore it, and {RESUME}")
        for key, outcome, cost in found:
            self.transient[key] = outcome
            self.journal.add_batched(key, outcome, batch, cost)
        self.journal.end_batch(batch)
        # afterwards: a crash between the two leaves more reserved than was spent, never less
        self.ledger.settle(batch.nonce, sum(cost for _, _, cost in found))

    def outcomes(
        self, samples: UniqueSamples | None = None
    ) -> Iterator[tuple[RubricEvaluator, Sample, Outcome]]:
        """Yield the outcome of each evaluation of the file, once all batches have ended."""
        for evaluator, sample, key in self._evaluations(samples):
            outcome = self.journal.find(key) or self.transient.get(key)
            if outcome is None:
                unscored = unscored_without_call(evaluator.rubric, sample)
                outcome = outcome_of(unscored or _NO_RESULT)
            yield evaluator, sample, outcome

    def _report(self) -> dict[str, Any]:
        samples = UniqueSamples(self.path, self.config)
        results = {each.name: Results(each) for each in self.evaluators}
        for evaluator, sample, outcome in self.outcomes(samples):
            results[evaluator.name].add(sample.request_id, outcome)
        cost, found = self.journal.earlier.total(), list(results.values())
        return report_of(found, samples.records, samples.repeated, samples.rejections, cost)

    def _evaluations(
        self, samples: UniqueSamples | None = None
    ) -> Iterator[tuple[RubricEvaluator, Sample, str]]:
        """Yield the evaluations of the file, with their keys."""
        for sample in samples or UniqueSamples(self.path, self.config):
            for evaluator in self.evaluators:
                yield evaluator, sample, key_of(evaluator, sample)


def call_of(evaluator: RubricEvaluator, sample: Sample, nonce: str, key: str) -> Call:
    """Return the call of a request in a batch.

    Its delimiters follow from the nonce, which the author of a record cannot guess, so that they
    are the same when the result is read.
    """
    return judge_call(evaluator.rubric, evaluator.model, sample, Random(f"{nonce} {key}"))


def may_be(status: BatchStatus, batch: JournalBatch) -> bool:
    """Return whether a batch of the provider may be the one that was planned."""
    created = datetime.fromisoformat(status.created_at).timestamp()
    return status.requests == len(batch.keys) and created >= batch.created - CLOCK_SECONDS


def say(text: str) -> None:
    """Print a line of progress on standard error."""
    print(text, file=sys.stderr, flush=True)
