"""The fields of decoded records as columns: what features, samples, experiments and joins need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isnan
from typing import Final, Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.ingest.fields import ids as id_columns
from monitor.ingest.fields.ids import Ids

NUMBERS: Final = (
    "latency_ms",
    "time_to_first_token_ms",
    "input_tokens",
    "output_tokens",
    "cost_usd",
)
RAW: Final = ("user_id", "session_id", "feedback", "trace_id", "span_id")
"""Optional fields of which the JSON is kept."""

T = TypeVar("T")
Chosen = NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Coded(Generic[T]):
    """A field with few different values.

    vocabulary: the values, in the order in which they first occur.
    codes: shape (n,), index in `vocabulary` of each record; -1 if missing.
    """

    vocabulary: tuple[T, ...]
    codes: NDArray[np.int32]

    def take(self, chosen: Chosen) -> Coded[T]:
        """Return the field of some of the records."""
        codes = self.codes[chosen]
        used, first = np.unique(codes, return_index=True)
        order = [code for code in used[np.argsort(first)].tolist() if code >= 0]
        places = np.full(len(self.vocabulary) + 1, -1, np.int32)
        places[order] = np.arange(len(order))
        return Coded(tuple([self.vocabulary[code] for code in order]), places[codes])

    def values(self) -> list[T | None]:
        """Return the value of each record; None if missing."""
        by_code = [*self.vocabulary, None]
        return [by_code[code] for code in self.codes.tolist()]


def coded(values: Sequence[T | None]) -> Coded[T]:
    """Return a field from the value of each record; None if missing."""
    code_of: dict[T | None, int] = {}
    for value in values:
        if value is not None:
            code_of.setdefault(value, len(code_of))
    vocabulary = tuple([value for value in code_of if value is not None])
    code_of[None] = -1
    return Coded(vocabulary, np.fromiter(map(code_of.__getitem__, values), np.int32, len(values)))


def _join_coded(pieces: Sequence[Coded[T]]) -> Coded[T]:
    first = pieces[0].vocabulary
    if all(piece.vocabulary == first for piece in pieces):
        return Coded(first, np.concatenate([piece.codes for piece in pieces]))
    code_of: dict[T, int] = {}
    codes = []
    for piece in pieces:
        own = [code_of.setdefault(value, len(code_of)) for value in piece.vocabulary]
        codes.append(np.array([*own, -1], np.int32)[piece.codes])
    return Coded(tuple(code_of), np.concatenate(codes))


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The scores of n records.

    names: in the order in which they first occur. values: shape (S, n), NaN if missing.
    given: shape (S, n), whether the name occurs, also with null.
    others: scores of records that were not read into columns, by index of the record.
    """

    names: tuple[str, ...]
    values: Floats
    given: NDArray[np.bool_]
    others: Mapping[int, Mapping[str, float | None]] = field(default_factory=dict)

    def take(self, chosen: Chosen) -> Scores:
        """Return the scores of some of the records."""
        others = {}
        if self.others:
            found = ((new, self.others.get(old)) for new, old in enumerate(chosen.tolist()))
            others = {new: scores for new, scores in found if scores is not None}
        given = self.given[:, chosen]
        rows = np.flatnonzero(given.any(axis=1))
        names = tuple([self.names[row] for row in rows.tolist()])
        return Scores(names, self.values[rows][:, chosen], given[rows], others)

    def of(self, index: int) -> Mapping[str, float | None]:
        """Return the scores of a record by name."""
        if index in self.others:
            return self.others[index]
        column = self.values[:, index].tolist()
        return {
            name: None if isnan(value) else value
            for name, value, given in zip(self.names, column, self.given[:, index], strict=True)
            if given
        }

    def column(self, name: str) -> Floats:
        """Return the values of a score, shape (n,), NaN if missing."""
        column: Floats = np.full(self.values.shape[1], np.nan)
        if name in self.names:
            column = self.values[self.names.index(name)]
        if self.others:
            column = column.copy()
            for index, scores in self.others.items():
                value = scores.get(name)
                column[index] = np.nan if value is None else value
        return column


def _join_scores(pieces: Sequence[Scores], sizes: Sequence[int]) -> Scores:
    names = tuple(dict.fromkeys(chain.from_iterable(piece.names for piece in pieces)))
    n = sum(sizes)
    values, given = np.full((len(names), n), np.nan), np.zeros((len(names), n), np.bool_)
    others, start = dict[int, Mapping[str, float | None]](), 0
    for piece, size in zip(pieces, sizes, strict=True):
        if piece.names:
            rows = [names.index(name) for name in piece.names]
            values[rows, start : start + size] = piece.values
            given[rows, start : start + size] = piece.given
        others |= {start + index: scores for index, scores in piece.others.items()}
        start += size
    return Scores(names, values, given, others)


@dataclass(frozen=True, slots=True, eq=False)
class OptionalFields:
    """The fields of n records that experiments and joins need, as JSON that is not decoded yet.

    They may be of any type.
    experiments: JSON. raw: JSON of RAW, by name: n values, separated by commas.
    """

    experiments: Coded[bytes]
    raw: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """The fields of n records.

    times: shape (n,), epoch seconds. numbers: shape (5, n), by NUMBERS; NaN if missing.
    chars: shape (2, n), number of characters of prompts and of responses; NaN without one.
    failed: shape (n,), whether the record is an error.
    beginnings: beginnings of the responses that may be refusals or blank, by index of the record.
    metadata: JSON values by key, of the keys that are needed.
    optional: None unless experiments or joins are configured.
    """

    ids: Ids
    times: Floats
    models: Coded[str]
    numbers: Floats
    chars: Floats
    failed: NDArray[np.bool_]
    finish_reasons: Coded[str]
    beginnings: Mapping[int, str]
    scores: Scores
    metadata: Mapping[str, Coded[bytes]]
    optional: OptionalFields | None = None

    def __len__(self) -> int:
        return len(self.times)

    def take(self, chosen: Chosen) -> Fields:
        """Return the fields of some of the records, in the order of their indices."""
        optional = self.optional
        beginnings = {}
        if self.beginnings:
            found = ((new, self.beginnings.get(old)) for new, old in enumerate(chosen.tolist()))
            beginnings = {new: text for new, text in found if text is not None}
        return Fields(
            self.ids.take(chosen),
            self.times[chosen],
            self.models.take(chosen),
            self.numbers[:, chosen],
            self.chars[:, chosen],
            self.failed[chosen],
            self.finish_reasons.take(chosen),
            beginnings,
            self.scores.take(chosen),
            {key: names.take(chosen) for key, names in self.metadata.items()},
            None if optional is None else _take_optional(optional, chosen),
        )


def join(pieces: Sequence[Fields]) -> Fields:
    """Concatenate fields of one decoder. Without pieces there are no records."""
    if not pieces:
        return EMPTY
    if len(pieces) == 1:
        return pieces[0]
    sizes = [len(piece) for piece in pieces]
    beginnings, start = dict[int, str](), 0
    for piece, size in zip(pieces, sizes, strict=True):
        beginnings |= {start + index: text for index, text in piece.beginnings.items()}
        start += size
    keys = pieces[0].metadata.keys()
    optional = [piece.optional for piece in pieces if piece.optional is not None]
    return Fields(
        id_columns.join([piece.ids for piece in pieces]),
        np.concatenate([piece.times for piece in pieces]),
        _join_coded([piece.models for piece in pieces]),
        np.concatenate([piece.numbers for piece in pieces], axis=1),
        np.concatenate([piece.chars for piece in pieces], axis=1),
        np.concatenate([piece.failed for piece in pieces]),
        _join_coded([piece.finish_reasons for piece in pieces]),
        beginnings,
        _join_scores([piece.scores for piece in pieces], sizes),
        {key: _join_coded([piece.metadata[key] for piece in pieces]) for key in keys},
        _join_optional(optional) if optional else None,
    )


def _join_optional(pieces: Sequence[OptionalFields]) -> OptionalFields:
    raw = {
        name: b",".join(piece.raw[name] for piece in pieces if piece.raw[name])
        for name in pieces[0].raw
    }
    return OptionalFields(_join_coded([piece.experiments for piece in pieces]), raw)


def _take_optional(optional: OptionalFields, chosen: Chosen) -> OptionalFields:
    raw = {}
    for name, values in optional.raw.items():
        each = separate(values)
        raw[name] = b",".join([each[index] for index in chosen.tolist()])
    return OptionalFields(optional.experiments.take(chosen), raw)


def separate(values: bytes) -> list[bytes]:
    """Return JSON values that are separated by commas."""
    return [bytes(each) for each in _decode_raw(b"[" + values + b"]")]


_decode_raw: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_NO_TEXT: Final = np.zeros(0, np.int32)
EMPTY: Final = Fields(
    ids=id_columns.ids_of(()),
    times=np.zeros(0),
    models=Coded((), _NO_TEXT),
    numbers=np.zeros((len(NUMBERS), 0)),
    chars=np.zeros((2, 0)),
    failed=np.zeros(0, np.bool_),
    finish_reasons=Coded((), _NO_TEXT),
    beginnings={},
    scores=Scores((), np.zeros((0, 0)), np.zeros((0, 0), np.bool_)),
    metadata={},
)
