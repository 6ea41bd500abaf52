"""No sequence of crashes, restarts, processes and partitions passes a cap of a day or month."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from judges.budget.caps import Caps, Purpose
from judges.budget.ledger import Draw, Ledger
from judges.budget.periods import day_of, month_of

PURPOSES = (Purpose.LIVE, Purpose.GOLDEN)
START = datetime(2026, 10, 30, 20, tzinfo=UTC).timestamp()
INDEX = st.integers(0, 10**6)
MOST_PARTITIONS = 12


@dataclass
class _Request:
    """A request in progress: who pays for it, and how it was drawn."""

    ledger: Ledger
    draw: Draw
    purpose: Purpose
    began: float


@dataclass
class _Spending:
    """The true spending, open requests at their worst case."""

    by_day: Counter[tuple[int, Purpose]] = field(default_factory=Counter)
    by_month: Counter[tuple[int, Purpose]] = field(default_factory=Counter)

    def add(self, purpose: Purpose, began: float, amount: int) -> None:
        """Add an amount at the time at which its request began."""
        self.by_day[day_of(began), purpose] += amount
        self.by_month[month_of(began), purpose] += amount


class BudgetMachine(RuleBasedStateMachine):
    """Partitions with stored states, their processes, and processes that were replaced."""

    @initialize(day=st.integers(0, 600), month=st.integers(0, 1500), partitions=st.integers(1, 4))
    def begin(self, day: int, month: int, partitions: int) -> None:
        """Create the partitions, each with its first stored state."""
        caps = {Purpose.LIVE: day, Purpose.GOLDEN: day // 5}
        months = {Purpose.LIVE: month, Purpose.GOLDEN: month // 5}
        self.caps = Caps(caps, months)
        self.now = START
        self.partitions = self.initial = partitions
        self.owners = [Ledger(self.caps, partitions, sole=i == 0) for i in range(partitions)]
        self.stored = [ledger.snapshot() for ledger in self.owners]
        self.replaced: list[Ledger] = []
        self.requests: list[_Request] = []
        self.spending = _Spending()

    @rule(at=INDEX, purpose=st.sampled_from(PURPOSES), wanted=st.integers(1, 600))
    def top_up(self, at: int, purpose: Purpose, wanted: int) -> None:
        """A process reserves a block."""
        self.owners[at % self.partitions].top_up(purpose, wanted, self.now)

    @rule(at=INDEX)
    def commit(self, at: int) -> None:
        """A process stores its state."""
        at %= self.partitions
        self.stored[at] = self.owners[at].snapshot()
        self.owners[at].mark_committed()

    @rule(at=INDEX)
    def fail_to_commit(self, at: int) -> None:
        """The transaction is aborted and the process continues."""
        self.owners[at % self.partitions].snapshot()

    @rule(at=INDEX, stored=st.booleans())
    def crash(self, at: int, stored: bool) -> None:
        """A process is replaced, before or after its last transaction; it may still run."""
        at %= self.partitions
        if stored:
            self.stored[at] = self.owners[at].snapshot()
            # The old process may learn of the commit before it learns that it was replaced.
            self.owners[at].mark_committed()
        self.replaced.append(self.owners[at])
        self.owners[at] = Ledger.restored(self.caps, self.partitions, self.stored[at], sole=at == 0)

    @rule(at=INDEX)
    def stop(self, at: int) -> None:
        """A process stops in order, and another one takes over."""
        at %= self.partitions
        self.owners[at].close()
        self.stored[at] = self.owners[at].snapshot()
        self.replaced.append(self.owners[at])
        self.owners[at] = Ledger.restored(self.caps, self.partitions, self.stored[at], sole=at == 0)

    @rule(at=INDEX, purpose=st.sampled_from(PURPOSES), worst=st.integers(1, 300))
    def draw(self, at: int, purpose: Purpose, worst: int) -> None:
        """A process sends a request, whether it has been replaced or not."""
        ledgers = self.owners + self.replaced[-5:]
        ledger = ledgers[at % len(ledgers)]
        draw = ledger.draw(purpose, worst, self.now)
        if draw is not None:
            self.requests.append(_Request(ledger, draw, purpose, self.now))
            self.spending.add(purpose, self.now, worst)

    @rule(at=INDEX, share=st.floats(0, 1))
    def settle(self, at: int, share: float) -> None:
        """A request ends, at any cost up to its worst case."""
        if self.requests:
            request = self.requests.pop(at % len(self.requests))
            cost = int(request.draw.amount * share)
            request.ledger.settle(request.draw, cost)
            self.spending.add(request.purpose, request.began, cost - request.draw.amount)

    @rule(hours=st.sampled_from([0.01, 1, 5, 12, 24, 24 * 10]))
    def wait(self, hours: float) -> None:
        """Time passes."""
        self.now += hours * 3600

    @rule(more=st.integers(1, 3))
    def add_partitions(self, more: int) -> None:
        """The topic gets more partitions, and all processes learn of it."""
        total = min(self.partitions + more, MOST_PARTITIONS)
        for ledger in self.owners:
            ledger.repartition(total)
        added = [Ledger.added(self.caps, total, self.now) for _ in range(total - self.partitions)]
        self.owners += added
        self.stored += [ledger.snapshot() for ledger in added]
        self.partitions = total

    @invariant()
    def no_cap_is_passed(self) -> None:
        """The true spending of every day and month is within its cap."""
        if not hasattr(self, "spending"):
            return
        for (_, purpose), spent in self.spending.by_day.items():
            assert spent <= self.caps.day[purpose]
        assert self.caps.month is not None
        for (_, purpose), spent in self.spending.by_month.items():
            assert spent <= self.caps.month[purpose]

    @invariant()
    def reported_spending_is_not_less_than_the_true_one(self) -> None:
        """What the ledgers report as remaining and the true spending fit into the cap."""
        if not hasattr(self, "spending"):
            return
        today = day_of(self.now)
        for purpose in PURPOSES:
            remaining = sum(ledger.remaining(purpose, self.now) for ledger in self.owners)
            spent = self.spending.by_day[today, purpose]
            assert remaining + spent <= self.caps.day[purpose]

    def teardown(self) -> None:
        """After all requests have ended, an orderly stop leaves nothing reserved."""
        if not hasattr(self, "spending"):
            return
        for request in self.requests:
            request.ledger.settle(request.draw, 0)
        for at, ledger in enumerate(self.owners):
            ledger.close()
            spent = ledger.spent(Purpose.LIVE, self.now)
            cap = ledger.cap(Purpose.LIVE, self.now)
            remaining = ledger.remaining(Purpose.LIVE, self.now)
            assert self.caps.month is not None
            never_binds = self.caps.month[Purpose.LIVE] >= 60 * self.caps.day[Purpose.LIVE]
            if never_binds and ledger in self.owners[: self.initial]:
                assert remaining == max(cap - spent, 0)
            fresh = Ledger.restored(self.caps, self.partitions, ledger.snapshot(), sole=at == 0)
            assert fresh.remaining(Purpose.LIVE, self.now) == remaining


TestNeverAboveTheCap = BudgetMachine.TestCase
TestNeverAboveTheCap.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None, derandomize=True
)
