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

FIRST_PLACES: Final = 64
"""Code units of an id that are arranged by place, for speed."""
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
        self._units = _code_units(joined)
        if len(self._units) != len(joined):  # characters of two code units
            lengths = np.array([len(_code_units(text)) for text in texts])
        # The longest first, so that the texts with a character at any place are the first ones.
        order = np.argsort(-lengths, kind="stable")
        self._order = order
        self._lengths = lengths[order]
        self._starts = (np.cumsum(lengths) - lengths)[order]
        self._columns = self._first_columns(lengths)

    def _first_columns(self, lengths: NDArray[np.int64]) -> NDArray[np.unsignedinteger]:
        """Return the code units at the first places, shape (places, n), in the order of hashes."""
        count, places = len(lengths), int(min(lengths.max(initial=0), FIRST_PLACES))
        if not places:
            return np.empty((0, count), np.uint8)
        if (lengths == places).all():
            return np.ascontiguousarray(self._units.reshape(count, places).T)
        columns = np.zeros((places, count), self._units.dtype)
        for place, length in enumerate(self._counts(places)):
            columns[place, :length] = self._units[self._starts[:length] + place]
        return columns

    def _counts(self, places: int) -> list[int]:
        """Return the number of texts that have a code unit at each of the first places."""
        found = np.searchsorted(-self._lengths, -np.arange(places), side="left")
        return [int(count) for count in found]

    def hash(self, start: np.uint32) -> NDArray[np.uint32]:
        """Return the FNV-1a hashes of the texts, continued from `start`, shape (n,)."""
        numbers = np.full(len(self._order), start, np.uint32)
        longest = int(self._lengths[0]) if len(self._lengths) else 0
        for place, count in enumerate(self._counts(longest)):
            part = numbers[:count]
            if place < len(self._columns):
                part ^= self._columns[place, :count]
            else:
                part ^= self._units[self._starts[:count] + place]
            part *= _PRIME
        hashes = np.empty_like(numbers)
        hashes[self._order] = numbers
        return hashes


def _code_units(text: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the UTF-16 code units of a text, as bytes if it is ASCII: four times as fast."""
    if text.isascii():
        return np.frombuffer(text.encode(), np.uint8)
    return np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")


def _continued(numbers: NDArray[np.uint32], text: str) -> NDArray[np.uint32]:
    """Return hashes continued by one text."""
    for unit in _code_units(text):
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
