"""Calls wait for money while other requests are open, and no cap is passed meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.budget.caps import Caps, Purpose
from judges.budget.ledger import Ledger
from judges.budget.metered import CappedAccount, LedgerAccount, Meter, MeteredClient
from judges.budget.prices import Price, Prices
from judges.budget.waiting import deadline
from judges.calls import Answer, Call, CallFailed, UnscoredReason, Usage
from judges.client.retrying import RetryingClient
from judges.client.settings import ClientSettings

NOW = 1_790_000_000.0
CALL = Call("haiku", "Judge.", "text", {"type": "object"}, 100)
PRICES = Prices({"haiku": Price(1.0, 5.0, 1.25, 2.0, 0.1)})
WORST = PRICES.worst_case(CALL)
PAID = PRICES.cost(CALL, Usage(40, 30))


class Provider:
    """A provider whose answers take some seconds. Implements JudgeClient."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.open = self.most_open = 0

    async def ask(self, call: Call) -> Answer:
        """Return an answer of the same usage."""
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.open -= 1
        return Answer("{}", Usage(40, 30), call.model)

    async def close(self) -> None:
        """Do nothing."""


def ledger_account(cap: int) -> LedgerAccount:
    """Return the account of a purpose, whose block is committed, as the golden set has it."""
    ledger = Ledger(Caps(dict.fromkeys(Purpose, cap)), 1, sole=True)
    ledger.top_up(Purpose.GOLDEN, cap, NOW)
    ledger.snapshot()
    ledger.mark_committed()
    return LedgerAccount(ledger, Purpose.GOLDEN, lambda: NOW)


def judged(
    account: CappedAccount | LedgerAccount,
    calls: int,
    *,
    seconds: float = 0.01,
    timeout: float = 60.0,
    slots: int = 16,
) -> tuple[Counter[str], Provider]:
    """Send calls at the same time, and count how they ended. seconds: that an answer takes."""
    provider = Provider(seconds)
    settings = ClientSettings("http://localhost", timeout_seconds=timeout, concurrency=slots)

    async def run() -> Counter[str]:
        metered = MeteredClient(provider, account, PRICES, Meter())
        client = RetryingClient(metered, settings, random.Random(1))
        found = await asyncio.gather(
            *(client.ask(CALL) for _ in range(calls)), return_exceptions=True
        )
        return Counter(
            str(each.reason) if isinstance(each, CallFailed) else type(each).__name__
            for each in found
        )

    return asyncio.run(run()), provider


@pytest.mark.parametrize("account_of", [CappedAccount, ledger_account])
def test_calls_that_the_budget_covers_one_after_another_are_all_answered(
    account_of: type[CappedAccount],
) -> None:
    """The cap covers two at their worst case, and sixty at what they cost."""
    found, provider = judged(account_of(2 * WORST + 60 * PAID), 60)
    assert found == {"Answer": 60}
    assert 1 < provider.most_open <= 16


def test_no_budget_is_final_when_nothing_is_open() -> None:
    """What is left does not cover a worst case: the rest of the calls ends without a request."""
    account = CappedAccount(WORST + 9 * PAID)
    found, provider = judged(account, 30)
    assert found == {"Answer": 10, UnscoredReason.NO_BUDGET: 20}
    assert account.spent == 10 * PAID
    assert provider.most_open == 1


def test_the_wait_for_money_counts_in_no_deadline() -> None:
    """Forty calls in turn take twice the deadline of one of them."""
    account = CappedAccount(WORST + 40 * PAID)
    found, _ = judged(account, 40, seconds=0.05, timeout=1.0, slots=2)
    assert found == {"Answer": 40}


def test_a_deadline_around_several_calls_stops_as_well() -> None:
    """Metrics of several calls have a deadline of their own."""
    account = CappedAccount(WORST + 60 * PAID)
    settings = ClientSettings("http://localhost", timeout_seconds=60.0)

    async def run() -> list[str]:
        metered = MeteredClient(Provider(0.05), account, PRICES, Meter())
        client = RetryingClient(metered, settings, random.Random(1))

        async def evaluate() -> str:
            async with deadline(1.0):
                await asyncio.gather(client.ask(CALL), client.ask(CALL))
            return "scored"

        return await asyncio.gather(*(evaluate() for _ in range(20)))

    assert asyncio.run(run()) == ["scored"] * 20


@given(
    room=st.integers(0, 40),
    costs=st.lists(st.integers(0, WORST), min_size=1, max_size=30),
    fails=st.integers(0, 2**30),
)
def test_every_call_ends_and_the_cap_holds(room: int, costs: list[int], fails: int) -> None:
    """Costs, failures and cancellations are random; a call never waits when nothing is open."""
    account = CappedAccount(room * WORST // 8)

    async def call(number: int, cost: int) -> str:
        while (draw := account.draw(WORST)) is None:
            settled = account.next_settlement()
            if settled is None:
                return "no_budget"
            await settled.wait()
        await asyncio.sleep(0)
        account.settle(draw, WORST if fails >> number & 1 else cost)
        return "answered"

    async def run() -> list[str]:
        return await asyncio.gather(*(call(i, cost) for i, cost in enumerate(costs)))

    found = asyncio.run(asyncio.wait_for(run(), 20))
    assert account.spent <= account.cap
    if "no_budget" in found:
        assert account.spent + WORST > account.cap
