"""Times of logs in their units, as epoch seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from monitor.ingest.decode.bodies.values import parsed_number

SECONDS: Final = 1
MILLISECONDS: Final = 1_000
TICKS: Final = 10_000_000
"""Of 100 nanoseconds, as in Azure's logs."""
NANOSECONDS: Final = 1_000_000_000
"""Parts of a second. The quotient of two whole numbers is the float nearest to the time, which a
product with 0.001 is not."""
_TICKS_BEFORE_1970: Final = 621_355_968_000_000_000
"""Ticks from the year 1 to 1970."""
_MAX_DIGITS: Final = 20
_MAX_TICKS: Final = 2**63


def epoch_seconds(value: object, unit: int = SECONDS) -> float | None:
    """Return epoch seconds of a number, a number as text, or a text in RFC 3339.

    unit: how many units of a number are a second. A text without a zone is UTC.
    Returns None if it is no time.
    """
    if isinstance(value, str):
        found = parsed_number(value)
        return rfc3339(value) if found is None else found / unit
    found = parsed_number(value)
    return None if found is None else found / unit


def rfc3339(value: str) -> float | None:
    """Return epoch seconds of a time in RFC 3339 or ISO 8601; None if it is none.

    Digits beyond microseconds are ignored, as in the nanoseconds of Go.
    """
    try:
        time = datetime.fromisoformat(value[:40])
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def milliseconds_between(start: float | None, end: float | None) -> float | None:
    """Return the duration between two times in epoch seconds; None if one is not known.

    Digits below a microsecond are noise: floats near today's epoch have a spacing of 0.24 us.
    """
    return None if start is None or end is None else round(1000 * (end - start), 3)


def ticks(value: object) -> float | None:
    """Return epoch seconds of ticks since the year 1, or since 1970 if they are fewer."""
    found = _ticks(value)
    if found is None:
        return None
    if found >= _TICKS_BEFORE_1970:
        found -= _TICKS_BEFORE_1970
    return found / TICKS


def milliseconds_of_ticks(start: object, end: object) -> float | None:
    """Return the duration between two times in ticks; None if one is not known."""
    first, last = _ticks(start), _ticks(end)
    return None if first is None or last is None else (last - first) * MILLISECONDS / TICKS


def _ticks(value: object) -> float | None:
    """Return a number; a whole one exactly: those since the year 1 have more than 53 bits."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= _MAX_DIGITS:
        value = int(value)
    if type(value) is int and abs(value) < _MAX_TICKS:
        return value
    return parsed_number(value)
