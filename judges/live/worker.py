"""Judge the samples of the assigned partitions, within their budgets.

All methods are called in the thread of the calls (`CallThread.run`), so nothing needs a lock. An
evaluation is a task: one evaluator on one sample. Tasks start in the order of their samples, as far
as the funds of their partition allow, and end in any order.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
import structlog

from judges.budget.caps import Caps, Purpose
from judges.budget.ledger import Draw
from judges.budget.metered import Account, Meter, MeteredClient
from judges.budget.prices import NANODOLLARS, Prices
from judges.budget.waiting import deadline
from judges.calls import JudgeClient, UnscoredReason
from judges.client.retrying import RetryingClient
from judges.client.settings import ClientSettings
from judges.live.evaluator import Evaluator, evaluation_of
from judges.live.funds import Funds, Start
from judges.live.partition import Commit, Pending, SamplePartition, digest
from monitor.events.evaluations import Evaluation
from monitor.records import Inclusion, Sample

log = structlog.get_logger(__name__)

TASK_SECONDS: Final = 300.0
"""Deadline of an evaluation with all its calls, without waits for money; each call has one of its
own."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """The evaluators of a sample by its importance.

    pinned: of uniform samples, and of boosted ones without a tier of their own. Changing it begins
    a new reference: a cheaper judge would look like drift.
    critical: of samples that were boosted for a reason in `critical_reasons`; paid from a reserve,
    and judged as other boosted samples when it is spent. A sample that is uniform as well is judged
    once, as a uniform one.
    """

    pinned: Mapping[str, Evaluator]
    critical: Mapping[str, Evaluator] = field(default_factory=dict)
    critical_reasons: frozenset[str] = frozenset()

    @property
    def epoch(self) -> str:
        """Hash of names and versions of the pinned evaluators: scores of two are not compared."""
        versions = sorted((name, each.version) for name, each in self.pinned.items())
        return digest(*(text for pair in versions for text in pair)).hex()

    def choose(self, inclusion: Inclusion) -> tuple[Purpose, Mapping[str, Evaluator]]:
        """Return from which part of the budget a sample is judged, and by what."""
        if inclusion.uniform:
            return Purpose.LIVE, self.pinned
        if self.is_critical(inclusion):
            return Purpose.CRITICAL, self.critical or self.pinned
        return Purpose.BOOSTED, self.pinned

    def is_critical(self, inclusion: Inclusion) -> bool:
        """Return whether a sample was boosted for a critical reason."""
        return not self.critical_reasons.isdisjoint(inclusion.boosted)


@dataclass(frozen=True, slots=True)
class Judging:
    """What all partitions share. client: of the provider, without retries and budget."""

    tiers: Tiers
    client: JudgeClient
    settings: ClientSettings
    prices: Prices
    caps: Caps
    meter: Meter
    clock: Callable[[], float]
    generator: random.Random


@dataclass(slots=True)
class _TaskAccount:
    """Adds up what one task costs."""

    account: Account
    cost: int = 0

    def draw(self, amount: int) -> Draw | None:
        return self.account.draw(amount)

    def next_settlement(self) -> asyncio.Event | None:
        return self.account.next_settlement()

    def settle(self, draw: Draw, cost: int) -> None:
        self.cost += cost
        self.account.settle(draw, cost)


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    pending: Pending
    sample: Sample
    evaluator: Evaluator
    purpose: Purpose
    worst: int


class Scheduled(Protocol):
    """What the owner of one partition runs on a schedule, with state in this partition."""

    def start(self, assigned: Assigned) -> None:
        """Start what is due."""
        ...

    def stop(self) -> None:
        """Cancel what is running."""
        ...

    def messages(self) -> dict[bytes, bytes]:
        """Return the state to store, if it has changed since the last commit."""
        ...

    def mark_committed(self) -> None:
        """Remember that the state of the last `messages` is stored."""
        ...

    @property
    def waiting(self) -> bool:
        """Whether the state waits for a commit."""
        ...


@dataclass(slots=True, eq=False)
class Assigned:
    """A partition with its funds. running: the tasks that have started."""

    samples: SamplePartition
    funds: Funds
    waiting: deque[_Task] = field(default_factory=deque)
    running: set[asyncio.Task[None]] = field(default_factory=set)
    scheduled: Scheduled | None = None

    @property
    def needs_commit(self) -> bool:
        """Whether something waits for a commit, apart from finished samples."""
        return self.funds.waiting or (self.scheduled is not None and self.scheduled.waiting)


class Worker:
    """Starts and ends the tasks of all assigned partitions.

    outcomes: samples by what became of them: judged, paced, repeated or unreadable.
    epoch: of the scores of uniform samples (`Tiers.epoch`).
    """

    def __init__(self, judging: Judging) -> None:
        self.epoch = judging.tiers.epoch
        self.outcomes: Counter[str] = Counter()
        self._judging = judging
        self.slots = asyncio.Semaphore(judging.settings.concurrency)
        self._running = 0
        self._too_small: set[Purpose] = set()
        self._held: dict[Assigned, None] = {}  # partitions that wait for the end of a task
        self._closed = False

    def assign(
        self,
        offset: int,
        state: Mapping[bytes, bytes],
        partitions: int,
        *,
        sole: bool = False,
        added: bool = False,
    ) -> Assigned:
        """Return a partition in its stored state; see `Funds`.

        Raises ValueError if its ledger is unreadable.
        """
        judging = self._judging
        versions = {name: each.version for name, each in judging.tiers.pinned.items()}
        funds = Funds(judging.caps, partitions, judging.clock, state, sole=sole, added=added)
        return Assigned(SamplePartition(versions, offset, state), funds)

    def repartition(self, assigned: Iterable[Assigned], partitions: int) -> None:
        """Divide the caps of later periods by the present number of partitions.

        Every ledger must know it before they begin: otherwise the old parts and those of partitions
        that were added are more than the cap together.
        """
        for each in assigned:
            each.funds.ledger.repartition(partitions)

    def add(self, assigned: Assigned, samples: Iterable[tuple[int, Sample | None]]) -> None:
        """Add the next samples with their offsets; None for a message that is no sample."""
        for offset, sample in samples:
            self._add(assigned, offset, sample)
        self._start(assigned)

    def _add(self, assigned: Assigned, offset: int, sample: Sample | None) -> None:
        if sample is None:
            self.outcomes["unreadable"] += 1
            assigned.samples.add(offset, None, ())
            return
        if sample.inclusion.uniform and not self._pace(assigned, sample):
            if not self._judging.tiers.is_critical(sample.inclusion):
                self.outcomes["paced"] += 1
                assigned.samples.add(offset, sample, ())
                return
            sample.inclusion = msgspec.structs.replace(sample.inclusion, uniform=False)
        purpose, costs = self._plan(assigned, sample)
        pending = assigned.samples.add(offset, sample, list(costs))
        self.outcomes["repeated" if pending.sample is None else "judged"] += 1
        for name, (evaluator, worst) in costs.items():
            if name in pending.missing:
                self._check_cap(assigned, purpose, worst)
                assigned.waiting.append(_Task(pending, sample, evaluator, purpose, worst))

    def _plan(
        self, assigned: Assigned, sample: Sample
    ) -> tuple[Purpose, dict[str, tuple[Evaluator, int]]]:
        """Return the evaluators of a sample with their worst cases, and from what they are paid."""
        purpose, evaluators = self._judging.tiers.choose(sample.inclusion)
        costs = self._costs(evaluators, sample)
        if purpose is Purpose.CRITICAL:
            left = assigned.funds.ledger.remaining(purpose, self._judging.clock())
            if sum(worst for _, worst in costs.values()) > left:
                pinned = self._judging.tiers.pinned
                return Purpose.BOOSTED, self._costs(pinned, sample)
        return purpose, costs

    def _costs(
        self, evaluators: Mapping[str, Evaluator], sample: Sample
    ) -> dict[str, tuple[Evaluator, int]]:
        prices = self._judging.prices
        return {
            name: (each, each.worst_case(sample, prices))
            for name, each in evaluators.items()
            if _applies(each, sample)
        }

    def _check_cap(self, assigned: Assigned, purpose: Purpose, worst: int) -> None:
        """Log once if the day's cap of a partition is less than one evaluation may cost."""
        cap = assigned.funds.ledger.cap(purpose, self._judging.clock())
        if worst <= cap or purpose in self._too_small:
            return
        self._too_small.add(purpose)
        log.warning(
            "the budget of a partition is less than one evaluation may cost",
            purpose=purpose.value,
            usd_per_day=cap / NANODOLLARS,
            worst_case_usd=worst / NANODOLLARS,
            setting="judges.budget.usd_per_day",
        )

    def _pace(self, assigned: Assigned, sample: Sample) -> bool:
        """Return whether a uniform sample is kept; adapt its inclusion probability."""
        factor = assigned.funds.keep(sample.request_id)
        inclusion = sample.inclusion
        if factor:
            probability = inclusion.probability * factor
            sample.inclusion = msgspec.structs.replace(inclusion, probability=probability)
        return factor > 0

    def _start(self, assigned: Assigned) -> None:
        """Start waiting tasks as far as the funds allow, at most as many as there are slots.

        The deadline of a call includes its wait for a slot: if all tasks started at once, those of
        a backlog would time out although the judge answers.
        """
        while assigned.waiting:
            if self._running >= self._judging.settings.concurrency:
                self._held[assigned] = None
                return
            task = assigned.waiting[0]
            if assigned.funds.start(task.purpose, task.worst) != Start.NOW:
                return
            assigned.waiting.popleft()
            self._running += 1
            running = asyncio.get_running_loop().create_task(self._run(assigned, task))
            assigned.running.add(running)
            running.add_done_callback(assigned.running.discard)
            running.add_done_callback(lambda _: self._resume(assigned))

    def _resume(self, assigned: Assigned) -> None:
        """Start waiting tasks after one of a partition has ended; partitions take turns."""
        self._running -= 1
        if self._closed:
            return
        self._held.setdefault(assigned)
        while self._held and self._running < self._judging.settings.concurrency:
            first = next(iter(self._held))
            del self._held[first]
            self._start(first)

    async def _run(self, assigned: Assigned, task: _Task) -> None:
        """Evaluate one sample by one evaluator."""
        judging = self._judging
        account = _TaskAccount(assigned.funds.account(task.purpose))
        metered = MeteredClient(judging.client, account, judging.prices, judging.meter)
        client = RetryingClient(metered, judging.settings, judging.generator, self.slots)
        try:
            evaluation = await outcome(task.evaluator, task.sample, client)
        finally:
            assigned.funds.end(task.purpose, task.worst, account.cost)
        cost = evaluation.cost_usd + account.cost / NANODOLLARS
        evaluation = msgspec.structs.replace(evaluation, cost_usd=cost)
        assigned.samples.finish(task.pending, evaluation)

    def commits(self, assigned: Mapping[int, Assigned]) -> dict[int, Commit]:
        """Return what a transaction has to write, by partition; the ledger with every commit."""
        commits = {}
        for number, each in assigned.items():
            commit = each.samples.commit(always=each.needs_commit)
            if commit is not None:
                commit.messages.update(each.funds.messages())
                if each.scheduled is not None:
                    commit.messages.update(each.scheduled.messages())
                commits[number] = commit
        return commits

    def mark_committed(
        self, assigned: Mapping[int, Assigned], commits: Mapping[int, Commit]
    ) -> None:
        """Drop what was committed, and use the blocks that were reserved."""
        for number, commit in commits.items():
            assigned[number].samples.mark_committed(commit)
            assigned[number].funds.mark_committed()
            if (scheduled := assigned[number].scheduled) is not None:
                scheduled.mark_committed()
            self._start(assigned[number])

    def close(self) -> None:
        """Start no further task when one ends."""
        self._closed = True

    def finish_started(self, assigned: Iterable[Assigned]) -> None:
        """Start no further sample of partitions that are about to be released."""
        for each in assigned:
            each.waiting.clear()

    def release(self, assigned: Iterable[Assigned]) -> None:
        """Stop the tasks of partitions before their last commit, and end their blocks.

        What is left of a block is then not lost. A task that is cancelled costs its worst case.
        """
        for each in assigned:
            each.waiting.clear()
            if each.scheduled is not None:
                each.scheduled.stop()
            for running in each.running:
                running.cancel()
            each.funds.close()


def _applies(evaluator: Evaluator, sample: Sample) -> bool:
    """Return whether an evaluator applies; if it fails at this, its evaluation fails as well."""
    try:
        return evaluator.applies(sample)
    except Exception:
        log.exception("evaluator failed", evaluator=evaluator.name)
        return True


async def outcome(evaluator: Evaluator, sample: Sample, client: JudgeClient) -> Evaluation:
    """Return the result of an evaluation. Everything but a cancellation is a result."""
    try:
        async with deadline(TASK_SECONDS):
            return await evaluator.evaluate(sample, client)
    except TimeoutError:
        return unscored(evaluator, sample, UnscoredReason.TIMEOUT)
    except Exception:
        log.exception("evaluation failed", evaluator=evaluator.name)
        return unscored(evaluator, sample, UnscoredReason.UNAVAILABLE)


def unscored(evaluator: Evaluator, sample: Sample, reason: UnscoredReason) -> Evaluation:
    """Return the evaluation of a sample without a score."""
    blank = evaluation_of(evaluator, sample)
    return msgspec.structs.replace(blank, unscored=str(reason))
