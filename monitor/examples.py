"""Examples: the request ids of a few records, so that a drift event can point at some.

Ids are long, and nearly all of them are of no use, so that only about one in ONE_IN goes along with
the features. Which ones depends on what the record itself says, and on nothing else: not on its
place in a batch, a chunk or a partition. So a back-test and a restart name the same records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from detectors.base import Floats

ONE_IN = 32
MAX_CHARS = 100
"""Longer ids are passed over: half an id finds nothing."""

_LEAST = np.uint64(2**64 // ONE_IN)
_FOLD = np.uint64(32)
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: multiplying by it spreads numbers over all 64 bits (Knuth)."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Some of n records. places: shape (k,), which ones, ascending; ids: their request ids."""

    places: NDArray[np.int32]
    ids: tuple[str, ...]

    def part(self, start: int, stop: int) -> Examples:
        """Those among the records from `start` up to `stop`, which are counted anew from 0."""
        if not self.ids:
            return self
        first, last = self.places.searchsorted((start, stop)).tolist()
        return Examples(self.places[first:last] - np.int32(start), self.ids[first:last])

    def take(self, chosen: slice | NDArray[np.signedinteger], n: int) -> Examples:
        """Those among the chosen ones of the n records, in their order."""
        if not self.ids:
            return self
        index = np.full(n, -1)
        index[self.places] = np.arange(len(self.ids))
        taken = index[chosen]
        places = np.flatnonzero(taken >= 0)
        ids = tuple([self.ids[i] for i in taken[places].tolist()])
        return Examples(places.astype(np.int32), ids)


NONE = Examples(np.zeros(0, np.int32), ())


def choose(times: Floats, rows: Sequence[Floats], ids: Sequence[str]) -> Examples:
    """The examples of n records, chosen by a hash of their event times and of some features.

    times: shape (n,); rows: of features, each of shape (n,).
    """
    mixed = times.view(np.uint64) * _ODD
    for row in rows:
        mixed ^= row.view(np.uint64)
        mixed *= _ODD
    mixed ^= mixed >> _FOLD
    mixed *= _ODD
    places = (mixed < _LEAST).nonzero()[0]
    chosen = [ids[place] for place in places.tolist()]
    if not all_sound(chosen):
        places = places[[sound(each) for each in chosen]]
        chosen = [each for each in chosen if sound(each)]
    return Examples(places.astype(np.int32), tuple(chosen))


def sound(request_id: str) -> bool:
    """Whether an id can be shown to people as it is: anybody may have written it."""
    return 0 < len(request_id) <= MAX_CHARS and request_id.isprintable()


def all_sound(request_ids: Sequence[str]) -> bool:
    """Whether all of them are, found out at once."""
    lengths = set(map(len, request_ids))
    return (
        min(lengths, default=1) > 0
        and max(lengths, default=0) <= MAX_CHARS
        and "".join(request_ids).isprintable()
    )


def join(parts: Sequence[tuple[Examples, int]]) -> Examples:
    """The examples of records that are put one after the other: each with how many records."""
    starts = accumulate((records for _, records in parts), initial=0)
    places = [part.places + np.int32(at) for (part, _), at in zip(parts, starts, strict=False)]
    return Examples(np.concatenate(places), tuple(i for part, _ in parts for i in part.ids))
