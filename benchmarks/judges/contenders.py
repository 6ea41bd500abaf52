"""The clients that are compared. Each sends the same calls and validates the answers strictly."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anthropic
from pydantic import BaseModel, Field, SecretStr

from judges.budget.caps import Caps, Purpose
from judges.budget.ledger import Ledger
from judges.budget.metered import LedgerAccount, Meter, MeteredClient
from judges.budget.prices import NANODOLLARS, Price, Prices
from judges.calls import Call
from judges.client.messages import MessagesClient
from judges.client.retrying import RetryingClient
from judges.client.settings import ClientSettings

KEY: Final = "sk-benchmark"
Ask = Callable[[], Awaitable[None]]


class Verdict(BaseModel, extra="forbid", strict=True):
    """The answer that the calls demand."""

    reasoning: str
    score: int = Field(ge=0, le=5)
    passed: bool


CALL: Final = Call(
    model="claude-haiku-4-5",
    instructions="Judge whether the answer helps its reader, in steps from 0 to 5. " * 70,
    data="The answer explains the setting and shows an example. " * 45,
    schema=Verdict.model_json_schema(),
    max_tokens=1024,
)


@asynccontextmanager
async def plumbline(url: str, concurrency: int) -> AsyncIterator[Ask]:
    """Yield the project's client: retries, deadline, prices, ledger, strict validation."""
    settings = ClientSettings(url, SecretStr(KEY), concurrency=concurrency)
    ledger = Ledger(Caps(dict.fromkeys(Purpose, 10_000 * NANODOLLARS)), 1)
    ledger.top_up(Purpose.LIVE, 10_000 * NANODOLLARS, time.time())
    ledger.snapshot()
    ledger.mark_committed()
    account = LedgerAccount(ledger, Purpose.LIVE, time.time)
    prices = Prices({CALL.model: Price(1.0, 5.0, 1.25, 2.0, 0.1)})
    metered = MeteredClient(MessagesClient(settings), account, prices, Meter())
    client = RetryingClient(metered, settings, random.Random(0))

    async def ask() -> None:
        answer = await client.ask(CALL)
        Verdict.model_validate_json(answer.text)

    try:
        yield ask
    finally:
        await client.close()


@asynccontextmanager
async def sdk(url: str, concurrency: int) -> AsyncIterator[Ask]:
    """Yield `messages.create` of the anthropic package with strict validation; no metering."""
    del concurrency  # its pool has a thousand connections
    async with anthropic.AsyncAnthropic(
        api_key=KEY, base_url=url, max_retries=0, open_telemetry=False
    ) as client:
        schema = anthropic.transform_schema(Verdict)

        async def ask() -> None:
            message = await client.messages.create(
                model=CALL.model,
                max_tokens=CALL.max_tokens,
                system=[
                    {
                        "type": "text",
                        "text": CALL.instructions,
                        "cache_control": {"type": "ephemeral", "ttl": "5m"},
                    }
                ],
                messages=[{"role": "user", "content": CALL.data}],
                output_config={"format": {"type": "json_schema", "schema": schema}},
            )
            (block,) = message.content
            assert isinstance(block, anthropic.types.TextBlock)
            Verdict.model_validate_json(block.text)

        yield ask


CONTENDERS: Final = {"plumbline": plumbline, "sdk_create": sdk}
