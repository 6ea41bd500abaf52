"""Metered clients: every request is covered before it is sent, and paid for as it was charged."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from judges.budget.caps import Caps, Purpose
from judges.budget.ledger import Ledger
from judges.budget.metered import LedgerAccount, Meter, MeteredClient
from judges.budget.prices import Price, Prices
from judges.calls import Answer, Call, CallFailed, UnscoredReason
from judges.client.messages import MessagesClient
from judges.client.retrying import RetryingClient
from judges.client.settings import ClientSettings
from tests.judges import replies
from tests.judges.replies import Reply, message
from tests.judges.server import KEY, ModelServer, Received

NOW = 1_790_000_000.0
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
CALL = Call("haiku", "Judge.", "text", SCHEMA, 100)
PRICES = Prices({"haiku": Price(1.0, 5.0, 1.25, 2.0, 0.1)})
PAID = 40 * 1000 + 30 * 5000
WORST = PRICES.worst_case(CALL)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """Return a server."""
    with ModelServer() as server:
        yield server


class Setting:
    """A chain of clients with a ledger whose blocks are committed."""

    def __init__(self, server: ModelServer, cap: int, **changes: Any) -> None:
        self.ledger = Ledger(Caps(dict.fromkeys(Purpose, cap)), 1)
        self.meter = Meter()
        self.top_up(cap)
        limits: dict[str, Any] = {"timeout_seconds": 5.0, "backoff_seconds": 0.01} | changes
        self.settings = ClientSettings(server.url, SecretStr(KEY), **limits)

    def top_up(self, target: int) -> None:
        """Reserve and commit a block."""
        self.ledger.top_up(Purpose.LIVE, target, NOW)
        self.ledger.snapshot()
        self.ledger.mark_committed()

    def ask(self, calls: int = 1) -> list[Answer | BaseException]:
        """Send calls at the same time; return the answers and failures."""

        async def run() -> list[Answer | BaseException]:
            account = LedgerAccount(self.ledger, Purpose.LIVE, lambda: NOW)
            metered = MeteredClient(MessagesClient(self.settings), account, PRICES, self.meter)
            client = RetryingClient(metered, self.settings, random.Random(1))
            try:
                asked = (client.ask(CALL) for _ in range(calls))
                return await asyncio.gather(*asked, return_exceptions=True)
            finally:
                await client.close()

        return asyncio.run(run())

    @property
    def spent(self) -> int:
        """Nanodollars of the ledger."""
        return self.ledger.spent(Purpose.LIVE, NOW)


def test_an_answer_costs_its_usage(server: ModelServer) -> None:
    """The worst case is drawn, and what the request did not cost is returned."""
    setting = Setting(server, 10 * WORST)
    (answer,) = setting.ask()
    assert isinstance(answer, Answer)
    assert setting.spent == setting.meter.nanodollars["haiku"] == PAID
    assert setting.meter.requests == {("haiku", "answered"): 1}


@pytest.mark.parametrize(
    ("reply", "cost"),
    [
        (message(stop_reason="refusal"), PAID),
        (message(content=[]), PAID),
        (replies.error(400), 0),
        (replies.error(529), 0),
        (replies.error(500), 3 * WORST),
        (replies.html(), 3 * WORST),
        (message(fault="cut"), 3 * WORST),
    ],
)
def test_failed_requests_cost_what_may_be_charged(
    server: ModelServer, reply: Reply, cost: int
) -> None:
    """Invalid answers are paid, errors are free, and what is unknown counts fully, retries too."""
    server.respond = lambda request: reply
    setting = Setting(server, 10 * WORST)
    (failure,) = setting.ask()
    assert isinstance(failure, CallFailed)
    assert setting.spent == cost


def test_a_request_that_hangs_costs_its_worst_case(server: ModelServer) -> None:
    """The provider may have run it."""
    server.respond = lambda request: replies.hang()
    setting = Setting(server, 10 * WORST, timeout_seconds=0.2)
    (failure,) = setting.ask()
    assert isinstance(failure, CallFailed)
    assert failure.reason is UnscoredReason.TIMEOUT
    assert setting.spent == WORST
    assert setting.meter.requests == {("haiku", "timeout"): 1}


def test_nothing_is_sent_without_budget(server: ModelServer) -> None:
    """A request that the block does not cover is not sent, and costs nothing."""
    setting = Setting(server, WORST - 1)
    (failure,) = setting.ask()
    assert isinstance(failure, CallFailed)
    assert (failure.reason, failure.usage.requests) == (UnscoredReason.NO_BUDGET, 0)
    assert server.received == []
    assert setting.spent == 0
    assert setting.meter.requests == {("haiku", "no_budget"): 1}


def test_a_retry_needs_budget_of_its_own(server: ModelServer) -> None:
    """After one lost request the rest does not cover a second one."""
    server.respond = lambda request: replies.reset()
    setting = Setting(server, 2 * WORST - 1)
    (failure,) = setting.ask()
    assert isinstance(failure, CallFailed)
    assert failure.reason is UnscoredReason.NO_BUDGET
    assert failure.usage.unmetered == 1
    assert len(server.received) == 1


def test_a_model_without_a_price_is_not_called(server: ModelServer) -> None:
    """Its cost would be unknown."""
    setting = Setting(server, 10 * WORST)

    async def run() -> None:
        account = LedgerAccount(setting.ledger, Purpose.LIVE, lambda: NOW)
        client = MeteredClient(MessagesClient(setting.settings), account, Prices({}), setting.meter)
        with pytest.raises(CallFailed, match="no price") as caught:
            await client.ask(CALL)
        assert caught.value.fatal
        await client.close()

    asyncio.run(run())
    assert server.received == []


def test_no_concurrency_and_no_fault_passes_the_cap(server: ModelServer) -> None:
    """Of 300 calls at once each ends once, and what the server charged is within the cap."""
    generator = random.Random(5)
    charged: Counter[str] = Counter()
    faults = [
        replies.error(500),
        replies.error(529),
        replies.error(429, retry_after="86400"),
        replies.error(413),
        replies.html(),
        replies.raw(None),
        replies.reset(),
        message(fault="cut"),
        message(stop_reason="refusal"),
        message(stop_reason="max_tokens"),
        message(content=[]),
        replies.hang(),
    ]

    def respond(request: Received) -> Reply:
        charged["nanodollars"] += PAID  # every request that arrived, which is more than real
        return generator.choice([message()] * len(faults) + faults)

    server.respond = respond
    cap = 60 * WORST
    setting = Setting(server, cap, timeout_seconds=2.0, concurrency=32)
    results = setting.ask(300)
    assert len(results) == 300
    reasons = Counter(
        each.reason if isinstance(each, CallFailed) else type(each).__name__ for each in results
    )
    assert set(reasons) <= {"Answer", *UnscoredReason}
    assert reasons["Answer"] > 20
    assert reasons[UnscoredReason.NO_BUDGET] > 0
    assert charged["nanodollars"] <= cap
    assert setting.spent <= cap
    assert setting.ledger.overruns == 0
    used = sum(n for (_, outcome), n in setting.meter.requests.items() if outcome != "no_budget")
    assert used == len(server.received)
