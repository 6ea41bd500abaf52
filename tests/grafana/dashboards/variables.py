"""Interpolate variables in queries as Grafana does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

BUILT_IN = {"__rate_interval": "4m7s", "__interval": "1m3s", "__range": "6h1m"}
"""Unusual durations, so that a duration in an interpolated query identifies its variable."""
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::(\w+))?\})")

Values = Mapping[str, str | list[str]]


def interpolate(text: str, values: Values) -> str:
    """Return the text with known variables interpolated; unknown variables stay."""

    def replacement(match: re.Match[str]) -> str:
        name, form = match[1] or match[2], match[3]
        if name not in known:
            return match[0]
        value = known[name]
        return _regex(value) if form == "regex" else _plain(value)

    known: dict[str, str | list[str]] = {**BUILT_IN, **values}
    return _VARIABLE.sub(replacement, text)


def _regex(value: str | list[str]) -> str:
    """Grafana's format `regex`: values are escaped, and several are alternatives."""
    if isinstance(value, str):
        return re.sub(r"[\\^$*+?.()|[\]{}/]", r"\\\g<0>", value)
    escaped = [_regex(each) for each in value]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _plain(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "|".join(value)


def used(dashboard: Mapping[str, Any]) -> set[str]:
    """Return the names of all variables in a dashboard's texts, including built-in ones."""
    return {
        match[1] or match[2] for text in strings(dashboard) for match in _VARIABLE.finditer(text)
    }


def strings(value: object) -> list[str]:
    """Return all strings of a JSON value."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in strings(each)]
