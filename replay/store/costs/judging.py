"""What judges have scored for replays, and what they may cost: by day and month, for all workers.

Money is reserved before a call, in the transaction that also checks the caps, and the rest is given
back when the cost is known. What a process had reserved when it was killed stays spent: it may have
been. So the caps hold for any number of workers and through any crash.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select, update

from monitor.database.inserting import insert_new
from replay.store.database.tables import JUDGE_SCORES, JUDGE_SPENDING

_MOST_KEYS: Final = 500
"""Keys in one query: SQLite allows some 32,000 parameters."""


class JudgeCaps(msgspec.Struct, frozen=True):
    """What judges may cost, in nanodollars. month: None without a limit."""

    day: int
    month: int | None = None


class Reservation(msgspec.Struct, frozen=True):
    """Nanodollars that are reserved for a call, in the day and month of the reservation."""

    amount: int
    day: str
    month: str


class JudgeScore(msgspec.Struct, frozen=True):
    """What a judge said about an answer: a score from 0 to 1, or why there is none.

    nanodollars: cost of the calls.
    """

    score: float | None
    unscored: str = ""
    nanodollars: int = 0


def reserve(connection: Connection, amount: int, caps: JudgeCaps, at: float) -> Reservation | None:
    """Reserve nanodollars; None, and nothing is changed, if the caps do not cover them."""
    when = datetime.fromtimestamp(at, UTC)
    found = Reservation(amount, f"{when:%Y-%m-%d}", f"{when:%Y-%m}")
    periods = [{"period": each, "nanodollars": 0} for each in (found.month, found.day)]
    insert_new(connection, JUDGE_SPENDING, periods)
    # the month first, always: two transactions that lock both rows must not wait for each other
    if not _add(connection, found.month, amount, caps.month):
        return None
    if not _add(connection, found.day, amount, caps.day):
        _add(connection, found.month, -amount, None)
        return None
    return found


def settle(connection: Connection, reservation: Reservation, cost: int) -> None:
    """Replace a reservation by what the calls have cost."""
    for period in (reservation.month, reservation.day):
        _add(connection, period, cost - reservation.amount, None)


def _add(connection: Connection, period: str, amount: int, cap: int | None) -> bool:
    """Add to a period unless it would be above its cap; return whether it was added.

    One statement checks and adds, so that two transactions cannot both use the last of a cap.
    """
    spent = JUDGE_SPENDING.c.nanodollars
    change = update(JUDGE_SPENDING).where(JUDGE_SPENDING.c.period == period)
    if cap is not None:
        change = change.where(spent + amount <= cap)
    return bool(connection.execute(change.values(nanodollars=spent + amount)).rowcount)


def spent(connection: Connection, at: float) -> tuple[int, int]:
    """Return what was spent or is reserved on the day, and in the month, of a time."""
    when = datetime.fromtimestamp(at, UTC)
    rows = connection.execute(select(JUDGE_SPENDING)).all()
    known = {row.period: row.nanodollars for row in rows}
    return known.get(f"{when:%Y-%m-%d}", 0), known.get(f"{when:%Y-%m}", 0)


def find(connection: Connection, keys: Collection[str]) -> dict[str, JudgeScore]:
    """Return what is known of answers, by key."""
    wanted, found = list(keys), dict[str, JudgeScore]()
    for start in range(0, len(wanted), _MOST_KEYS):
        part = wanted[start : start + _MOST_KEYS]
        for row in connection.execute(select(JUDGE_SCORES).where(JUDGE_SCORES.c.key.in_(part))):
            found[row.key] = JudgeScore(row.score, row.unscored, row.nanodollars)
    return found


def keep(connection: Connection, run: str, scores: Mapping[str, JudgeScore], at: float) -> None:
    """Store what judges said, by key. What is known already stays as it is."""
    rows = [
        {"key": key, "run": run, "created_at": at, **msgspec.structs.asdict(score)}
        for key, score in scores.items()
    ]
    insert_new(connection, JUDGE_SCORES, rows)


def cost_of(connection: Connection, run: str) -> int:
    """Return the nanodollars of the scores that a run has paid for."""
    total = select(func.coalesce(func.sum(JUDGE_SCORES.c.nanodollars), 0))
    return int(connection.execute(total.where(JUDGE_SCORES.c.run == run)).scalar_one())
