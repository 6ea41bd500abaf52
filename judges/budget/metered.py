"""A client that pays for each request from a budget."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from judges.budget.caps import Purpose
from judges.budget.ledger import Draw, Ledger
from judges.budget.prices import Prices
from judges.budget.waiting import OpenDraws, Postponed
from judges.calls import Answer, Call, CallFailed, JudgeClient, UnscoredReason, Usage


class Account(Protocol):
    """What requests are paid from. A draw is of a type of its own, and is not None."""

    def draw(self, amount: int) -> Any | None:
        """Take nanodollars for one request; None if they are not available."""
        ...

    def settle(self, draw: Any, cost: int) -> None:
        """Replace a draw by the cost of its request."""
        ...

    def next_settlement(self) -> asyncio.Event | None:
        """Return the event of the next settlement; None if there is none to wait for."""
        ...


class LedgerAccount(OpenDraws):
    """The blocks of one purpose in a ledger. Implements Account.

    Requests of other accounts of the same ledger are not waited for. clock: returns epoch seconds.
    """

    def __init__(self, ledger: Ledger, purpose: Purpose, clock: Callable[[], float]) -> None:
        super().__init__()
        self._ledger = ledger
        self._purpose = purpose
        self._clock = clock

    def draw(self, amount: int) -> Draw | None:
        """Take nanodollars from the committed blocks of the purpose."""
        draw = self._ledger.draw(self._purpose, amount, self._clock())
        if draw is not None:
            self.opened()
        return draw

    def settle(self, draw: Draw, cost: int) -> None:
        """Replace a draw by the cost of its request."""
        self._ledger.settle(draw, cost)
        self.ended()


class CappedAccount(OpenDraws):
    """An account of its own, which never spends more than its cap, in nanodollars.

    Implements Account.
    """

    def __init__(self, cap: int) -> None:
        super().__init__()
        self.cap = cap
        self.spent = 0
        self._reserved = 0

    def draw(self, amount: int) -> CappedDraw | None:
        """Reserve nanodollars for a request; None if the cap does not cover them."""
        if self.spent + self._reserved + amount > self.cap:
            return None
        self._reserved += amount
        self.opened()
        return CappedDraw(amount)

    def settle(self, draw: CappedDraw, cost: int) -> None:
        """Replace a reservation by the cost of its request."""
        self._reserved -= draw.amount
        self.spent += cost
        self.ended()


@dataclass(frozen=True, slots=True)
class CappedDraw:
    """A reservation of nanodollars."""

    amount: int


@dataclass(slots=True)
class Meter:
    """Counters of requests. Judges are named by their model, which the configuration bounds.

    requests: by (judge, outcome); the outcome is `answered` or a reason of UnscoredReason.
    nanodollars: by judge; requests of unknown usage count at their worst case.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    nanodollars: Counter[str] = field(default_factory=Counter)


class MeteredClient:
    """Draws the worst case of each request before it is sent. Implements JudgeClient.

    It stands between the client of the provider and `RetryingClient`, so that each retry is paid
    for by itself. A request that is cancelled is charged at its worst case: the provider may
    have run it.
    """

    def __init__(self, client: JudgeClient, account: Account, prices: Prices, meter: Meter) -> None:
        self._client = client
        self._account = account
        self._prices = prices
        self._meter = meter

    async def ask(self, call: Call) -> Answer:
        """Return the answer. Raises CallFailed, with `no_budget` if the request is not covered.

        Raises Postponed if it may be covered when another request is settled.
        """
        draw = self._draw(call)
        try:
            answer = await self._client.ask(call)
        except CallFailed as failure:
            self._settle(call, draw, failure.usage, failure.reason)
            raise
        except BaseException:
            self._settle(call, draw, Usage(unmetered=1), UnscoredReason.TIMEOUT)
            raise
        self._settle(call, draw, answer.usage, "answered")
        return answer

    async def close(self) -> None:
        """Close the client of the provider."""
        await self._client.close()

    def _draw(self, call: Call) -> Any:
        if not self._prices.has(call.model):
            self._meter.requests[call.model, UnscoredReason.NO_BUDGET] += 1
            raise CallFailed(UnscoredReason.NO_BUDGET, "the model has no price", fatal=True)
        draw = self._account.draw(self._prices.worst_case(call))
        if draw is None:
            settled = self._account.next_settlement()
            if settled is not None:
                raise Postponed(settled)
            self._meter.requests[call.model, UnscoredReason.NO_BUDGET] += 1
            raise CallFailed(UnscoredReason.NO_BUDGET, "the budget does not cover the request")
        return draw

    def _settle(self, call: Call, draw: Any, usage: Usage, outcome: str) -> None:
        # A usage that is not known costs what was drawn.
        cost = self._prices.cost(call, usage)
        self._account.settle(draw, cost)
        self._meter.requests[call.model, str(outcome)] += 1
        self._meter.nanodollars[call.model] += cost
