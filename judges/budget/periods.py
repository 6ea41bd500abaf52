"""Days and months of UTC, and what was spent in each of them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

FIRST: Final = (0, 0)
"""First day and month of a ledger that shares in all of them."""
_DAY_SECONDS: Final = 86_400


class Period(msgspec.Struct, array_like=True):
    """A day or a month.

    partitions: number of partitions that its cap is divided by; 0 if this one has no part in it.
    spent: nanodollars by purpose.
    """

    partitions: int
    spent: dict[str, int]


class Periods:
    """The newest periods by number.

    A period that has begun stays divided by the same number of partitions: those that were added
    since have no part in it.

    partitions: divides the caps of periods that have not begun.
    first: number of the first period in which this partition has a part.
    keep: number of periods to keep. The oldest are forgotten, and a clock that was ahead for a
        while leaves the others in place.
    """

    def __init__(self, partitions: int, first: int, keep: int) -> None:
        self.partitions = partitions
        self.first = first
        self.by_number: dict[int, Period] = {}
        self._keep = keep

    def at(self, number: int) -> Period:
        """Return a period, which begins now if it was not known."""
        period = self.by_number.get(number)
        if period is None:
            period = Period(self.partitions if number >= self.first else 0, {})
            self.by_number[number] = period
            if len(self.by_number) > self._keep:
                del self.by_number[min(self.by_number.keys() - {number})]
        return period

    def add(self, number: int, purpose: str, amount: int) -> None:
        """Add to the spending of a period. One that was forgotten has no cap to keep any more."""
        period = self.by_number.get(number)
        if period is not None and amount:
            period.spent[purpose] = period.spent.get(purpose, 0) + amount

    def copy(self) -> Periods:
        """Return an independent copy."""
        copy = Periods(self.partitions, self.first, self._keep)
        copy.by_number = {
            number: Period(period.partitions, dict(period.spent))
            for number, period in self.by_number.items()
        }
        return copy


def day_of(now: float) -> int:
    """Return the number of the day of UTC since the epoch."""
    return int(now // _DAY_SECONDS)


def month_of(now: float) -> int:
    """Return the number of the month of UTC since year 0."""
    return _month_of_day(day_of(now))


@lru_cache(maxsize=8)
def _month_of_day(day: int) -> int:
    date = datetime.fromtimestamp(day * _DAY_SECONDS, UTC)
    return 12 * date.year + date.month - 1
