"""Run the golden set and the canaries when they are due.

The process that owns samples partition 0 runs them, and the partition's state remembers the
results, so that a set is judged once in each interval by any number of processes. Both are paid
from shares of their own of this partition's budget. All methods run in the thread of the calls.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Final

import msgspec
import structlog

from judges.budget.caps import Purpose
from judges.budget.metered import MeteredClient
from judges.calls import JudgeClient, UnscoredReason
from judges.client.retrying import RetryingClient
from judges.hostile.attacks import attacks
from judges.live.evaluator import Evaluator
from judges.live.worker import Assigned, Judging, outcome
from judges.rubrics.rubric import Rubric
from judges.trust.canaries import CanaryResult, canary_rubric, next_attacks, run_canaries
from judges.trust.golden import Shift, shift
from judges.trust.state import TRUST, GoldenRuns, decode_trust, encode_trust
from monitor.events.evaluations import Evaluation
from monitor.events.findings.judges import JudgeEvent, judge_event
from monitor.records import Sample

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 600.0
"""Pause after a run without any result: the judge was down or the share was spent."""
RESEND_SECONDS: Final = 60.0
"""Time after which an event is written again, if it was not delivered."""
MAX_EVENTS: Final = 32
"""Events that wait for delivery; the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """What is judged on a schedule. golden: empty if there is no golden set.

    attacks: number in a run of canaries, 0 for none. Times are in seconds.
    """

    golden: Sequence[Sample] = ()
    golden_every: float = 86_400.0
    attacks: int = 0
    canaries_every: float = 86_400.0
    rubrics: Sequence[Rubric] = ()
    model: str = ""


@dataclass(slots=True)
class TrustResults:
    """shifts: by evaluator, of the newest run of the golden set. canaries: of the newest run."""

    shifts: dict[str, Shift] = field(default_factory=dict)
    canaries: CanaryResult | None = None


class Trust:
    """The schedule, with the state of partition 0."""

    def __init__(
        self,
        settings: TrustSettings,
        judging: Judging,
        slots: asyncio.Semaphore,
        messages: Mapping[bytes, bytes],
        random: Random | None = None,
    ) -> None:
        self.results = TrustResults()
        self._written: dict[str, float] = {}
        """When each event was written last, by its id."""
        self._settings = settings
        self._judging = judging
        self._slots = slots
        self._random = random or SystemRandom()
        self._state = decode_trust(messages.get(TRUST))
        self._changes = self._taken = self._committed = 0
        self._running: asyncio.Task[None] | None = None
        for name, runs in self._state.golden.items():
            self._compare(name, runs)

    def start(self, assigned: Assigned) -> None:
        """Start what is due, as soon as its share of the budget is committed."""
        if self._running is not None and not self._running.done():
            return
        now, settings = self._judging.clock(), self._settings
        loop = asyncio.get_running_loop()
        golden = bool(settings.golden) and now >= self._state.golden_due
        canaries = settings.attacks > 0 and now >= self._state.canaries_due
        if golden and assigned.funds.prepare(Purpose.GOLDEN):
            self._running = loop.create_task(self._judge_golden(assigned))
        elif canaries and not golden and assigned.funds.prepare(Purpose.CANARY):
            self._running = loop.create_task(self._judge_canaries(assigned))

    def messages(self) -> dict[bytes, bytes]:
        """Return the state to store, if it has changed since the last commit."""
        self._taken = self._changes
        return {TRUST: encode_trust(self._state)} if self.waiting else {}

    def mark_committed(self) -> None:
        """Remember that the state of the last `messages` is stored."""
        self._committed = self._taken

    @property
    def _most(self) -> int:
        """Calls at the same time: live samples keep most of the slots, and none waits for long."""
        return max(self._judging.settings.concurrency // 4, 1)

    @property
    def waiting(self) -> bool:
        """Whether the state waits for a commit."""
        return self._changes > self._committed

    def stop(self) -> None:
        """Cancel what is running; it is repeated when it is due again."""
        if self._running is not None:
            self._running.cancel()

    def _client(self, assigned: Assigned, purpose: Purpose) -> JudgeClient:
        judging = self._judging
        account = assigned.funds.account(purpose)
        metered = MeteredClient(judging.client, account, judging.prices, judging.meter)
        return RetryingClient(metered, judging.settings, judging.generator, self._slots)

    @property
    def down(self) -> list[str]:
        """The judges that did not answer, as far as this or an earlier process has reported it."""
        return self._state.down

    def report(self, events: Sequence[JudgeEvent], down: Sequence[str]) -> None:
        """Keep events until they are delivered, in this process or the next. down: see `down`."""
        if events or list(down) != self._state.down:
            self._state.events = [*self._state.events, *events][-MAX_EVENTS:]
            self._state.down = list(down)
            self._changes += 1

    def events_to_write(self) -> list[JudgeEvent]:
        """Return the events that were never written, or not delivered within a minute."""
        now, never = self._judging.clock(), float("-inf")
        due = [
            event
            for event in self._state.events
            if now - self._written.get(event.id, never) >= RESEND_SECONDS
        ]
        self._written |= {event.id: now for event in due}
        return due

    def mark_delivered(self, ids: Collection[str]) -> None:
        """Forget events that are in the events topic."""
        kept = [event for event in self._state.events if event.id not in ids]
        if len(kept) < len(self._state.events):
            self._state.events = kept
            self._changes += 1
        for each in ids:
            self._written.pop(each, None)

    async def _judge_golden(self, assigned: Assigned) -> None:
        """Judge the golden set by every evaluator, and compare it with the first run."""
        client = self._client(assigned, Purpose.GOLDEN)
        found, unscored = 0, Counter[str]()
        for name, evaluator in self._judging.tiers.pinned.items():
            scores, without = await _scores(evaluator, self._settings.golden, client, self._most)
            found += len(scores)
            unscored += without
            known = self._runs(name, evaluator.version)
            known.add(scores)
            before = self.results.shifts.get(name)
            self._compare(name, known)
            self._report_move(name, before)
        shifts = _means(self.results.shifts)
        log.info("golden set judged", scores=found, unscored=dict(unscored), shifts=shifts)
        _warn_of_budget(unscored[UnscoredReason.NO_BUDGET], Purpose.GOLDEN)
        pause = self._settings.golden_every if found else RETRY_SECONDS
        self._state.golden_due = self._judging.clock() + pause
        self._finish(assigned, Purpose.GOLDEN)

    def _runs(self, name: str, version: str) -> GoldenRuns:
        """Return the earlier runs of this set by this evaluator; none if either is another one."""
        content = _digest(self._settings.golden)
        known = self._state.golden.get(name)
        if known is None or known.version != version or known.content not in {"", content}:
            known = self._state.golden[name] = GoldenRuns(version)
        known.content = content
        return known

    def _compare(self, name: str, runs: GoldenRuns) -> None:
        found = shift(runs.earlier, runs.newest)
        if found is None:
            self.results.shifts.pop(name, None)
        else:
            self.results.shifts[name] = found

    def _report_move(self, name: str, before: Shift | None) -> None:
        """Add an event if the scores have moved since the run before."""
        found = self.results.shifts.get(name)
        if found is None or not found.moved or (before is not None and before.moved):
            return
        event = judge_event(
            self._settings.model,
            "changed",
            self._judging.clock(),
            name=name,
            mean=found.mean,
            lower=found.lower,
            upper=found.upper,
            items=found.items,
        )
        self.report([event], self._state.down)

    async def _judge_canaries(self, assigned: Assigned) -> None:
        """Judge the next attacks of the corpus."""
        settings, rubric = self._settings, canary_rubric(self._settings.rubrics)
        client = self._client(assigned, Purpose.CANARY)
        pause = settings.canaries_every
        if rubric is not None:
            chosen = next_attacks(attacks(), self._state.canary_runs, settings.attacks)
            result = await run_canaries(
                client, rubric, settings.model, chosen, self._random, self._most
            )
            _warn_of_budget(result.unpaid, Purpose.CANARY)
            if result.attacks:
                self.results.canaries = result
                self._state.canary_runs += 1
            else:
                pause = RETRY_SECONDS
            level = log.warning if result.succeeded else log.info
            level("canaries judged", attacks=result.attacks, succeeded=list(result.succeeded))
        self._state.canaries_due = self._judging.clock() + pause
        self._finish(assigned, Purpose.CANARY)

    def _finish(self, assigned: Assigned, purpose: Purpose) -> None:
        assigned.funds.close(purpose)
        self._changes += 1


async def _scores(
    evaluator: Evaluator, samples: Sequence[Sample], client: JudgeClient, most: int
) -> tuple[dict[str, float], Counter[str]]:
    """Return the scores by request id, and the number of items without one by reason.

    most: number of items that are judged at the same time.
    """
    free = asyncio.Semaphore(most)

    async def judge(sample: Sample) -> Evaluation:
        async with free:
            return await outcome(evaluator, sample, client)

    results = await asyncio.gather(*(judge(each) for each in samples if evaluator.applies(each)))
    scores = {each.request_id: each.score for each in results if each.score is not None}
    return scores, Counter(str(each.unscored) for each in results if each.score is None)


def _warn_of_budget(items: int, purpose: Purpose) -> None:
    """Log if some items were not judged because the share of a purpose is too small."""
    if items:
        setting = f"judges.budget.shares.{purpose}"
        log.warning("the budget does not cover the whole run", items=items, setting=setting)


def _digest(samples: Sequence[Sample]) -> str:
    """Return a hash of the content of a set."""
    return hashlib.sha256(msgspec.json.encode(samples, order="sorted")).hexdigest()[:16]


def _means(shifts: Mapping[str, Shift]) -> dict[str, float]:
    return {name: round(each.mean, 3) for name, each in shifts.items()}
