"""Decode the optional fields of many records at once: `experiments`, ids of units, `feedback`.

A field of a wrong type is missing. The usual batch, without one, is decoded as one JSON list; of
fields with few different values, each is decoded once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from detectors.arrays import Floats
from monitor.ingest.fields.fields import Coded, separate
from monitor.statistics.exact import MAX_MAGNITUDE

_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)
T = TypeVar("T")

Column = Callable[[bytes], Sequence[T | None]]


def _column(kind: type[T]) -> Column[T]:
    """Return a function that decodes n fields of a type; None for a field of another type."""
    one = msgspec.json.Decoder(kind | None).decode
    many = msgspec.json.Decoder(list[kind | None]).decode  # type: ignore[valid-type] # a type by its variable

    def decode_one(raw: bytes) -> T | None:
        try:
            found: T | None = one(raw)
        except _ERRORS:
            return None
        return found

    def decode(values: bytes) -> Sequence[T | None]:
        try:
            return many(b"[" + values + b"]")
        except _ERRORS:
            return [decode_one(raw) for raw in separate(values)]

    return decode


_texts: Final[Column[Any]] = _column(str | int)  # type: ignore[arg-type]  # a union is no type
_numbers: Final[Column[float]] = _column(float)
_mapping: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode


def values_of(experiments: Coded[bytes], name: str) -> Coded[Any]:
    """Return the values of a key of fields that are objects; what cannot be decoded is missing."""
    found = [_value_of(raw, name) for raw in experiments.vocabulary]
    return Coded(tuple(found), experiments.codes)


def _value_of(raw: bytes, name: str) -> Any:
    try:
        return _any((_mapping(raw) or {}).get(name))
    except _ERRORS:
        return None


def _any(raw: msgspec.Raw | bytes | None) -> Any:
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except _ERRORS:
        return None


def texts(values: bytes) -> list[str | None]:
    """Return ids, which are texts or whole numbers; None if missing or empty."""
    return [each if type(each) is str and each else _text(each) for each in _texts(values)]


def metadata_texts(names: Coded[bytes]) -> list[str | None]:
    """Return the ids in metadata; None if missing, empty, a list or an object."""
    vocabulary = tuple([_text(_any(raw)) for raw in names.vocabulary])
    return Coded(vocabulary, names.codes).values()


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    return json.dumps(value) if isinstance(value, int | float) else None


def numbers(values: bytes) -> Floats:
    """Return numbers, shape (n,); NaN if missing or beyond MAX_MAGNITUDE."""
    found = np.array(_numbers(values), np.float64)
    found[~(np.abs(found) <= MAX_MAGNITUDE)] = np.nan
    return found
