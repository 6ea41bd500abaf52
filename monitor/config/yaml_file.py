"""Read YAML with the line of each key, so that each problem can be located."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from monitor.config.draft import ConfigError, Draft, Problem
from monitor.config.keys import KNOWN_KEYS, Key, format_key
from monitor.errors import os_error_reason

_INTEGER = "tag:yaml.org,2002:int"
_AMBIGUOUS = re.compile(r"[-+]?(0[0-7_]+|[0-9_]+(:[0-9]+)+)")
"""Integers that YAML 1.1 does not read as decimal numbers, unlike most readers of the file."""


class _Loader(yaml.SafeLoader):
    """A loader that rejects anchors, aliases and tags: with aliases, a small file can be huge."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # so in types-PyYAML
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(
                problem="anchors, aliases and tags ('&', '*', '!') are not supported;"
                " put text that begins with one in quotes",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)


def read_file(path: Path, draft: Draft) -> None:
    """Read a YAML file into the draft, with the line of each key.

    Raises ConfigError if the file cannot be read or is not a YAML mapping.
    """
    place = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unusable(place, f"cannot be read: {os_error_reason(error)}") from None
    except UnicodeDecodeError:
        raise _unusable(place, "is not YAML: it is not UTF-8 text") from None
    data = parse(text, place, draft)
    if data is None:
        raise _unusable(place, "is empty; without a file the defaults apply")
    if not isinstance(data, dict):
        raise _unusable(place, "must be a mapping of keys to values")
    draft.data = data


def _unusable(place: str, message: str, line: int | None = None) -> ConfigError:
    return ConfigError([Problem(place, line, "", message)])


def parse(text: str, place: str, draft: Draft) -> object:
    """Return the value of a YAML document, and add the origins of its keys to the draft.

    Raises ConfigError if the text is not one YAML document.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else _Builder(loader, place, draft).build(node, ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        # The message contains the name of the tag, which may be an unquoted password.
        tag = "tag handle" in (error.problem or "")
        problem = "tags ('!') are not supported" if tag else error.problem
        raise _unusable(place, f"is not YAML: {problem}", line) from None
    except yaml.YAMLError:
        raise _unusable(place, "is not YAML: it contains control characters") from None
    except RecursionError:
        raise _unusable(place, "is nested too deeply") from None


@dataclass(frozen=True, slots=True)
class _Builder:
    """Converts YAML nodes to values and records lines, which the constructor of PyYAML discards."""

    loader: _Loader
    place: str
    draft: Draft

    def build(self, node: yaml.Node, key: Key) -> object:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*key, i)) for i, item in enumerate(node.value)]
        if node.tag == _INTEGER and _AMBIGUOUS.fullmatch(node.value):
            self.draft.invalid.add(key)
            message = "YAML reads this as an octal or base-60 number; write it without zeros at its"
            self._add_problem(
                node.start_mark.line + 1,
                key,
                f"{message} beginning and without colons, or in quotes",
            )
        try:
            return self.loader.construct_object(node)
        except ValueError:  # has the form of a date but is not one: keep it as text
            return node.value

    def _item(self, node: yaml.Node, key: Key) -> object:
        self.draft.origins[key] = (self.place, node.start_mark.line + 1)
        return self.build(node, key)

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, object]:
        built: dict[str, object] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            known = isinstance(name.value, str) and (*key, name.value) in KNOWN_KEYS
            if name.tag != "tag:yaml.org,2002:str" and not known:  # YAML 1.1 reads `on` as true
                self._add_problem(line, key, "keys must be text; put this one in quotes")
                if isinstance(name, yaml.ScalarNode):  # else the entry would seem to be missing
                    self.draft.invalid.add((*key, name.value))
                    built[name.value] = self.build(value, (*key, name.value))
            elif name.value in built:
                self._add_problem(line, (*key, name.value), "is given twice")
            else:
                self.draft.origins[(*key, name.value)] = (self.place, line)
                built[name.value] = self.build(value, (*key, name.value))
        return built

    def _add_problem(self, line: int, key: Key, message: str) -> None:
        problem = Problem(self.place, line, format_key(key), message)
        if problem not in self.draft.problems:
            self.draft.problems.append(problem)
