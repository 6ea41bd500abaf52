"""What validation found, in plain words: the key to blame, and a message that says what to do.

Pydantic speaks of its own types and of places inside them; the messages here speak of YAML and of
the keys that the user wrote. They repeat no value but a short unknown name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Iterator
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from monitor.config import Config
from monitor.config_notify import NAME, TARGETS

Key = tuple[str | int, ...]  # ("kafka", "logs", 0)

NOT_YET: Final = frozenset({"sampling", "judges", "experiments", "replay"})
NOT_AVAILABLE: Final = "is not available in this version"

_MESSAGES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "string_unicode": "must be Unicode text",
    "path_type": "must be a path, as text",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "union_tag_not_found": "must be a mapping of keys to values",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must be at most {max_length} characters long",
    "finite_number": "must be a finite number",
    "missing": "is missing",
    "plumbline": "{message}",
}


def _known_keys(annotation: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[Key, Any]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            yield (*key, name), info.annotation
            yield from _known_keys(info.annotation, (*key, name))
    elif get_origin(annotation) is not dict:
        for part in get_args(annotation):  # the kinds of a reference, or of a target
            yield from _known_keys(part, key)
    elif key == TARGETS:
        yield from _known_keys(get_args(annotation)[1], (*key, NAME))


KNOWN_KEYS: Final = dict(_known_keys(Config))
"""Every key that the configuration may hold, with the type of its value; NAME is any target's."""


def blamed(detail: ErrorDetails, written: Container[Key]) -> Key:
    """The key that the problem is about, as the user wrote it; `written` are the keys given."""
    key: Key = detail["loc"]
    if key[-1] == "[key]" and len(key) == 4:
        key = key[:-1]  # a name in a mapping is wrong, not its value
    key = _without_kind(key)
    if detail["type"].startswith("union_tag") and isinstance(detail["input"], dict):
        key = (*key, _discriminator(key))
    # Where two keys do not go together, the one that was written rather than a default.
    pair = [tuple(name.split(".")) for name in detail.get("ctx", {}).get("keys", ())]
    return next((k for k in pair if k in written), pair[0] if pair else key)


def explain(detail: ErrorDetails) -> str:
    """What is wrong and, where it can be told, what was meant."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(detail["loc"])
    if value is None:
        return "has no value; give it one or remove the key"
    if kind == "literal_error":
        return _unknown_name(value, context["expected"])
    if kind.startswith("union_tag") and isinstance(value, dict):
        return _unknown_kind(value, _discriminator(detail["loc"]))
    return _MESSAGES.get(kind, "is not valid").format_map(context) + _quotes_hint(kind, value)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` may be a slip of, if any."""
    return next(iter(difflib.get_close_matches(word[:80], sorted(known), n=1)), None)


def _quotes_hint(kind: str, value: object) -> str:
    if kind == "int_type" and isinstance(value, str) and value.isdecimal():
        return "; remove the quotes"
    if kind == "string_type" and not isinstance(value, list | dict):
        return "; put it in quotes"
    return ""


def _without_kind(key: Key) -> Key:
    """The key as it is written: validation puts in which kind of reference or target it is."""
    if key[0] == "reference" and len(key) > 1:
        return (key[0], *key[2:])
    return (*key[:3], *key[4:]) if key[:2] == TARGETS and len(key) > 3 else key


def _discriminator(key: Key) -> str:
    return "kind" if key[:2] == TARGETS else "source"


def known_form(key: Key) -> Key:
    """The key as `KNOWN_KEYS` lists it."""
    return (*TARGETS, NAME, *key[3:]) if key[:2] == TARGETS and len(key) > 2 else key


def _unknown_key(loc: Key) -> str:
    key = known_form(_without_kind(loc))
    name, section = str(key[-1]), key[:-1]
    if not section and name in NOT_YET:
        return NOT_AVAILABLE
    if key in KNOWN_KEYS:
        return f"does not belong to this kind of {'target' if key[:2] == TARGETS else 'reference'}"
    siblings = {str(known[-1]) for known in KNOWN_KEYS if known[:-1] == section}
    return f"unknown key{_did_you_mean(name, siblings)}"


def _unknown_kind(value: dict[str, object], discriminator: str) -> str:
    kinds = {"source": "'warmup', 'file', 'named'", "kind": "'slack', 'pagerduty', 'webhook'"}
    if discriminator not in value:
        return "is missing; it must be one of slack, pagerduty, webhook"
    return _unknown_name(value[discriminator], kinds[discriminator])


def _unknown_name(value: object, expected: str) -> str:
    known = re.findall(r"'(\w+)'", expected)
    if not isinstance(value, str):
        return f"must be one of {', '.join(known)}"
    hint = _did_you_mean(value.lower(), known)
    return f"unknown name {value[:80]!r}{hint or ', must be one of ' + ', '.join(known)}"


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = closest(word, known)
    return f"; did you mean {close!r}?" if close else ""
