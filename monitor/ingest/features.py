"""Extract features: convert a batch of records to columns for each model.

The default features need no configuration. `score.NAME` exists for each score in the log, and
`metadata.KEY` for each configured key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.ingest.chunks.columns import CategoryColumn, Columns, join_category
from monitor.ingest.fields.fields import Coded, Fields, Scores
from monitor.ingest.fields.limits import OTHER, Dropped
from monitor.ingest.refusals.classifier import RefusalClassifier
from monitor.ingest.sampling import examples
from monitor.ingest.sampling.examples import Examples

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

_decode: Final = msgspec.json.Decoder().decode
_DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Batch:
    """The features of n records of several models.

    models: names; codes: shape (n,), index of each record's model in `models`.
    hashes: shape (n,), by which records are drawn; empty in joined batches.
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
    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

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

    def batch(self, fields: Fields, positions: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return the features of n records.

        positions: shape (n,), position of each record in its log.
        """
        codes = self._codes(fields.models)
        rows = dict(zip(NUMERIC, _default_rows(fields), strict=True))
        binary = _binary_rows(fields, self._refusals)
        rows |= self._score_rows(fields.scores)
        for key in self._numeric_keys:
            rows[f"metadata.{key}"] = _numbers(fields.metadata[key])
        names = tuple(sorted(rows))
        values = np.array([*(rows[name] for name in names), *binary], np.float64)
        values[~(np.abs(values) <= MAX_MAGNITUDE)] = np.nan
        hashes = examples.hashes(fields.times, [rows[name] for name in _HASHED])
        return Batch(
            tuple(self._model_codes),
            codes,
            np.array(positions, np.int64),
            fields.times,
            names,
            values,
            tuple(self._categories(fields)),
            examples.choose(hashes, fields.ids),
            hashes,
        )

    def _codes(self, models: Coded[str]) -> NDArray[np.int16]:
        known = self._model_codes
        for code, model in enumerate(models.vocabulary):
            if model not in known:
                if len(known) <= self._max_models:
                    known[model] = len(known)
                else:
                    self.dropped.models.add(model, int((models.codes == code).sum()))
        own = [known.get(model, 0) for model in models.vocabulary]
        return np.array(own, np.int16)[models.codes]

    def _score_rows(self, scores: Scores) -> dict[str, Floats]:
        given = {*scores.names, *set[str]().union(*scores.others.values())}
        if not given <= self._scores:
            self._add_scores(scores)
        return {f"score.{name}": scores.column(name) for name in sorted(given & self._scores)}

    def _add_scores(self, scores: Scores) -> None:
        """Keep new scores in the order of the records, as the limit allows; count the others.

        A record may have thousands of names, so each is looked at by set operations only once all
        lists are full.
        """
        known, dropped = self._scores, self.dropped.scores
        first = scores.given.argmax(axis=1).tolist()
        times = scores.given.sum(axis=1).tolist()
        found: list[tuple[int, Sequence[tuple[str, int]]]] = [
            (row, [(name, times)])
            for row, name, times in zip(first, scores.names, times, strict=True)
            if times
        ]
        found += [(row, [(name, 1) for name in each]) for row, each in scores.others.items()]
        for _, names in sorted(found, key=lambda entry: entry[0]):
            if len(known) >= self._max_scores and dropped.full:
                break
            for name, count in names:
                if name not in known:
                    self._add_score(name, count)
        rest = {*scores.names, *set[str]().union(*scores.others.values())} - known
        dropped.count_all(rest)
        lost = [place for place, name in enumerate(scores.names) if name not in known]
        self.scores_dropped += int(scores.given[lost].sum())
        self.scores_dropped += sum(
            len(each) - len(known & each.keys()) for each in scores.others.values()
        )

    def _add_score(self, name: str, times: int) -> None:
        valid = 0 < len(name) <= _MAX_NAME_CHARS and name.isprintable()
        if valid and len(self._scores) < self._max_scores:
            self._scores.add(name)
        else:
            self.dropped.scores.add(name[:_MAX_NAME_CHARS], times)

    def _categories(self, fields: Fields) -> Iterator[CategoryColumn]:
        yield _category("finish_reason", fields.finish_reasons)
        for key in self._category_keys:
            yield _category(f"metadata.{key}", _texts(fields.metadata[key]))


def _category(name: str, names: Coded[str]) -> CategoryColumn:
    """Return a categorical feature. Long names may become the same one."""
    codes: dict[str, int] = {}
    own = [codes.setdefault(_short(value), len(codes)) for value in names.vocabulary]
    return CategoryColumn(name, tuple(codes), np.array([*own, -1], np.int32)[names.codes])


def _short(category: str) -> str:
    """Return a category; a long one as its beginning and a hash, so that it stays distinct."""
    if len(category) <= _MAX_NAME_CHARS:
        return category
    digest = hashlib.blake2b(category.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{category[: _MAX_NAME_CHARS - 10]}…{digest}"


def _value(raw: bytes) -> Any:
    """Return a value of metadata; None if it cannot be decoded, is a list or an object."""
    try:
        value = _decode(raw)
    except _DECODE_ERRORS:
        return None
    return value if isinstance(value, str | float | int) else None


def _numbers(names: Coded[bytes]) -> Floats:
    """Return a numeric metadata feature. Values that are not numbers are missing."""
    values = map(_value, names.vocabulary)
    # JSON allows integers of hundreds of digits, which float() rejects
    numbers = [
        v if isinstance(v, float | int) and abs(v) <= MAX_MAGNITUDE else np.nan for v in values
    ]
    column: Floats = np.array([*numbers, np.nan], np.float64)[names.codes]
    return column


def _texts(names: Coded[bytes]) -> Coded[str]:
    """Return metadata values as categories: numbers as in JSON; lists and objects are missing."""
    codes: dict[str, int] = {}
    own = []
    for value in map(_value, names.vocabulary):
        if value is None:
            own.append(-1)
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            own.append(codes.setdefault(text, len(codes)))
    return Coded(tuple(codes), np.array([*own, -1], np.int32)[names.codes])


def _default_rows(fields: Fields) -> tuple[Floats, ...]:
    """Return the features in NUMERIC."""
    latency, first_token, inputs, outputs, cost = fields.numbers
    with np.errstate(all="ignore"):  # an infinite speed is treated as missing
        speed = outputs / (np.where(latency > 0, latency, np.nan) / 1000)
    return latency, first_token, inputs, outputs, speed, cost, *fields.chars


def _binary_rows(fields: Fields, refusals: RefusalClassifier) -> tuple[Floats, ...]:
    """Return the features in BINARY.

    empty_response and refusal are missing if there is no response or an error. A finish reason is
    sufficient for a refusal.
    """
    failed, chars, reasons = fields.failed, fields.chars[1], fields.finish_reasons
    no_response = failed | np.isnan(chars)
    refusing_reason = [reason in REFUSAL_FINISH_REASONS for reason in reasons.vocabulary]
    by_reason = np.array([*refusing_reason, False])[reasons.codes]
    blank, refusing = _blank_and_refusing(fields.beginnings, chars, refusals)
    return (
        np.where(no_response, np.nan, blank),
        failed.astype(np.float64),
        np.where(by_reason, 1.0, np.where(no_response, np.nan, refusing)),
    )


def _blank_and_refusing(
    beginnings: Mapping[int, str], chars: Floats, refusals: RefusalClassifier
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which responses are blank and which are refusals. Others may have no beginning."""
    blank, refusing = chars == 0, np.zeros(len(chars), np.bool_)
    indices, texts = list(beginnings), list(beginnings.values())
    blank[indices] = [text.isspace() for text in texts]
    refusing[indices] = refusals.flags(texts)
    return blank, refusing
