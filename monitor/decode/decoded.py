"""What becomes of a batch of messages: records, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.records import Record, RefusedError

UNCOUNTED = -1


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What became of some messages.

    records: n of them, in the order of the messages.
    counted: shape (2, n), characters of prompts and of responses, of which the records may hold
    no more than the features look at; UNCOUNTED where they hold all.
    kept: shape (n,), which messages they are.
    refusals: (which message, why) of all others.
    """

    records: Sequence[Record]
    counted: NDArray[np.int64]
    kept: NDArray[np.int64]
    refusals: list[tuple[int, RefusedError]]


def uncounted(n: int) -> NDArray[np.int64]:
    """The counts of n records that hold all of their texts."""
    return np.full((2, n), UNCOUNTED)


def one_by_one(decode: Callable[[bytes], Record], payloads: Sequence[bytes]) -> Decoded:
    """What becomes of messages whose decoder knows no faster way."""
    records, kept, refusals = [], [], []
    for index, payload in enumerate(payloads):
        try:
            records.append(decode(payload))
        except RefusedError as refused:
            # its traceback would hold the batch, and the batch it
            refusals.append((index, refused.with_traceback(None)))
        else:
            kept.append(index)
    return Decoded(records, uncounted(len(records)), np.array(kept, np.int64), refusals)
