"""The result of decoding a batch of messages: records, and rejected messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.records import Record, RejectedRecord

NOT_COUNTED = -1


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """The result of decoding a batch of messages.

    records: n records, in the order of the messages.
    char_counts: shape (2, n), number of characters of prompts and of responses. Where it is given,
    the record may contain only a part of the text; NOT_COUNTED if the record has the whole text.
    indices: shape (n,), index of the message of each record.
    rejected: index and error of each other message.
    """

    records: Sequence[Record]
    char_counts: NDArray[np.int64]
    indices: NDArray[np.int64]
    rejected: list[tuple[int, RejectedRecord]]


def not_counted(n: int) -> NDArray[np.int64]:
    """Return the char_counts of n records with whole texts."""
    return np.full((2, n), NOT_COUNTED)


def one_by_one(decode: Callable[[bytes], Record], payloads: Sequence[bytes]) -> Decoded:
    """Decode each message of a batch separately."""
    records, indices, rejected = [], [], []
    for index, payload in enumerate(payloads):
        try:
            records.append(decode(payload))
        except RejectedRecord as error:
            # The traceback would keep the whole batch in memory.
            rejected.append((index, error.with_traceback(None)))
        else:
            indices.append(index)
    return Decoded(records, not_counted(len(records)), np.array(indices, np.int64), rejected)
