"""Hashes of units: their buckets, and their identity when first exposures are found.

The hash is multilinear, as that of samples (monitor/ingest/fields/hashing.py), with factors of
its own, and independent of the assignment, so that a bucket has units of all variants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.ingest.fields.hashing import MAX_CHARS, factors, finalized, sums_with_lengths

_PURPOSE = "plumbline.experiments"
_FACTORS = factors(_PURPOSE, MAX_CHARS + 2)


def unit_hashes(experiment: str, units: Sequence[str]) -> NDArray[np.uint64]:
    """Return the hashes of n units, 64 bits, shape (n,).

    They depend on the name of the experiment and on the id only: not on the process, on the phase
    or on other units. The top bits are the bucket.
    """
    return finalized(sums_with_lengths(units, _FACTORS) + _salt(experiment))


def _salt(experiment: str) -> np.uint64:
    digest = hashlib.blake2b(
        f"{_PURPOSE}.{experiment}".encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()
    return np.uint64(int.from_bytes(digest, "little"))
