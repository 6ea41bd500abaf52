"""The ledger of all commands of a user: a file, which any number of processes share.

A command **holds** an amount under a name before it makes calls: the file has it as spent. `settle`
replaces it by what the calls have cost. What a process that was killed holds stays spent. The
file is replaced as a whole, under a lock, and is on the disk before a call is paid from it.

This is the only part of the budget that does I/O.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import IO, Final

import msgspec

from judges.budget.caps import Caps, Purpose
from judges.budget.ledger import Ledger
from judges.budget.periods import day_of, month_of
from judges.budget.waiting import OpenDraws
from monitor.errors import UserError, os_error_reason

VERSION: Final = 1
POLL_SECONDS: Final = 1.0
"""Pause after which a request that waits for another command tries again."""
BLOCKS_PER_DAY: Final = 96
"""A command holds at most this part of a day's cap beside what its open requests need."""
_DIGEST_BYTES: Final = 16
_MONTHS: Final = 3
"""Months after which what a killed process held is forgotten: the cap of its month is over."""


class Held(msgspec.Struct, array_like=True):
    """An amount that counts as spent on a day. day, month: as in `periods`."""

    purpose: str
    day: int
    month: int
    amount: int


class _State(msgspec.Struct, array_like=True):
    """Content of the file. ledger: a snapshot, in which what is held is spent."""

    version: int
    ledger: bytes
    held: dict[str, Held]


class LedgerFile:
    """Spending by day and month. path: of the file. clock: returns epoch seconds.

    All methods raise UserError if the file cannot be read or written; nothing is held then.
    """

    def __init__(self, path: Path, caps: Caps, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.clock = clock
        self._caps = caps

    def remaining(self, purpose: Purpose) -> int:
        """Return what may still be held on this day, in nanodollars."""
        with self._errors():
            ledger = self._ledger(self._read())
        return ledger.remaining(purpose, self.clock())

    def cap(self, purpose: Purpose) -> int:
        """Return the cap of a day."""
        return self._caps.day[purpose]

    def hold(self, name: str, purpose: Purpose, least: int, most: int) -> int:
        """Increase what is held under a name to `most`, or less if the caps do not cover it.

        Returns the nanodollars that are held now. They are at least `least`, or as before: 0 for a
        name that holds nothing. A name holds money of the day on which it was used first.
        """
        now = self.clock()
        with self._locked() as state:
            held = state.held.get(name) or Held(purpose, day_of(now), month_of(now), 0)
            ledger = self._ledger(state)
            free = ledger.remaining(purpose, now) if held.day == day_of(now) else 0
            amount = min(most, held.amount + free)
            if amount < least or amount <= held.amount:
                return held.amount
            ledger.top_up(purpose, amount - held.amount, now)
            held.amount = amount
            state.held[name] = held
            self._write(state, ledger)
            return amount

    def settle(self, name: str, cost: int) -> None:
        """Replace what is held under a name by a cost. A name that holds nothing is left alone."""
        with self._locked() as state:
            held = state.held.pop(name, None)
            if held is not None:
                ledger = self._ledger(state)
                rest = held.amount - cost
                ledger.give_back(Purpose(held.purpose), held.day, held.month, rest)
                self._write(state, ledger)

    def mark_open(self, purpose: Purpose) -> IO[str]:
        """Return a file that marks this command as one with open requests until it is closed."""
        with self._errors():
            self._make_folder()
            mark = self._mark(purpose).open("a")
            fcntl.flock(mark, fcntl.LOCK_SH)
            return mark

    def has_open(self, purpose: Purpose) -> bool:
        """Return whether a command, killed ones left out, has open requests of a purpose."""
        with self._errors():
            if not self._mark(purpose).exists():
                return False
            with self._mark(purpose).open("a") as mark:
                try:
                    fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
                return False

    def _mark(self, purpose: Purpose) -> Path:
        return self.path.with_suffix(f".{purpose}")

    def _make_folder(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _ledger(self, state: _State | None) -> Ledger:
        if state is None or not state.ledger:
            return Ledger(self._caps, 1)
        return Ledger.restored(self._caps, 1, state.ledger)

    @contextmanager
    def _locked(self) -> Iterator[_State]:
        """Yield the state while no other process can change it."""
        with self._errors():
            self._make_folder()
            with self.path.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield self._read() or _State(VERSION, b"", {})

    def _read(self) -> _State | None:
        """Return the state; None without a file. Raises ValueError if it is damaged."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if _digest(content[_DIGEST_BYTES:]) != content[:_DIGEST_BYTES]:
            raise ValueError("is damaged")
        state = msgspec.msgpack.decode(content[_DIGEST_BYTES:], type=_State)
        if state.version != VERSION:
            raise ValueError(f"has another version than {VERSION}")
        self._ledger(state)
        return state

    def _write(self, state: _State, ledger: Ledger) -> None:
        """Replace the file. The new one is on the disk when this returns."""
        oldest = month_of(self.clock()) - _MONTHS
        held = {name: each for name, each in state.held.items() if each.month > oldest}
        content = msgspec.msgpack.encode(_State(VERSION, ledger.snapshot(), held))
        partial = self.path.with_suffix(".part")
        with partial.open("wb") as file:
            file.write(_digest(content) + content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise UserError for a file that cannot be used."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self.path}: the ledger of the budget cannot be used"
                f" ({os_error_reason(error)}), so no more is spent; free space, change the"
                " permissions, or set XDG_STATE_HOME to a folder that can be written"
            ) from None
        except (ValueError, msgspec.DecodeError):
            raise UserError(
                f"{self.path}: is not a ledger of the budget of this version, so nothing is spent;"
                " restore it, or remove it to begin with the whole budget of this day and month"
            ) from None


@dataclass(slots=True)
class _Block:
    """What an account holds in the file on a day. drawn: for requests that have not ended."""

    day: int
    held: int = 0
    spent: int = 0
    drawn: int = 0
    name: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True, slots=True)
class FileDraw:
    """The amount that covers one request."""

    amount: int
    block: _Block


class FileAccount(OpenDraws):
    """What the requests of one command are paid from: a block of the file. Implements Account.

    While other commands have open requests, whose end may free money, a request waits for them as
    for those of its own command. Close the account at the end: it gives back what is left.

    cap: what the command may spend today, as it began. spent: by it until now.
    """

    def __init__(self, file: LedgerFile, purpose: Purpose) -> None:
        super().__init__()
        self.cap = file.remaining(purpose)
        self.spent = 0
        self._file = file
        self._purpose = purpose
        self._ahead = file.cap(purpose) // BLOCKS_PER_DAY
        self._block = _Block(day_of(file.clock()))
        self._drawn = 0
        self._mark: IO[str] | None = None
        self._others_open = False

    def draw(self, amount: int) -> FileDraw | None:
        """Take nanodollars for a request; None if the caps do not cover them.

        Raises UserError if the file cannot be written. A model that costs nothing needs no file.
        """
        block = self._today()
        if amount and not self._cover(block, block.spent + block.drawn + amount):
            if not self._drawn:
                self._rest()
            return None
        block.drawn += amount
        self._drawn += amount
        self.opened()
        return FileDraw(amount, block)

    def settle(self, draw: FileDraw, cost: int) -> None:
        """Replace a draw by the cost of its request."""
        draw.block.drawn -= draw.amount
        draw.block.spent += cost
        self.spent += cost
        self._drawn -= draw.amount
        # the answer is worth more than what is left, which stays reserved; `close` tries again
        with suppress(UserError):
            if draw.block is not self._block:
                self._end(draw.block)
            if not self._drawn:
                self._rest()
        self.ended()

    def next_settlement(self) -> asyncio.Event | None:
        """Return the event of the next settlement; after a second for one of another command."""
        own = super().next_settlement()
        if own is not None or not self._others_open:
            return own
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(POLL_SECONDS, passed.set)
        return passed

    def _cover(self, block: _Block, needed: int) -> bool:
        """Return whether the block holds enough, and increase it if possible."""
        if self._mark is None:
            # before the block is increased: what others hold then, they may give back
            self._others_open = self._file.has_open(self._purpose)
            self._mark = self._file.mark_open(self._purpose)
        if needed > block.held:
            block.held = self._file.hold(block.name, self._purpose, needed, needed + self._ahead)
        return needed <= block.held

    def _rest(self) -> None:
        """Give back what is left while no request is open: another command may need it."""
        self._end(self._block)
        if self._mark is not None:
            self._mark.close()
            self._mark = None

    def close(self) -> None:
        """Give back what is left. Raises UserError if the file cannot be written."""
        self._rest()

    def _today(self) -> _Block:
        """Return the block of this day; what is left of the one before belongs to its own day."""
        day = day_of(self._file.clock())
        if day != self._block.day:
            ended, self._block = self._block, _Block(day)
            self._end(ended)
        return self._block

    def _end(self, block: _Block) -> None:
        if block.held and not block.drawn:
            self._file.settle(block.name, block.spent)
            block.held = block.spent = 0


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
