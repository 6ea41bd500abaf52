"""Retries, the deadline and the concurrency limit of calls."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from typing import Final

from judges.budget.waiting import Deadline, Postponed, deadline, wait_for_money
from judges.calls import Answer, Call, CallFailed, JudgeClient, UnscoredReason, Usage
from judges.client.failures import TransientFailure
from judges.client.settings import ClientSettings

_FIRST_BACKOFF_SECONDS: Final = 0.5


@dataclass
class _Progress:
    """The requests of a call so far: the usage of the finished ones, and whether one is open."""

    usage: Usage = field(default_factory=lambda: Usage(requests=0))
    open: bool = False

    def charged(self) -> Usage:
        return self.usage + (Usage(unmetered=1) if self.open else Usage(requests=0))


class RetryingClient:
    """Repeats requests of a client that failed for a while. Implements JudgeClient.

    The deadline of a call includes all requests, the pauses between them, and the wait for a free
    slot; it also ends a response that arrives a byte at a time. No slot is held during a pause.
    While the budget covers a request only after others are settled, the call waits without a slot,
    and its deadline stops.

    client: sends one request per call.
    generator: source of the random part of a pause, so that clients do not retry in step.
    slots: limits the requests of several RetryingClients together; by default
        `settings.concurrency` for this one.
    """

    def __init__(
        self,
        client: JudgeClient,
        settings: ClientSettings,
        generator: random.Random,
        slots: asyncio.Semaphore | None = None,
    ) -> None:
        self._client = client
        self._settings = settings
        self._generator = generator
        self._slots = slots or asyncio.Semaphore(settings.concurrency)

    async def ask(self, call: Call) -> Answer:
        """Return the answer, whose usage includes failed requests. Raises CallFailed."""
        progress = _Progress()
        seconds = self._settings.timeout_seconds
        try:
            async with deadline(seconds) as limit:
                return await self._repeat(call, progress, limit)
        except TimeoutError:
            detail = f"no answer within {seconds:g} s"
            raise CallFailed(UnscoredReason.TIMEOUT, detail, progress.charged()) from None

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def _repeat(self, call: Call, progress: _Progress, limit: Deadline) -> Answer:
        """Send requests until one is answered, fails for good, or no retry is left."""
        for retry in range(self._settings.retries + 1):
            try:
                answer = await self._send(call, progress)
            except TransientFailure as failure:
                progress.usage += failure.usage
                pause = self._pause(retry, failure.retry_after)
                if retry == self._settings.retries or pause >= limit.left():
                    raise CallFailed(failure.reason, failure.detail, progress.usage) from None
                await asyncio.sleep(pause)
            except CallFailed as failure:
                usage = progress.usage + failure.usage
                raise CallFailed(
                    failure.reason, failure.detail, usage, fatal=failure.fatal
                ) from None
            else:
                return replace(answer, usage=progress.usage + answer.usage)
        raise AssertionError("unreachable: the last retry returns or raises")

    async def _send(self, call: Call, progress: _Progress) -> Answer:
        """Send one request, as soon as there is money for it."""
        while True:
            try:
                return await self._try_to_send(call, progress)
            except Postponed as postponed:
                await wait_for_money(postponed)

    async def _try_to_send(self, call: Call, progress: _Progress) -> Answer:
        async with self._slots:
            progress.open = True
            try:
                answer = await self._client.ask(call)
            except CallFailed:
                progress.open = False
                raise
            progress.open = False
            return answer

    def _pause(self, retry: int, retry_after: float | None) -> float:
        """Return the seconds before a retry: doubled each time, or as requested, but capped."""
        longest = self._settings.backoff_seconds
        wanted = max(_FIRST_BACKOFF_SECONDS * 2.0**retry, retry_after or 0.0)
        share = self._generator.uniform(0.5, 1.0)
        return min(wanted, longest) * share
