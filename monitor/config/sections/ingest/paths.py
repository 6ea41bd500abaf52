"""Paths to values in JSON, such as `response.choices[0].message."x.y"`.

A path is names and positions. Names are separated by dots; a name that contains a dot, a bracket, a
quote or white space is in double quotes, with a backslash before a quote or a backslash. `[0]` is a
position in a list, `[*]` all of them. A path that begins with `$.` or `$[` starts at the whole
message instead of the record.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

MAX_PATH_CHARS: Final = 500
MAX_STEPS: Final = 30
EVERY: Final = -1
"""The step to all elements of a list."""
ROOT: Final = "$"

_NAME: Final = re.compile(r'[^\s.\[\]"\'(){},*]+')
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_INDEX: Final = re.compile(r"\[(?:(0|[1-9]\d{0,4})|(\*))\]")

Step = str | int
"""The name of a member of an object, or the position of an element of a list, or EVERY."""


class Path(NamedTuple):
    """A path. from_root: whether it starts at the whole message instead of the record."""

    steps: tuple[Step, ...]
    from_root: bool = False

    def __str__(self) -> str:
        text = "".join(map(_step_text, self.steps))
        return f"{ROOT}{text}" if self.from_root else text.removeprefix(".")

    @property
    def many(self) -> bool:
        """Whether it may lead to several values."""
        return EVERY in self.steps


class PathError(ValueError):
    """A text is no path. Its text has the column, from 1, and what to write instead."""

    def __init__(self, position: int, problem: str, better: str | None = None) -> None:
        hint = f"; did you mean {better!r}?" if better else ""
        super().__init__(f"column {position + 1} of the path: {problem}{hint}")


def parse_path(text: str) -> Path:
    """Return the path that a text writes. Raises PathError."""
    if not text.strip():
        raise PathError(0, "it is empty")
    if len(text) > MAX_PATH_CHARS:
        raise PathError(MAX_PATH_CHARS, f"it is longer than {MAX_PATH_CHARS} characters")
    from_root = text == ROOT or text.startswith((f"{ROOT}.", f"{ROOT}["))
    position = 1 if from_root else 0
    steps: list[Step] = []
    while position < len(text):
        step, position = _step(text, position, first=not steps and not from_root)
        steps.append(step)
        if len(steps) > MAX_STEPS:
            raise PathError(position, f"it has more than {MAX_STEPS} names and positions")
    return Path(tuple(steps), from_root)


def _step(text: str, start: int, *, first: bool) -> tuple[Step, int]:
    """Return the step that begins at a position, and the position after it."""
    if text[start] == "[":
        return _index(text, start)
    if not first:
        if text[start] != ".":
            raise PathError(start, "a dot or quotes are missing", _with_dot(text, start))
        start += 1
    if quoted := _QUOTED.match(text, start):
        return json.loads(f'"{_escaped(quoted, start)}"'), quoted.end()
    name = _NAME.match(text, start)
    if name is None:
        raise _no_name(text, start)
    if name[0].isdecimal():
        index = f"{text[: start - 1] if start else ''}[{int(name[0])}]{text[name.end() :]}"
        quoted_name = f'"{name[0]}"'
        raise PathError(
            start, f"a position is written in brackets, a name of digits {quoted_name}", index
        )
    return name[0], name.end()


def _escaped(quoted: re.Match[str], start: int) -> str:
    """Return the inside of a quoted name as JSON has it."""
    for escape in re.finditer(r"\\(.)", quoted[1], re.DOTALL):
        if escape[1] not in '"\\':
            position = start + 1 + escape.start()
            raise PathError(position, "a backslash is followed by neither a quote nor a backslash")
    return re.sub(r"[\x00-\x1f]", lambda match: f"\\u{ord(match[0]):04x}", quoted[1])


def _index(text: str, start: int) -> tuple[Step, int]:
    match = _INDEX.match(text, start)
    if match is not None:
        return (EVERY if match[2] else int(match[1])), match.end()
    end = text.find("]", start)
    inside = text[start + 1 : end] if end > 0 else ""
    better = None
    if name := re.fullmatch(r"[\"']([^\"'\\]+)[\"']", inside):
        better = f'{text[:start]}{"." if start else ""}"{name[1]}"{text[end + 1 :]}'
    elif inside == "" and end > 0:
        better = f"{text[:start]}[*]{text[end + 1 :]}"
    raise PathError(start, "brackets hold a position such as [0], or [*]", better)


def _no_name(text: str, start: int) -> PathError:
    """Return the error for a place without a name."""
    before, rest = text[:start], text[start:]
    problem, better = "a name with other characters is written in double quotes", None
    if not rest:
        problem, better = "a name is missing at the end", text.rstrip(".") or None
    elif rest[0] == '"':
        problem, better = "a quoted name does not end", f'{text}"'
    elif rest[0] == ".":
        better = re.sub(r"\.{2,}", ".", text).strip(".") or None
        problem = "a name is missing between dots"
    elif rest[0] == "[":
        problem, better = "there is no dot before brackets", before[:-1] + rest
    elif rest[0] == "*":
        problem, better = "all elements are [*]", f"{before.rstrip('.')}[*]{rest[1:]}"
    elif name := re.match(r"'([^'\"\\]+)'", rest):
        problem, better = "names are in double quotes", f'{before}"{name[1]}"{rest[name.end() :]}'
    return PathError(start, problem, better)


def _with_dot(text: str, start: int) -> str | None:
    """Return the path with what seems to be meant where a dot is missing."""
    if text[start].isspace() and re.fullmatch(r'[^."\\\[\]]+', text):
        return f'"{text}"'
    return f"{text[:start]}.{text[start:]}" if re.match(r'["\w]', text[start:]) else None


def _step_text(step: Step) -> str:
    if isinstance(step, int):
        return "[*]" if step == EVERY else f"[{step}]"
    if _NAME.fullmatch(step) and not step.isdecimal() and step != ROOT:
        return f".{step}"
    escaped = step.replace("\\", "\\\\").replace('"', '\\"')
    return f'."{escaped}"'
