"""When a sample may be judged: pacing, and blocks of the budget that cover its requests.

The funds of one samples partition are its ledger and its pacer. A sample starts only when a
committed block covers the worst case of its requests and of all samples that have started; until
then a block is reserved, stored with the next commit, and used after it. A sample for which nothing
can be reserved starts nevertheless, so that it ends with the reason `no_budget`.

Not thread-safe: everything is called in the thread of the calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

from judges.budget.caps import Caps, Purpose
from judges.budget.ledger import Ledger
from judges.budget.metered import LedgerAccount
from judges.budget.pacing import Pacer, allowed, keeps
from judges.budget.periods import day_of
from judges.budget.snapshots import decode_state

LEDGER: Final = b"ledger"
PACER: Final = b"pacer"
BLOCKS_PER_DAY: Final = 96
"""A block is at least this part of a day's cap: what a crash may lose."""
AHEAD: Final = 2
"""Worst cases of the started samples that a block covers."""


class Start(Enum):
    """Whether a sample may start."""

    NOW = "now"
    AFTER_COMMIT = "after the next commit"
    LATER = "when other samples have ended"


class Funds:
    """The money of one samples partition. clock: returns epoch seconds."""

    def __init__(
        self,
        caps: Caps,
        partitions: int,
        clock: Callable[[], float],
        messages: Mapping[bytes, bytes],
        *,
        sole: bool = False,
        added: bool = False,
    ) -> None:
        """Restore the funds from the state of a partition.

        sole: see `Ledger`. added: whether the partition is new while others have spent already.
        Raises ValueError if the state cannot be read: spending that is not known must not be
        regarded as none.
        """
        if LEDGER in messages:
            self.ledger = Ledger.restored(caps, partitions, messages[LEDGER], sole=sole)
        elif added:
            self.ledger = Ledger.added(caps, partitions, clock())
        else:
            self.ledger = Ledger(caps, partitions, sole=sole)
        self.pacer = Pacer.restored(messages[PACER]) if PACER in messages else Pacer()
        self._clock = clock
        self._accounts: dict[Purpose, LedgerAccount] = {}
        self._promised: Counter[Purpose] = Counter()
        self._reserved = False
        self._committing = False

    def account(self, purpose: Purpose) -> LedgerAccount:
        """Return the account from which all requests of a purpose are paid."""
        if purpose not in self._accounts:
            self._accounts[purpose] = LedgerAccount(self.ledger, purpose, self._clock)
        return self._accounts[purpose]

    def keep(self, request_id: str) -> float:
        """Return the factor of the inclusion probability of a sample; 0 if it is dropped."""
        now = self._clock()
        spent = self.ledger.spent(Purpose.LIVE, now)
        factor = self.pacer.advance(now, spent, self.ledger.cap(Purpose.LIVE, now))
        kept = keeps(request_id, factor)
        self.pacer.offer(1, int(kept))
        return factor if kept else 0.0

    def start(self, purpose: Purpose, worst: int) -> Start:
        """Return whether a sample may start whose requests cost `worst` nanodollars at most.

        After `NOW`, call `end` with the same amount when the sample has ended.
        """
        now = self._clock()
        needed = self._promised[purpose] + worst
        if needed <= self.ledger.available(purpose, now):
            self._promised[purpose] += worst
            return Start.NOW
        idle = not (self._promised[purpose] or self.waiting)
        if idle and worst <= self.ledger.remaining(purpose, now):
            # What is left of the block and what may still be reserved cover it only together.
            self.ledger.close(purpose)
        cap = self.ledger.cap(purpose, now)
        limit = self._limit(cap, worst, now) if purpose == Purpose.LIVE else None
        target = max(AHEAD * needed, cap // BLOCKS_PER_DAY)
        if self.ledger.top_up(purpose, target, now, limit):
            self._reserved = True
        if self._reserved or self._committing:
            return Start.AFTER_COMMIT
        if self._promised[purpose]:
            return Start.LATER
        self._promised[purpose] += worst
        return Start.NOW

    def _limit(self, cap: int, worst: int, now: float) -> int:
        """Return the highest spending on live samples at this time.

        An evaluation whose worst case is more than may be spent now starts if no other has, as long
        as less than that has really been spent: otherwise long samples would never be judged in the
        first hours of a day.
        """
        limit, spent = allowed(now, cap), self.ledger.spent(Purpose.LIVE, now)
        if self._promised[Purpose.LIVE] or spent >= limit:
            return limit
        return max(limit, spent + self.ledger.available(Purpose.LIVE, now) + worst)

    def prepare(self, purpose: Purpose) -> bool:
        """Return whether a committed block holds what is left of a purpose's share of this day.

        If not, it is reserved, and stored with the next commit. With nothing left, there is nothing
        to wait for.
        """
        now = self._clock()
        if self.ledger.top_up(purpose, self.ledger.remaining(purpose, now), now):
            self._reserved = True
        return not self.waiting

    def end(self, purpose: Purpose, worst: int, cost: int) -> None:
        """Release the promise of a sample that has ended, and count what it has cost."""
        self._promised[purpose] -= worst
        if purpose == Purpose.LIVE:
            self.pacer.charge(cost)

    def messages(self) -> dict[bytes, bytes]:
        """Return the state to store; blocks that are reserved in it may be used afterwards."""
        self._committing, self._reserved = self._reserved or self._committing, False
        return {LEDGER: self.ledger.snapshot(), PACER: self.pacer.snapshot()}

    @property
    def waiting(self) -> bool:
        """Whether a change of the blocks waits for a commit."""
        return self._reserved or self._committing

    def mark_committed(self) -> None:
        """Allow the use of the blocks of the last `messages`."""
        self._committing = False
        self.ledger.mark_committed()

    def close(self, purpose: Purpose | None = None) -> None:
        """End the blocks of a purpose, or all; the next commit returns what is left of them."""
        self.ledger.close(purpose)
        self._reserved = True


def is_added(number: int, first: Mapping[bytes, bytes], now: float) -> bool:
    """Return whether a partition without a ledger was added after this day may have begun.

    first: state of partition 0, whose ledger says among how many partitions the day is divided.
    """
    if LEDGER not in first:
        return False
    days = decode_state(first[LEDGER]).days
    # A day without spending may have begun and not be stored: it is divided as the one before.
    return bool(days) and number >= days.get(day_of(now), days[max(days)]).partitions
