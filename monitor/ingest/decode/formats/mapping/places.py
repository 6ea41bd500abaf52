"""Read values at paths, in messages that are decoded with the types that these paths need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.config.sections.ingest.paths import EVERY, Path, parse_path
from monitor.ingest.decode.formats.mapping.tree import (
    Node,
    Texts,
    Walk,
    follow,
    follow_all,
    opened,
    walk_of,
)
from monitor.records import RejectedRecord, RejectReason


class Place:
    """A record in a message: where paths start.

    texts: JSON of the message that is within text, decoded.
    """

    __slots__ = ("message", "record", "texts")

    def __init__(self, record: Any, message: Any, texts: Texts) -> None:
        self.record = record
        self.message = message
        self.texts = texts


class PathReader:
    """Reads what is at a path. It can be used once `Places.seal` was called."""

    __slots__ = ("_start", "_walk", "path")

    def __init__(self, path: Path, start: Node) -> None:
        self.path = path
        self._start = start
        self._walk: Walk = ()
        start.at(path.steps).whole = True

    def seal(self) -> None:
        """Prepare for reading, when the types are made."""
        self._walk = walk_of(self._start, self.path.steps)

    def first(self, place: Place) -> Any:
        """Return the first value that is not null; None if there is none."""
        start = place.message if self.path.from_root else place.record
        if not self.path.many:
            return follow(start, self._walk, place.texts)
        return next(iter(follow_all(start, self._walk, place.texts)), None)

    def all(self, place: Place) -> list[Any]:
        """Return the values that are not null."""
        start = place.message if self.path.from_root else place.record
        return follow_all(start, self._walk, place.texts)


class Places:
    """The places that paths need.

    records: path of the records in a message; None if the message is one record.
    """

    def __init__(self, records: str | None) -> None:
        self.root = self._record = Node()
        self._readers: list[PathReader] = []
        self._path: Path | None = None
        self._walk: Walk = ()
        if records is not None:
            path = parse_path(records)
            steps = path.steps[:-1] if path.steps[-1:] == (EVERY,) else path.steps
            self._path = Path(steps)
            self._record = self.root.at(steps)
            self._record.listed = True

    def reader(self, text: str) -> PathReader:
        """Return the reader of a path."""
        path = parse_path(text)
        reader = PathReader(path, self.root if path.from_root else self._record)
        self._readers.append(reader)
        return reader

    def seal(self) -> None:
        """Make the types of all places that are needed."""
        self.root.seal()
        if self._path is not None:
            self._walk = walk_of(self.root, self._path.steps)
        for reader in self._readers:
            reader.seal()

    def records(self, message: Any, texts: Texts) -> Sequence[Any]:
        """Return the records of a message: the elements of a list, or one that is in no list.

        Raises RejectedRecord if nothing is where they should be.
        """
        if self._path is None:
            return (message,)
        found = follow_all(message, self._walk, texts)
        if not found and not self._path.many:
            raise RejectedRecord(
                RejectReason.MISSING_FIELD, f"no records at {str(self._path) or 'the message'}"
            )
        return [record for each in found for record in self._elements(each, texts)]

    def _elements(self, value: Any, texts: Texts) -> Sequence[Any]:
        if isinstance(value, str):
            value = opened(value, self._record, texts)
        return value if isinstance(value, list) else (value,)
