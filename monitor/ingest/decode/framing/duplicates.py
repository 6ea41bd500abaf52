"""Find records whose request id was seen before, within a bounded number of records.

Ids are kept as 64-bit hashes in a table of buckets with four places. A new hash replaces the oldest
one of its bucket, so that the memory is constant. Of records that repeat one of the last 200,000,
99.8 % are found; of the last 500,000, 98 %. Two ids with one hash are improbable: 1e-12 for each
record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.fields.hashing import MAX_CHARS, factors, finalized, sums_with_lengths

BUCKETS: Final = 1 << 19
"""A power of two. The table has 4 places of 8 bytes for each: 16 MB."""
PLACES: Final = 4

_FACTORS: Final = factors("plumbline.duplicates", MAX_CHARS + 2)
_MASK: Final = np.uint64(BUCKETS - 1)
_PLACES: Final = np.arange(PLACES)


class DuplicateFilter:
    """Remembers the request ids of records.

    undoable: whether `roll_back` is used; without it nothing is kept for it.
    """

    def __init__(self, *, undoable: bool = False) -> None:
        self._hashes = np.zeros((BUCKETS, PLACES), np.uint64)
        self._next = np.zeros(BUCKETS, np.uint8)
        self._undoable = undoable
        self._undo: list[tuple[NDArray[np.intp], NDArray[np.uint64], NDArray[np.uint8]]] = []

    def seen(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether each of n ids was seen before, also in `ids` itself; remember all of them.

        shape: (n,).
        """
        hashes = finalized(sums_with_lengths(ids, _FACTORS))
        buckets = (hashes & _MASK).astype(np.intp)
        found: NDArray[np.bool_] = (self._hashes[buckets] == hashes[:, None]).any(axis=1)
        ordered = np.sort(hashes)
        if (ordered[1:] == ordered[:-1]).any():
            _, first = np.unique(hashes, return_index=True)
            repeated = np.ones(len(hashes), np.bool_)
            repeated[first] = False
            found |= repeated
        self._insert(hashes[~found], buckets[~found])
        return found

    def commit(self) -> None:
        """Make everything so far permanent."""
        self._undo.clear()

    def roll_back(self) -> None:
        """Forget the ids since the last commit: their records are read again."""
        for buckets, hashes, following in reversed(self._undo):
            self._hashes[buckets] = hashes
            self._next[buckets] = following
        self._undo.clear()

    def _insert(self, hashes: NDArray[np.uint64], buckets: NDArray[np.intp]) -> None:
        """Replace the oldest hash of each bucket. Of two in one bucket, the last one is kept."""
        if self._undoable:
            self._undo.append((buckets, self._hashes[buckets], self._next[buckets]))
        following = self._next[buckets]
        self._hashes[buckets, following] = hashes
        self._next[buckets] = (following + 1) % PLACES


def without_repeated(decoded: Decoded, seen: DuplicateFilter, *, drop: bool) -> Decoded:
    """Return decoded records with the number of those that repeat a request id.

    drop: whether these records are left out.
    """
    repeated = seen.seen(decoded.fields.ids)
    count = int(repeated.sum())
    if not count or not drop:
        return replace(decoded, duplicates=count)
    kept = np.flatnonzero(~repeated)
    wholes = ((place, decoded.wholes.get(old)) for place, old in enumerate(kept.tolist()))
    return replace(
        decoded,
        fields=decoded.fields.take(kept),
        indices=decoded.indices[kept],
        wholes={place: whole for place, whole in wholes if whole is not None},
        duplicates=count,
    )
