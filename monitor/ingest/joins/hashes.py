"""Hashes of ids: 64 bits that identify a record in the join, its partition, and whether it is
indexed.

The hash is multilinear, as that of samples (monitor/ingest/fields/hashing.py), with factors of
its own. Two of n ids have the same hash with a probability of about n^2 / 2^65: of ten million ids
with a million values, one value is joined with a wrong record in one of two million such days.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.ingest.fields.hashing import MAX_CHARS, factors, finalized, sums_with_lengths

Hashes = NDArray[np.uint64]

_PURPOSE: Final = "plumbline.joins"
_FACTORS: Final = factors(_PURPOSE, MAX_CHARS + 2)
_RATE_SALT: Final = np.uint64(0x9E3779B97F4A7C15)
_UNIT: Final = 2.0**-53


def id_hashes(ids: Sequence[str]) -> Hashes:
    """Return the hashes of n ids, shape (n,)."""
    return finalized(sums_with_lengths(ids, _FACTORS))


def are_indexed(hashes: Hashes, rate: float) -> NDArray[np.bool_]:
    """Return which ids are in the index, shape (n,): a share `rate`, the same in all processes."""
    numbers = (finalized(hashes ^ _RATE_SALT) >> np.uint64(11)).astype(np.float64) * _UNIT
    return numbers < rate


def partitions_of(hashes: Hashes, count: int) -> NDArray[np.int64]:
    """Return the partition of each id among `count`, shape (n,)."""
    return ((hashes >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)).astype(np.int64)
