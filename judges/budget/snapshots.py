"""The stored state of a ledger."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from judges.budget.periods import Period

VERSION: Final = 1


class LedgerState(msgspec.Struct, array_like=True):
    """What a ledger stores: spending by period, with open blocks as spent."""

    version: int
    first_day: int
    first_month: int
    days: dict[int, Period]
    months: dict[int, Period]


def encode_state(state: LedgerState) -> bytes:
    """Return a state as msgpack: some hundred bytes."""
    return msgspec.msgpack.encode(state)


def decode_state(snapshot: bytes) -> LedgerState:
    """Return a state. Raises ValueError if it is not one of this version."""
    try:
        version = msgspec.msgpack.decode(snapshot, type=list[Any])[0]
        if version != VERSION:
            raise ValueError(f"the state of the budget has another version than {VERSION}")
        return msgspec.msgpack.decode(snapshot, type=LedgerState)
    except (msgspec.DecodeError, IndexError):
        raise ValueError("the state of the budget cannot be decoded") from None
