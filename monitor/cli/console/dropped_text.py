"""Lines about what the limits cut off."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

from monitor.cli.report import Dropped

MAX_NAMES = 3
"""Names in a line; the report has more."""


def lines(dropped: Dropped) -> Iterator[str]:
    """Yield a line for each kind of name that a limit cut off."""
    if dropped.models:
        names = _named(dropped.model_names, dropped.models)
        yield f"not watched, beyond limits.models: {_count(dropped.models, 'model')} ({names})"
    if dropped.scores:
        count = len(dropped.scores)
        names = f"{_count(count, 'score')} ({_named(dropped.scores, count)})"
        yield f"not watched, beyond limits.scores or not a printable name: {names}"
    for feature, categories in dropped.categories.items():
        count = len(categories)
        noun = "category" if count == 1 else "categories"
        names = _named(categories, count)
        yield f"counted together, beyond limits.categories: {count:,} {noun} of {feature} ({names})"
    if dropped.segments:
        count = len(dropped.segments)
        names = _named(dropped.segments, count)
        yield f"not watched, beyond limits.segments: {_count(count, 'segment')} ({names})"


def _named(names: Collection[str], count: int) -> str:
    """Return the first names, and whether there are more."""
    first = ", ".join(name[:40] for name in islice(names, MAX_NAMES))
    return first + (", ..." if count > MAX_NAMES else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
