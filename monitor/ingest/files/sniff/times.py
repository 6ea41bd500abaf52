"""Recognize times and durations, with their units, in logs of unknown layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from statistics import median
from typing import Any, Final, NamedTuple

from monitor.config.sections.ingest.paths import Path
from monitor.ingest.decode.bodies.times import rfc3339
from monitor.ingest.files.sniff.observation import Seen

EPOCHS: Final = {
    "s": (1e9, 5e9),
    "ms": (1e12, 5e12),
    "us": (1e15, 5e15),
    "ticks": (6.2e17, 6.6e17),
    "ns": (1e18, 5e18),
}
"""Unit -> numbers that are times since 2001; ticks since the year 1."""
FORMATS: Final = (
    "%d/%b/%Y:%H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S %Z",
    "%a %b %d %H:%M:%S %Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S,%f",
    "%Y-%m-%d %H:%M:%S %z",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%b %d %Y %H:%M:%S",
)
"""Patterns of strptime that logs use besides RFC 3339."""
_STARTS: Final = (
    r"start(ed)?(_at|_time|_ts|_timestamp)?|(start|begin)_time_unix_nano|begin|request_(time|ts)",
    r"timestamp|ts|time|datetime|date_time|event_time|(request_)?timestamp_(ms|us|ns)|epoch(_ms)?",
    r"(created|received|logged|requested|occurred|ingested)(_at|_time)?|date|at",
)
_ENDS: Final = (
    r"(end|finish|stop|complete)(ed)?(_at|_time|_ts|_timestamp)?|end_time_unix_nano"
    r"|(response|completion)_(time|ts)",
)
_FIRST: Final = r"ttft|time_to_first|first_(token|chunk|byte)"
_DURATIONS: Final = (
    r"(total_|request_|response_|llm_|model_|e2e_)?latency",
    r"(total_|request_|response_|llm_|model_)?(duration|elapsed|took|runtime)(_time)?|time_taken",
    r"(response|processing|process|total|execution|inference|generation)_time",
    r"(timings?|latency|latencies|durations?|perf|performance)_(total|request|e2e|overall|llm)",
)
_UNIT_WORDS: Final = {
    "ms": "ms",
    "msec": "ms",
    "msecs": "ms",
    "millis": "ms",
    "milliseconds": "ms",
    "s": "s",
    "sec": "s",
    "secs": "s",
    "seconds": "s",
    "us": "us",
    "micros": "us",
    "microseconds": "us",
    "ns": "ns",
    "nano": "ns",
    "nanos": "ns",
    "nanoseconds": "ns",
}
_MS_FROM: Final = 100.0
"""Median of durations without a unit from which they are taken for milliseconds."""


class Guess(NamedTuple):
    """The source of a field, as in a mapping, and why it was chosen where that is uncertain."""

    source: Any
    note: str = ""


def time_source(seen: Seen) -> dict[str, str] | None:
    """Return the source of a time, with its unit or pattern; None if the values are no times."""
    numbers, path = seen.numbers(), str(seen.path)
    if numbers and len(numbers) == len(seen.values):
        for unit, (low, high) in EPOCHS.items():
            if all(low <= each <= high for each in numbers):
                return {"path": path, "unit": unit}
    elif seen.share(str) == 1:
        if all(re.match(r"\d{4}-?\d\d", text) and rfc3339(text) for text in seen.values):
            return {"path": path}
        for pattern in FORMATS:
            if all(_matches(text, pattern) for text in seen.values[:100]):
                return {"path": path, "time_format": pattern}
    return None


def _matches(text: str, pattern: str) -> bool:
    try:
        datetime.strptime(text.strip(), pattern)
    except ValueError:
        return False
    return True


def timestamp(seen: Mapping[Path, Seen]) -> Guess | None:
    """Return where the time of a request's start is."""
    best = _best_time(seen, _STARTS)
    return None if best is None else Guess(_short(best[1]))


def durations(seen: Mapping[Path, Seen]) -> dict[str, Guess]:
    """Return where the latency and the time to the first token are."""
    found: dict[str, Guess] = {}
    for path in sorted(seen, key=lambda path: (len(path.steps), str(path))):
        each = seen[path]
        unit_word = each.words[-1] if each.words else ""
        unit = _UNIT_WORDS.get(unit_word)
        ending = f"_{unit_word}" if unit else ""
        names = [form.removesuffix(ending) for form in each.forms]
        if not _is_amount(each):
            continue
        if any(re.search(_FIRST, name) for name in names):
            found.setdefault("time_to_first_token_ms", _duration(each, unit))
        elif any(re.fullmatch(pattern, name) for pattern in _DURATIONS for name in names):
            found.setdefault("latency_ms", _duration(each, unit))
    start, end = _best_time(seen, _STARTS), _best_time(seen, _ENDS)
    if "latency_ms" not in found and start is not None and end is not None:
        found |= _between(start[1], end[1])
    return found


def _between(start: dict[str, str], end: dict[str, str]) -> dict[str, Guess]:
    """Return the latency between two times that are written alike."""
    if {**start, "path": ""} != {**end, "path": ""}:
        return {}
    rest = {key: value for key, value in start.items() if key != "path"}
    source = {"start": start["path"], "end": end["path"], **rest}
    return {"latency_ms": Guess(source, "the time between its start and its end")}


def _best_time(
    seen: Mapping[Path, Seen], patterns: tuple[str, ...]
) -> tuple[int, dict[str, str]] | None:
    found = []
    for path, each in seen.items():
        for rank, pattern in enumerate(patterns):
            named = any(re.fullmatch(pattern, form) for form in each.forms)
            if named and (source := time_source(each)) is not None:
                found.append((rank, -len(each.records), len(path.steps), str(path), source))
                break
    return (found[0][0], min(found)[4]) if found and (found := [min(found)]) else None


def _short(source: dict[str, str]) -> Any:
    """Return a source without what the default gives."""
    if source.get("unit") == "s":
        source = {key: value for key, value in source.items() if key != "unit"}
    return source["path"] if list(source) == ["path"] else source


def _is_amount(seen: Seen) -> bool:
    numbers = seen.numbers()
    return bool(numbers) and len(numbers) == len(seen.values) and min(numbers) >= 0


def _duration(seen: Seen, unit: str | None) -> Guess:
    """Return the source of a duration; its unit is that of its name, or guessed by its size."""
    path, numbers = str(seen.path), seen.numbers()
    if unit is not None:
        return Guess(path if unit == "ms" else {"path": path, "unit": unit})
    middle = median(numbers)
    fractions = any(not each.is_integer() for each in numbers)
    if middle >= 1e8:
        guessed = "ns"
    elif middle >= 1e6:
        guessed = "us"
    else:
        guessed = "s" if middle < _MS_FROM and (fractions or middle < 10) else "ms"
    note = f"a guess: unit {guessed}, because the median is {middle:g}"
    return Guess(path if guessed == "ms" else {"path": path, "unit": guessed}, note)
