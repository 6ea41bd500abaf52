"""The schedule: one run in each interval by any number of processes, paid from its own shares."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from judges.budget.caps import Purpose, divide_caps
from judges.budget.metered import Meter
from judges.budget.prices import NANODOLLARS, Price, Prices
from judges.calls import Answer, Call, CallFailed, UnscoredReason, Usage
from judges.client.settings import ClientSettings
from judges.live.evaluator import CallThread
from judges.live.rubric_evaluator import RubricEvaluator
from judges.live.worker import Assigned, Judging, Tiers, Worker
from judges.rubrics import loading
from judges.trust.schedule import (
    MAX_EVENTS,
    RESEND_SECONDS,
    RETRY_SECONDS,
    Trust,
    TrustSettings,
)
from judges.trust.state import TRUST, decode_trust
from monitor.events.findings.judges import JudgeEvent, judge_event
from monitor.records import Inclusion, Sample

RUBRIC = loading.load("answer_quality")
DAY = 86_400.0
PRICE = Price(1.0, 1.0, 1.0, 1.0, 1.0)


def item(number: int, answer: str) -> Sample:
    """Return a record of the golden set."""
    inclusion = Inclusion(False, 0.0)
    return Sample(str(number), 1.0, "m", inclusion, prompt="A question?", response=answer)


@dataclass
class Bench:
    """A schedule with a judge whose score can be changed, and committed state."""

    score: int | None = 3
    usd: float = 100.0
    attacks: int = 0
    items: int = 12
    answer: str = "An answer."
    now: float = 10 * DAY
    asked: int = 0
    state: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.thread = CallThread("test")
        shares = {Purpose.GOLDEN: 0.1, Purpose.CANARY: 0.1}
        self.judging = Judging(
            Tiers({"judge.answer_quality": RubricEvaluator(RUBRIC, "j", random.Random(1))}),
            self,
            ClientSettings("http://127.0.0.1:1", retries=0),
            Prices({"j": PRICE}),
            divide_caps(self.usd, None, shares),
            Meter(),
            lambda: self.now,
            random.Random(2),
        )
        self.begin()

    async def ask(self, call: Call) -> Answer:
        """Answer with the score for every dimension, a little different for each question."""
        self.asked += 1
        if self.score is None:
            raise CallFailed(UnscoredReason.UNAVAILABLE, "down")
        scores = {each.name: self.score for each in RUBRIC.dimensions}
        verdict = {"reasoning": "r", "scores": scores, "strengths": [], "weaknesses": []}
        return Answer(json.dumps(verdict), Usage(input_tokens=10, output_tokens=10), "j")

    async def close(self) -> None:
        """Do nothing."""

    def begin(self) -> None:
        """Assign partition 0 to a new process."""
        settings = TrustSettings(
            golden=[item(i, self.answer) for i in range(self.items)],
            attacks=self.attacks,
            rubrics=(RUBRIC,),
            model="j",
        )
        self.worker = self.thread.run(lambda: Worker(self.judging))
        self.assigned: Assigned = self.thread.run(
            lambda: self.worker.assign(0, self.state, 1, sole=True)
        )
        self.trust = Trust(settings, self.judging, self.worker.slots, self.state, random.Random(3))
        self.assigned.scheduled = self.trust

    def commit(self) -> bool:
        """Commit what waits; return whether there was anything."""
        mine = {0: self.assigned}
        commits = self.thread.run(lambda: self.worker.commits(mine))
        for commit in commits.values():
            self.state |= {k: v for k, v in commit.messages.items() if v is not None}
        self.thread.run(lambda: self.worker.mark_committed(mine, commits))
        return bool(commits)

    def run(self) -> int:
        """Start what is due until nothing happens any more; return the number of calls."""
        before, quiet = self.asked, 0
        while quiet < 4:
            seen = self.asked
            self.thread.run(lambda: self.trust.start(self.assigned))
            self.thread.wait(asyncio.sleep(0.01), 5)
            committed = self.commit()
            quiet = 0 if self.asked > seen or committed else quiet + 1
        return self.asked - before


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench with a golden set."""
    made = Bench()
    yield made
    made.thread.close()


def test_the_set_is_judged_once_in_each_interval(bench: Bench) -> None:
    """A new process does not repeat it; the next day it is due again."""
    assert bench.run() == 12
    assert bench.run() == 0
    bench.begin()
    assert bench.run() == 0
    bench.now += DAY + 1
    assert bench.run() == 12


def test_a_changed_judge_is_found_and_survives_a_restart(bench: Bench) -> None:
    """The first run is the baseline; a new process still knows the shift."""
    bench.run()
    bench.now += DAY + 1
    bench.score = 4
    bench.run()
    for _ in range(2):
        found = bench.trust.results.shifts["judge.answer_quality"]
        assert found.mean == pytest.approx(1.0)
        assert found.moved
        bench.begin()


def test_items_without_a_first_score_begin_their_baseline_later(bench: Bench) -> None:
    """A judge that is down at the first run, or a set that is longer today, prevents nothing."""
    bench.score = None
    bench.run()
    bench.now += RETRY_SECONDS + 1
    bench.score = 4
    bench.run()
    assert bench.trust.results.shifts == {}, "a run is not compared with itself"
    bench.begin()
    assert bench.trust.results.shifts == {}
    bench.now += DAY + 1
    bench.score = 1
    bench.run()
    assert bench.trust.results.shifts["judge.answer_quality"].mean == pytest.approx(-3.0)
    assert [each.change for each in events(bench)] == ["changed"]


def test_a_set_is_judged_whole_although_its_worst_cases_do_not_fit_at_once() -> None:
    """Calls wait for money that open ones hold; what the day does not cover is logged."""
    made = Bench(usd=0.3, items=40)
    try:
        made.run()
        assert len(decode_trust(made.state[TRUST]).golden["judge.answer_quality"].newest) == 40
        assert made.trust.results.shifts == {}
    finally:
        made.thread.close()


def test_another_set_begins_a_new_baseline(bench: Bench) -> None:
    """The shift of the set before is not that of the new one, although the ids are the same."""
    bench.run()
    bench.now += DAY + 1
    bench.run()
    assert bench.trust.results.shifts["judge.answer_quality"].mean == 0
    bench.answer = "Another answer."
    bench.begin()
    bench.now += DAY + 1
    bench.score = 1
    bench.run()
    assert bench.trust.results.shifts == {}
    assert events(bench) == []


def events(bench: Bench) -> list[JudgeEvent]:
    """Return the events that are due, and mark them as delivered."""
    found = bench.trust.events_to_write()
    bench.trust.mark_delivered([each.id for each in found])
    bench.commit()
    return found


def test_a_changed_judge_is_an_event_once(bench: Bench) -> None:
    """With the numbers; a set that stays where it has moved to, also in a new process, is none."""
    bench.run()
    assert events(bench) == []
    bench.score = 4
    for number in range(3):
        bench.now += DAY + 1
        bench.run()
        if number == 0:
            (event,) = events(bench)
            assert (event.judge, event.change, event.items) == ("j", "changed", 12)
            assert event.name == "judge.answer_quality"
            assert event.mean == pytest.approx(1.0)
        assert events(bench) == []
        bench.begin()
    bench.score = 3
    bench.now += DAY + 1
    bench.run()
    bench.score = 1
    bench.now += DAY + 1
    bench.run()
    assert [event.mean for event in events(bench)] == [pytest.approx(-2.0)]


def test_an_event_is_written_again_until_it_is_delivered(bench: Bench) -> None:
    """Also by the next process, if this one ends between its commit and the delivery."""
    bench.run()
    bench.score = 4
    bench.now += DAY + 1
    bench.run()
    [event] = bench.trust.events_to_write()
    assert bench.trust.events_to_write() == [], "it is being delivered"
    bench.now += RESEND_SECONDS
    assert bench.trust.events_to_write() == [event]
    bench.begin()  # the process ends; its state was committed
    assert bench.trust.events_to_write() == [event]
    bench.trust.mark_delivered(["another"])
    bench.begin()
    assert events(bench) == [event]
    bench.begin()
    assert bench.trust.events_to_write() == []


def test_state_of_an_aborted_transaction_is_written_by_the_next(bench: Bench) -> None:
    """Otherwise a set would be paid again, and an event lost, after the end of the process."""
    bench.run()
    bench.now += DAY + 1
    bench.trust.report([judge_event("j", "down", bench.now)], ["j"])
    mine = {0: bench.assigned}
    aborted = bench.thread.run(lambda: bench.worker.commits(mine))
    assert TRUST in aborted[0].messages
    assert bench.assigned.needs_commit
    assert bench.commit()
    assert decode_trust(bench.state[TRUST]).down == ["j"]
    assert not bench.assigned.needs_commit


def test_a_judge_that_was_down_is_known_to_the_next_process(bench: Bench) -> None:
    """So that its recovery is reported; events that nobody takes are bounded."""
    down = judge_event("j", "down", bench.now, calls=10, failed=10)
    bench.trust.report([down], ["j"])
    assert bench.commit()
    bench.begin()
    assert (bench.trust.down, bench.trust.events_to_write()) == (["j"], [down])
    bench.trust.report([], ["j"])
    bench.trust.report([], [])
    assert bench.commit()
    bench.begin()
    assert bench.trust.down == []
    many = [judge_event(str(i), "down", bench.now) for i in range(MAX_EVENTS + 5)]
    bench.trust.report(many, [])
    assert bench.trust.events_to_write() == many[-MAX_EVENTS:]


def test_an_unchanged_judge_has_no_shift(bench: Bench) -> None:
    """The same scores twice."""
    bench.run()
    bench.now += DAY + 1
    bench.run()
    assert not bench.trust.results.shifts["judge.answer_quality"].moved


def test_a_judge_that_is_down_is_tried_again_soon(bench: Bench) -> None:
    """A run without scores is neither a baseline nor a shift."""
    bench.score = None
    assert bench.run() == 12
    assert bench.trust.results.shifts == {}
    bench.now += RETRY_SECONDS + 1
    bench.score = 3
    assert bench.run() == 12
    bench.now += RETRY_SECONDS + 1
    assert bench.run() == 0


def test_the_set_is_paid_from_its_share(bench: Bench) -> None:
    """Live samples keep theirs, and the rest of the share is released."""
    bench.run()
    ledger = bench.assigned.funds.ledger
    assert ledger.spent(Purpose.GOLDEN, bench.now) == 12 * 20 * 1000
    assert ledger.spent(Purpose.LIVE, bench.now) == 0
    left = ledger.remaining(Purpose.GOLDEN, bench.now)
    assert left == 10 * NANODOLLARS - 12 * 20 * 1000


def test_without_money_nothing_is_judged() -> None:
    """The share does not cover a call: no request, no baseline."""
    bench = Bench(usd=1e-6)
    assert bench.run() == 0
    assert bench.trust.results.shifts == {}
    bench.thread.close()


def test_canaries_are_judged_in_turn() -> None:
    """Each run takes the next attacks; those that pass are reported."""
    bench = Bench(score=5, attacks=5, items=0)
    assert bench.run() == 5
    found = bench.trust.results.canaries
    assert found is not None
    assert len(found.succeeded) == found.attacks == 5
    bench.now += DAY + 1
    bench.score = 0
    assert bench.run() == 5
    again = bench.trust.results.canaries
    assert again is not None
    assert again.succeeded == ()
    bench.thread.close()
