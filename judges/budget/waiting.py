"""Waiting for money: a call waits until an open request is settled, and its deadlines stop.

A request is drawn at its worst case, several times of what it costs. One that does not fit while
others are open may fit when they are settled, so it waits, without a slot and without the wait
counting in a deadline. If nothing is open, the budget does not cover it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar

from judges.calls import CallFailed, UnscoredReason


class OpenDraws:
    """The draws of an account that are not settled. Used from one event loop."""

    def __init__(self) -> None:
        self._open = 0
        self._settled = asyncio.Event()

    def opened(self) -> None:
        """Count a draw."""
        self._open += 1

    def ended(self) -> None:
        """Remove a draw that is settled, and wake the calls that wait for it."""
        self._open -= 1
        self._settled.set()
        self._settled = asyncio.Event()

    def next_settlement(self) -> asyncio.Event | None:
        """Return the event of the next settlement; None if no draw is open."""
        return self._settled if self._open else None


class Postponed(CallFailed):
    """The budget does not cover a request while others are open. settled: one of them has ended."""

    def __init__(self, settled: asyncio.Event) -> None:
        super().__init__(
            UnscoredReason.NO_BUDGET, "the budget does not cover the request beside open ones"
        )
        self.settled = settled


class Deadline:
    """A deadline that stops while calls within it wait for money."""

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self._timeout = timeout
        self._waiting = 0
        self._left = 0.0

    def left(self) -> float:
        """Return the seconds until the deadline."""
        when = self._timeout.when()
        return self._left if when is None else when - asyncio.get_running_loop().time()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the deadline meanwhile. Calls may wait at the same time."""
        if not self._waiting:
            self._left = self.left()
            self._reschedule(None)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._reschedule(asyncio.get_running_loop().time() + self._left)

    def _reschedule(self, when: float | None) -> None:
        with suppress(RuntimeError):  # it has passed or ended already
            self._timeout.reschedule(when)


_DEADLINES: ContextVar[tuple[Deadline, ...]] = ContextVar("_DEADLINES", default=())
"""The deadlines of the current call, the outermost first."""


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[Deadline]:
    """Raise TimeoutError if the block takes longer, without the time in `wait_for_money`."""
    async with asyncio.timeout(seconds) as timeout:
        found = Deadline(timeout)
        token = _DEADLINES.set((*_DEADLINES.get(), found))
        try:
            yield found
        finally:
            _DEADLINES.reset(token)


async def wait_for_money(postponed: Postponed) -> None:
    """Wait until a request is settled. All deadlines of the call stop meanwhile."""
    with ExitStack() as stopped:
        for each in _DEADLINES.get():
            stopped.enter_context(each.stopped())
        await postponed.settled.wait()
