"""What Grafana makes of a query before Prometheus sees it: variables and formats written out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

BUILT_IN = {"__rate_interval": "4m7s", "__interval": "1m3s", "__range": "6h1m"}
"""Spans that nobody would write by hand: a span of a query that is one of them was a variable."""
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::(\w+))?\})")

Values = Mapping[str, str | list[str]]


def interpolate(text: str, values: Values) -> str:
    """The text with every variable that is known written out; others stay as they are."""

    def written(match: re.Match[str]) -> str:
        name, form = match[1] or match[2], match[3]
        if name not in known:
            return match[0]
        value = known[name]
        return _regex(value) if form == "regex" else _plain(value)

    known: dict[str, str | list[str]] = {**BUILT_IN, **values}
    return _VARIABLE.sub(written, text)


def _regex(value: str | list[str]) -> str:
    """Grafana's format `regex`: a list is an alternative."""
    if isinstance(value, str):
        return re.sub(r"[\\^$*+?.()|[\]{}/]", r"\\\g<0>", value)
    escaped = [_regex(each) for each in value]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _plain(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "|".join(value)


def used(dashboard: Mapping[str, Any]) -> set[str]:
    """The names of all variables that a dashboard's texts use, Grafana's own among them."""
    return {
        match[1] or match[2] for text in strings(dashboard) for match in _VARIABLE.finditer(text)
    }


def strings(value: object) -> list[str]:
    """All strings within a JSON value."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in strings(each)]
