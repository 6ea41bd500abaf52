"""Hashes of request ids: numbers in [0, 1) that decide which records are drawn.

A number depends on nothing but the id: the same records are drawn by any number of processes, from
any partitions, and after any restart. Draws are nested: the records whose number is below .01 are
among those whose number is below .05.

The hash is multilinear (Lemire and Kaser, Strongly universal string hashing is fast, 2014): the sum
of characters times fixed random numbers, modulo 2^64, mixed by the finalizer of MurmurHash3. It is
computed for all ids of a batch at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.ingest.fields.ids import Ids

MAX_CHARS: Final = 64
"""Longer ids are replaced by a digest before they are hashed."""

_UNIT: Final = 2.0**-53


def factors(purpose: str, count: int = MAX_CHARS + 1) -> NDArray[np.uint64]:
    """Return fixed random odd numbers, one for each character and one to be added."""
    digests = [
        hashlib.blake2b(f"{purpose}.{i}".encode(), digest_size=8).digest() for i in range(count)
    ]
    numbers = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
    return numbers | np.uint64(1)


_FACTORS: Final = factors("plumbline.sampling")
_PURPOSES: Final = np.array([[0], [0x9E3779B97F4A7C15]], np.uint64)
"""Added for the two numbers, whose independence the finalizer provides."""


def uniform_numbers(ids: Sequence[str]) -> Floats:
    """Return the numbers of n ids that decide about uniform samples, shape (n,)."""
    return both_numbers(ids)[0]


def both_numbers(ids: Sequence[str]) -> tuple[Floats, Floats]:
    """Return `uniform_numbers` and independent numbers that decide about boosted samples."""
    uniform, boosted = _mixed(_sums(ids) + _PURPOSES)
    return uniform, boosted


def _sums(ids: Sequence[str]) -> NDArray[np.uint64]:
    """Return the multilinear hashes of n ids."""
    codes = characters(ids)
    sums: NDArray[np.uint64] = codes.astype(np.uint64) @ _FACTORS[: codes.shape[1]] + _FACTORS[-1]
    return sums


def characters(ids: Sequence[str]) -> NDArray[np.uint8] | NDArray[np.uint32]:
    """Return the code points of n ids, shape (n, L), padded by zeros; L is at most MAX_CHARS."""
    if isinstance(ids, Ids):
        matrix = ids.matrix(MAX_CHARS)
        if matrix is not None:
            return matrix
        ids = list(ids)
    lengths = set(map(len, ids))
    longest = max(lengths, default=0)
    if longest > MAX_CHARS:
        ids = [_digest(each) if len(each) > MAX_CHARS else each for each in ids]
    elif len(lengths) == 1 and longest:  # the usual ids: four times as fast
        joined = "".join(ids)
        if joined.isascii():
            return np.frombuffer(joined.encode(), np.uint8).reshape(len(ids), longest)
    texts = np.array(ids, np.str_)
    width = texts.dtype.itemsize // 4
    return texts.view(np.uint32).reshape(len(ids), width)


def sums_with_lengths(ids: Sequence[str], factors: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the multilinear hashes of n ids and their lengths, not finalized, shape (n,).

    factors: MAX_CHARS + 2 numbers; the last two are for the length, and to be added.
    """
    codes = characters(ids)
    sums: NDArray[np.uint64] = codes.astype(np.uint64) @ factors[: codes.shape[1]]
    sums += _character_counts(ids) * factors[-2] + factors[-1]
    return sums


def _character_counts(ids: Sequence[str]) -> NDArray[np.uint64]:
    """Return the number of characters of n ids, shape (n,)."""
    if isinstance(ids, Ids) and ids.data.isascii():
        return np.diff(ids.starts).astype(np.uint64)
    return np.fromiter(map(len, ids), np.uint64, len(ids))


def _digest(request_id: str) -> str:
    encoded = request_id.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(encoded, digest_size=MAX_CHARS // 2).hexdigest()


def _mixed(sums: NDArray[np.uint64]) -> Floats:
    """Return the finalized hashes as numbers in [0, 1), of the same shape."""
    return (finalized(sums) >> np.uint64(11)).astype(np.float64) * _UNIT


def finalized(sums: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return sums mixed by the finalizer of MurmurHash3, of the same shape."""
    mixed = sums ^ (sums >> np.uint64(33))
    mixed *= np.uint64(0xFF51AFD7ED558CCD)
    mixed ^= mixed >> np.uint64(33)
    mixed *= np.uint64(0xC4CEB9FE1A85EC53)
    mixed ^= mixed >> np.uint64(33)
    return mixed
