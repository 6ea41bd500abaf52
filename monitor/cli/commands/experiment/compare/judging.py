"""Judge all pairs of answers by a rubric, in both orders, within the budget."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from judges.budget.caps import Purpose
from judges.budget.ledger_file import FileAccount
from judges.budget.prices import Prices
from judges.calls import JudgeClient, Unscored, UnscoredReason
from judges.rubrics.loading import load
from judges.rubrics.pairwise import Winner, judge_pair
from judges.rubrics.prompt import pair_call
from judges.rubrics.rubric import Mode, Rubric
from monitor.cli.commands.judge.connection import (
    client_of,
    confirm,
    opened_account,
    usd,
)
from monitor.cli.commands.judge.evaluators import Outcome, typical_cost
from monitor.cli.commands.judge.journal import Journal
from monitor.cli.commands.judge.offline import IN_FLIGHT, WatchedClient, progress
from monitor.errors import UserError
from monitor.experiments.compare.answers import Answer, Answers
from monitor.experiments.compare.comparison import Preferences
from monitor.experiments.compare.matching import Matched
from monitor.ingest.files.samples import MAX_SAMPLE_BYTES, as_sample, redactor
from monitor.ingest.sampling.privacy import redact_sample
from monitor.records import Sample
from monitor.roles import judge_setup

if TYPE_CHECKING:
    from monitor.config.schema import Config

_SCORES: Final = {Winner.SAMPLE: -1.0, Winner.TIE: 0.0, Winner.OTHER: 1.0}
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Task:
    """A pair of answers that a judge compares. other: the response of the second file."""

    pair: Pair
    case: int
    sample: Sample
    other: str
    key: str


class PairJudge:
    """Judges the pairs of matched answers.

    model: that judges. journal: keeps paid results, so that a repeated command pays once.
    """

    def __init__(self, config: Config, rubric: str, model: str | None, journal: Journal) -> None:
        loaded = load(rubric)
        self.rubric: Rubric = loaded if loaded.mode is Mode.PAIRWISE else loaded.as_pairwise()
        name = model or config.judges.model
        if name is None:
            raise UserError("no judge is configured; give --judge-model NAME, or set judges.model")
        self.model: str = name
        self._config = config
        self._prices: Prices = judge_setup.model_prices(config.judges)
        self._prices.require([self.model])
        self._journal = journal
        self._identical = 0
        self._random = SystemRandom()

    def judge(
        self, files: Sequence[Answers], matched: Matched, *, yes: bool
    ) -> tuple[dict[Pair, Preferences], dict[str, Any]]:
        """Return the preferences by pair of files, and what the report says about the judge."""
        cases = matched.rows.shape[1]
        found = {
            pair: Preferences(np.full(cases, np.nan)) for pair in combinations(range(len(files)), 2)
        }
        with opened_account(self._config, Purpose.COMMAND_LINE) as account:
            total = self._estimate(files, matched, account, yes=yes)
            failures = asyncio.run(self._run(files, matched, found, account, total))
        for detail, count in sorted(failures):
            print(f"judge unavailable: {detail} ({count:,} calls)", file=sys.stderr)
        unscored: Counter[str] = Counter()
        for each in found.values():
            unscored.update(each.unscored)
        return found, {
            "rubric": self.rubric.name,
            "hash": self.rubric.hash,
            "model": self.model,
            "pairs": sum(int((~np.isnan(each.outcomes)).sum()) for each in found.values()),
            "identical": self._identical,
            "inconsistent": sum(each.inconsistent for each in found.values()),
            "unscored": dict(sorted(unscored.items())),
            "cost_usd": usd(account.spent + self._journal.earlier.total()),
        }

    def _estimate(
        self, files: Sequence[Answers], matched: Matched, account: FileAccount, *, yes: bool
    ) -> int:
        """Print what judging will cost, ask, and return the number of pairs."""
        total = calls = typical = most = 0
        for task in self._tasks(files, matched, {}):
            total += 1
            if self._journal.find(task.key) is None:
                responses = task.sample.response or "", task.other
                call = pair_call(self.rubric, self.model, task.sample, responses, self._random)
                calls += 2
                typical += 2 * typical_cost(call, self._prices)
                most += 2 * self._prices.worst_case(call)
        print(
            f"{total:,} pairs to judge in both orders; {calls:,} calls.\n"
            f"Estimated cost ${usd(typical):.4f}, at most ${usd(most):.4f} without retries; this"
            f" run stops at ${usd(account.cap):.4f}.",
            file=sys.stderr,
        )
        if calls:
            confirm(yes=yes)
        return total

    async def _run(
        self,
        files: Sequence[Answers],
        matched: Matched,
        found: dict[Pair, Preferences],
        account: FileAccount,
        total: int,
    ) -> list[tuple[str, int]]:
        """Judge all pairs. Return why calls failed, with the number of calls."""
        limit = self._config.judges.client.concurrency
        slots = asyncio.Semaphore(limit)
        client = WatchedClient(client_of(self._config, account, self._prices, slots))
        free = asyncio.Semaphore(IN_FLIGHT * limit)

        async def judged(task: Task, advance: Callable[[], None]) -> None:
            try:
                outcome = self._journal.find(task.key)
                if outcome is None:
                    outcome = await self._judged(client, task)
                    self._journal.add(task.key, outcome, account.spent)
                add_outcome(found[task.pair], task.case, outcome)
                advance()
            finally:
                free.release()

        try:
            with progress(total, "judging") as advance:
                async with asyncio.TaskGroup() as group:
                    for task in self._tasks(files, matched, found):
                        await free.acquire()
                        group.create_task(judged(task, advance))
        finally:
            await client.close()
            self._journal.add_rest(account.spent)
        return list(client.failures.items())

    async def _judged(self, client: JudgeClient, task: Task) -> Outcome:
        verdict = await judge_pair(
            client, self.rubric, self.model, task.sample, task.other, random=self._random
        )
        if isinstance(verdict, Unscored):
            return Outcome(None, str(verdict.reason))
        if verdict.flags:
            # The judge repeated the secret delimiters: its choice may be that of a response.
            return Outcome(None, str(UnscoredReason.INJECTION_SUSPECTED))
        return Outcome(_SCORES[verdict.winner], None, verdict.consistent)

    def _tasks(
        self, files: Sequence[Answers], matched: Matched, found: dict[Pair, Preferences]
    ) -> Iterator[Task]:
        """Yield the pairs to judge. The results of the others, which need no call, are added."""
        redact = redactor(self._config)
        self._identical = 0
        for case in range(matched.rows.shape[1]):
            answers = [
                None if row < 0 else file.answers[row]
                for file, row in zip(files, matched.rows[:, case], strict=True)
            ]
            samples = [None if each is None else _sample(each, redact) for each in answers]
            for pair in combinations(range(len(files)), 2):
                first, second = (answers[i] for i in pair)
                sample, other = (samples[i] for i in pair)
                if first is None or second is None or sample is None or other is None:
                    continue
                outcome = _without_judge(first, second)
                if outcome is None:
                    other_text = other.response or ""
                    yield Task(pair, case, sample, other_text, self._key(sample, other_text))
                    continue
                self._identical += outcome.score is not None
                if pair in found:
                    add_outcome(found[pair], case, outcome)

    def _key(self, sample: Sample, other: str) -> str:
        """Return the hash of a comparison."""
        texts = (sample.prompt, sample.contexts, sample.reference, sample.response, other)
        content = msgspec.json.encode(("pair", self.rubric.hash, self.model, texts))
        return hashlib.blake2b(content, digest_size=16).hexdigest()


def add_outcome(preferences: Preferences, case: int, outcome: Outcome) -> None:
    """Add the outcome of a case."""
    if outcome.score is None:
        reason = outcome.unscored or ""
        preferences.unscored[reason] = preferences.unscored.get(reason, 0) + 1
        return
    preferences.outcomes[case] = outcome.score
    preferences.inconsistent += outcome.passed is False


def _without_judge(first: Answer, second: Answer) -> Outcome | None:
    """Return the outcome of a pair with an error, or with equal answers; None for others."""
    if first.record.error or second.record.error:
        return Outcome(None, "error")
    if first.record.response and first.record.response == second.record.response:
        return Outcome(0.0, None, True)
    return None


def _sample(answer: Answer, redact: Any) -> Sample:
    sample = as_sample(answer.record)
    if redact is not None:
        redact_sample(sample, redact, MAX_SAMPLE_BYTES)
    return sample
