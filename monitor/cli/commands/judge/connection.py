"""The client and the account of `plumbline judge`, from the configuration."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from judges.budget.caps import Purpose
from judges.budget.ledger_file import FileAccount, LedgerFile
from judges.budget.metered import Meter, MeteredClient
from judges.budget.prices import NANODOLLARS, Prices
from judges.calls import JudgeClient
from judges.client.retrying import RetryingClient
from monitor.errors import UserError
from monitor.roles import judge_setup

if TYPE_CHECKING:
    from monitor.config.schema import Config


def ledger_of(config: Config) -> LedgerFile:
    """Return the ledger that all commands of this user share for the configured provider.

    Raises UserError if there is no folder for it.
    """
    client = config.judges.client
    address = f"{client.provider} {client.url.rstrip('/')}"
    payee = hashlib.blake2b(address.encode(), digest_size=8).hexdigest()
    return LedgerFile(
        _state_folder() / f"judge-budget-{payee}.ledger", judge_setup.budget_caps(config.judges)
    )


def _state_folder() -> Path:
    """Return the folder for the state of programs, as the XDG base directories say."""
    given = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(given):  # others are to be ignored
        return Path(given) / "plumbline"
    try:
        return Path.home() / ".local" / "state" / "plumbline"
    except RuntimeError:
        raise UserError("the ledger of the budget has no folder; set XDG_STATE_HOME") from None


@contextmanager
def opened_account(config: Config, purpose: Purpose) -> Iterator[FileAccount]:
    """Yield the account of a command, and give back at its end what is left.

    An error of the user within a group of tasks is raised by itself.
    """
    account = FileAccount(ledger_of(config), purpose)
    try:
        yield account
    except BaseExceptionGroup as group:
        error: BaseException | None = group.subgroup(UserError)
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error or group from None
    finally:
        try:
            account.close()
        except UserError as failure:  # the results are worth more
            print(f"{failure}; what was reserved and not used counts as spent", file=sys.stderr)


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
    config: Config, account: FileAccount, prices: Prices, slots: asyncio.Semaphore
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
