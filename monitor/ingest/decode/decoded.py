"""The result of decoding a batch of messages: records, rejected messages, and what was skipped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.ingest.fields.fields import Fields
from monitor.records import RejectedRecord, WholeRecord


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """The result of decoding a batch of messages.

    fields: of n records, in the order of the messages. One message may hold several or none.
    indices: shape (n,), index of the message of each record, ascending.
    rejected: index of a message, and why it or one of its inferences is rejected.
    wholes: the records with all their fields, by index of the record; bytes are a native record, of
    which `whole` of the decoder returns them. For the others it returns them from the message.
    skipped: number of things that are no inference, by kind.
    formats: number of records by format.
    duplicates: number of records with a request id that was seen before. Dropped ones are not in
    `fields`, but in `formats`.
    """

    fields: Fields
    indices: NDArray[np.int64]
    rejected: list[tuple[int, RejectedRecord]]
    wholes: dict[int, WholeRecord | bytes] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
