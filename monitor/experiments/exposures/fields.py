"""Decode the optional fields of many records at once: `experiments`, ids of units, `feedback`.

A field of a wrong type is missing. The usual batch, without one, is decoded as one JSON list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from detectors.arrays import Floats
from monitor.statistics.exact import MAX_MAGNITUDE

_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)
T = TypeVar("T")

Column = Callable[[Sequence[msgspec.Raw]], Sequence[T | None]]


def _column(kind: type[T]) -> Column[T]:
    """Return a function that decodes n fields of a type; None for a field of another type."""
    one = msgspec.json.Decoder(kind | None).decode
    many = msgspec.json.Decoder(list[kind | None]).decode  # type: ignore[valid-type] # a type by its variable

    def decode_one(raw: msgspec.Raw) -> T | None:
        try:
            found: T | None = one(raw)
        except _ERRORS:
            return None
        return found

    def decode(raws: Sequence[msgspec.Raw]) -> Sequence[T | None]:
        try:
            return many(b"[" + b",".join(raws) + b"]")
        except _ERRORS:
            return [decode_one(raw) for raw in raws]

    return decode


_texts: Final[Column[Any]] = _column(str | int)  # type: ignore[arg-type]  # a union is no type
_numbers: Final[Column[float]] = _column(float)
_mappings: Final[Column[dict[str, Any]]] = _column(dict[str, Any])
_raw_mappings: Final[Column[dict[str, msgspec.Raw]]] = _column(dict[str, msgspec.Raw])


def mappings(raws: Sequence[msgspec.Raw]) -> Sequence[Mapping[str, Any] | None]:
    """Return fields that are objects; values that cannot be decoded are missing."""
    found = _mappings(raws)
    lost = [i for i, each in enumerate(found) if each is None and bytes(raws[i]) != b"null"]
    if lost:
        kept = list(found)
        for index, each in zip(lost, _raw_mappings([raws[i] for i in lost]), strict=True):
            if each is not None:
                kept[index] = {key: _any(raw) for key, raw in each.items()}
        return kept
    return found


def _any(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except _ERRORS:
        return None


def texts(raws: Sequence[msgspec.Raw]) -> list[str | None]:
    """Return ids, which are texts or whole numbers; None if missing or empty."""
    return [each if type(each) is str and each else _text(each) for each in _texts(raws)]


def metadata_texts(values: Sequence[Mapping[str, Any] | None], key: str) -> list[str | None]:
    """Return the ids in metadata; None if missing, empty, a list or an object."""
    return [_text(each.get(key)) if each else None for each in values]


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    return json.dumps(value) if isinstance(value, int | float) else None


def numbers(raws: Sequence[msgspec.Raw]) -> Floats:
    """Return numbers, shape (n,); NaN if missing or beyond MAX_MAGNITUDE."""
    found = np.array(_numbers(raws), np.float64)
    found[~(np.abs(found) <= MAX_MAGNITUDE)] = np.nan
    return found
