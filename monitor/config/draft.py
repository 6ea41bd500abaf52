"""The configuration while it is loaded: values, their origins, and the problems found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from monitor.config.keys import Key, enclosing_keys, format_key
from monitor.errors import UserError


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a configuration.

    place: path of the file, or name of the variable; line: in the file; key: as users write it.
    """

    place: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = self.place if self.line is None else f"{self.place}:{self.line}"
        text = ": ".join(part for part in (place, self.key, self.message) if part)
        # A key may contain a line break, but a problem is printed on one line.
        return "".join(char if char.isprintable() else "?" for char in text)


class ConfigError(UserError):
    """The configuration is invalid.

    problems: all of them; those of the file first, by line, then those of the environment, by name.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line is None, p.line or 0)))
        super().__init__("\n".join(map(str, self.problems)))


def is_part(section: str, key: str) -> bool:
    """Return whether a key, as users write it, is a section or in it."""
    return key == section or key.startswith((f"{section}.", f"{section}["))


@dataclass(slots=True)
class Draft:
    """A configuration that is not validated yet.

    data: the values; origins: key -> place and line where it is set; invalid: keys with a problem.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Key, tuple[str, int | None]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    invalid: set[Key] = field(default_factory=set)

    def add_problem(self, key: Key, message: str) -> None:
        """Add a problem of `key`, located where the key or the section around it is set."""
        self.invalid.add(key)
        known = next((k for k in enclosing_keys(key) if k in self.origins), None)
        place, line = ("", None) if known is None else self.origins[known]
        exact = line is None and known == key  # the name of the variable already gives the key
        self.problems.append(Problem(place, line, "" if exact else format_key(key), message))

    def add_described(self, text: str) -> None:
        """Add a problem whose text begins with its key and a colon, or with the section's."""
        named = text.partition(": ")[0]
        keys = [key for key in self.origins if is_part(format_key(key), named)]
        place, line = self.origins[max(keys, key=len)] if keys else ("", None)
        self.problems.append(Problem(place, line, "", text))

    def override(self, key: tuple[str, ...], value: object, name: str) -> None:
        """Set `key` to the value of the environment variable `name`."""
        section = self.data
        for part in key[:-1]:
            child = section.setdefault(part, {})
            if not isinstance(child, dict):
                return  # not a mapping, which validation will report
            section = child
        section[key[-1]] = value
        for old in [k for k in self.origins if k[: len(key)] == key]:
            del self.origins[old]
        for outer in enclosing_keys(key):
            self.origins.setdefault(outer, (name, None))
