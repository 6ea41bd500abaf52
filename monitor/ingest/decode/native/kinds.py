"""Kinds of records: which fields are decoded for features, experiments and joins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from monitor.ingest.fields.fields import (
    NUMBERS,
    RAW,
    Coded,
    Fields,
    OptionalFields,
    Scores,
    coded,
)
from monitor.ingest.fields.ids import ids_of
from monitor.records import (
    ExperimentRecord,
    ExperimentRecordWithMetadata,
    Record,
    RecordWithMetadata,
    WholeRecord,
    prompt_chars,
)

KINDS: Final[dict[tuple[bool, bool], type[Record]]] = {
    (False, False): Record,
    (True, False): RecordWithMetadata,
    (False, True): ExperimentRecord,
    (True, True): ExperimentRecordWithMetadata,
}
"""Type of the records by whether metadata, and the fields of experiments and joins, are needed."""

_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)
_NULL: Final = b"null"
_decode_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode


@dataclass(frozen=True, slots=True)
class Needed:
    """The fields that the configuration needs.

    watched: keys of metadata, which must be an object then. units: other keys of metadata.
    optional: whether experiments and joins need theirs.
    """

    watched: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    optional: bool = False

    @property
    def kind(self) -> type[Record]:
        """Type of the records that are decoded one by one."""
        return KINDS[bool(self.watched), self.optional]

    @property
    def keys(self) -> tuple[str, ...]:
        """All needed keys of metadata."""
        return tuple(dict.fromkeys((*self.watched, *self.units)))


ONLY_FEATURES: Final = Needed()


def fields_of(records: Sequence[Record | WholeRecord], needed: Needed) -> Fields:
    """Return the fields of records that were decoded one by one."""
    columns = {name: [getattr(each, name) for each in records] for name in NUMBERS}
    return Fields(
        ids=ids_of([record.request_id for record in records]),
        times=np.array([record.timestamp for record in records], np.float64),
        models=coded([record.model for record in records]),
        numbers=np.array(list(columns.values()), np.float64).reshape(len(NUMBERS), len(records)),
        chars=np.array(
            [
                [prompt_chars(record.prompt) for record in records],
                [None if record.response is None else len(record.response) for record in records],
            ],
            np.float64,
        ),
        failed=np.array([bool(record.error) for record in records], np.bool_),
        finish_reasons=coded([record.finish_reason for record in records]),
        beginnings={i: record.response for i, record in enumerate(records) if record.response},
        scores=_scores_of(records),
        metadata=_metadata_of(records, needed.keys),
        optional=_optional_of(records) if needed.optional else None,
    )


def _scores_of(records: Sequence[Record | WholeRecord]) -> Scores:
    n = len(records)
    others = {index: {**record.scores} for index, record in enumerate(records) if record.scores}
    return Scores((), np.zeros((0, n)), np.zeros((0, n), np.bool_), others)


def _metadata_of(records: Sequence[Any], keys: Sequence[str]) -> dict[str, Coded[bytes]]:
    if not keys:
        return {}
    found = [_values(record.metadata, keys) for record in records]
    return {key: coded([each.get(key) for each in found]) for key in keys}


def _values(metadata: dict[str, Any] | msgspec.Raw | None, keys: Sequence[str]) -> dict[str, bytes]:
    """Return the JSON of some values of metadata."""
    if isinstance(metadata, msgspec.Raw):
        try:
            raw = _decode_keys(metadata) or {}
        except _ERRORS:
            return {}
        return {key: bytes(raw[key]) for key in keys if key in raw}
    given = metadata or {}
    return {key: json.dumps(given[key]).encode() for key in keys if key in given}


def _optional_of(records: Sequence[Any]) -> OptionalFields:
    raw = {name: b",".join([_raw(getattr(each, name)) for each in records]) for name in RAW}
    experiments = [_raw(record.experiments) for record in records]
    return OptionalFields(coded([None if e == _NULL else e for e in experiments]), raw)


def _raw(value: object) -> bytes:
    """Return the JSON of a value, which may be JSON already."""
    return bytes(value) if isinstance(value, msgspec.Raw) else msgspec.json.encode(value)
