"""Times as logs write them."""

from __future__ import annotations

from datetime import UTC, datetime

_TICKS_BEFORE_1970 = 621_355_968_000_000_000


def rfc3339(seconds: float) -> str:
    """A time in milliseconds."""
    text = datetime.fromtimestamp(round(seconds * 1000) / 1000, UTC)
    return text.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ticks(seconds: float) -> int:
    """Ticks of 100 ns since the year 1, as .NET counts them."""
    return round(seconds * 1000) * 10_000 + _TICKS_BEFORE_1970
