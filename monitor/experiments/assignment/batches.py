"""Assign the units of a batch of records, vectorised. The result is that of `assign` for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.config.sections.experiments.section import ExperimentConfig
from monitor.experiments.assignment.assign import (
    MAX_CHARS,
    NAMESPACE_POSITIONS,
    POSITIONS,
    fnv1a32,
    ranges,
)

NOT_ASSIGNED: Final = -1
"""Code of units that are not in the experiment, or not at random."""

_OFFSET: Final = np.uint32(0x811C9DC5)
_PRIME: Final = np.uint32(0x01000193)
_ZERO: Final = np.uint32(ord("0"))
_POWERS: Final = [np.uint32(10**exponent) for exponent in range(9, -1, -1)]


class Assigner:
    """Assigns units to the variants of one experiment."""

    def __init__(self, name: str, config: ExperimentConfig) -> None:
        self._start = np.uint32(fnv1a32(config.seed_of(name)))
        self._overrides = config.overrides.keys()
        self._codes = _codes_by_position(config)
        self._namespace = config.namespace
        if config.namespace is not None:
            start, end = config.namespace.range
            positions = np.arange(NAMESPACE_POSITIONS) / NAMESPACE_POSITIONS
            self._within = (start <= positions) & (positions < end)

    def codes(self, units: Sequence[str]) -> NDArray[np.int16]:
        """Return the index of the variant of each of n units, shape (n,).

        NOT_ASSIGNED: the unit is not in the experiment, or its variant is an override. Overrides do
        not count in an experiment, because they are not random.
        """
        texts = _Texts(units)
        hashed = texts.hash(self._start)
        codes: NDArray[np.int16] = self._codes[_decimal_hash(hashed) % POSITIONS]
        if self._namespace is not None:
            numbers = _continued(texts.hash(_OFFSET), f"__{self._namespace.name}")
            codes[~self._within[numbers % NAMESPACE_POSITIONS]] = NOT_ASSIGNED
        codes[~texts.valid] = NOT_ASSIGNED
        codes[self.overridden(units)] = NOT_ASSIGNED
        return codes

    def overridden(self, units: Sequence[str]) -> NDArray[np.int64]:
        """Return the indices of the units whose variant is an override."""
        if not self._overrides:
            return np.empty(0, np.int64)
        return np.array([i for i, unit in enumerate(units) if unit in self._overrides], np.int64)


def _codes_by_position(config: ExperimentConfig) -> NDArray[np.int16]:
    """Return the code of the variant of each position of a unit, shape (POSITIONS,)."""
    positions = np.arange(POSITIONS) / POSITIONS
    codes = np.full(POSITIONS, NOT_ASSIGNED, np.int16)
    parts = ranges(config.variants.values(), config.coverage)
    # The first range that contains a position counts, as in `assign`.
    for index, (variant, (start, end)) in reversed(
        [*enumerate(zip(config.variants, parts, strict=True))]
    ):
        code = NOT_ASSIGNED if variant in config.stopped else index
        codes[(start <= positions) & (positions < end)] = code
    return codes


class _Texts:
    """UTF-16 code units of n texts. valid: shape (n,), texts that `assign` accepts."""

    def __init__(self, texts: Sequence[str]) -> None:
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        self.valid = (lengths > 0) & (lengths <= MAX_CHARS)
        if not self.valid.all():
            kept = [text if valid else "" for text, valid in zip(texts, self.valid, strict=True)]
            texts, lengths = kept, np.where(self.valid, lengths, 0)
        joined = "".join(texts)
        encoded = joined.encode("utf-16-le", "surrogatepass")
        if len(encoded) != 2 * len(joined):  # characters of two code units
            lengths = np.array([len(t.encode("utf-16-le", "surrogatepass")) // 2 for t in texts])
        self._units = np.frombuffer(encoded, "<u2").astype(np.uint32)
        # The longest first, so that the texts with a character at any place are the first ones.
        self._order = np.argsort(-lengths, kind="stable")
        self._lengths = lengths[self._order]
        self._starts = (np.cumsum(lengths) - lengths)[self._order]

    def hash(self, start: np.uint32) -> NDArray[np.uint32]:
        """Return the FNV-1a hashes of the texts, continued from `start`, shape (n,)."""
        numbers = np.full(len(self._order), start, np.uint32)
        longest = int(self._lengths[0]) if len(self._lengths) else 0
        counts = np.searchsorted(-self._lengths, -np.arange(longest), side="left")
        for place, count in enumerate(counts.tolist()):
            part = numbers[:count]
            part ^= self._units[self._starts[:count] + place]
            part *= _PRIME
        hashes = np.empty_like(numbers)
        hashes[self._order] = numbers
        return hashes


def _continued(numbers: NDArray[np.uint32], text: str) -> NDArray[np.uint32]:
    """Return hashes continued by one text."""
    for unit in np.frombuffer(text.encode("utf-16-le"), "<u2"):
        numbers = (numbers ^ np.uint32(unit)) * _PRIME
    return numbers


def _decimal_hash(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the FNV-1a hashes of numbers, written in decimal."""
    hashes = np.full(len(numbers), _OFFSET, np.uint32)
    for power in _POWERS:
        quotients = numbers // power
        hashed = (hashes ^ (quotients % np.uint32(10) + _ZERO)) * _PRIME
        hashes = hashed if power == 1 else np.where(quotients > 0, hashed, hashes)
    return hashes
