"""Keys of the configuration: all that exist, and how a key is written."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

from monitor.config.schema import Config
from monitor.config.sections.kafka.client import is_setting_name
from monitor.config.sections.notifications import is_target_name

Key = tuple[str | int, ...]
"""Path of a value, such as ("kafka", "logs", 0)."""

CLIENT: Final = ("kafka", "client")
TARGETS: Final = ("notifications", "targets")
CHECKS: Final = ("judges", "checks")
QUEUES: Final = ("web", "queues")
EXPERIMENTS: Final = ("experiments",)
FORMAT: Final = ("format",)
NAMED: Final = {TARGETS: "target", CHECKS: "check"}
"""Sections of named entries of several kinds -> the word for an entry."""
_ENTRIES: Final = frozenset({*NAMED, QUEUES})
"""Sections of named entries, of one kind or several."""
ENTRY_NAME: Final = "NAME"
"""Represents the name of any entry in KNOWN_KEYS."""
METRICS: Final = frozenset(
    (*EXPERIMENTS, ENTRY_NAME, k) for k in ("goal", "secondary", "guardrails")
)
"""Keys whose values are metrics."""


def _known_keys(annotation: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[Key, Any]]:
    if key in METRICS or key == FORMAT:
        return  # a metric or a format may be its name alone: it has no keys to set one by one
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            yield (*key, name), info.annotation
            yield from _known_keys(info.annotation, (*key, name))
    elif get_origin(annotation) is not dict:
        for part in get_args(annotation):  # the kinds of a reference or an entry
            yield from _known_keys(part, key)
    elif key in _ENTRIES or key == EXPERIMENTS:
        yield from _known_keys(get_args(annotation)[1], (*key, ENTRY_NAME))


KNOWN_KEYS: Final = dict(_known_keys(Config))
"""All keys of the configuration -> the type of their value."""


def generic_key(key: Key) -> Key:
    """Return the key as it is in KNOWN_KEYS: with ENTRY_NAME for the name of an entry.

    The place of a metric in a list is left out.
    """
    if key[:1] == EXPERIMENTS and len(key) > 1:
        rest = key[2:]
        return (*EXPERIMENTS, ENTRY_NAME, *rest[:1], *(k for k in rest[1:] if isinstance(k, str)))
    return (*key[:2], ENTRY_NAME, *key[3:]) if key[:2] in _ENTRIES and len(key) > 2 else key


def enclosing_keys(key: Key) -> Iterator[Key]:
    """Yield the key and the keys of the sections around it, the longest first."""
    return (key[:length] for length in range(len(key), 0, -1))


def format_key(key: Key) -> str:
    """Return a key as users write it, such as `kafka.logs[0]`."""
    # A malformed key ("password:secret") may contain a secret, so it is not shown.
    if key[:2] == CLIENT and len(key) > 2 and not is_setting_name(str(key[2])):
        key = CLIENT
    if key[:2] == TARGETS:
        key = (*TARGETS, *takewhile(lambda part: is_target_name(str(part)), key[2:]))
    parts = (f"[{k}]" if isinstance(k, int) else f".{k or repr(k)}" for k in key)
    return "".join(parts).removeprefix(".")
