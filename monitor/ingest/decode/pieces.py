"""Records of a batch that were decoded in different ways, and how they are joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.ingest.decode.message import NativeRecord
from monitor.ingest.decode.native.kinds import Needed, fields_of
from monitor.ingest.fields import fields
from monitor.ingest.fields.fields import Fields
from monitor.records import Record, RejectedRecord, WholeRecord


@dataclass(slots=True)
class OneByOne:
    """What is in the messages that are decoded one by one.

    records: index of the message, place, record, and the whole record unless the decoder returns it
    from the message.
    natives: native records that formats wrote: index of the message, place, and record.
    A place orders the records of a message.
    """

    records: list[tuple[int, int, Record | WholeRecord, WholeRecord | None]] = field(
        default_factory=list
    )
    natives: list[tuple[int, int, NativeRecord]] = field(default_factory=list)
    rejected: list[tuple[int, RejectedRecord]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)

    @property
    def place(self) -> int:
        """The next place."""
        return len(self.records) + len(self.natives)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Some of the records of a batch.

    indices, places: shape (n,), index of the message of each record, and its place.
    wholes: as in `Decoded`.
    """

    fields: Fields
    indices: NDArray[np.int64]
    places: NDArray[np.int64]
    wholes: dict[int, WholeRecord | bytes]


def piece_of(batch: OneByOne, needed: Needed) -> Piece:
    """Return the records that were decoded one by one."""
    return Piece(
        fields_of([record for _, _, record, _ in batch.records], needed),
        np.array([index for index, *_ in batch.records], np.int64),
        np.array([place for _, place, *_ in batch.records], np.int64),
        {row: whole for row, (*_, whole) in enumerate(batch.records) if whole is not None},
    )


def join(pieces: Sequence[Piece]) -> Piece:
    """Return the records of all pieces in the order of their messages and places."""
    if len(pieces) == 1:
        return pieces[0]
    indices = np.concatenate([piece.indices for piece in pieces])
    places = np.concatenate([piece.places for piece in pieces])
    order = np.lexsort((places, indices))
    wholes, first = dict[int, WholeRecord | bytes](), 0
    for piece in pieces:
        wholes |= {first + row: whole for row, whole in piece.wholes.items()}
        first += len(piece.indices)
    joined = fields.join([piece.fields for piece in pieces]).take(order)
    found = ((new, wholes.get(old)) for new, old in enumerate(order.tolist()))
    return Piece(
        joined,
        indices[order],
        places[order],
        {new: whole for new, whole in found if whole is not None},
    )
