"""The client, the prices and the cap of `plumbline judge`, from the configuration."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import TYPE_CHECKING

from judges.budget.caps import Purpose
from judges.budget.metered import CappedAccount, Meter, MeteredClient
from judges.budget.prices import NANODOLLARS, Prices
from judges.calls import JudgeClient
from judges.client.retrying import RetryingClient
from monitor.cli.commands.judge.journal import Journal
from monitor.errors import UserError
from monitor.roles import judge_setup

if TYPE_CHECKING:
    from monitor.config.schema import Config


def cap_of(config: Config, purpose: Purpose) -> int:
    """Return what one run may cost, in nanodollars: the daily share of its purpose."""
    return judge_setup.budget_caps(config.judges).day[purpose]


def account_of(config: Config, journal: Journal, purpose: Purpose) -> CappedAccount:
    """Return the account of a run. What earlier runs spent today counts in it."""
    left = cap_of(config, purpose) - journal.spent(journal.today(), purpose)
    return CappedAccount(max(left, 0))


def confirm(*, yes: bool) -> None:
    """Ask before money is spent, unless `yes`. Raises UserError if it must not start."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("this costs money; start it with --yes")
    print("Start? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UserError("not started")


def client_of(
    config: Config, account: CappedAccount, prices: Prices, slots: asyncio.Semaphore
) -> JudgeClient:
    """Return the client of the configured provider, metered by an account.

    Raises UserError if the provider needs a key and none is configured.
    """
    settings = judge_setup.client_settings(config.judges)
    client = judge_setup.open_client(config.judges, settings)
    metered = MeteredClient(client, account, prices, Meter())
    return RetryingClient(metered, settings, random.Random(), slots)


def usd(nanodollars: int) -> float:
    """Return dollars."""
    return nanodollars / NANODOLLARS
