"""The worker: every sample ends scored or unscored by name, and no cap is passed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from judges.budget.caps import Purpose, divide_caps
from judges.budget.metered import Meter
from judges.budget.prices import NANODOLLARS, Price, Prices
from judges.calls import Answer, Call, CallFailed, JudgeClient, UnscoredReason, Usage
from judges.client.settings import ClientSettings
from judges.live.evaluator import CallThread
from judges.live.funds import Funds
from judges.live.partition import Commit
from judges.live.worker import Assigned, Judging, Tiers, Worker, unscored
from monitor.events.evaluations import Evaluation
from monitor.records import Inclusion, Sample

NOON = 43_200.0
CONCURRENCY = 8
PRICE = Price(1000.0, 1000.0, 1000.0, 1000.0, 1000.0)
"""A dollar per thousand tokens."""
CALL = Call("judge", "rubric", "text", {}, max_tokens=100)
COST = Usage(input_tokens=1000)


@dataclass
class Provider:
    """A client whose answers take some milliseconds, in any order."""

    failure: UnscoredReason | None = None
    asked: int = 0

    async def ask(self, call: Call) -> Answer:
        """Answer after a while, or fail."""
        self.asked += 1
        await asyncio.sleep(random.Random(self.asked).random() / 200)
        if self.failure is not None:
            raise CallFailed(self.failure, "as told")
        return Answer("4", COST, "judge")

    async def close(self) -> None:
        """Do nothing."""


@dataclass
class Slow(Provider):
    """A client whose answers take a tenth of a second. most: open calls at the same time."""

    open: int = 0
    most: int = 0

    async def ask(self, call: Call) -> Answer:
        """Answer after a while."""
        self.asked += 1
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0.1)
        self.open -= 1
        return Answer("4", COST, "judge")


@dataclass(frozen=True)
class Scorer:
    """An evaluator of one call."""

    name: str = "judge.a"
    version: str = "1"
    broken: bool = False
    broken_at_once: bool = False

    def applies(self, sample: Sample) -> bool:
        """Return whether the sample has a response."""
        if self.broken_at_once:
            raise OverflowError("a defect")
        return sample.response is not None

    def worst_case(self, sample: Sample, prices: Prices) -> int:
        """Return the bound of one call."""
        return prices.worst_case(CALL)

    async def evaluate(self, sample: Sample, client: JudgeClient) -> Evaluation:
        """Return the number that the judge answers."""
        if self.broken:
            raise RuntimeError("a defect")
        try:
            answer = await client.ask(CALL)
        except CallFailed as error:
            return unscored(self, sample, error.reason)
        return Evaluation(
            name=self.name,
            request_id=sample.request_id,
            model=sample.model,
            time=sample.timestamp,
            score=float(answer.text),
        )


def sample(request_id: str, inclusion: Inclusion | None = None) -> Sample:
    """Return a sample."""
    return Sample(request_id, 1.0, "m", inclusion or Inclusion(True, 0.5), response="text")


@dataclass
class Bench:
    """A worker with one partition, and the commits of its transactions."""

    usd: float = 1e6
    timeout_seconds: float = 60.0
    provider: Provider = field(default_factory=Provider)
    evaluators: tuple[Scorer, ...] = (Scorer(),)
    critical: Scorer | None = None
    boosted: float = 0.0
    now: float = NOON
    meter: Meter = field(default_factory=Meter)
    done: list[Evaluation] = field(default_factory=list)
    state: dict[bytes, bytes] = field(default_factory=dict)
    offset: int = 0

    def __post_init__(self) -> None:
        self.thread = CallThread("test")
        shares = {Purpose.CRITICAL: 0.25, Purpose.BOOSTED: self.boosted}
        caps = divide_caps(self.usd, None, shares)
        tiers = Tiers(
            {each.name: each for each in self.evaluators},
            {} if self.critical is None else {self.critical.name: self.critical},
            critical_reasons=frozenset({"alarm"}),
        )
        settings = ClientSettings(
            "http://127.0.0.1:1",
            concurrency=CONCURRENCY,
            retries=0,
            timeout_seconds=self.timeout_seconds,
        )
        judging = Judging(
            tiers,
            self.provider,
            settings,
            Prices({"judge": PRICE}),
            caps,
            self.meter,
            lambda: self.now,
            random.Random(1),
        )
        self.worker = self.thread.run(lambda: Worker(judging))
        self.begin()

    def begin(self) -> None:
        """Assign the partition in its stored state."""
        self.assigned: Assigned = self.thread.run(
            lambda: self.worker.assign(self.offset, self.state, 1, added=False)
        )

    def add(self, *samples: Sample | None) -> None:
        """Add samples at the next offsets."""
        first = self.assigned.samples.offset
        numbered = list(enumerate(samples, first))
        self.thread.run(lambda: self.worker.add(self.assigned, numbered))

    def commit(self) -> None:
        """Commit a transaction."""
        commits: dict[int, Commit] = self.thread.run(
            lambda: self.worker.commits({0: self.assigned})
        )
        for commit in commits.values():
            for pending in commit.finished:
                self.done += pending.evaluations
            for key, value in commit.messages.items():
                if value is None:
                    self.state.pop(key, None)
                else:
                    self.state[key] = value
            self.offset = commit.offset
        self.thread.run(lambda: self.worker.mark_committed({0: self.assigned}, commits))

    def run(self, until: int) -> None:
        """Commit until so many messages are finished."""
        for _ in range(2_000):
            self.commit()
            if self.offset >= until:
                return
            self.thread.wait(asyncio.sleep(0.005), 5)
        raise AssertionError(f"{self.offset} of {until} messages are finished")

    @property
    def spent(self) -> float:
        """Dollars that the provider charged."""
        return self.meter.nanodollars["judge"] / NANODOLLARS


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    """Benches to be closed."""
    opened: list[Bench] = []
    yield opened
    for bench in opened:
        bench.thread.close()


def test_every_sample_is_scored_in_order(benches: list[Bench]) -> None:
    """Samples of two evaluators end in any order and are committed in theirs."""
    bench = Bench(evaluators=(Scorer(), Scorer("judge.b")))
    benches.append(bench)
    bench.add(*(sample(str(i)) for i in range(100)), None, sample("5"))
    bench.run(102)
    assert [each.request_id for each in bench.done[::2]] == [str(i) for i in range(100)]
    assert {each.name for each in bench.done} == {"judge.a", "judge.b"}
    assert bench.worker.outcomes == {"judged": 100, "unreadable": 1, "repeated": 1}
    assert sum(each.cost_usd for each in bench.done) == pytest.approx(bench.spent)
    assert bench.provider.asked == 200


def test_an_evaluator_that_does_not_apply_is_left_out(benches: list[Bench]) -> None:
    """A sample to which nothing applies is finished at once."""
    bench = Bench()
    benches.append(bench)
    bench.add(Sample("1", 1.0, "m", Inclusion(True, 1.0)))
    bench.run(1)
    assert bench.done == []


@pytest.mark.parametrize("reason", list(UnscoredReason))
def test_a_failure_is_a_result(benches: list[Bench], reason: UnscoredReason) -> None:
    """Whatever a call fails with, its sample is unscored by this name."""
    bench = Bench(provider=Provider(failure=reason))
    benches.append(bench)
    bench.add(*(sample(str(i)) for i in range(5)))
    bench.run(5)
    assert [each.unscored for each in bench.done] == [str(reason)] * 5


def test_a_defect_of_an_evaluator_is_a_result(benches: list[Bench]) -> None:
    """An exception leaves the sample unscored, and the next one is judged."""
    bench = Bench(evaluators=(Scorer("judge.a", broken=True), Scorer("judge.b")))
    benches.append(bench)
    bench.add(sample("1"), sample("2"))
    bench.run(2)
    assert [each.unscored for each in bench.done if each.name == "judge.a"] == ["unavailable"] * 2
    assert [each.score for each in bench.done if each.name == "judge.b"] == [4.0] * 2


@pytest.mark.parametrize("usd", [10.0, 60.0, 150.0])
def test_what_the_budget_does_not_cover_is_unscored(benches: list[Bench], usd: float) -> None:
    """The cap is never passed, is used but for a last block, and the rest has `no_budget`."""
    bench = Bench(usd)
    benches.append(bench)
    bench.add(*(sample(str(i)) for i in range(200)))
    bench.run(200)
    scored = [each for each in bench.done if each.score is not None]
    assert {each.unscored for each in bench.done if each.score is None} == {"no_budget"}
    assert bench.spent == pytest.approx(len(scored))  # a dollar each
    live = 0.75 * usd
    assert bench.spent <= live
    worst = Prices({"judge": PRICE}).worst_case(CALL) / NANODOLLARS
    # at noon, half of the day's cap and an hour ahead may be spent
    assert bench.spent >= live * (0.5 + 1 / 24) - 2 * worst


@pytest.mark.parametrize(("usd", "warnings"), [(0.01, 1), (60.0, 0)])
def test_a_budget_below_one_evaluation_is_logged_once(
    benches: list[Bench], usd: float, warnings: int
) -> None:
    """Otherwise every sample would be `no_budget` without a reason in the log."""
    bench = Bench(usd)
    benches.append(bench)
    with capture_logs() as logs:
        bench.add(*(sample(str(i)) for i in range(3)))
    assert [each["setting"] for each in logs] == ["judges.budget.usd_per_day"] * warnings
    bench.run(3)
    assert len(bench.done) == 3


def test_critical_samples_have_a_reserve(benches: list[Bench]) -> None:
    """When the live budget is spent, boosted samples of open alarms are still judged."""
    bench = Bench(60.0)
    benches.append(bench)
    bench.add(*(sample(str(i)) for i in range(100)))
    bench.run(100)
    bench.done.clear()
    bench.add(
        sample("alarm", Inclusion(False, 0.5, ("alarm",))),
        sample("error", Inclusion(False, 0.5, ("error",))),
    )
    bench.run(102)
    assert [each.score for each in bench.done] == [4.0, None]


def test_a_crash_pays_no_committed_result_again(benches: list[Bench]) -> None:
    """A new process reads from the committed offset; journalled results are used."""
    bench = Bench()
    benches.append(bench)
    for first in range(0, 200, 20):
        bench.add(*(sample(str(i)) for i in range(bench.assigned.samples.offset, first + 20)))
        bench.thread.wait(asyncio.sleep(0.004), 5)
        bench.commit()
        bench.thread.run(lambda: bench.worker.release([bench.assigned]))
        bench.begin()  # whatever was in flight is lost
    bench.add(*(sample(str(i)) for i in range(bench.assigned.samples.offset, 200)))
    bench.run(200)
    assert sorted(int(each.request_id) for each in bench.done) == list(range(200))
    # at each crash, at most what was in flight or has ended since the commit is paid again
    assert bench.provider.asked - 200 <= 10 * 2 * CONCURRENCY


def test_a_backlog_does_not_time_out(benches: list[Bench]) -> None:
    """Samples wait for a slot before their deadline begins, so a slow judge scores all of them."""
    provider = Slow()
    bench = Bench(provider=provider, timeout_seconds=0.5)
    benches.append(bench)
    bench.add(*(sample(str(i)) for i in range(20 * CONCURRENCY)))
    bench.run(20 * CONCURRENCY)
    assert {each.score for each in bench.done} == {4.0}
    assert provider.most == CONCURRENCY


def test_partitions_take_turns(benches: list[Bench]) -> None:
    """A backlog of one partition does not keep the samples of another one waiting."""
    bench = Bench(provider=Slow())
    benches.append(bench)
    other = bench.thread.run(lambda: bench.worker.assign(0, {}, 1, added=False))
    bench.add(*(sample(str(i)) for i in range(50 * CONCURRENCY)))
    bench.commit()
    few = [(i, sample(f"other {i}")) for i in range(CONCURRENCY)]
    bench.thread.run(lambda: bench.worker.add(other, few))
    both = {0: bench.assigned, 1: other}

    def commit() -> bool:
        commits = bench.worker.commits(both)
        bench.worker.mark_committed(both, commits)
        return 1 in commits and commits[1].offset == CONCURRENCY

    while not bench.thread.run(commit):
        bench.thread.wait(asyncio.sleep(0.005), 5)
    assert bench.assigned.samples.in_flight > 30 * CONCURRENCY


def test_no_sample_starts_before_a_release(benches: list[Bench]) -> None:
    """Before a hand-over, only the calls that have started are waited for."""
    bench = Bench(provider=Slow())
    benches.append(bench)
    bench.add(*(sample(str(i)) for i in range(50 * CONCURRENCY)))
    bench.commit()
    bench.thread.run(lambda: bench.worker.finish_started([bench.assigned]))
    while bench.assigned.running:
        bench.thread.wait(asyncio.sleep(0.005), 5)
    assert bench.provider.asked == CONCURRENCY


def test_release_leaves_nothing_reserved(benches: list[Bench]) -> None:
    """After a hand-over, the next owner has all that was not spent."""
    bench = Bench(1000.0)
    benches.append(bench)
    bench.add(*(sample(str(i)) for i in range(20)))
    bench.run(20)
    bench.thread.run(lambda: bench.worker.release([bench.assigned]))
    commits = bench.thread.run(lambda: bench.worker.commits({0: bench.assigned}))
    bench.state |= {key: value for key, value in commits[0].messages.items() if value is not None}
    bench.begin()
    remaining = bench.assigned.funds.ledger.remaining(Purpose.LIVE, NOON) / NANODOLLARS
    assert remaining == pytest.approx(750.0 - 20.0)


def test_a_defect_before_the_evaluation_is_a_result(benches: list[Bench]) -> None:
    """An evaluator that fails when it is asked whether it applies ends nothing but its sample."""
    broken = Scorer("judge.b", broken=True, broken_at_once=True)
    bench = Bench(evaluators=(Scorer(), broken))
    benches.append(bench)
    bench.add(sample("1"), sample("2"))
    bench.run(2)
    found = Counter((each.name, each.unscored) for each in bench.done)
    assert found == {("judge.a", ""): 2, ("judge.b", "unavailable"): 2}


def test_boosted_samples_take_nothing_from_the_uniform_ones(benches: list[Bench]) -> None:
    """Twenty errors for each uniform sample: these are judged, the others within their share."""
    bench = Bench(500.0, boosted=0.25)
    benches.append(bench)
    for minute in range(14):
        bench.now = NOON + 60 * minute
        errors = [sample(f"e{minute}-{i}", Inclusion(False, 0.1, ("error",))) for i in range(20)]
        bench.add(sample(f"u{minute}"), *errors)
        bench.run((minute + 1) * 21)
    scored = Counter(each.request_id[0] for each in bench.done if each.score is not None)
    assert scored["u"] == 14
    assert 100 < scored["e"] <= 125


def test_critical_samples_are_judged_as_others_when_their_reserve_is_spent(
    benches: list[Bench],
) -> None:
    """The best judge while it fits, otherwise the pinned one."""
    bench = Bench(60.0, boosted=0.25, critical=Scorer("judge.best"))
    benches.append(bench)
    for number in range(40):
        bench.add(sample(str(number), Inclusion(False, 0.5, ("alarm",))))
        bench.run(number + 1)
    names = Counter(each.name for each in bench.done if each.score is not None)
    assert min(names["judge.best"], names["judge.a"]) >= 10


def test_a_critical_sample_that_pacing_drops_is_judged(benches: list[Bench]) -> None:
    """As a boosted one: it enters no statistic."""
    bench = Bench(4000.0, critical=Scorer("judge.best"))
    benches.append(bench)
    for piece in range(12):
        bench.now = NOON + 900 * piece
        first = bench.assigned.samples.offset
        uniform = Inclusion(True, 0.5, ("alarm",))
        bench.add(*(sample(f"{piece}-{i}", uniform) for i in range(200)))
        bench.run(first + 200)
    assert bench.worker.outcomes["paced"] == 0
    best = [each for each in bench.done if each.name == "judge.best"]
    assert len(best) > 200
    assert not any(each.uniform for each in best)


def test_paced_samples_carry_their_probability(benches: list[Bench]) -> None:
    """When the budget would be spent early, fewer uniform samples are kept, with the product."""
    bench = Bench(4000.0)
    benches.append(bench)
    for piece in range(12):
        bench.now = NOON + 900 * piece
        first = bench.assigned.samples.offset
        bench.add(*(sample(f"{piece}-{i}") for i in range(200)))
        bench.run(first + 200)
    assert bench.worker.outcomes["paced"] > 200
    factors = {each.probability for each in bench.done if each.score is not None}
    assert factors  # recorded in the evaluation of the sample
    assert bench.spent <= 3000.0


def test_the_cap_is_kept_when_partitions_are_added(benches: list[Bench]) -> None:
    """From the next day on, the old and the added partitions have the cap together, not more."""
    bench = Bench(100.0)
    benches.append(bench)
    caps = divide_caps(100.0, None, {Purpose.CRITICAL: 0.25})
    added = Funds(caps, 2, lambda: bench.now, {}, added=True).ledger
    old = bench.assigned.funds.ledger
    assert old.remaining(Purpose.LIVE, NOON) == 75 * NANODOLLARS  # this day has begun
    bench.thread.run(lambda: bench.worker.repartition([bench.assigned], 2))
    for day, whole in ((0, 75), (1, 75), (2, 75)):
        now = NOON + day * 86_400
        parts = old.remaining(Purpose.LIVE, now) + added.remaining(Purpose.LIVE, now)
        assert parts == whole * NANODOLLARS, day
