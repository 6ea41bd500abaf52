"""Pacing: spread the live budget over the day by judging a smaller share of the samples.

A budget that is spent by noon leaves the evening without judged quality. At the beginning of each
quarter of an hour the pacer compares what is left with what the rest of the day would cost at the
measured rate of samples and cost per sample:

    factor = min(1, (cap - spent) / (samples per piece * cost per sample * pieces left))

rounded down to a power of 2 ** (1/4), so that it takes few values. A sample is kept if a hash of
its request id is below the factor. Its inclusion probability is then the product of its own and the
factor, so estimates stay unbiased. The factor depends on the stored state only.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Any, Final

import msgspec

from judges.budget.periods import day_of

PIECE_SECONDS: Final = 900
PIECES: Final = 86_400 // PIECE_SECONDS
LEAST_FACTOR: Final = 2.0**-10
VERSION: Final = 1
_AHEAD: Final = 4
"""Pieces of the budget that may be spent ahead, such as for a backlog after an outage."""
_MEMORY: Final = 0.25
"""Weight of the newest piece in the means."""


class _State(msgspec.Struct, array_like=True):
    """The stored state. offered, kept, cost: of the current piece."""

    version: int = VERSION
    piece: int = -1
    factor: float = 1.0
    offered: int = 0
    kept: int = 0
    cost: int = 0
    mean_offered: float | None = None
    mean_cost: float | None = None


class Pacer:
    """The share of uniform samples that is judged. State of one samples partition."""

    def __init__(self) -> None:
        self._state = _State()

    @classmethod
    def restored(cls, snapshot: bytes) -> Pacer:
        """Return the pacer of a stored state. Raises ValueError if it is not of this version."""
        try:
            if msgspec.msgpack.decode(snapshot, type=list[Any])[:1] != [VERSION]:
                raise ValueError(f"the state of pacing has another version than {VERSION}")
            state = msgspec.msgpack.decode(snapshot, type=_State)
        except msgspec.DecodeError:
            raise ValueError("the state of pacing cannot be decoded") from None
        pacer = cls()
        pacer._state = state
        return pacer

    def snapshot(self) -> bytes:
        """Return the state to store."""
        return msgspec.msgpack.encode(self._state)

    def advance(self, now: float, spent: int, cap: int) -> float:
        """Return the factor at a time, after computing it anew if a piece has begun.

        spent, cap: of the live purpose, on this day and in this partition, in nanodollars.
        """
        piece = int(now // PIECE_SECONDS)
        if piece == self._state.piece:
            return self._state.factor
        self._finish(piece)
        left = PIECES - piece % PIECES
        self._state.factor = self._factor(max(cap - spent, 0), left)
        return self._state.factor

    def offer(self, samples: int, kept: int) -> None:
        """Count uniform samples that have arrived, and those of them that were kept."""
        self._state.offered += samples
        self._state.kept += kept

    def charge(self, cost: int) -> None:
        """Count what judging kept samples has cost, in nanodollars."""
        self._state.cost += cost

    def _finish(self, piece: int) -> None:
        """Add the piece that has ended to the means. Pieces without a process are left out."""
        state = self._state
        if state.piece >= 0 and piece > state.piece:
            state.mean_offered = _mean(state.mean_offered, state.offered)
            if state.kept:
                state.mean_cost = _mean(state.mean_cost, state.cost / state.kept)
        state.piece = piece
        state.offered = state.kept = state.cost = 0

    def _factor(self, budget: int, pieces: int) -> float:
        offered, cost = self._state.mean_offered, self._state.mean_cost
        if not offered or not cost:
            return 1.0  # unknown: `allowed` bounds what it can cost
        share = budget / (offered * cost * pieces)
        if share >= 1:
            return 1.0
        if share <= LEAST_FACTOR:
            return LEAST_FACTOR
        return float(2.0 ** (math.floor(4 * math.log2(share)) / 4))


def _mean(mean: float | None, newest: float) -> float:
    return newest if mean is None else mean + _MEMORY * (newest - mean)


def allowed(now: float, cap: int) -> int:
    """Return how much of a day's cap may be spent until the end of this piece, in nanodollars.

    An hour ahead of an even spending. It bounds what a burst can take from the rest of the day.
    """
    piece = int(now // PIECE_SECONDS) - day_of(now) * PIECES
    return cap * min(piece + _AHEAD, PIECES) // PIECES


def keeps(request_id: str, factor: float) -> bool:
    """Return whether a sample is kept at a factor; at a higher one it is kept as well.

    The hash is independent of the one that drew the sample.
    """
    if factor >= 1:
        return True
    digest = blake2b(
        request_id.encode("utf-8", "surrogatepass"), digest_size=8, person=b"pacing"
    ).digest()
    return int.from_bytes(digest, "big") < factor * 2.0**64
