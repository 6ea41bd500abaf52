"""The features of some records of one model as columns, and how they travel in Kafka.

A chunk (PREFIX.features, key: the model) is a msgpack array whose columns are raw little-endian
arrays: decoding one costs as much for ten thousand records as for one. Numbers stay float64, so
that what is detected from the topic is what is detected from the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.base import Floats
from monitor import examples
from monitor.examples import Examples

VERSION = 1


class ChunkError(Exception):
    """Bytes that are no chunk of a version that this program reads."""


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """One categorical feature: codes, shape (n,), into `vocabulary`; -1 where missing."""

    name: str
    vocabulary: tuple[str, ...]
    codes: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Columns:
    """Features of n records of one model, in the order of the log.

    positions: shape (n,), where each record stood in its log: the line of a file, the offset of a
    partition plus one.
    times: shape (n,), event time in epoch seconds.
    values: shape (F, n), the numeric features, then the binary ones; NaN where missing. A feature
    that none of the records has is left out.
    examples: the request ids of some of the records.
    """

    model: str
    positions: NDArray[np.int64]
    times: Floats
    numeric: tuple[str, ...]
    binary: tuple[str, ...]
    values: Floats
    categories: tuple[CategoryColumn, ...]
    examples: Examples = examples.NONE

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, chosen: slice | NDArray[np.signedinteger]) -> Columns:
        """The chosen records."""
        return Columns(
            self.model,
            self.positions[chosen],
            self.times[chosen],
            self.numeric,
            self.binary,
            self.values[:, chosen],
            tuple(CategoryColumn(c.name, c.vocabulary, c.codes[chosen]) for c in self.categories),
            self.examples.take(chosen, len(self)),
        )

    def row(self, name: str) -> Floats:
        """A numeric or binary feature, shape (n,); NaN where it is left out."""
        names = self.numeric + self.binary
        return self.values[names.index(name)] if name in names else np.full(len(self), np.nan)

    def category(self, name: str) -> CategoryColumn:
        """A categorical feature; all missing where there is no such."""
        for column in self.categories:
            if column.name == name:
                return column
        return CategoryColumn(name, (), np.full(len(self), -1, np.int16))

    def texts(self, name: str) -> list[str | None]:
        """The values of a categorical feature, record by record."""
        column = self.category(name)
        # code -1, a missing value, finds the last entry
        values = (*column.vocabulary, None)
        return [values[code] for code in column.codes.tolist()]

    def of_examples(self, seen: int) -> Columns:
        """The records whose request ids are known, and no others.

        seen: how many records of the stream came before these. Positions count that stream's
        records from 1, and are no longer those in the log.
        """
        places, ids = self.examples.places, self.examples.ids
        return Columns(
            self.model,
            places + np.int64(seen + 1),
            self.times[places],
            self.numeric,
            self.binary,
            self.values[:, places],
            tuple([CategoryColumn(c.name, c.vocabulary, c.codes[places]) for c in self.categories]),
            Examples(np.arange(len(ids), dtype=np.int32), ids),
        )


def join(pieces: Sequence[Columns]) -> Columns:
    """Columns of one model, in their order, as one; a feature that a piece leaves out is missing.

    Their vocabularies together must not be longer than codes can say.
    """
    if len(pieces) == 1:
        return pieces[0]
    numeric, binary, values = _joined_values(pieces)
    names = dict.fromkeys(column.name for piece in pieces for column in piece.categories)
    return Columns(
        pieces[0].model,
        np.concatenate([piece.positions for piece in pieces]),
        np.concatenate([piece.times for piece in pieces]),
        numeric,
        binary,
        values,
        tuple([join_category([piece.category(name) for piece in pieces]) for name in names]),
        examples.join([(piece.examples, len(piece)) for piece in pieces]),
    )


def _joined_values(
    pieces: Sequence[Columns],
) -> tuple[tuple[str, ...], tuple[str, ...], Floats]:
    """The names of the numeric and of the binary features of all pieces, and their values."""
    if len({(piece.numeric, piece.binary) for piece in pieces}) == 1:
        values = np.concatenate([piece.values for piece in pieces], axis=1)
        return pieces[0].numeric, pieces[0].binary, values
    numeric = tuple(sorted({name for piece in pieces for name in piece.numeric}))
    binary = tuple(
        name
        for name in dict.fromkeys(name for piece in pieces for name in piece.binary)
        if name not in numeric
    )
    rows = [np.concatenate([piece.row(name) for piece in pieces]) for name in numeric + binary]
    return numeric, binary, np.array(rows)


def join_category(parts: Sequence[CategoryColumn]) -> CategoryColumn:
    """Columns of one feature as one, with a vocabulary that serves all."""
    first = parts[0]
    if all(part.vocabulary == first.vocabulary for part in parts):
        codes = np.concatenate([part.codes for part in parts])
        return CategoryColumn(first.name, first.vocabulary, codes)
    met = dict.fromkeys(name for part in parts for name in part.vocabulary)
    vocabulary = {name: code for code, name in enumerate(met)}
    # code -1, a missing value, finds the last entry
    tables = [np.array([*map(vocabulary.get, part.vocabulary), -1], np.int16) for part in parts]
    recoded = [table[part.codes] for table, part in zip(tables, parts, strict=True)]
    return CategoryColumn(first.name, tuple(vocabulary), np.concatenate(recoded))


class _Category(msgspec.Struct, array_like=True):
    name: str
    vocabulary: tuple[str, ...]
    codes: bytes


class _Chunk(msgspec.Struct, array_like=True):
    """What is behind the categories has defaults: chunks written before do not have it."""

    version: int
    model: str
    positions: bytes
    times: bytes
    numeric: tuple[str, ...]
    binary: tuple[str, ...]
    values: bytes
    categories: list[_Category]
    places: bytes = b""
    ids: tuple[str, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Chunk).decode


def encode(columns: Columns) -> bytes:
    """A chunk's bytes."""
    return _encode(
        _Chunk(
            VERSION,
            columns.model,
            columns.positions.tobytes(),
            columns.times.tobytes(),
            columns.numeric,
            columns.binary,
            columns.values.tobytes(),
            [_Category(c.name, c.vocabulary, c.codes.tobytes()) for c in columns.categories],
            columns.examples.places.tobytes(),
            columns.examples.ids,
        )
    )


def decode(payload: bytes) -> Columns:
    """The columns of a chunk.

    Raises ChunkError for anything else.
    """
    try:
        chunk = _decode(payload)
        if chunk.version != VERSION:
            raise ChunkError(f"chunk of version {chunk.version}; this program reads {VERSION}")
        times = np.frombuffer(chunk.times, np.float64)
        rows = len(chunk.numeric) + len(chunk.binary)
        columns = Columns(
            chunk.model,
            np.frombuffer(chunk.positions, np.int64),
            times,
            chunk.numeric,
            chunk.binary,
            np.frombuffer(chunk.values, np.float64).reshape(rows, len(times)),
            tuple(
                CategoryColumn(c.name, c.vocabulary, np.frombuffer(c.codes, np.int16))
                for c in chunk.categories
            ),
            Examples(np.frombuffer(chunk.places, np.int32), chunk.ids),
        )
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ChunkError(f"not a chunk: {error}") from None
    _check(columns)
    return columns


def _check(columns: Columns) -> None:
    """A chunk that is none, or disagrees with itself, would be misread further on."""
    if np.isinf(columns.values).any() or not np.isfinite(columns.times).all():
        raise ChunkError("not a chunk: a number is not finite")
    if len({*columns.numeric, *columns.binary}) < len(columns.values):
        raise ChunkError("not a chunk: two columns have one name")
    sizes = {
        len(columns.positions),
        len(columns.times),
        *(len(c.codes) for c in columns.categories),
    }
    if sizes != {len(columns.times)}:
        raise ChunkError("not a chunk: its columns differ in length")
    for column in columns.categories:
        codes = column.codes
        if len(codes) and not (codes.min() >= -1 and codes.max() < len(column.vocabulary)):
            raise ChunkError("not a chunk: the code of a category is out of range")
    _check_examples(columns.examples, len(columns))


def _check_examples(found: Examples, records: int) -> None:
    places = found.places
    if len(places) != len(found.ids) or not examples.all_sound(found.ids):
        raise ChunkError("not a chunk: its examples are no request ids")
    if len(places) and not (
        places[0] >= 0 and places[-1] < records and (places[1:] > places[:-1]).all()
    ):
        raise ChunkError("not a chunk: its examples are not in the order of its records")
