"""The ledger of one partition of the samples topic: what its judges may spend, and have spent.

The cap is divided evenly among the partitions, so ledgers need no communication; what only the
owner of partition 0 spends is not divided. A call is paid from a **block**: an amount that is
counted as spent in the stored state before any call is made from it. A process that is killed loses
at most the blocks that it had open; it never spends twice.

1. `top_up` reserves a block.
2. The caller stores `snapshot()`, together with its offsets and fenced by its consumer group, and
   then calls `mark_committed()`.
3. `draw` takes the worst case of a request from the block, `settle` returns what it did not cost.
4. `close` ends the blocks of a purpose; what is left is available again.

Days and months are those of UTC. A block is spent on the day on which it was reserved, so a call
that ends after midnight is charged to the day on which it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from judges.budget.caps import OF_ONE_PARTITION, Caps, Purpose
from judges.budget.periods import FIRST, Period, Periods, day_of, month_of
from judges.budget.snapshots import VERSION, LedgerState, decode_state, encode_state

_JOIN_MARGIN_SECONDS: Final = 3600.0
"""A partition that was added joins a period that begins at least this much later: by then all
processes know the new number of partitions."""


@dataclass(slots=True)
class _Block:
    """An amount that was reserved on a day. drawn: for requests that have not ended."""

    purpose: Purpose
    day: int
    month: int
    amount: int
    spent: int = 0
    drawn: int = 0
    committed: bool = False
    closed: bool = False

    @property
    def left(self) -> int:
        return 0 if self.closed else max(self.amount - self.spent - self.drawn, 0)

    @property
    def held(self) -> int:
        """What the block counts for: all of it until it is closed, at least what was spent."""
        used = self.spent + self.drawn
        return used if self.closed else max(self.amount, used)


@dataclass(slots=True)
class Draw:
    """The amount that covers one request, until it is settled."""

    amount: int
    _block: _Block = field(repr=False)
    _settled: bool = False


class Ledger:
    """Spending of one partition. Not thread-safe: used from one event loop.

    caps: of all partitions together.
    partitions: the number of partitions of the samples topic.
    sole: whether it is that of partition 0, which alone has the caps of OF_ONE_PARTITION.
    overruns: requests that cost more than their worst case, which prices or bounds explain.
    """

    def __init__(
        self, caps: Caps, partitions: int, first: tuple[int, int] = FIRST, *, sole: bool = False
    ) -> None:
        self._caps = caps
        self._sole = sole
        self._days = Periods(partitions, first[0], keep=4)
        self._months = Periods(partitions, first[1], keep=3)
        self._blocks: list[_Block] = []
        self._in_snapshot: list[_Block] = []
        self.overruns = 0

    @classmethod
    def added(cls, caps: Caps, partitions: int, now: float) -> Ledger:
        """Return the ledger of a partition that has none while other partitions have one.

        Their ledgers divide the caps of this day and month without it, so it spends nothing before
        the next day and, if there is a monthly cap, the next month. now: epoch seconds.
        """
        joined = now + _JOIN_MARGIN_SECONDS
        return cls(caps, partitions, (day_of(joined) + 1, month_of(joined) + 1))

    @classmethod
    def restored(
        cls, caps: Caps, partitions: int, snapshot: bytes, *, sole: bool = False
    ) -> Ledger:
        """Return the ledger of a stored state. Blocks that it had open count as spent.

        Periods that have begun stay divided by the number of partitions that they began with.
        Raises ValueError if the state is not one of this version.
        """
        state = decode_state(snapshot)
        ledger = cls(caps, partitions, (state.first_day, state.first_month), sole=sole)
        ledger._days.by_number = state.days
        ledger._months.by_number = state.months
        return ledger

    def repartition(self, partitions: int) -> None:
        """Set the number of partitions for the periods that begin from now on."""
        self._days.partitions = self._months.partitions = partitions

    def snapshot(self) -> bytes:
        """Return the state to store, in which all blocks are spent."""
        self._retire()
        self._in_snapshot = [block for block in self._blocks if not block.closed]
        days, months = self._days.copy(), self._months.copy()
        for block in self._blocks:
            days.add(block.day, block.purpose, block.held)
            months.add(block.month, block.purpose, block.held)
        return encode_state(
            LedgerState(VERSION, days.first, months.first, days.by_number, months.by_number)
        )

    def mark_committed(self) -> None:
        """Allow calls from the blocks of the last snapshot, which is stored now.

        Older blocks of the same purpose are closed, so that what is left of them is not lost.
        """
        for block in self._in_snapshot:
            block.committed = True
        newest: dict[Purpose, _Block] = {b.purpose: b for b in self._blocks if b.committed}
        for block in self._blocks:
            if block.committed and newest[block.purpose] is not block:
                block.closed = True
        self._in_snapshot = []
        self._retire()

    def top_up(self, purpose: Purpose, target: int, now: float, limit: int | None = None) -> bool:
        """Reserve a block if less than half of `target` is left; return whether one was reserved.

        target: the amount that shall be available, some minutes of spending; it is also what a
        crash may lose. limit: highest spending of the purpose on this day, if below its cap.
        The block cannot be drawn from before it is committed.
        """
        day, month = self._touch(now)
        if any(not b.committed and b.purpose == purpose for b in self._open(day)):
            return False
        left = sum(block.left for block in self._open(day) if block.purpose == purpose)
        if 2 * left >= target:
            return False
        amount = min(target, self._free(purpose, day, month, limit))
        if amount <= left:  # it would replace a block that is as large
            return False
        self._blocks.append(_Block(purpose, day, month, amount))
        return True

    def available(self, purpose: Purpose, now: float) -> int:
        """Return what committed blocks of this day hold for requests, open draws included."""
        day, _ = self._touch(now)
        blocks = (b for b in self._open(day) if b.committed and b.purpose == purpose)
        return sum(max(block.amount - block.spent, 0) for block in blocks)

    def draw(self, purpose: Purpose, amount: int, now: float) -> Draw | None:
        """Take an amount from a committed block of this day; None if none has enough left.

        A model that costs nothing needs no block.
        """
        day, month = self._touch(now)
        if amount == 0:
            return Draw(0, _Block(purpose, day, month, 0, closed=True))
        for block in self._open(day):
            if block.committed and block.purpose == purpose and block.left >= amount:
                block.drawn += amount
                return Draw(amount, block)
        return None

    def settle(self, draw: Draw, cost: int) -> None:
        """Replace a draw by what the request has cost, at any time. Once for each draw."""
        if draw._settled:
            raise ValueError("this draw is already settled")
        draw._settled = True
        draw._block.drawn -= draw.amount
        draw._block.spent += cost
        self.overruns += cost > draw.amount

    def close(self, purpose: Purpose | None = None) -> None:
        """End the blocks of a purpose, or all: what is left of them is available again."""
        for block in self._blocks:
            block.closed = block.closed or purpose in {None, block.purpose}
        self._retire()

    def give_back(self, purpose: Purpose, day: int, month: int, amount: int) -> None:
        """Reduce the spending of a restored state; a negative amount increases it.

        For blocks of other processes, which count as spent in a state that several share.
        """
        self._days.add(day, purpose, -amount)
        self._months.add(month, purpose, -amount)

    def spent(self, purpose: Purpose, now: float) -> int:
        """Return the spending of this day, with open draws at their worst case."""
        day, _ = self._touch(now)
        blocks = sum(b.spent + b.drawn for b in self._of(purpose) if b.day == day)
        return self._days.at(day).spent.get(purpose, 0) + blocks

    def remaining(self, purpose: Purpose, now: float) -> int:
        """Return what may still be spent on this day, with what is left in blocks."""
        day, month = self._touch(now)
        left = sum(block.left for block in self._open(day) if block.purpose == purpose)
        return max(self._free(purpose, day, month, None), 0) + left

    def cap(self, purpose: Purpose, now: float) -> int:
        """Return the cap of this day, for this partition."""
        day, _ = self._touch(now)
        return self._part(self._caps.day, purpose, self._days.at(day))

    def _free(self, purpose: Purpose, day: int, month: int, limit: int | None) -> int:
        """Return what may still be reserved; negative if a cap was lowered."""
        today, blocks = self._days.at(day), self._of(purpose)
        cap = self._part(self._caps.day, purpose, today)
        used = today.spent.get(purpose, 0) + sum(b.held for b in blocks if b.day == day)
        free = (cap if limit is None else min(cap, limit)) - used
        if self._caps.month is None:
            return free
        this_month = self._months.at(month)
        used = this_month.spent.get(purpose, 0) + sum(b.held for b in blocks if b.month == month)
        return min(free, self._part(self._caps.month, purpose, this_month) - used)

    def _part(self, caps: Mapping[Purpose, int], purpose: Purpose, period: Period) -> int:
        """Return the part of a cap that this partition has; nothing before it joins."""
        if not period.partitions:
            return 0
        if purpose in OF_ONE_PARTITION:
            return caps[purpose] if self._sole else 0
        return caps[purpose] // period.partitions

    def _touch(self, now: float) -> tuple[int, int]:
        """Return the day and the month. On a new day, close the blocks of the one before."""
        day, month = day_of(now), month_of(now)
        self._days.at(day)
        self._months.at(month)
        ended = [block for block in self._blocks if block.day != day and not block.closed]
        for block in ended:
            block.closed = True
        if ended:
            self._retire()
        return day, month

    def _open(self, day: int) -> Iterator[_Block]:
        return (block for block in self._blocks if block.day == day and not block.closed)

    def _of(self, purpose: Purpose) -> list[_Block]:
        return [block for block in self._blocks if block.purpose == purpose]

    def _retire(self) -> None:
        """Add the blocks that are closed and have no open draw to the spending of their day."""
        for block in self._blocks:
            if block.closed and not block.drawn:
                self._days.add(block.day, block.purpose, block.spent)
                self._months.add(block.month, block.purpose, block.spent)
        self._blocks = [block for block in self._blocks if not block.closed or block.drawn]
