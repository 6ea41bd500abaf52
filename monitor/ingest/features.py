"""Extract features: convert a batch of records to columns for each model.

This is the only step that processes records one by one; all later steps process arrays. The default
features need no configuration. `score.NAME` exists for each score in the log, and `metadata.KEY`
for each configured key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, compress
from typing import Any

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.ingest.columns import CategoryColumn, Columns, join_category
from monitor.ingest.limits import OTHER, Dropped
from monitor.ingest.refusals.classifier import RefusalClassifier
from monitor.ingest.sampling import examples
from monitor.ingest.sampling.examples import Examples
from monitor.records import Record, RecordWithMetadata

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

_HASHED = ("latency_ms", "response_chars")
"""Features that, with the event time, determine the choice of examples."""

MAX_MAGNITUDE = 1e15
"""Numbers beyond this are treated as missing: their squares would dominate every sum."""

REFUSAL_FINISH_REASONS = frozenset({"content_filter", "refusal"})

_MAX_NAME_CHARS = 100
_MAX_CODES = 32_000
"""Codes of models are int16, and one is reserved for "other"."""

Fields = Mapping[str, Sequence[Any]]
"""Field of a record -> its values for n records."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The features of n records of several models.

    models: names; codes: shape (n,), index of each record's model in `models`.
    The other fields are as in `Columns`. Features are sorted by name, numeric ones first, as in
    references.
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
        """Return a numeric or binary feature, shape (n,)."""
        row: Floats = self.values[(*self.numeric, *BINARY).index(name)]
        return row

    def by_model(self) -> Iterator[Columns]:
        """Yield the columns of each model, with its records in the order of the log."""
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
                tuple([CategoryColumn(n, v, c[start:end]).compact() for n, v, c in categories]),
                chosen.part(start, end),
            )

    def _names(self, kept: Sequence[bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the numeric and of the binary features whose rows are kept."""
        numeric = tuple(compress(self.numeric, kept))
        return numeric, tuple(compress(BINARY, kept[len(self.numeric) :]))


def join(batches: Sequence[Batch]) -> Batch:
    """Concatenate batches of one extractor."""
    if len(batches) == 1:
        return batches[0]
    names = tuple(sorted({name for batch in batches for name in batch.numeric}))
    return Batch(
        batches[-1].models,  # an extractor only adds models
        np.concatenate([batch.codes for batch in batches]),
        np.concatenate([batch.positions for batch in batches]),
        np.concatenate([batch.times for batch in batches]),
        names,
        np.concatenate([_values_for(batch, names) for batch in batches], axis=1),
        tuple(map(join_category, zip(*(batch.categories for batch in batches), strict=True))),
        examples.join([(batch.examples, len(batch.codes)) for batch in batches]),
    )


def _values_for(batch: Batch, names: tuple[str, ...]) -> Floats:
    """Return the values of a batch for these numeric features; NaN for those it does not have."""
    if batch.numeric == names:
        return batch.values
    rows = np.full((len(names) + len(BINARY), len(batch.codes)), np.nan)
    rows[[names.index(name) for name in batch.numeric]] = batch.values[: len(batch.numeric)]
    rows[len(names) :] = batch.values[len(batch.numeric) :]
    return rows


class FeatureExtractor:
    """Converts records to columns. It remembers models and scores, up to a limit.

    Models are kept in the order of their first records, scores too: the result does not depend on
    how the records are cut into batches.

    metadata: watched metadata keys -> "numeric" or "categorical".
    models, scores: limits. Models beyond the limit become `OTHER`, scores are dropped.
    scores_dropped: number of values of other scores. dropped: names of such models and scores.
    refusals: recognizes refusals, by default without patterns of the user.
    """

    def __init__(
        self,
        metadata: Mapping[str, str],
        *,
        models: int,
        scores: int,
        refusals: RefusalClassifier | None = None,
    ) -> None:
        self._refusals = refusals or RefusalClassifier()
        self._numeric_keys = [key for key, kind in metadata.items() if kind == "numeric"]
        self._category_keys = [key for key, kind in metadata.items() if kind == "categorical"]
        self._model_codes = {OTHER: 0}
        self._max_models = min(models, _MAX_CODES)
        self._max_scores = scores
        self._scores: set[str] = set()
        self.scores_dropped = 0
        self.dropped = Dropped()

    def batch(
        self,
        records: Sequence[Record],
        positions: Sequence[int] | NDArray[np.int64],
        char_counts: NDArray[np.int64] | None = None,
    ) -> Batch:
        """Return the features of n records.

        positions: shape (n,), position of each record in its log.
        char_counts: shape (2, n), characters of prompts and responses, from `Decoded`; negative if
        the record has the whole text. None: all records have whole texts.
        """
        fields = _fields(records)
        codes = self._codes(fields["model"])
        char_counts = np.full((2, len(records)), -1) if char_counts is None else char_counts
        rows = dict(zip(NUMERIC, _default_rows(fields, records, char_counts), strict=True))
        binary = _binary_rows(fields, rows["response_chars"], self._refusals)
        rows |= self._score_rows(fields["scores"])
        rows |= {f"metadata.{key}": _numbers(fields["metadata"], key) for key in self._numeric_keys}
        names = tuple(sorted(rows))
        values = np.array([*(rows[name] for name in names), *binary], np.float64)
        values[~(np.abs(values) <= MAX_MAGNITUDE)] = np.nan
        times = _floats(fields["timestamp"])
        hashed = [rows[name] for name in _HASHED]
        return Batch(
            tuple(self._model_codes),
            codes,
            np.array(positions, np.int64),
            times,
            names,
            values,
            tuple(self._categories(fields)),
            examples.choose(times, hashed, fields["request_id"]),
        )

    def _codes(self, models: Sequence[str]) -> NDArray[np.int16]:
        known = self._model_codes
        try:
            return np.array([known[model] for model in models], np.int16)
        except KeyError:
            for model in models:
                if model not in known:
                    if len(known) <= self._max_models:
                        known[model] = len(known)
                    else:
                        self.dropped.models.add(model)
            return np.array([known.get(model, 0) for model in models], np.int16)

    def _score_rows(self, scores: Sequence[Mapping[str, float | None] | None]) -> dict[str, Floats]:
        given = set[str]().union(*filter(None, scores))
        if not given <= self._scores:
            self._add_scores([each for each in scores if each])
        return {
            f"score.{name}": _floats([each.get(name) if each else None for each in scores])
            for name in sorted(given & self._scores)
        }

    def _add_scores(self, scores: Sequence[Mapping[str, float | None]]) -> None:
        """Keep new scores in the order of the records, as the limit allows; count the others.

        A record may have thousands of names, so each is looked at by set operations only once all
        lists are full.
        """
        known, dropped = self._scores, self.dropped.scores
        for each in scores:
            if len(known) >= self._max_scores and dropped.full:
                break
            for name in each:
                if name not in known:
                    self._add_score(name)
        rest = set[str]().union(*scores) - known
        dropped.count_all(rest)
        self.scores_dropped += sum(len(each) - len(known & each.keys()) for each in scores)

    def _add_score(self, name: str) -> None:
        valid = 0 < len(name) <= _MAX_NAME_CHARS and name.isprintable()
        if valid and len(self._scores) < self._max_scores:
            self._scores.add(name)
        else:
            self.dropped.scores.add(name[:_MAX_NAME_CHARS])

    def _categories(self, fields: Fields) -> Iterator[CategoryColumn]:
        yield self._category("finish_reason", fields["finish_reason"])
        for key in self._category_keys:
            texts = [_text(each.get(key)) if each else None for each in fields["metadata"]]
            yield self._category(f"metadata.{key}", texts)

    def _category(self, name: str, values: Sequence[str | None]) -> CategoryColumn:
        code_of: dict[str | None, int] = {None: -1}
        names: dict[str, int] = {}
        for value in dict.fromkeys(values):
            if value is not None:
                code_of[value] = names.setdefault(_short(value), len(names))
        return CategoryColumn(name, tuple(names), np.array([code_of[v] for v in values], np.int32))


def _short(category: str) -> str:
    """Return a category; a long one as its beginning and a hash, so that it stays distinct."""
    if len(category) <= _MAX_NAME_CHARS:
        return category
    digest = hashlib.blake2b(category.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{category[: _MAX_NAME_CHARS - 10]}…{digest}"


def _fields(records: Sequence[Record]) -> Fields:
    """Return the values of each field of the records."""
    names = type(records[0]).__struct_fields__ if records else RecordWithMetadata.__struct_fields__
    row_by_row = list(chain.from_iterable(map(astuple, records)))
    return {name: row_by_row[start :: len(names)] for start, name in enumerate(names)}


def _numbers(metadata: Sequence[Mapping[str, Any] | None], key: str) -> Floats:
    """Return a numeric metadata feature. Values that are not numbers are missing."""
    values = [each.get(key) if each else None for each in metadata]
    return _floats(
        # JSON allows integers of hundreds of digits, which float() rejects
        [v if isinstance(v, float | int) and abs(v) <= MAX_MAGNITUDE else None for v in values]
    )


def _text(value: object) -> str | None:
    """Return a metadata value as a category: numbers as in JSON; None for lists and objects."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, float | int) else None


def _floats(values: Collection[float | datetime | None]) -> Floats:
    """Return values as an array, NaN if missing."""
    return np.fromiter(values, np.float64, len(values))


def _default_rows(
    fields: Fields, records: Sequence[Record], char_counts: NDArray[np.int64]
) -> tuple[Floats, ...]:
    """Return the features in NUMERIC."""
    latency, tokens = _floats(fields["latency_ms"]), _floats(fields["output_tokens"])
    with np.errstate(all="ignore"):  # an infinite speed is treated as missing
        speed = tokens / (np.where(latency > 0, latency, np.nan) / 1000)
    return (
        latency,
        _floats(fields["time_to_first_token_ms"]),
        _floats(fields["input_tokens"]),
        tokens,
        speed,
        _floats(fields["cost_usd"]),
        _chars(fields["prompt"], records, char_counts[0]),
        _chars(fields["response"], records, char_counts[1]),
    )


def _chars(
    texts: Sequence[Any], records: Sequence[Record], char_counts: NDArray[np.int64]
) -> Floats:
    """Return the number of characters of prompts or responses, for chat messages of their text."""
    chars = char_counts.astype(np.float64)
    indices = (char_counts < 0).nonzero()[0]
    chars[indices] = [_length(texts[i], records[i]) for i in indices.tolist()]
    return chars


def _length(text: object, record: Record) -> float | None:
    """Return the number of characters of a text, or of the chat messages of the record."""
    return len(text) if type(text) is str else None if text is None else record.prompt_chars


def _binary_rows(fields: Fields, chars: Floats, refusals: RefusalClassifier) -> tuple[Floats, ...]:
    """Return the features in BINARY. chars: shape (n,), characters of the responses.

    empty_response and refusal are missing if there is no response or an error. A finish reason is
    sufficient for a refusal.
    """
    failed = _flags([bool(error) for error in fields["error"]])
    no_response = failed | np.isnan(chars)
    by_reason = _flags(list(map(REFUSAL_FINISH_REASONS.__contains__, fields["finish_reason"])))
    blank, refusing = _blank_and_refusing(fields["response"], chars, refusals)
    return (
        np.where(no_response, np.nan, blank),
        failed.astype(np.float64),
        np.where(by_reason, 1.0, np.where(no_response, np.nan, refusing)),
    )


def _blank_and_refusing(
    texts: Sequence[str | None], chars: Floats, refusals: RefusalClassifier
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which responses are blank and which are refusals. Others may have no text left."""
    blank, refusing = chars == 0, np.zeros(len(texts), np.bool_)
    left = [(index, text) for index, text in enumerate(texts) if text]
    indices = [index for index, _ in left]
    blank[indices] = [text.isspace() for _, text in left]
    refusing[indices] = refusals.flags([text for _, text in left])
    return blank, refusing


def _flags(values: Collection[bool]) -> NDArray[np.bool_]:
    return np.fromiter(values, np.bool_, len(values))
