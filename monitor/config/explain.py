"""Error messages for validation errors: which key is wrong, and what to do.

Messages refer to YAML and to the keys that the user wrote, not to the types of pydantic. They
repeat no value except an unknown name, shortened.
"""

from __future__ import annotations

import re
from collections.abc import Container

from pydantic_core import ErrorDetails

from monitor.config.keys import (
    CHECKS,
    EXPERIMENTS,
    FORMAT,
    KNOWN_KEYS,
    METRICS,
    NAMED,
    TARGETS,
    Key,
    generic_key,
)
from monitor.config.sections.base.suggestions import did_you_mean
from monitor.config.sections.experiments.metrics import MetricConfig
from monitor.config.sections.ingest.mapping import KINDS, keys_of

_OR_A_MAPPING = "; messages of other JSON need a mapping, which `plumbline config sniff` proposes"
_MESSAGES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
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
    "string_too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "finite_number": "must be a finite number",
    "missing": "is missing",
    "plumbline": "{message}",
}
"""Type of a pydantic error -> message. "plumbline" is the type of errors of our own checks."""


def problem_key(detail: ErrorDetails, given: Container[Key]) -> Key:
    """Return the key of a validation error, as the user wrote it; `given` are the keys set."""
    key: Key = detail["loc"]
    if is_name(detail):
        key = key[:-1]  # a name in a mapping is invalid, not its value
    if key[:1] == EXPERIMENTS and key[-1] == "metric" and key not in given:
        key = key[:-1]  # a metric that is given by its name alone
    key = _as_written(_without_kind(key), given)
    if detail["type"].startswith("union_tag") and isinstance(detail["input"], dict):
        key = (*key, _discriminator(key))
    # If several keys conflict, report one that the user set rather than a default.
    named = detail.get("ctx", {}).get("keys", ())
    conflicting = [tuple(key.split(".")) if isinstance(key, str) else key for key in named]
    return next((k for k in conflicting if k in given), conflicting[0] if conflicting else key)


def is_name(detail: ErrorDetails) -> bool:
    """Return whether the error is of a name in a mapping, such as that of a target."""
    loc = detail["loc"]
    depths = (3, 5) if loc[:1] == EXPERIMENTS else (4,)
    return loc[-1] == "[key]" and len(loc) in depths and detail["type"] != "extra_forbidden"


def explain(detail: ErrorDetails) -> str:
    """Return the message for a validation error, with a suggestion if there is one."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(detail["loc"])
    if value is None and not context.get("keys"):  # a check of its own explains an absent key
        return "has no value; give it one or remove the key"
    if kind == "literal_error":
        mapping = detail["loc"] == ("format", "<name>")
        return _unknown_name(value, context["expected"]) + (_OR_A_MAPPING if mapping else "")
    if kind.startswith("union_tag") and isinstance(value, dict):
        return _unknown_kind(value, detail["loc"])
    return _MESSAGES.get(kind, "is not valid").format_map(context) + _notation_hint(kind, value)


def _notation_hint(kind: str, value: object) -> str:
    """Return how to write a value that YAML read as another type."""
    if kind in {"int_type", "float_type"} and isinstance(value, str):
        return _number_hint(value.strip())
    if kind == "string_type" and not isinstance(value, list | dict):
        return "; put it in quotes"
    return ""


def _number_hint(text: str) -> str:
    """Return how to write a number that YAML read as text."""
    if re.fullmatch(r"[+-]?0\d+(\.\d*)?", text):
        return "; remove the zeros at its beginning"
    if re.fullmatch(r"[+-]?\d{1,3}([,' ]\d{3})+(\.\d*)?", text):
        return "; write it without separators, such as 1000"
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", text):
        return (
            "; write it without an exponent, such as 1000 or 0.001, because YAML reads 1e3 as text"
        )
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text):
        return "; remove the quotes"
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)\s*[A-Za-z%]+", text):
        return "; write it without a unit"
    return ""


def _without_kind(key: Key) -> Key:
    """Return the key without the kinds of references, targets, checks and formats in it.

    Pydantic inserts them.
    """
    if key[:1] == FORMAT:
        return tuple(part for part in key if part not in KINDS)
    if key[0] == "reference" and len(key) > 1:
        return (key[0], *key[2:])
    return (*key[:3], *key[4:]) if key[:2] in NAMED and len(key) > 3 else key


def _as_written(key: Key, given: Container[Key]) -> Key:
    """Return the key of a mapping without the parts that its short forms leave out."""
    if key[:1] != FORMAT:
        return key
    for length in range(2, len(key)):
        if key[length] == 0 and key[: length + 1] not in given:  # a source that is no list
            return _as_written((*key[:length], *key[length + 1 :]), given)
    return key[:-1] if key[-1] == "path" and key not in given else key


def _discriminator(key: Key) -> str:
    """Return the key that selects the kind of a target, a check or a reference."""
    return "kind" if key[:2] in NAMED else "source"


def _unknown_key(loc: Key) -> str:
    key = generic_key(_without_kind(loc))
    name, section = str(key[-1]), key[:-1]
    if key in KNOWN_KEYS:
        return f"does not belong to this kind of {_word(key)}"
    siblings = {str(known[-1]) for known in KNOWN_KEYS if known[:-1] == section}
    if section in METRICS:
        siblings = set(MetricConfig.model_fields)
    elif section[:1] == FORMAT:
        siblings = set(keys_of(section[1:]))
    return f"unknown key{did_you_mean(name, siblings)}"


def _unknown_kind(value: dict[str, object], key: Key) -> str:
    kinds = {
        "reference": "'warmup', 'file', 'named'",
        NAMED[TARGETS]: "'slack', 'pagerduty', 'alertmanager', 'webhook'",
        NAMED[CHECKS]: "'json_schema', 'language', 'length', 'keywords', 'trap'",
    }[_word(key)]
    if _discriminator(key) not in value:
        names = kinds.replace("'", "")
        return f"is missing; it must be one of {names}"
    return _unknown_name(value[_discriminator(key)], kinds)


def _word(key: Key) -> str:
    """Return the word for the section of which there are several kinds."""
    return next((word for section, word in NAMED.items() if key[:2] == section), "reference")


def _unknown_name(value: object, expected: str) -> str:
    known = re.findall(r"'([\w-]+)'", expected)
    if not isinstance(value, str):
        return f"must be one of {', '.join(known)}"
    hint = did_you_mean(value.lower(), known)
    return f"unknown name {value[:80]!r}{hint or ', must be one of ' + ', '.join(known)}"
