"""Plans: which values of the JSON documents of a format make native records.

A plan describes the *usual* documents. The optional C extension `_plan` reads a batch of messages
by it: it validates the whole JSON, builds nothing, and writes the native record of each usual
document. All others are decoded by the format's own decoder in Python, with the same result as
without a plan.

    plan = Plan()
    model = plan.at("model", usual=TEXT)
    plan.text("model", model)
    reader = plan.reader(decode_document)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Final

from monitor.ingest.decode.inference import FINISH_REASONS, MAX_ID_CHARS
from monitor.ingest.decode.message import Found, NativeRecord

try:
    from monitor.ingest.decode.native.plans import _plan
except ImportError:  # installed without a C compiler
    PLANS_BUILT = False
else:
    PLANS_BUILT = True


class Kind(IntFlag):
    """Kinds of values at a place, in the order of the C source."""

    ABSENT = 1
    NULL = 2
    FALSE = 4
    TRUE = 8
    NUMBER = 16
    TEXT = 32
    OBJECT = 64
    LIST = 128


SECONDS: Final = -1
"""Unit of an amount that is a duration in seconds."""
MAX_PLACES: Final = 128
"""Places of a plan, with those on the way to them."""
MAX_OF_FIELD: Final = 16
"""Places of one field."""
NOTHING: Final = Kind.ABSENT | Kind.NULL
FLAG: Final = NOTHING | Kind.FALSE | Kind.TRUE
ANYTHING: Final = Kind(255)


class _Rule(IntEnum):
    NONE = 0
    ONE_OF = 1
    NONE_OF = 2
    WITHOUT = 3


class _Code(IntEnum):
    """What writes a field, in the order of the C source."""

    TEXT = 0
    AMOUNT = 1
    TIME = 2
    ELAPSED = 3
    REASON = 4
    PROMPT = 5
    ANSWER = 6
    METADATA = 7


@dataclass(slots=True, eq=False)
class Place:
    """A place in documents. number: of its node.

    usual: kinds of values that it may have in a usual document.
    members, element: the places below it; of a list, that of its only element.
    """

    number: int
    usual: Kind = ANYTHING
    rule: _Rule = _Rule.NONE
    texts: tuple[str, ...] = ()
    marks: bool = False
    members: dict[str, Place] = field(default_factory=dict)
    element: Place | None = None


_Field = tuple[int, str, tuple[int, ...], tuple[str, ...], int]


class Plan:
    """The places in the documents of a format, and the fields that are written from them."""

    def __init__(self) -> None:
        self._root = Place(0, Kind.OBJECT)
        self._places = [self._root]
        self._fields: list[_Field] = []

    def at(
        self,
        *path: str | int,
        usual: Kind = ANYTHING,
        one_of: Iterable[str] = (),
        none_of: Iterable[str] = (),
        without: Iterable[str] = (),
        marks: bool = False,
    ) -> Place:
        """Return the place at a path of keys; 0 stands for the only element of a list.

        one_of, none_of: texts, one of which or none of which a text must be. without: texts that
        must not occur in the value as it is written. marks: whether the first document of every
        message of the format has the place.
        """
        place = self._root
        for step in path:
            place = self._below(place, step)
        place.usual, place.marks = usual, marks
        for rule, texts in (
            (_Rule.ONE_OF, one_of),
            (_Rule.NONE_OF, none_of),
            (_Rule.WITHOUT, without),
        ):
            if texts:
                place.rule, place.texts = rule, tuple(texts)
        return place

    def _below(self, place: Place, step: str | int) -> Place:
        found = place.members.get(step) if isinstance(step, str) else place.element
        if found is None:
            found = Place(len(self._places))
            self._places.append(found)
            if isinstance(step, str):
                place.members[step] = found
            else:
                place.element = found
        return found

    def identifier(self, name: str, *places: Place) -> None:
        """Write a text that must not be empty: the first that is not."""
        self._add(_Code.TEXT, name, places, number=MAX_ID_CHARS)

    def text(self, name: str, *places: Place) -> None:
        """Write the first text that is not empty, if there is one."""
        self._add(_Code.TEXT, name, places)

    def amount(self, name: str, *places: Place, unit: int = 0) -> None:
        """Write the first number of tokens, money or milliseconds.

        unit: how many units of the number are a millisecond, a power of ten; 0: it is one already,
        or no duration; SECONDS.
        """
        self._add(_Code.AMOUNT, name, places, number=unit)

    def time(self, name: str, place: Place, unit: int = 1) -> None:
        """Write the time of the record, a number or a text in RFC 3339.

        unit: how many units of a number are a second, a power of ten.
        """
        self._add(_Code.TIME, name, (place,), number=unit)

    def elapsed(self, name: str, start: Place, end: Place, only_if: Place | None = None) -> None:
        """Write the milliseconds between two times in seconds, or only if another value is true."""
        self._add(_Code.ELAPSED, name, (start, end, *([only_if] if only_if else [])))

    def finish_reason(self, name: str, place: Place) -> None:
        """Write a known finish reason in the vocabulary of records."""
        self._add(_Code.REASON, name, (place,))

    def prompt(self, name: str, place: Place) -> None:
        """Write a text, or a list of chat messages."""
        self._add(_Code.PROMPT, name, (place,))

    def answer(self, name: str, content: Place, *calls: Place) -> None:
        """Write the text of an answer.

        calls: a list of calls of tools, and numbers. With them, an answer without text is usual if
        it calls tools and has the numbers.
        """
        self._add(_Code.ANSWER, name, (content, *calls))

    def metadata(self, name: str, objects: Sequence[Place], values: Mapping[str, Place]) -> None:
        """Write the entries of objects, and values by name, true as a text."""
        self._add(_Code.METADATA, name, (*objects, *values.values()), tuple(values))

    def _add(
        self,
        code: _Code,
        name: str,
        places: Sequence[Place],
        names: tuple[str, ...] = (),
        number: int = 0,
    ) -> None:
        numbers = tuple(place.number for place in places)
        self._fields.append((int(code), name, numbers, names, number))

    def reader(
        self, document: Callable[[bytes], Iterable[Found]], most: int, *, several: bool = True
    ) -> PlanReader | None:
        """Return the reader of messages; None if the extension is not built.

        document: decodes a document that is not usual, and raises nothing. most: bytes of a
        message. several: whether a message may hold several documents, in a list or in lines.
        """
        if not PLANS_BUILT:
            return None
        nodes = tuple(
            (
                tuple(place.members),
                tuple(each.number for each in place.members.values()),
                -1 if place.element is None else place.element.number,
                int(place.usual),
                int(place.rule),
                place.texts,
                place.marks,
            )
            for place in self._places
        )
        reasons = (tuple(FINISH_REASONS), tuple(FINISH_REASONS.values()))
        return PlanReader(_plan.plan(nodes, tuple(self._fields), reasons, most, several), document)


@dataclass(frozen=True, slots=True, eq=False)
class PlanReader:
    """Reads messages by a plan. document: decodes a document that is not usual."""

    plan: object
    document: Callable[[bytes], Iterable[Found]]

    def read(self, payloads: Sequence[bytes]) -> list[list[Found] | None]:
        """Return what is in each message; None if the format itself has to decode the message."""
        return [
            found if found is None else self._found(payload, found)
            for payload, found in zip(payloads, _plan.read(self.plan, payloads), strict=True)
        ]

    def _found(
        self, payload: bytes, entries: NativeRecord | list[NativeRecord | tuple[int, int]]
    ) -> list[Found]:
        if isinstance(entries, NativeRecord):
            return [entries]
        found: list[Found] = []
        for each in entries:
            if isinstance(each, NativeRecord):
                found.append(each)
            else:
                found += self.document(payload[slice(*each)])
        return found
