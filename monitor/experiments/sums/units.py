"""First exposures of units, and units in several arms, by Bloom filters of a fixed size.

A filter has no false negatives: no unit is counted twice. A new unit is missed if all its bits are
set already. With a million units in an experiment .4 % of them are missed, with two million 4 %,
in all arms equally, because a hash decides. See `expected_share_missed`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.experiments.sums.look import SHARDS

FILTER_BITS: Final = 1 << 19
"""Bits of one filter of a shard: 64 KiB."""
HASHES: Final = 5
"""Bits of a unit."""

_MASK: Final = np.uint64(FILTER_BITS - 1)
_SHIFTS: Final = np.array([[0], [19], [38]], np.uint64)
_SECOND: Final = np.uint64(0x9E3779B97F4A7C15)
_SEVERAL: Final = "\n"
"""Stands for the arm of a unit that was counted as being in several; no variant has this name."""

Units = NDArray[np.uint64]
Flags = NDArray[np.bool_]


class BloomFilter:
    """A set of 64-bit keys. content: the bits, shape (FILTER_BITS / 8,)."""

    __slots__ = ("content",)

    def __init__(self) -> None:
        self.content = np.zeros(FILTER_BITS // 8, np.uint8)

    def add_new(self, keys: Units) -> NDArray[np.int64]:
        """Add keys; return the ascending indices of the first occurrences of new ones."""
        places, bits = _places(keys)
        indices = np.flatnonzero(~self._found(places, bits))
        if len(indices) > 1:
            _, first = np.unique(keys[indices], return_index=True)
            indices = np.sort(indices[first])
        if len(indices):
            places, bits = places[:, indices].ravel(), bits[:, indices].ravel()
            # `bitwise_or.at` takes ten times as long
            for bit in np.uint8(1) << np.arange(8, dtype=np.uint8):
                self.content[places[bits == bit]] |= bit
        return indices

    def contains(self, keys: Units) -> Flags:
        """Return which keys are in the set; of others a small share is reported as well."""
        return self._found(*_places(keys))

    def _found(self, places: NDArray[np.int64], bits: NDArray[np.uint8]) -> Flags:
        found: Flags = (self.content.take(places) & bits != 0).all(axis=0)
        return found


def _places(keys: Units) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return byte and bit of each hash of n keys, each of shape (HASHES, n)."""
    first, second = _mixed(keys), _mixed(keys ^ _SECOND)
    positions = np.concatenate([first >> _SHIFTS, second >> _SHIFTS[: HASHES - 3]]) & _MASK
    return (
        (positions >> np.uint64(3)).astype(np.int64),
        np.uint8(1) << (positions & np.uint64(7)).astype(np.uint8),
    )


def _mixed(keys: Units) -> Units:
    """Return the finalizer of SplitMix64 (Steele, Lea, Flood 2014) of keys."""
    keys = keys + _SECOND
    keys = (keys ^ keys >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ keys >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return keys ^ keys >> np.uint64(31)


class SeenUnits:
    """The units that a shard has seen, and in which arms.

    units: set of units. pairs: set of pairs of unit and arm.
    A unit is in several arms if it is in `units`, a pair of it is new, and a pair with another arm
    is not. The three conditions together are rarely met by chance: by 4 of 100,000 units with a
    million of them and two arms.
    """

    __slots__ = ("pairs", "units")

    def __init__(self) -> None:
        self.units = BloomFilter()
        self.pairs = BloomFilter()

    def add(
        self, units: Units, arms: NDArray[np.signedinteger], names: Sequence[str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Add n exposures; return indices: of first exposures, and of units now in several arms.

        arms: shape (n,), indices into `names`.
        """
        if not len(units):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        salts = np.array([_salt(name) for name in (*names, _SEVERAL)], np.uint64)
        new = self.units.add_new(units)
        pairs = _mixed(units ^ salts[arms])
        new_pairs = self.pairs.add_new(pairs)
        if not len(new_pairs):
            return new, new_pairs
        again = np.setdiff1d(new_pairs, new, assume_unique=True)
        return new, again[self._in_several(units[again], arms[again], salts)]

    def _in_several(
        self, units: Units, arms: NDArray[np.signedinteger], salts: Units
    ) -> NDArray[np.int64]:
        """Return the indices of these units that are in another arm too and were not counted."""
        elsewhere = np.zeros(len(units), np.bool_)
        for arm, salt in enumerate(salts[:-1]):
            elsewhere |= self.pairs.contains(_mixed(units ^ salt)) & (arms != arm)
        indices = np.flatnonzero(elsewhere)
        marks = _mixed(units[indices] ^ salts[-1])
        return indices[self.pairs.add_new(marks)]

    def encode(self) -> bytes:
        """Return the state as bytes."""
        return self.units.content.tobytes() + self.pairs.content.tobytes()

    @classmethod
    def decode(cls, content: bytes) -> SeenUnits:
        """Return the state of `encode`. Raises ValueError for bytes of another length."""
        size = FILTER_BITS // 8
        if len(content) != 2 * size:
            raise ValueError("not the filters of a shard")
        seen = cls()
        seen.units.content[:] = np.frombuffer(content, np.uint8, size)
        seen.pairs.content[:] = np.frombuffer(content, np.uint8, size, size)
        return seen


def _salt(arm: str) -> int:
    """Return a hash of the name of an arm: its index may change."""
    digest = hashlib.blake2b(arm.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def expected_share_missed(units: int) -> float:
    """Return the expected share of `units` units of an experiment that are not counted.

    It is the mean over the units of the rate of false positives when a unit arrives, which is
    (1 - exp(-k m / bits))^k for k hashes and m units before.
    """
    before = (np.arange(1_000) + 0.5) / 1_000 * units / SHARDS
    return float(((1 - np.exp(-HASHES * before / FILTER_BITS)) ** HASHES).mean())
