"""Examples: request ids of a sample of records, so that a drift event can name some of them.

Request ids are long and few of them are used, so about one record in SAMPLE_ONE_IN keeps its id.
The choice depends only on the content of the record, not on its place in a batch, a chunk or a
partition. A back-test or a restart therefore chooses the same records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats

SAMPLE_ONE_IN = 32
MAX_ID_CHARS = 100
"""Longer ids are omitted, because a truncated id cannot be searched for."""

_HASH_LIMIT = np.uint64(2**64 // SAMPLE_ONE_IN)
_FOLD = np.uint64(32)
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: multiplication spreads numbers over all 64 bits (Knuth)."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """A sample of n records. indices: shape (k,), ascending; ids: their request ids."""

    indices: NDArray[np.int32]
    ids: tuple[str, ...]

    def part(self, start: int, stop: int) -> Examples:
        """Return the examples among the records from `start` up to `stop`, counted from 0 again."""
        if not self.ids:
            return self
        first, last = self.indices.searchsorted((start, stop)).tolist()
        return Examples(self.indices[first:last] - np.int32(start), self.ids[first:last])

    def take(self, chosen: slice | NDArray[np.signedinteger], n: int) -> Examples:
        """Return the examples among the chosen ones of the n records, in their order."""
        if not self.ids:
            return self
        id_of = np.full(n, -1)
        id_of[self.indices] = np.arange(len(self.ids))
        taken = id_of[chosen]
        indices = np.flatnonzero(taken >= 0)
        ids = tuple([self.ids[i] for i in taken[indices].tolist()])
        return Examples(indices.astype(np.int32), ids)


NONE = Examples(np.zeros(0, np.int32), ())


def choose(drawn: NDArray[np.uint64], ids: Sequence[str]) -> Examples:
    """Choose the examples of n records by their hashes; see `hashes`."""
    indices = (drawn < _HASH_LIMIT).nonzero()[0]
    chosen = [ids[index] for index in indices.tolist()]
    if not all_valid_ids(chosen):
        indices = indices[[is_valid_id(each) for each in chosen]]
        chosen = [each for each in chosen if is_valid_id(each)]
    return Examples(indices.astype(np.int32), tuple(chosen))


def hashes(times: Floats, rows: Sequence[Floats]) -> NDArray[np.uint64]:
    """Return the hashes of n records by their event times and some features, shape (n,).

    times: shape (n,); rows: features, each of shape (n,).
    """
    found = times.view(np.uint64) * _ODD
    for row in rows:
        found ^= row.view(np.uint64)
        found *= _ODD
    found ^= found >> _FOLD
    found *= _ODD
    return found


def is_valid_id(request_id: str) -> bool:
    """Return whether an id can be displayed unchanged: a log may contain any text as an id."""
    return 0 < len(request_id) <= MAX_ID_CHARS and request_id.isprintable()


def all_valid_ids(request_ids: Sequence[str]) -> bool:
    """Return whether `is_valid_id` holds for all ids, with one check for all of them."""
    lengths = set(map(len, request_ids))
    return (
        min(lengths, default=1) > 0
        and max(lengths, default=0) <= MAX_ID_CHARS
        and "".join(request_ids).isprintable()
    )


def join(parts: Sequence[tuple[Examples, int]]) -> Examples:
    """Concatenate the examples of consecutive groups of records, each with its record count."""
    starts = accumulate((records for _, records in parts), initial=0)
    indices = [part.indices + np.int32(at) for (part, _), at in zip(parts, starts, strict=False)]
    return Examples(np.concatenate(indices), tuple(i for part, _ in parts for i in part.ids))
