"""Display names of the bins of a numeric stream."""

from __future__ import annotations

import math
from collections.abc import Sequence


def range_names(first: Sequence[float], last: Sequence[float]) -> tuple[str, ...]:
    """Return display names of the bins whose least and largest values are given, in order.

    They have as few digits, four or more, as tell all bins apart.
    """
    names: tuple[str, ...] = ()
    for digits in range(4, 18):
        low = [_text(value, digits) for value in first]
        high = [_text(value, digits) for value in last]
        ends = zip(low, high, first, last, strict=True)
        within = [a if x == y else f"{a} to {b}" for a, b, x, y in ends]
        names = (f"below {low[0]}", *within, f"above {high[-1]}", "missing")
        if len(set(names)) == len(names):
            break
    return names


def _text(value: float, digits: int) -> str:
    """Return a value with `digits` significant digits, and all of those before the point."""
    if value and not 1e-5 <= abs(value) < 1e15:
        return f"{value:.{digits}g}"
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    decimals = max(0, digits - 1 - magnitude)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
