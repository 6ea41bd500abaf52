"""From a batch of records to feature columns, model by model.

Python touches a record once, here; what follows is arrays. The default features need no
configuration; `score.NAME` appears with the scores of the log, `metadata.KEY` where configured.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import Floats
from monitor.columns import CategoryColumn, Columns
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

LARGEST = 1e15
"""Greater magnitudes are missing: no measurement, and their squares would swamp every sum."""

REFUSING_FINISH = frozenset({"content_filter", "refusal"})

_UNABLE = r"""i(?:
    (?:\ can(?:'t|not|\ not)|(?:'m|\ am)\ (?:unable|not\ able)\ to)\b
      (?!\ (?:over(?:state|emphasi[sz]e)|stress|emphasi[sz]e|only|wait|help\ but|imagine|believe
           |agree\ more|thank\ |recommend\ (?:\S+\ ){1,3}enough)\b)
  | \ (?:won't|will\ not)\ (?:be\ able|help|assist|provide|write|create|generate|give|share|offer
      |produce|participate|engage|answer|discuss|comply|do\ (?:that|this|it))\b
  | \ (?:must|have\ to|need\ to)\ (?:(?:respectfully|politely)\ )?(?:decline|refuse)\b
  | \ (?:don't|do\ not)\ (?:feel\ comfortable|have\ the\ ability)\b
  | (?:'m|\ am)\ not\ (?:comfortable|willing|allowed|permitted)\b
)"""
_SORRY = r"""(?:
    (?:i(?:'m|\ am)\ (?:(?:really|very|so|truly|terribly)\ )?|so\ )?sorry
  | i\ (?:sincerely\ |must\ )?apologi[sz]e | (?:my\ )?(?:sincere\ )?apologies
)\b"""
_LEADING_UP = r"(?:unfortunately|(?:i(?:'m|\ am)\ afraid|(?:as|i'm|i\ am)\ (?:just\ )?an\ ai))\b"
_refuses = re.compile(
    rf"""\W{{0,20}}+(?=i[\ ']|so|my\ |sincere|apolog|unfort|as\ )(?:  # most answers end here
        {_UNABLE}
      | {_SORRY},?\ but\b
      | (?:{_SORRY}[.!]?|{_LEADING_UP})[^.!?\n]{{0,120}}?\ {_UNABLE}
    )""",
    re.VERBOSE,
).match
_OPENINGS = frozenset("IiSsUuAaMm" + string.punctuation + string.whitespace + "‘’“”«…–—")
"""How a refusal can begin; most answers need not be looked at further."""
_HEAD = 200
_MAX_NAME = 100
_SHORT_VOCABULARY = 16
_MOST_CODES = 32_000
"""Codes are int16, and "other" needs one."""
_unprintable = re.compile(r"[^\x20-\x7e]").search


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
        tuple(map(_joined, zip(*(batch.categories for batch in batches), strict=True))),
    )


def _rows_of(batch: Batch, names: tuple[str, ...]) -> Floats:
    """The rows of a batch with these numeric features; NaN for those that it does not have."""
    if batch.numeric == names:
        return batch.values
    rows = np.full((len(names) + len(BINARY), len(batch.codes)), np.nan)
    rows[[names.index(name) for name in batch.numeric]] = batch.values[: len(batch.numeric)]
    rows[len(names) :] = batch.values[len(batch.numeric) :]
    return rows


def _joined(parts: Sequence[CategoryColumn]) -> CategoryColumn:
    """Columns of one feature as one, with a vocabulary that serves all."""
    vocabulary = {
        name: code
        for code, name in enumerate(
            dict.fromkeys(name for part in parts for name in part.vocabulary)
        )
    }
    # code -1, a missing value, finds the last entry
    tables = [np.array([*map(vocabulary.get, part.vocabulary), -1], np.int16) for part in parts]
    codes = [table[part.codes] for table, part in zip(tables, parts, strict=True)]
    return CategoryColumn(parts[0].name, tuple(vocabulary), np.concatenate(codes))


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

    def batch(self, records: Sequence[Record], positions: Sequence[int]) -> Batch:
        """The features of records, in their order; `positions` say where each stood in its log."""
        codes = self._codes(records)
        rows = dict(zip(NUMERIC, _default_rows(records), strict=True)) | self._scores_of(records)
        rows |= {f"metadata.{key}": _numbers(records, key) for key in self._numeric_keys}
        names = tuple(sorted(rows))
        values = np.array([*(rows[n] for n in names), *_binary_rows(records)], np.float64)
        values[~(np.abs(values) <= LARGEST)] = np.nan
        return Batch(
            tuple(self._model_codes),
            codes,
            np.array(positions, np.int64),
            _floats([record.timestamp for record in records]),
            names,
            values,
            tuple(self._categories(records)),
        )

    def _codes(self, records: Sequence[Record]) -> NDArray[np.int16]:
        known = self._model_codes
        try:
            return np.array([known[record.model] for record in records], np.int16)
        except KeyError:
            for record in records:
                if record.model not in known and len(known) <= self._max_models:
                    known[record.model] = len(known)
            return np.array([known.get(record.model, 0) for record in records], np.int16)

    def _scores_of(self, records: Sequence[Record]) -> dict[str, Floats]:
        rows: dict[str, list[float | None]] = {}
        for i, record in enumerate(records):
            if record.scores:
                for name, score in record.scores.items():
                    try:
                        rows[name][i] = score
                    except KeyError:
                        if self._knows_score(name):
                            rows[name] = [None] * len(records)
                            rows[name][i] = score
                        else:
                            self.scores_dropped += 1
        return {f"score.{name}": _floats(row) for name, row in rows.items()}

    def _knows_score(self, name: str) -> bool:
        if name in self._scores:
            return True
        sound = 0 < len(name) <= _MAX_NAME and not _unprintable(name)
        if not sound or len(self._scores) >= self._max_scores:
            return False
        self._scores.add(name)
        return True

    def _categories(self, records: Sequence[Record]) -> Iterator[CategoryColumn]:
        yield self._category("finish_reason", [record.finish_reason for record in records])
        for key in self._category_keys:
            yield self._category(
                f"metadata.{key}", [_text(_metadata(record).get(key)) for record in records]
            )

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


def _metadata(record: Record) -> Mapping[str, Any]:
    return (record.metadata or {}) if isinstance(record, RecordWithMetadata) else {}


def _numbers(records: Sequence[Record], key: str) -> Floats:
    """A numeric metadata feature; what is no number is missing."""
    values = [_metadata(record).get(key) for record in records]
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


def _default_rows(records: Sequence[Record]) -> tuple[Floats, ...]:
    """The features in NUMERIC."""
    latency = _floats([record.latency_ms for record in records])
    tokens = _floats([record.output_tokens for record in records])
    with np.errstate(over="ignore"):
        speed = tokens / (np.where(latency > 0, latency, np.nan) / 1000)
    return (
        latency,
        _floats([record.time_to_first_token_ms for record in records]),
        _floats([record.input_tokens for record in records]),
        tokens,
        speed,
        _floats([record.cost_usd for record in records]),
        _floats([len(p) if type(p := r.prompt) is str else r.prompt_chars for r in records]),
        _floats([None if record.response is None else len(record.response) for record in records]),
    )


def _binary_rows(records: Sequence[Record]) -> tuple[Floats, ...]:
    """The features in BINARY.

    empty_response and refusal mean nothing where there is no answer, or an error instead; but a
    finish reason alone can tell a refusal.
    """
    failed = _flags([bool(record.error) for record in records])
    texts = [record.response for record in records]
    unanswered = failed | _flags([text is None for text in texts])
    empty = _flags([not text or text.isspace() for text in texts])
    declined = _flags([record.finish_reason in REFUSING_FINISH for record in records])
    refuses = _flags([bool(t and t[0] in _OPENINGS and _declines(t)) for t in texts])
    return (
        np.where(unanswered, np.nan, empty),
        failed.astype(np.float64),
        np.where(declined, 1.0, np.where(unanswered, np.nan, refuses)),
    )


def _flags(values: Collection[bool]) -> NDArray[np.bool_]:
    return np.fromiter(values, np.bool_, len(values))


def _declines(text: str) -> bool:
    """Whether an answer in English begins with words of refusal."""
    head = text[:_HEAD].lower().replace("’", "'").replace("—", " ")
    return _refuses(head) is not None
