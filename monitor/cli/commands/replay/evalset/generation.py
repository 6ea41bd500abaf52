"""Generation of items by the model of the judges, within the budget of the purpose `generation`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from judges.budget.caps import Purpose
from judges.budget.ledger_file import FileAccount
from judges.budget.prices import Prices
from judges.calls import Call, CallFailed, JudgeClient, UnscoredReason
from monitor.cli.commands.judge.connection import client_of, confirm, opened_account, usd
from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.roles import judge_setup
from replay.sets.item import Item
from replay.sets.sources.generation import (
    DIFFICULTIES,
    PER_CALL,
    Generated,
    GenerationStopped,
    generate,
    rephrase,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FAILURES: Final = 3
"""Calls without an answer in a row after which generation ends."""


class Writer:
    """Asks the model, one call after another. Implements `Ask` of replay."""

    def __init__(self, client: JudgeClient, model: str, runner: asyncio.Runner) -> None:
        self._client = client
        self._model = model
        self._runner = runner
        self._failures = 0

    def __call__(self, instructions: str, data: str, schema: Mapping[str, Any]) -> str:
        """Return the answer, "" if a call failed. Raises GenerationStopped."""
        call = Call(self._model, instructions, data, schema)
        try:
            answer = self._runner.run(self._client.ask(call))
        except CallFailed as failure:
            self._failures += 1
            spent = failure.reason is UnscoredReason.NO_BUDGET
            if spent:
                raise GenerationStopped("the budget for generation is spent") from None
            if failure.fatal or self._failures >= MAX_FAILURES:
                raise GenerationStopped(f"{failure.reason}: {failure.detail}") from None
            return ""
        self._failures = 0
        return answer.text


def generated(
    arguments: argparse.Namespace, config: Config, parents: Sequence[Item]
) -> tuple[Generated, float]:
    """Return generated items and rephrased variants, and their cost in dollars.

    Raises UserError if no model or price is configured, or the user does not confirm.
    """
    model = arguments.writer or config.judges.model
    if model is None:
        raise UserError("no model is configured; give --writer NAME, or set judges.model")
    prices = judge_setup.model_prices(config.judges)
    prices.require([model])
    difficulties = arguments.difficulty or DIFFICULTIES
    parts = len(arguments.generate) * len(difficulties)
    most = parts * (2 * arguments.count // PER_CALL + 1) * (1 + PER_CALL)
    rephrased = list(parents) if "rephrase" in arguments.variant else []
    most += 2 * len(rephrased)
    with opened_account(config, Purpose.GENERATION) as account:
        stop = f"this run stops at ${usd(account.cap):.4f}"
        print(f"At most {most:,} calls; {stop}.", file=sys.stderr)
        confirm(yes=arguments.yes)
        with _writer(config, model, prices, account) as ask:
            made = generate(ask, model, arguments.generate, difficulties, arguments.count)
            others = rephrase(ask, model, rephrased)
    both = Generated(
        made.items + others.items,
        made.rejected + others.rejected,
        made.stopped or others.stopped,
    )
    return both, usd(account.spent)


@contextmanager
def _writer(config: Config, model: str, prices: Prices, account: FileAccount) -> Iterator[Writer]:
    """Open the client of the provider, and close it."""

    async def opened() -> JudgeClient:
        slots = asyncio.Semaphore(config.judges.client.concurrency)
        return client_of(config, account, prices, slots)

    with asyncio.Runner() as runner:
        client = runner.run(opened())
        try:
            yield Writer(client, model, runner)
        finally:
            runner.run(client.close())
