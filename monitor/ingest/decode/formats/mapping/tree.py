"""The parts of a message that a mapping needs, and the types that decode no others.

Each object on the way to a value becomes a generated struct with the members that are needed;
msgspec skips the others without building them. Everything on the way may also be a text that holds
JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from monitor.config.sections.ingest.paths import EVERY, Step
from monitor.ingest.decode.json_decoding import lenient_decoder

MAX_TEXT_LAYERS: Final = 3
"""Times that JSON may be within text within text."""
_UNUSUAL: Final = re.compile(r'["\\\x00-\x1f]')
"""Characters of names that msgspec does not accept for the members of a struct."""
_decode_any = lenient_decoder(Any)


@dataclass(slots=True, eq=False)
class Node:
    """A place in messages.

    members, elements: the places below it that are needed. whole: whether all of its value is.
    listed: whether it is a record, or a list of records.
    kind: type that decodes it. parse: decodes it from a text; both are set by `seal`.
    """

    members: dict[str, Node] = field(default_factory=dict)
    elements: Node | None = None
    whole: bool = False
    listed: bool = False
    kind: Any = Any
    decode: Any = _decode_any

    def at(self, steps: Iterable[Step]) -> Node:
        """Return the place at a path from here, which is needed from now on."""
        node = self
        for step in steps:
            if isinstance(step, str):
                node = node.members.setdefault(step, Node())
            else:
                node.elements = node.elements or Node()
                node = node.elements
        return node

    def attribute(self, name: str) -> str:
        """Return the attribute of the struct that has a member."""
        return f"m{list(self.members).index(name)}"

    def seal(self) -> None:
        """Make the types, after all places that are needed are known."""
        for each in (*self.members.values(), *((self.elements,) if self.elements else ())):
            each.seal()
        ambiguous = self.listed and self.elements is not None
        if self.whole or ambiguous or any(map(_UNUSUAL.search, self.members)):
            return
        struct = msgspec.defstruct(
            "Part",
            [(self.attribute(name), node.kind, None) for name, node in self.members.items()],
            rename={self.attribute(name): name for name in self.members},
            gc=False,
        )
        elements = struct | str | None if self.listed else self.elements and self.elements.kind
        self.kind = struct | str | None
        if elements is not None:
            self.kind = self.kind | list[elements]  # type: ignore[valid-type]  # made at run time
        self.decode = lenient_decoder(self.kind)

    def parse(self, text: str) -> Any:
        """Return the value of a text that holds JSON; None if it does not, or holds a scalar."""
        value: Any = text
        for _ in range(MAX_TEXT_LAYERS):
            if not isinstance(value, str):
                break
            encoded = value.encode("utf-8", "replace")
            value = self.decode(encoded)
            if value is None:  # of other types than expected, or no JSON
                value = _decode_any(encoded)
        return None if isinstance(value, str) else value


Walk = tuple[tuple[Step, str, Node], ...]
"""The steps of a path, with the attribute of each and the place at which it starts."""


def walk_of(start: Node, steps: Iterable[Step]) -> Walk:
    """Return the steps from a place whose tree is complete."""
    node, walk = start, []
    for step in steps:
        attribute = node.attribute(step) if isinstance(step, str) else ""
        walk.append((step, attribute, node))
        node = node.at((step,))
    return tuple(walk)


Texts = dict[int, Any]
"""The values of texts that hold JSON in one message, by the identity of the text."""


def follow(value: Any, walk: Walk, texts: Texts) -> Any:
    """Return the value at the end of a walk without EVERY; None if there is none."""
    for step, attribute, node in walk:
        if isinstance(value, str):
            value = opened(value, node, texts)
        if isinstance(step, str):
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, msgspec.Struct):
                value = getattr(value, attribute)
            else:
                return None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
        if value is None:
            return None
    return value


def follow_all(value: Any, walk: Walk, texts: Texts) -> list[Any]:
    """Return the values at the ends of a walk, without those that are null."""
    for place, (step, _, node) in enumerate(walk):
        if step == EVERY:
            found = follow(value, walk[:place], texts)
            if isinstance(found, str):
                found = opened(found, node, texts)
            if not isinstance(found, list):
                return []
            rest = walk[place + 1 :]
            return [end for each in found for end in follow_all(each, rest, texts)]
    found = follow(value, walk, texts)
    return [] if found is None else [found]


def opened(text: str, node: Node, texts: Texts) -> Any:
    """Return the value of a text that holds JSON, decoded once for each message."""
    key = id(text)
    if key not in texts:
        texts[key] = node.parse(text)
    return texts[key]
