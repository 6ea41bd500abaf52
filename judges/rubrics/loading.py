"""Load rubrics from YAML files: shipped ones by name, others by path.

All problems of a file are reported at once, each with file, line and, where possible, a suggestion.
"""

from __future__ import annotations

import difflib
import re
from importlib import resources
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from judges.rubrics.rubric import Dimension, Mode, Need, Rubric
from monitor.errors import UserError, os_error_reason

MAX_BYTES: Final = 256 * 1024
_SUFFIXES: Final = (".yaml", ".yml")
_Key = tuple[int | str, ...]
_MESSAGES: Final = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "string_type": "must be text; put it in quotes",
    "string_too_short": "must not be empty",
    "string_too_long": "must be at most {max_length} characters long",
    "string_pattern_mismatch": "must be lower-case letters, digits and underscores, a letter first",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a list",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "finite_number": "must be a finite number",
    "model_type": "must be a mapping of keys to values",
    "mapping_type": "must be a mapping of scores to descriptions",
    "rubric": "{message}",
}
"""Type of a pydantic error -> message. "rubric" is the type of errors of our own checks."""
_CHOICES: Final = {"mode": [*Mode], "needs": [*Need]}


class RubricError(UserError):
    """A rubric cannot be used: one line for each problem."""


def shipped() -> tuple[str, ...]:
    """Return the names of the shipped rubrics, sorted."""
    files = (resources.files("judges.rubrics") / "shipped").iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


def load(name_or_path: str) -> Rubric:
    """Return a shipped rubric by its name, or the rubric of a YAML file.

    Text with a slash or with the suffix .yaml or .yml is a path.
    Raises RubricError with all problems.
    """
    if "/" not in name_or_path and not name_or_path.endswith(_SUFFIXES):
        names = shipped()
        if name_or_path not in names:
            raise RubricError(_unknown_rubric(name_or_path, names))
        file = resources.files("judges.rubrics") / "shipped" / f"{name_or_path}.yaml"
        return parse(file.read_text(encoding="utf-8"), name_or_path)
    try:
        with Path(name_or_path).open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise RubricError(f"{name_or_path}: cannot be read: {os_error_reason(error)}") from None
    if len(content) > MAX_BYTES:
        raise RubricError(f"{name_or_path}: is larger than {MAX_BYTES // 1024} KiB")
    try:
        return parse(content.decode("utf-8-sig"), name_or_path)
    except UnicodeDecodeError:
        raise RubricError(f"{name_or_path}: is not YAML: it is not UTF-8 text") from None


def parse(text: str, place: str) -> Rubric:
    """Return the rubric of a YAML document. place: its name in errors. Raises RubricError."""
    lines: dict[_Key, int] = {}
    problems: list[tuple[int, str]] = []
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = None if node is None else _build(loader, node, (), lines, problems)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RubricError(f"{place}:{line}: is not YAML: {error.problem}") from None
    except _AliasFound as error:
        raise RubricError(f"{place}:{error.line}: aliases ('*') are not supported") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise RubricError(f"{place}: is not YAML that can be read") from None
    if not isinstance(data, dict):
        raise RubricError(f"{place}: must be a mapping of keys to values, such as `name: helpful`")
    try:
        rubric = Rubric.model_validate(data)
    except ValidationError as error:
        problems += [_problem(detail, lines) for detail in error.errors(include_url=False)]
    if problems:
        found = "\n".join(f"{place}:{line}: {message}" for line, message in sorted(problems))
        raise RubricError(found)
    return rubric


def _unknown_rubric(name: str, names: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name[:80], names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"shipped are {', '.join(names)}"
    return f"unknown rubric {name[:80]!r}; {hint}; a file needs a path such as rubrics/mine.yaml"


class _AliasFound(Exception):
    """The file contains an alias, in a line."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


class _Loader(yaml.SafeLoader):
    """A loader that rejects aliases, with which a small file can be huge."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # so in types-PyYAML
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise _AliasFound(line)
        return super().compose_node(parent, index)


def _build(
    loader: _Loader,
    node: yaml.Node,
    key: _Key,
    lines: dict[_Key, int],
    problems: list[tuple[int, str]],
) -> Any:
    """Return the value of a node. Adds the line of each key, and keys that are given twice."""
    lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, n, (*key, i), lines, problems) for i, n in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    built: dict[Any, Any] = {}
    for name_node, value in node.value:
        name = loader.construct_object(name_node)
        line = name_node.start_mark.line + 1
        if not isinstance(name, str | int):
            problems.append((line, "a key must be text or a whole number"))
        elif name in built:
            problems.append((line, f"{_format((*key, name))}: is given twice"))
        else:
            lines[(*key, name)] = line
            built[name] = _build(loader, value, (*key, name), lines, problems)
    return built


def _problem(detail: ErrorDetails, lines: dict[_Key, int]) -> tuple[int, str]:
    """Return the line and the message of a validation error."""
    key = tuple(part for part in detail["loc"] if part != "[key]")
    known = key
    while known not in lines:
        known = known[:-1]
    return lines[known], f"{_format(key)}: {_message(detail)}"


def _message(detail: ErrorDetails) -> str:
    kind, loc = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        siblings = Dimension.model_fields if loc[0] == "dimensions" else Rubric.model_fields
        return f"unknown key{_suggestion(str(loc[-1]), list(siblings))}"
    if detail["input"] is None:
        return "has no value"
    if kind == "enum":
        choices = list(map(str, _CHOICES[str(loc[0])]))
        return f"must be one of {', '.join(choices)}{_suggestion(str(detail['input']), choices)}"
    return _MESSAGES.get(kind, "is not valid").format_map(
        detail.get("ctx", {}) | {"message": detail["msg"]}
    )


def _suggestion(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word[:80], known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _format(key: _Key) -> str:
    """Return a key as users write it, on one line. Unknown names come from the file."""
    return re.sub(r"[^ -~]", "?", ".".join(str(part)[:80] for part in key))
