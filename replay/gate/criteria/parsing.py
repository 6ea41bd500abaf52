"""Validate criteria and explain each problem with its key and, where possible, a suggestion."""

from __future__ import annotations

import difflib
import re
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from replay.gate.criteria.dimension import Dimension
from replay.gate.criteria.model import Balance, Canary, Criteria, Model, People, Side, Tiers
from replay.gate.criteria.section import ERROR_TYPE

Key = tuple[str | int, ...]

_SECTIONS: Final[dict[Key, type[BaseModel]]] = {
    (): Criteria,
    ("candidate",): Side,
    ("baseline",): Side,
    ("candidate", "model"): Model,
    ("baseline", "model"): Model,
    ("dimensions", "NAME"): Dimension,
    ("tiers",): Tiers,
    ("people",): People,
    ("canary",): Canary,
    ("balance",): Balance,
}
_MESSAGES: Final = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text; put it in quotes",
    "path_type": "must be a path, as text",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "missing": "is missing",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_pattern_mismatch": "must be the name of an environment variable",
    ERROR_TYPE: "{message}",
}
"""Type of a pydantic error -> message."""


class CriteriaError(Exception):
    """Criteria are not valid. problems: key and message of each."""

    def __init__(self, problems: list[tuple[Key, str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, key))}: {text}" for key, text in problems))
        self.problems = problems


def parse(data: dict[str, Any]) -> Criteria:
    """Return the criteria of a mapping. Raises CriteriaError with all problems."""
    try:
        return Criteria.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
    raise CriteriaError([(_key(detail), _message(detail)) for detail in details])


def _key(detail: ErrorDetails) -> Key:
    key = tuple(part for part in detail["loc"] if part != "[key]")
    return (*key, *detail.get("ctx", {}).get("key", ()))


def _message(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(str(detail['loc'][-1]), _siblings(detail['loc']))}"
    if detail["input"] is None and kind != ERROR_TYPE:
        return "has no value; give it one or remove the key"
    if kind == "literal_error":
        known = re.findall(r"'([\w-]+)'", context["expected"])
        found = detail["input"]
        hint = _suggestion(found, known) if isinstance(found, str) else ""
        return f"must be one of {', '.join(known)}{hint}"
    return _MESSAGES.get(kind, "is not valid").format_map(context)


def _siblings(loc: Key) -> list[str]:
    section = loc[:-1]
    if section[:1] == ("dimensions",):
        section = ("dimensions", "NAME", *section[2:])
    found = _SECTIONS.get(section)
    return list(found.model_fields) if found else []


def _suggestion(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word[:80], known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
