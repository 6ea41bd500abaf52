"""Read decoded JSON of any shape. A value of another type than expected is None, never an error."""

from __future__ import annotations

from typing import Any, Final

MAX_METADATA: Final = 64
"""Entries of metadata that are kept of one record."""
_MAX_KEY_CHARS: Final = 200


def member(value: object, *path: str | int) -> Any:
    """Return what is at a path of keys and positions in objects and lists; None if it is absent."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and len(value) > step else None
    return value


def text(value: object) -> str | None:
    """Return a text that is not empty."""
    return value if isinstance(value, str) and value else None


def identifier(value: object) -> str | None:
    """Return an identifier, which some logs write as a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value)


def number(value: object) -> float | None:
    """Return a JSON number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # JSON allows integers of hundreds of digits
        return None


def parsed_number(value: object) -> float | None:
    """Return a number, also if it is written as text."""
    if isinstance(value, str):
        try:
            return float(value) if len(value) <= 40 else None
        except ValueError:
            return None
    return number(value)


def total(*values: float | None) -> float | None:
    """Return the sum of the numbers that there are; None if there are none."""
    present = [value for value in values if value is not None]
    return sum(present) if present else None


def metadata(values: object) -> dict[str, str | float] | None:
    """Return the texts and numbers of an object, a boolean as the text true or false."""
    if not isinstance(values, dict):
        return None
    kept: dict[str, str | float] = {}
    for key, value in values.items():
        if not isinstance(key, str) or len(key) > _MAX_KEY_CHARS:
            continue
        if isinstance(value, bool):
            kept[key] = "true" if value else "false"
        elif isinstance(value, str):
            kept[key] = value
        elif (size := number(value)) is not None:
            kept[key] = size
        if len(kept) == MAX_METADATA:
            break
    return kept or None
