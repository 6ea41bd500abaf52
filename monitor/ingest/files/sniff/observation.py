"""What the records of a sample have at which paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from monitor.config.sections.ingest.paths import Path, Step
from monitor.ingest.decode.json_decoding import lenient_decoder

MAX_DEPTH: Final = 8
MAX_PATHS: Final = 2_000
"""Paths that are observed."""
MAX_MEMBERS: Final = 200
"""Members of an object that are observed."""
MAX_NAME_CHARS: Final = 100
MAX_VALUES: Final = 1_000
"""Values that are kept at each path."""

_PREFIXES: Final = frozenset(
    ("llm", "gen", "ai", "genai", "openai", "usage", "api", "x", "http", "log", "stats", "metrics")
)
"""First words of names that say nothing about the value."""
_decode = lenient_decoder(Any)


@dataclass(slots=True)
class Seen:
    """What was seen at a path.

    records: numbers of the records that have a value there; null and blank texts are none.
    values: the first values.
    """

    path: Path
    records: set[int] = field(default_factory=set)
    values: list[Any] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the path; a name with dots is several."""
        steps = (step for step in self.path.steps if isinstance(step, str))
        return tuple(part for name in steps for part in name.split(".") if part)

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the last name."""
        return words(self.names[-1]) if self.names else ()

    @property
    def forms(self) -> tuple[str, ...]:
        """The last name, with the name before it, and without a prefix, as `prompt_tokens`."""
        own = self.words
        parent = words(self.names[-2]) if len(self.names) > 1 else ()
        bare = own
        while len(bare) > 1 and bare[0] in _PREFIXES:
            bare = bare[1:]
        return tuple(dict.fromkeys("_".join(each) for each in (own, (*parent, *own), bare)))

    @property
    def context(self) -> tuple[str, ...]:
        """The words of the names before the last."""
        return tuple(word for name in self.names[:-1] for word in words(name))

    def share(self, kind: type | tuple[type, ...]) -> float:
        """Return the share of values of a type; true and false are no numbers."""
        if not self.values:
            return 0.0
        found = [
            isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
            for value in self.values
        ]
        return sum(found) / len(found)

    def numbers(self) -> list[float]:
        """Return the numbers, also those of texts."""
        return [each for each in map(number, self.values) if each is not None]


def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case: `promptTokens` has those of `prompt_tokens`."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name[:MAX_NAME_CHARS])
    return tuple(re.findall(r"[a-z]+|[0-9]+", split.lower()))


def number(value: object) -> float | None:
    """Return a number, also one in a text."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            return float(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30:
        return float(value)
    return None


def observe(records: Iterable[Any]) -> dict[Path, Seen]:
    """Return what was seen at each path of records."""
    seen: dict[Path, Seen] = {}
    for index, record in enumerate(records):
        for steps, value in _walk(record, ()):
            path = Path(steps)
            if path not in seen:
                if len(seen) >= MAX_PATHS:
                    continue
                seen[path] = Seen(path)
            seen[path].records.add(index)
            if len(seen[path].values) < MAX_VALUES:
                seen[path].values.append(value)
    return seen


def opened(value: object) -> object:
    """Return the object or list in a text of JSON; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        found = _decode(value.encode("utf-8", "replace"))
        return found if isinstance(found, dict | list) else value
    return value


def _walk(value: object, steps: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Yield the paths of a value and of those in it, of lists the first element only."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return
    if steps:
        yield steps, value
    if len(steps) >= MAX_DEPTH:
        return
    inside = opened(value)
    if isinstance(inside, dict):
        for name in list(inside)[:MAX_MEMBERS]:
            if len(name) <= MAX_NAME_CHARS:
                yield from _walk(inside[name], (*steps, name))
    elif isinstance(inside, list) and inside and isinstance(opened(inside[0]), dict):
        yield from _walk(inside[0], (*steps, 0))


def record_lists(messages: Sequence[Any]) -> list[Path]:
    """Return the paths of lists of objects in messages, which may be the records.

    A message that is a list itself gives the empty path.
    """
    found: dict[Path, int] = {}
    for message in messages:
        if isinstance(message, list):
            found[Path(())] = found.get(Path(()), 0) + 1
            continue
        for steps, value in _walk(message, ()):
            inside = opened(value)
            listed = isinstance(inside, list) and inside and isinstance(opened(inside[0]), dict)
            if listed and len(steps) <= 4 and 0 not in steps:
                found[Path(steps)] = found.get(Path(steps), 0) + 1
    return [path for path, count in found.items() if count >= len(messages) / 2]
