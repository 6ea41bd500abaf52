"""From a batch of records to feature columns, model by model.

Python touches a record once, here; what follows is arrays. The default features need no
configuration; `score.NAME` appears with the scores of the log, `metadata.KEY` where configured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
BINARY = ("error", "empty_response", "refusal")
CATEGORICAL = ("finish_reason",)

REFUSING_FINISH = frozenset({"content_filter", "refusal"})
_refuses = re.compile(
    r"\W*(?:(?:i['’]?m|i am) (?:really |very |so )?sorry|sorry,|(?:i )?apologi[sz]e"
    r"|i (?:can(?:no|['’])t|am unable to|am not able to|won['’]t|must decline)"
    r"|i['’]?m (?:unable to|not able to)|unfortunately, i can|as an ai\b)",
    re.IGNORECASE,
).match
_MAX_NAME = 100
_unprintable = re.compile(r"[^\x20-\x7e]").search


@dataclass(frozen=True, slots=True)
class Batch:
    """The features of n records of any models.

    models: the models that occur; codes, shape (n,), index into it.
    The rest is as in `Columns`.
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
        numeric = len(self.numeric)
        ends = [*starts[1:].tolist(), len(codes)]
        for start, end, rows in zip(starts.tolist(), ends, present, strict=True):
            kept = rows.tolist()
            yield Columns(
                self.models[codes[start]],
                positions[start:end],
                times[start:end],
                tuple(n for n, keep in zip(self.numeric, kept, strict=False) if keep),
                tuple(n for n, keep in zip(BINARY, kept[numeric:], strict=True) if keep),
                values[rows, start:end],
                tuple(CategoryColumn(n, v, c[start:end]) for n, v, c in categories),
            )


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
        self._max_models, self._max_scores, self._max_categories = models, scores, categories
        self._scores: dict[str, None] = {}
        self.scores_dropped = 0

    def batch(self, records: Sequence[Record], positions: Sequence[int]) -> Batch:
        """The features of records, in their order; `positions` say where each stood in its log."""
        codes = self._codes(records)
        score_names, score_rows = self._score_rows(records)
        metadata = [self._metadata_row(records, key) for key in self._numeric_keys]
        names = (*NUMERIC, *score_names, *(f"metadata.{key}" for key in self._numeric_keys))
        base, binary = _base_rows(records)
        return Batch(
            tuple(self._model_codes),
            codes,
            np.array(positions, np.int64),
            np.array([record.timestamp for record in records], np.float64),
            names,
            np.concatenate((base, np.array([*score_rows, *metadata, *binary], np.float64))),
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

    def _score_rows(self, records: Sequence[Record]) -> tuple[list[str], list[list[float | None]]]:
        rows: dict[str, list[float | None]] = {}
        for i, record in enumerate(records):
            if record.scores:
                for name, score in record.scores.items():
                    row = rows.get(name)
                    if row is None:
                        if not self._knows_score(name):
                            self.scores_dropped += 1
                            continue
                        row = rows[name] = [None] * len(records)
                    row[i] = score
        return [f"score.{name}" for name in rows], list(rows.values())

    def _knows_score(self, name: str) -> bool:
        if name in self._scores:
            return True
        sound = 0 < len(name) <= _MAX_NAME and not _unprintable(name)
        if not sound or len(self._scores) >= self._max_scores:
            return False
        self._scores[name] = None
        return True

    def _metadata_row(self, records: Sequence[Record], key: str) -> list[float | None]:
        return [
            float(value) if isinstance(value := _metadata(record).get(key), float | int) else None
            for record in records
        ]

    def _categories(self, records: Sequence[Record]) -> Iterator[CategoryColumn]:
        yield self._category("finish_reason", [record.finish_reason for record in records])
        for key in self._category_keys:
            raw = (_metadata(record).get(key) for record in records)
            texts = [None if value is None else str(value) for value in raw]
            yield self._category(f"metadata.{key}", texts)

    def _category(self, name: str, values: Sequence[str | None]) -> CategoryColumn:
        vocabulary = _vocabulary(values, self._max_categories)
        other = vocabulary.get(OTHER, -1)
        codes = np.array([vocabulary.get(value, other) for value in values], np.int16)
        del vocabulary[None]
        return CategoryColumn(name, tuple(vocabulary), codes)  # type: ignore[arg-type]  # None is gone


def _vocabulary(values: Iterable[str | None], most: int) -> dict[str | None, int]:
    """Category -> code, None -> -1; the rarest of too many, and too long ones, become "other"."""
    distinct = dict.fromkeys(values)
    distinct.pop(None, None)
    sound = [value for value in distinct if value is not None and len(value) <= _MAX_NAME]
    kept = sound[:most]
    if len(kept) < len(distinct) and OTHER not in kept:
        kept.append(OTHER)
    codes: dict[str | None, int] = {value: code for code, value in enumerate(kept)}
    codes[None] = -1
    return codes


def _metadata(record: Record) -> Mapping[str, str | float | bool | None]:
    return (record.metadata or {}) if isinstance(record, RecordWithMetadata) else {}


def _base_rows(records: Sequence[Record]) -> tuple[Floats, list[list[float | None]]]:
    """The default numeric features, shape (8, n), and the binary ones."""
    logged = np.array(
        [
            [record.latency_ms for record in records],
            [record.time_to_first_token_ms for record in records],
            [record.input_tokens for record in records],
            [record.output_tokens for record in records],
            [record.cost_usd for record in records],
            [record.prompt_chars for record in records],
            [None if record.response is None else len(record.response) for record in records],
        ],
        np.float64,
    )
    latency, first_token, tokens_in, tokens_out, cost, prompt_chars, response_chars = logged
    seconds = np.where(latency > 0, latency, np.nan) / 1000
    numeric = np.stack(
        (
            latency,
            first_token,
            tokens_in,
            tokens_out,
            tokens_out / seconds,
            cost,
            prompt_chars,
            response_chars,
        )
    )
    binary: list[list[float | None]] = [
        [1.0 if record.error else 0.0 for record in records],
        [_empty(record) for record in records],
        [_refusal(record) for record in records],
    ]
    return numeric, binary


def _empty(record: Record) -> float | None:
    """Whether the answer has no text; of no meaning where there is no answer."""
    response = record.response
    if response is None or record.error:
        return None
    return 0.0 if response and not response.isspace() else 1.0


def _refusal(record: Record) -> float | None:
    """Whether the model declined, by its own finish reason or by how the answer begins."""
    if record.finish_reason in REFUSING_FINISH:
        return 1.0
    if record.response is None or record.error:
        return None
    return 1.0 if _refuses(record.response) else 0.0
