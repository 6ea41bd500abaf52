"""Features of records of one model as columns. `chunk` encodes them for Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.ingest.sampling import examples
from monitor.ingest.sampling.examples import Examples
from monitor.records import Source

SHORT_VOCABULARY = 16
"""Vocabularies of at most this size are not worth making compact."""


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """A categorical feature. codes: shape (n,), indices into `vocabulary`; -1 if missing."""

    name: str
    vocabulary: tuple[str, ...]
    codes: NDArray[np.signedinteger]

    def compact(self) -> CategoryColumn:
        """Return the column; if its vocabulary is long, without the names that are not used."""
        if len(self.vocabulary) <= SHORT_VOCABULARY:
            return self
        used, own = np.unique(self.codes, return_inverse=True)
        missing = int(used[:1].tolist() == [-1])
        kept = tuple([self.vocabulary[code] for code in used[missing:].tolist()])
        return CategoryColumn(self.name, kept, (own - missing).astype(np.int32))


@dataclass(frozen=True, slots=True)
class Columns:
    """Features of n records of one model, in the order of the log.

    positions: shape (n,), position of each record in its log: line of a file, or offset plus one.
    times: shape (n,), event time in epoch seconds.
    values: shape (F, n), numeric features followed by binary features; NaN if missing. Features
    that none of the records has are omitted.
    examples: request ids of some of the records.
    source: where the values come from. Columns of different sources are never joined.
    epoch: version of all that the values depend on beside the records, such as rubrics and judges;
    "" for the log. Columns of different epochs are never joined.
    """

    model: str
    positions: NDArray[np.int64]
    times: Floats
    numeric: tuple[str, ...]
    binary: tuple[str, ...]
    values: Floats
    categories: tuple[CategoryColumn, ...]
    examples: Examples = examples.NONE
    source: Source = Source.LOG
    epoch: str = ""

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, chosen: slice | NDArray[np.signedinteger]) -> Columns:
        """Return the columns of some of the records, given by a slice or by indices."""
        return Columns(
            self.model,
            self.positions[chosen],
            self.times[chosen],
            self.numeric,
            self.binary,
            self.values[:, chosen],
            tuple(CategoryColumn(c.name, c.vocabulary, c.codes[chosen]) for c in self.categories),
            self.examples.take(chosen, len(self)),
            self.source,
            self.epoch,
        )

    def feature(self, name: str, chosen: NDArray[np.signedinteger]) -> Columns:
        """Return one feature of some of the records, given by indices."""
        names = self.numeric + self.binary
        row = names.index(name) if name in names else len(names)
        return Columns(
            self.model,
            self.positions[chosen],
            self.times[chosen],
            self.numeric[row : row + 1],
            names[row : row + 1] if row >= len(self.numeric) else (),
            self.values[row : row + 1, chosen],
            tuple(
                CategoryColumn(c.name, c.vocabulary, c.codes[chosen])
                for c in self.categories
                if c.name == name
            ),
            self.examples.take(chosen, len(self)),
            self.source,
            self.epoch,
        )

    def row(self, name: str) -> Floats:
        """Return a numeric or binary feature, shape (n,); all NaN if it is omitted."""
        names = self.numeric + self.binary
        return self.values[names.index(name)] if name in names else np.full(len(self), np.nan)

    def category(self, name: str) -> CategoryColumn:
        """Return a categorical feature; all values missing if there is none of this name."""
        for column in self.categories:
            if column.name == name:
                return column
        return CategoryColumn(name, (), np.full(len(self), -1, np.int32))

    def texts(self, name: str) -> list[str | None]:
        """Return the category of each record, None if missing."""
        column = self.category(name)
        # code -1, a missing value, is the index of the last entry
        values = (*column.vocabulary, None)
        return [values[code] for code in column.codes.tolist()]

    def compact(self) -> Columns:
        """Return the columns without the names of categories that are not used."""
        return replace(self, categories=tuple([column.compact() for column in self.categories]))

    def examples_only(self, numbers: NDArray[np.int64]) -> Columns:
        """Return only the records that are examples.

        numbers: shape (n,), number of each record among those of the model, counted from 1. The
        result has them instead of positions in the log.
        """
        indices, ids = self.examples.indices, self.examples.ids
        return Columns(
            self.model,
            numbers[indices],
            self.times[indices],
            self.numeric,
            self.binary,
            self.values[:, indices],
            tuple(
                [CategoryColumn(c.name, c.vocabulary, c.codes[indices]) for c in self.categories]
            ),
            Examples(np.arange(len(ids), dtype=np.int32), ids),
            self.source,
            self.epoch,
        )


def join(pieces: Sequence[Columns]) -> Columns:
    """Concatenate columns of one source and epoch of a model.

    Features that a piece omits are missing in its records.
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
        pieces[0].source,
        pieces[0].epoch,
    )


def _joined_values(
    pieces: Sequence[Columns],
) -> tuple[tuple[str, ...], tuple[str, ...], Floats]:
    """Return the numeric and the binary feature names of all pieces, and their values."""
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
    """Concatenate columns of one feature, with the union of their vocabularies."""
    first = parts[0]
    if all(part.vocabulary == first.vocabulary for part in parts):
        codes = np.concatenate([part.codes for part in parts])
        return CategoryColumn(first.name, first.vocabulary, codes)
    names = dict.fromkeys(name for part in parts for name in part.vocabulary)
    vocabulary = {name: code for code, name in enumerate(names)}
    # code -1, a missing value, is the index of the last entry
    tables = [np.array([*map(vocabulary.get, part.vocabulary), -1], np.int32) for part in parts]
    recoded = [table[part.codes] for table, part in zip(tables, parts, strict=True)]
    return CategoryColumn(first.name, tuple(vocabulary), np.concatenate(recoded))
