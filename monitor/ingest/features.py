"""From a batch of records to feature columns, model by model.

Python touches a record once, here; what follows is arrays. The default features need no
configuration; `score.NAME` appears with the scores of the log, `metadata.KEY` where configured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, compress
from typing import Any

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from detectors.base import Floats
from monitor import examples
from monitor.columns import CategoryColumn, Columns, join_category
from monitor.declines import MARKS, OPENINGS, declines
from monitor.examples import Examples
from monitor.records import Record, RecordWithMetadata

OTHER = "other"
"""The model that stands for all beyond the bound: counted, not watched."""

NUMERIC = (
    "latency_ms",
    "time_to_first_token_ms",
    "input_tokens",
    "output_tokens",
    "tokens_per_second",
    "cost_usd",
    "prompt_chars",
    "response_chars",
)
BINARY = ("empty_response", "error", "refusal")
CATEGORICAL = ("finish_reason",)

_TELLING = ("latency_ms", "response_chars")
"""What tells records of one time apart, for the choice of examples."""

LARGEST = 1e15
"""Greater magnitudes are missing: no measurement, and their squares would swamp every sum."""

REFUSING_FINISH = frozenset({"content_filter", "refusal"})

_MAX_NAME = 100
_SHORT_VOCABULARY = 16
_MOST_CODES = 32_000
"""Codes are int16, and "other" needs one."""
_unprintable = re.compile(r"[^\x20-\x7e]").search


Fields = Mapping[str, Sequence[Any]]
"""The fields of n records as columns, by name."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The features of n records of any models.

    models: the models that occur; codes, shape (n,), index into it.
    The rest is as in `Columns`; features stand in the order of their names, the numeric ones first,
    which is how references keep them.
    """

    models: tuple[str, ...]
    codes: NDArray[np.int16]
    positions: NDArray[np.int64]
    times: Floats
    numeric: tuple[str, ...]
    values: Floats
    categories: tuple[CategoryColumn, ...]
    examples: Examples = examples.NONE

    def row(self, name: str) -> Floats:
        """One numeric or binary feature, shape (n,)."""
        row: Floats = self.values[(*self.numeric, *BINARY).index(name)]
        return row

    def by_model(self) -> Iterator[Columns]:
        """The columns of each model, records in the order of the log."""
        if not len(self.codes):
            return
        order = np.argsort(self.codes, kind="stable")
        codes = self.codes[order]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        values = self.values[:, order]
        present = np.logical_or.reduceat(~np.isnan(values), starts, axis=1).T
        positions, times = self.positions[order], self.times[order]
        categories = [(c.name, c.vocabulary, c.codes[order]) for c in self.categories]
        ends = [*starts[1:].tolist(), len(codes)]
        models = [self.models[code] for code in codes[starts].tolist()]
        chosen = self.examples.take(order, len(order))
        for model, start, end, rows in zip(models, starts.tolist(), ends, present, strict=True):
            numeric, binary = self._names(rows.tolist())
            part = values[:, start:end]
            yield Columns(
                model,
                positions[start:end],
                times[start:end],
                numeric,
                binary,
                part if len(numeric) + len(binary) == len(part) else part[rows],
                tuple([_trimmed(n, v, c[start:end]) for n, v, c in categories]),
                chosen.part(start, end),
            )

    def _names(self, kept: Sequence[bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of the numeric and of the binary features whose rows are kept."""
        numeric = tuple(compress(self.numeric, kept))
        return numeric, tuple(compress(BINARY, kept[len(self.numeric) :]))


def join(batches: Sequence[Batch]) -> Batch:
    """Batches of one extractor, in their order, as one."""
    if len(batches) == 1:
        return batches[0]
    names = tuple(sorted({name for batch in batches for name in batch.numeric}))
    return Batch(
        batches[-1].models,  # an extractor's models only grow
        np.concatenate([batch.codes for batch in batches]),
        np.concatenate([batch.positions for batch in batches]),
        np.concatenate([batch.times for batch in batches]),
        names,
        np.concatenate([_rows_of(batch, names) for batch in batches], axis=1),
        tuple(map(join_category, zip(*(batch.categories for batch in batches), strict=True))),
        examples.join([(batch.examples, len(batch.codes)) for batch in batches]),
    )


def _rows_of(batch: Batch, names: tuple[str, ...]) -> Floats:
    """The rows of a batch with these numeric features; NaN for those that it does not have."""
    if batch.numeric == names:
        return batch.values
    rows = np.full((len(names) + len(BINARY), len(batch.codes)), np.nan)
    rows[[names.index(name) for name in batch.numeric]] = batch.values[: len(batch.numeric)]
    rows[len(names) :] = batch.values[len(batch.numeric) :]
    return rows


class FeatureExtractor:
    """Turns records into columns; knows the models and the scores that it has met, up to a bound.

    metadata: watched metadata keys -> "numeric" or "categorical".
    models, scores, categories: bounds; what is beyond is "other" or, a score, dropped and counted.
    """

    def __init__(
        self, metadata: Mapping[str, str], *, models: int, scores: int, categories: int
    ) -> None:
        self._numeric_keys = [key for key, kind in metadata.items() if kind == "numeric"]
        self._category_keys = [key for key, kind in metadata.items() if kind == "categorical"]
        self._model_codes = {OTHER: 0}
        self._max_models = min(models, _MOST_CODES)
        self._max_scores = scores
        self._max_categories = min(categories, _MOST_CODES)
        self._scores: set[str] = set()
        self.scores_dropped = 0

    def batch(
        self,
        records: Sequence[Record],
        positions: Sequence[int] | NDArray[np.int64],
        counted: NDArray[np.int64] | None = None,
    ) -> Batch:
        """The features of n records, in their order.

        positions: shape (n,), where each stood in its log. counted: shape (2, n), characters of the
        prompts and responses that the decoder has cut; negative where the record has all.
        """
        fields = _fields(records)
        codes = self._codes(fields["model"])
        counted = np.full((2, len(records)), -1) if counted is None else counted
        rows = dict(zip(NUMERIC, _default_rows(fields, records, counted), strict=True))
        binary = _binary_rows(fields, rows["response_chars"])
        rows |= self._scores_of(fields["scores"])
        rows |= {f"metadata.{key}": _numbers(fields["metadata"], key) for key in self._numeric_keys}
        names = tuple(sorted(rows))
        values = np.array([*(rows[name] for name in names), *binary], np.float64)
        values[~(np.abs(values) <= LARGEST)] = np.nan
        times = _floats(fields["timestamp"])
        telling = [rows[name] for name in _TELLING]
        return Batch(
            tuple(self._model_codes),
            codes,
            np.array(positions, np.int64),
            times,
            names,
            values,
            tuple(self._categories(fields)),
            examples.choose(times, telling, fields["request_id"]),
        )

    def _codes(self, models: Sequence[str]) -> NDArray[np.int16]:
        known = self._model_codes
        try:
            return np.array([known[model] for model in models], np.int16)
        except KeyError:
            for model in models:
                if model not in known and len(known) <= self._max_models:
                    known[model] = len(known)
            return np.array([known.get(model, 0) for model in models], np.int16)

    def _scores_of(self, scores: Sequence[Mapping[str, float | None] | None]) -> dict[str, Floats]:
        given = sorted(set[str]().union(*filter(None, scores)))
        kept = [name for name in given if self._knows_score(name)]
        if len(kept) < len(given):
            self.scores_dropped += sum(name not in kept for each in scores for name in each or ())
        return {
            f"score.{name}": _floats([each.get(name) if each else None for each in scores])
            for name in kept
        }

    def _knows_score(self, name: str) -> bool:
        if name in self._scores:
            return True
        sound = 0 < len(name) <= _MAX_NAME and not _unprintable(name)
        if not sound or len(self._scores) >= self._max_scores:
            return False
        self._scores.add(name)
        return True

    def _categories(self, fields: Fields) -> Iterator[CategoryColumn]:
        yield self._category("finish_reason", fields["finish_reason"])
        for key in self._category_keys:
            texts = [_text(each.get(key)) if each else None for each in fields["metadata"]]
            yield self._category(f"metadata.{key}", texts)

    def _category(self, name: str, values: Sequence[str | None]) -> CategoryColumn:
        vocabulary = _vocabulary(values, self._max_categories)
        other = vocabulary.get(OTHER, -1)
        codes = np.array([vocabulary.get(value, other) for value in values], np.int16)
        del vocabulary[None]
        return CategoryColumn(name, tuple(vocabulary), codes)  # type: ignore[arg-type]  # None is gone


def _trimmed(name: str, vocabulary: tuple[str, ...], codes: NDArray[np.int16]) -> CategoryColumn:
    """A part of a column, with no more of a long vocabulary than it uses."""
    if len(vocabulary) <= _SHORT_VOCABULARY:
        return CategoryColumn(name, vocabulary, codes)
    used, own = np.unique(codes, return_inverse=True)
    missing = int(used[0] == -1)
    kept = tuple(vocabulary[code] for code in used[missing:].tolist())
    return CategoryColumn(name, kept, (own - missing).astype(np.int16))


def _vocabulary(values: Iterable[str | None], most: int) -> dict[str | None, int]:
    """Category -> code, None -> -1; those past the bound, and too long ones, become "other"."""
    distinct = dict.fromkeys(values)
    distinct.pop(None, None)
    sound = [value for value in distinct if value is not None and len(value) <= _MAX_NAME]
    kept = sound[:most]
    if len(kept) < len(distinct) and OTHER not in kept:
        kept.append(OTHER)
    codes: dict[str | None, int] = {value: code for code, value in enumerate(kept)}
    codes[None] = -1
    return codes


def _fields(records: Sequence[Record]) -> Fields:
    """The records' fields as columns, by name."""
    names = type(records[0]).__struct_fields__ if records else RecordWithMetadata.__struct_fields__
    row_by_row = list(chain.from_iterable(map(astuple, records)))
    return {name: row_by_row[place :: len(names)] for place, name in enumerate(names)}


def _numbers(metadata: Sequence[Mapping[str, Any] | None], key: str) -> Floats:
    """A numeric metadata feature; what is no number is missing."""
    values = [each.get(key) if each else None for each in metadata]
    return _floats(
        # an int of hundreds of digits is a number for JSON, not for a float
        [v if isinstance(v, float | int) and abs(v) <= LARGEST else None for v in values]
    )


def _text(value: object) -> str | None:
    """A category from metadata, numbers as JSON writes them; lists and objects are none."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, float | int) else None


def _floats(values: Collection[float | datetime | None]) -> Floats:
    """A column, NaN where missing."""
    return np.fromiter(values, np.float64, len(values))


def _default_rows(
    fields: Fields, records: Sequence[Record], counted: NDArray[np.int64]
) -> tuple[Floats, ...]:
    """The features in NUMERIC."""
    latency, tokens = _floats(fields["latency_ms"]), _floats(fields["output_tokens"])
    with np.errstate(all="ignore"):  # what a latency next to nothing gives is missing
        speed = tokens / (np.where(latency > 0, latency, np.nan) / 1000)
    return (
        latency,
        _floats(fields["time_to_first_token_ms"]),
        _floats(fields["input_tokens"]),
        tokens,
        speed,
        _floats(fields["cost_usd"]),
        _chars(fields["prompt"], records, counted[0]),
        _chars(fields["response"], records, counted[1]),
    )


def _chars(texts: Sequence[Any], records: Sequence[Record], counted: NDArray[np.int64]) -> Floats:
    """Characters of prompts or answers; of chat messages their text counts."""
    chars = counted.astype(np.float64)
    places = (counted < 0).nonzero()[0]
    chars[places] = [_length(texts[place], records[place]) for place in places.tolist()]
    return chars


def _length(text: object, record: Record) -> float | None:
    """Characters of a text; of its record's prompt where that is chat messages."""
    return len(text) if type(text) is str else None if text is None else record.prompt_chars


def _binary_rows(fields: Fields, chars: Floats) -> tuple[Floats, ...]:
    """The features in BINARY. chars: shape (n,), characters of the answers.

    empty_response and refusal mean nothing where there is no answer, or an error instead; but a
    finish reason alone can tell a refusal.
    """
    failed = _flags([bool(error) for error in fields["error"]])
    unanswered = failed | np.isnan(chars)
    declined = _flags(list(map(REFUSING_FINISH.__contains__, fields["finish_reason"])))
    blank, refuses = _beginnings(fields["response"], chars)
    return (
        np.where(unanswered, np.nan, blank),
        failed.astype(np.float64),
        np.where(declined, 1.0, np.where(unanswered, np.nan, refuses)),
    )


def _beginnings(
    texts: Sequence[str | None], chars: Floats
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which answers are blank, and which decline; of one that does neither, nothing may be left."""
    blank, refuses = chars == 0, np.zeros(len(texts), np.bool_)
    left = [(place, text) for place, text in enumerate(texts) if text]
    places = [place for place, _ in left]
    blank[places] = [text.isspace() for _, text in left]
    refuses[places] = [(t[:2] in OPENINGS or t[:1] in MARKS) and declines(t) for _, t in left]
    return blank, refuses


def _flags(values: Collection[bool]) -> NDArray[np.bool_]:
    return np.fromiter(values, np.bool_, len(values))
