"""The native format: one JSON object per record.

A batch is read into columns by the reader `_fields`, in C. Payloads with anything out of the
ordinary, and all of them if the reader is not built, are decoded one by one by msgspec, which
accepts or rejects them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.decode.json_decoding import (
    JSON_ERRORS,
    rejection,
    replace_lone_surrogates,
)
from monitor.ingest.decode.native.kinds import ONLY_FEATURES, Needed, fields_of
from monitor.ingest.decode.native.usual import READER_BUILT, UsualReader
from monitor.ingest.decode.native.whole import (
    WholeFields,
    decode_fields,
    decode_text_fields,
    record_of_fields,
    texts_of,
)
from monitor.ingest.fields import fields
from monitor.ingest.fields.fields import Fields
from monitor.records import (
    MAX_TIMESTAMP,
    Record,
    RejectedRecord,
    RejectReason,
    Texts,
    WholeRecord,
    is_valid_model,
)

MAX_BYTES = 4 * 1024 * 1024

R = TypeVar("R", Record, WholeFields)


class NativeDecoder:
    """Decoder of native records.

    needed: fields. keep_beginnings: whether to keep the beginning of every response, not only of
    those that may be refusals in a known language.
    together: whether batches are read into columns; it affects the speed only.
    """

    def __init__(
        self,
        needed: Needed = ONLY_FEATURES,
        *,
        keep_beginnings: bool = False,
        together: bool = READER_BUILT,
    ) -> None:
        self.needed = needed
        self._decode: Callable[[bytes], Record] = msgspec.json.Decoder(needed.kind).decode
        self._read = None
        if together:
            self._read = UsualReader(needed, MAX_BYTES, keep_beginnings=keep_beginnings)

    def __call__(self, payload: bytes) -> Record:
        """Return the record of a message. Raises RejectedRecord if it is not a record."""
        _check_size(payload)
        try:
            record = self._decode(payload)
        except JSON_ERRORS as error:
            repaired = replace_lone_surrogates(payload)
            if repaired != payload:
                return self(repaired)
            raise rejection(payload, error) from None
        return _normalize(record)

    def whole(self, payload: bytes) -> WholeRecord:
        """Return all fields of the record of a message.

        It is slower than decoding for features, so it is for the few records that are drawn. Raises
        RejectedRecord if the message is not a record, and only then: a field that no feature needs
        is missing if it has a wrong type.
        """
        _check_size(payload)
        try:
            fields = decode_fields(payload)
        except JSON_ERRORS as error:
            repaired = replace_lone_surrogates(payload)
            if repaired != payload:
                return self.whole(repaired)
            raise rejection(payload, error) from None
        return record_of_fields(_normalize(fields))

    def texts(self, payload: bytes) -> Texts:
        """Return the texts of the record of a message. Raises RejectedRecord if it is not JSON."""
        try:
            return texts_of(decode_text_fields(payload))
        except JSON_ERRORS as error:
            repaired = replace_lone_surrogates(payload)
            if repaired != payload:
                return self.texts(repaired)
            raise rejection(payload, error) from None

    def many(self, payloads: Sequence[bytes]) -> Decoded:
        """Decode a batch of messages."""
        if self._read is None:
            return self._one_by_one(payloads, np.arange(len(payloads)))
        usual, indices = self._read(payloads)
        if not all(map(is_valid_model, usual.models.vocabulary)):
            usual, indices = _with_valid_models(usual, indices)
        if len(indices) == len(payloads):
            return Decoded(usual, indices, [])
        left = np.ones(len(payloads), np.bool_)
        left[indices] = False
        others = self._one_by_one(payloads, np.flatnonzero(left))
        if not len(others.fields):
            return Decoded(usual, indices, others.rejected)
        both = np.concatenate([indices, others.indices])
        order = np.argsort(both, kind="stable")
        joined = fields.join([usual, others.fields]).take(order)
        return Decoded(joined, both[order], others.rejected)

    def _one_by_one(self, payloads: Sequence[bytes], chosen: NDArray[np.int64]) -> Decoded:
        """Decode some of the messages, given by their indices."""
        records, indices, rejected = [], [], []
        for index in chosen.tolist():
            try:
                records.append(self(payloads[index]))
            except RejectedRecord as error:
                # The traceback would keep the whole batch in memory.
                rejected.append((index, error.with_traceback(None)))
            else:
                indices.append(index)
        return Decoded(fields_of(records, self.needed), np.array(indices, np.int64), rejected)


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_BYTES:
        raise RejectedRecord(RejectReason.TOO_LARGE, f"{len(payload)} bytes, at most {MAX_BYTES}")


def _with_valid_models(
    usual: Fields, indices: NDArray[np.int64]
) -> tuple[Fields, NDArray[np.int64]]:
    """Return the records of models with valid names, and their indices."""
    valid = np.array([*map(is_valid_model, usual.models.vocabulary)])
    kept = np.flatnonzero(valid[usual.models.codes])
    return usual.take(kept), indices[kept]


def _normalize(record: R) -> R:
    """Convert the time of a record to epoch seconds and check its model.

    Raises RejectedRecord if one of them is invalid.
    """
    if not (isinstance(record.timestamp, float) and 0.0 <= record.timestamp <= MAX_TIMESTAMP):
        record.timestamp = _epoch_seconds(record.timestamp)
    if not is_valid_model(record.model):
        raise RejectedRecord(RejectReason.BAD_MODEL, "model must be 1 to 200 printable characters")
    return record


def _epoch_seconds(time: float | datetime) -> float:
    """Return epoch seconds for a number or a time. A time without a zone is UTC."""
    if isinstance(time, datetime):
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    if not 0.0 <= time <= MAX_TIMESTAMP:
        raise RejectedRecord(RejectReason.BAD_TIMESTAMP, "timestamp is not in epoch seconds")
    return float(time)
