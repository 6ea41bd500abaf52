"""Score the answers of a replay by a judge, within the budget of the purpose `replay`.

Each result is in the store before the chunk of its answer is: a run that was killed continues
without paying for it again. So is the money that a call may cost, before the call is made.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from judges.budget.metered import CappedAccount, Meter, MeteredClient
from judges.calls import UnscoredReason
from judges.client.retrying import RetryingClient
from judges.live.evaluator import CallThread
from judges.rubrics.rubric import HIGHEST
from monitor.events.evaluations import Evaluation
from monitor.records import Sample
from monitor.roles.replay_judge import ReplayJudge, sample_of
from monitor.roles.replay_lease import Hold
from replay.results import RunError
from replay.sets.item import Item
from replay.store import StoreError
from replay.store.costs import judging
from replay.store.costs.judging import JudgeScore, Reservation

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 0.5
"""Pause after which the lease and the deadline are looked at while calls are open."""
TRANSIENT: Final = frozenset(
    {UnscoredReason.TIMEOUT, UnscoredReason.UNAVAILABLE, UnscoredReason.NO_BUDGET}
)
"""Reasons that another attempt may not have, so they are not kept."""
DOWN_SHARE: Final = 0.5
"""Share of the calls that must fail for such a reason for the judge to be down."""
DOWN_CALLS: Final = 8
"""Calls after which that is decided, unless all of a chunk have ended."""


@dataclass(frozen=True, slots=True)
class _Done:
    """A call that has ended. failure: an exception instead. cost: in nanodollars."""

    key: str
    evaluation: Evaluation | None
    failure: BaseException | None
    cost: int


class _Calls:
    """Asks the judge, in a thread with an event loop."""

    def __init__(self, judge: ReplayJudge) -> None:
        self._judge = judge
        self._done = SimpleQueue[_Done]()
        self._tasks = set[asyncio.Task[None]]()
        self._thread = CallThread("replay-judge")
        self._client = self._thread.run(judge.connect)

    def start(self, calls: Sequence[tuple[str, Sample, int]]) -> None:
        """Start calls: key, what is judged, and the nanodollars that it may cost."""

        def start() -> None:
            for call in calls:
                task = asyncio.create_task(self._call(*call))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        self._thread.run(start)

    async def _call(self, key: str, sample: Sample, amount: int) -> None:
        judge, account = self._judge, CappedAccount(amount)
        metered = MeteredClient(self._client, account, judge.prices, Meter())
        client = RetryingClient(metered, judge.settings, random.Random())
        try:
            found = await judge.evaluator.evaluate(sample, client)
        except BaseException as error:
            self._done.put(_Done(key, None, error, account.spent))
            raise
        self._done.put(_Done(key, found, None, account.spent))

    def ended(self, seconds: float) -> list[_Done]:
        """Return the calls that have ended; wait for the first one, if none has."""
        found: list[_Done] = []
        with suppress(Empty):
            found.append(self._done.get(timeout=seconds))
            while True:
                found.append(self._done.get_nowait())
        return found

    def close(self) -> list[_Done]:
        """Cancel the open calls and close all connections; return what has ended."""
        self._thread.close(self._client.close)
        return self.ended(0.0)


class JudgeScorer:
    """Scores the answers of one run. Implements Scorer; close it at the end of the run.

    deadline: monotonic time at which the run ends.
    """

    def __init__(self, judge: ReplayJudge, hold: Hold, deadline: float) -> None:
        self._judge = judge
        self._hold = hold
        self._deadline = deadline
        self._calls: _Calls | None = None
        self._open: dict[str, Reservation] = {}

    def __call__(self, pairs: Sequence[tuple[Item, str]]) -> list[float | str]:
        """Return the scores, 0 to 1, or why there is none. Equal answers are judged once.

        Raises RunError: `budget` if the money of the day is used up, `judge_unavailable` if the
        judge does not answer, `deadline`; and as `Hold.check`.
        """
        version, model = self._judge.version, self._hold.run.model
        keys = [_key(version, item, response) for item, response in pairs]
        with self._hold.place.store.read() as connection:
            found = judging.find(connection, set(keys))
        samples = {
            key: sample_of(*pair, model)
            for key, pair in zip(keys, pairs, strict=True)
            if key not in found
        }
        if samples:
            found |= self._judge_all(samples)
        return [_value(found.get(key)) for key in keys]

    def close(self) -> None:
        """End open calls and give back the money that they have not used."""
        if self._calls is None:
            return
        done = self._calls.close()
        try:
            with self._hold.place.store.write() as connection:
                self._settle(connection, done)
        except StoreError as error:
            log.warning("money of judges not given back", error=str(error))

    def _judge_all(self, samples: Mapping[str, Sample]) -> dict[str, JudgeScore]:
        """Return the results by key. All but those that may be repeated are in the store then."""
        if self._calls is None:
            self._calls = _Calls(self._judge)
        waiting, found = deque(samples.items()), dict[str, JudgeScore]()
        while waiting or self._open:
            self._start(self._calls, waiting)
            done = self._calls.ended(POLL_SECONDS)
            if done:
                found |= self._keep(done)
                _check_judge(found, ended=not waiting and not self._open)
            if not self._hold.go_on():
                self._hold.check()
                break  # it was cancelled, and the rest has no score
            if time.monotonic() > self._deadline:
                raise RunError("deadline", "the judge had not scored all answers at the deadline")
        return found

    def _start(self, calls: _Calls, waiting: deque[tuple[str, Sample]]) -> None:
        """Start calls for which there is a slot and money; the store has it as spent before."""
        free = self._judge.settings.concurrency - len(self._open)
        wanted = [waiting.popleft() for _ in range(min(free, len(waiting)))]
        if not wanted:
            return
        judge = self._judge
        worst = [judge.evaluator.worst_case(sample, judge.prices) for _, sample in wanted]
        reserved = self._hold.write(partial(self._reserve, worst))
        waiting.extendleft(reversed(wanted[len(reserved) :]))
        started = list(zip(wanted, reserved, strict=False))
        self._open |= {key: money for (key, _), money in started}
        if started:
            calls.start([(*each, money.amount) for each, money in started])
        elif not self._open:
            raise RunError(
                "budget",
                "the money of the day, or month, for scoring replays is used up: the share"
                " judges.budget.shares.replay",
            )

    def _reserve(self, worst: Sequence[int], connection: Connection) -> list[Reservation]:
        """Reserve money for as many calls as the caps cover."""
        now, found = self._hold.place.clock(), list[Reservation]()
        for amount in worst:
            money = judging.reserve(connection, amount, self._judge.caps, now)
            if money is None:
                break
            found.append(money)
        return found

    def _keep(self, done: Sequence[_Done]) -> dict[str, JudgeScore]:
        """Store results and costs in one transaction; return the results."""
        found = {each.key: _score(each) for each in done}
        final = {key: score for key, score in found.items() if score.unscored not in TRANSIENT}

        def store(connection: Connection) -> None:
            self._settle(connection, done)
            judging.keep(connection, self._hold.run.id, final, self._hold.place.clock())

        self._hold.write(store)
        for each in done:
            del self._open[each.key]
        place = self._hold.place
        with place.metrics.lock:
            place.counts.judge_nanodollars += sum(each.cost for each in done)
        return found

    def _settle(self, connection: Connection, done: Sequence[_Done]) -> None:
        for each in done:
            judging.settle(connection, self._open[each.key], each.cost)


def _key(version: str, item: Item, response: str) -> str:
    """Return the hash of a result: of the judge, the item and the answer."""
    content = msgspec.json.encode((version, item.id, response))
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _score(done: _Done) -> JudgeScore:
    """Return the result of a call. Raises what the call has raised."""
    if done.evaluation is None:
        raise done.failure or RuntimeError("a call of the judge was ended")
    found = done.evaluation
    if found.unscored:
        return JudgeScore(None, found.unscored, done.cost)
    return JudgeScore((found.score or 0.0) / HIGHEST, "", done.cost)


def _value(found: JudgeScore | None) -> float | str:
    if found is None:
        return "cancelled"
    return found.unscored if found.score is None else found.score


def _check_judge(found: Mapping[str, JudgeScore], *, ended: bool) -> None:
    """Raise RunError if most calls had no answer: then the judge is down, not the model worse."""
    reasons = Counter(each.unscored for each in found.values() if each.unscored in TRANSIENT)
    enough = ended or len(found) >= DOWN_CALLS
    if enough and reasons.total() > DOWN_SHARE * len(found):
        named = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        detail = f"{reasons.total()} of {len(found)} calls of the judge had no answer: {named}"
        raise RunError("judge_unavailable", detail)
