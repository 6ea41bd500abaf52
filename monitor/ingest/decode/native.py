"""The native format: one JSON object per record, decoded by one reused msgspec decoder.

Batches are shortened first: the scanner `_scan`, in C, validates prompts and responses, counts
their characters, and removes the text that no feature needs. About a seventh of the bytes remains,
and is decoded at once. If the scanner is not built or a payload is unusual, it is decoded whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import numpy as np

from monitor.ingest.decode.decoded import NOT_COUNTED, Decoded, not_counted, one_by_one
from monitor.ingest.decode.shorten import SCANNER_BUILT, Shortened, shorten
from monitor.ingest.decode.whole import WholeFields, decode_fields, whole_record
from monitor.records import (
    ExperimentRecord,
    ExperimentRecordWithMetadata,
    Record,
    RecordWithMetadata,
    RejectedRecord,
    RejectReason,
    WholeRecord,
)

MAX_BYTES = 4 * 1024 * 1024
MAX_MODEL_CHARS = 200
MAX_TIMESTAMP = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
"""Larger values are milliseconds or nanoseconds, not seconds."""

_LONE_SURROGATE = re.compile(
    rb"\\(?:[^u]|u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"  # other escapes, pairs
    rb"|(u[dD][89a-fA-F][\da-fA-F]{2}))"
)
"""The escape of half a character, which remains if JavaScript cuts a string within an emoji."""
_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for invalid messages."""


R = TypeVar("R", Record, WholeFields)


_KINDS: dict[tuple[bool, bool], type[Record]] = {
    (False, False): Record,
    (True, False): RecordWithMetadata,
    (False, True): ExperimentRecord,
    (True, True): ExperimentRecordWithMetadata,
}
"""Type of the records by whether metadata and the fields of experiments are needed."""


class NativeDecoder:
    """Decoder of native records.

    metadata: whether to decode metadata. experiments: whether to keep the fields of experiments.
    keep_beginnings: whether to keep the beginning of every response, not only of those that may be
    refusals in a known language.
    shortening: whether to shorten batches first; it affects the speed only.
    """

    def __init__(
        self,
        metadata: bool,
        *,
        keep_beginnings: bool = False,
        experiments: bool = False,
        shortening: bool = SCANNER_BUILT,
    ) -> None:
        kind = _KINDS[metadata, experiments]
        self._decode: Callable[[bytes], Record] = msgspec.json.Decoder(kind).decode
        self._decode_list: Callable[[bytes], Sequence[Record]] = msgspec.json.Decoder(
            list[kind]  # type: ignore[valid-type]  # chosen by configuration
        ).decode
        self._shortening = shortening
        self._keep_beginnings = keep_beginnings

    def __call__(self, payload: bytes) -> Record:
        """Return the record of a message. Raises RejectedRecord if it is not a record."""
        if len(payload) > MAX_BYTES:
            raise RejectedRecord(
                RejectReason.TOO_LARGE, f"{len(payload)} bytes, at most {MAX_BYTES}"
            )
        try:
            record = self._decode(payload)
        except _ERRORS as error:
            repaired = _replace_lone_surrogates(payload)
            if repaired != payload:
                return self(repaired)
            raise _rejection(payload, error) from None
        return _normalize(record)

    def whole(self, payload: bytes) -> WholeRecord:
        """Return all fields of the record of a message.

        It is slower than decoding for features, so it is for the few records that are drawn. Raises
        RejectedRecord if the message is not a record, and only then: a field that no feature needs
        is missing if it has a wrong type.
        """
        try:
            fields = decode_fields(payload)
        except _ERRORS as error:
            repaired = _replace_lone_surrogates(payload)
            if repaired != payload:
                return self.whole(repaired)
            raise _rejection(payload, error) from None
        return whole_record(_normalize(fields))

    def many(self, payloads: Sequence[bytes]) -> Decoded:
        """Decode a batch of messages."""
        if self._shortening:
            return self._decode_shortened(payloads)
        return self._decode_whole(payloads)

    def _decode_whole(self, payloads: Sequence[bytes]) -> Decoded:
        """Decode whole messages. Checking them together is a sixth faster than one by one."""
        n = len(payloads)
        if max(map(len, payloads), default=0) <= MAX_BYTES:
            records = _all_or_none(lambda: list(map(self._decode, payloads)))
            if records is not None:
                return Decoded(records, not_counted(n), np.arange(n), [])
        return one_by_one(self, payloads)

    def _decode_shortened(self, payloads: Sequence[bytes]) -> Decoded:
        short = shorten(payloads, MAX_BYTES, keep_beginnings=self._keep_beginnings)
        records = _all_or_none(lambda: self._decode_list(short.joined))
        if records is not None and len(records) == len(payloads):
            return Decoded(records, short.char_counts, short.indices, [])
        return self._decode_mixed(payloads, short, records)

    def _decode_mixed(
        self, payloads: Sequence[bytes], short: Shortened, records: Sequence[Record] | None
    ) -> Decoded:
        """Decode a batch in which some messages are not shortened or not valid.

        records: those of the shortened messages if all of them are valid.
        """
        found: list[Record | None] = [None] * len(payloads)
        shortened: Sequence[Record | None] = records or [
            self._decode_or_none(short.joined[start:stop]) for start, stop in short.spans.tolist()
        ]
        for index, record in zip(short.indices.tolist(), shortened, strict=True):
            found[index] = record
        char_counts = not_counted(len(payloads))
        char_counts[:, short.indices] = short.char_counts
        rejected = []
        for index, payload in enumerate(payloads):
            if found[index] is None:
                char_counts[:, index] = NOT_COUNTED
                try:
                    found[index] = self(payload)
                except RejectedRecord as error:
                    rejected.append((index, error.with_traceback(None)))
        indices = np.array([i for i, each in enumerate(found) if each is not None], np.int64)
        return Decoded(list(filter(None, found)), char_counts[:, indices], indices, rejected)

    def _decode_or_none(self, shortened: bytes) -> Record | None:
        """Return a shortened record, or None if it is invalid: the whole one has the reason."""
        try:
            return _normalize(self._decode(shortened))
        except (*_ERRORS, RejectedRecord):
            return None


def _all_or_none(decode: Callable[[], Sequence[Record]]) -> Sequence[Record] | None:
    """Return the decoded records, or None if any of them is invalid."""
    try:
        records = decode()
        _normalize_all(records)
    except (*_ERRORS, RejectedRecord):
        return None
    return records


def _normalize_all(records: Sequence[Record]) -> None:
    """Normalize records, with one check for all if their times are numbers, the usual case.

    Raises RejectedRecord if a record is invalid.
    """
    times = [record.timestamp for record in records]
    if set(map(type, times)) == {float}:
        seconds = np.fromiter(times, np.float64, len(times))
        in_range = bool(seconds.min() >= 0.0 and seconds.max() <= MAX_TIMESTAMP)
        if in_range and all(map(_is_valid_model, {record.model for record in records})):
            return
    for record in records:
        _normalize(record)


def _normalize(record: R) -> R:
    """Convert the time of a record to epoch seconds and check its model.

    Raises RejectedRecord if one of them is invalid.
    """
    if not (isinstance(record.timestamp, float) and 0.0 <= record.timestamp <= MAX_TIMESTAMP):
        record.timestamp = _epoch_seconds(record.timestamp)
    if not _is_valid_model(record.model):
        raise RejectedRecord(RejectReason.BAD_MODEL, "model must be 1 to 200 printable characters")
    return record


def _is_valid_model(model: str) -> bool:
    return 0 < len(model) <= MAX_MODEL_CHARS and model.isprintable()


def _replace_lone_surrogates(payload: bytes) -> bytes:
    """Replace escapes of half a character by U+FFFD, so that the record need not be rejected."""
    if rb"\ud" not in payload and rb"\uD" not in payload:
        return payload
    return _LONE_SURROGATE.sub(lambda match: rb"\ufffd" if match[1] else match[0], payload)


def _rejection(payload: bytes, error: Exception) -> RejectedRecord:
    """Return the reason for a message. msgspec's texts have types and paths, but no content."""
    text = str(error)
    if not payload:
        return RejectedRecord(RejectReason.EMPTY, "no bytes")
    if isinstance(error, UnicodeDecodeError):
        return RejectedRecord(RejectReason.NOT_UTF8, "a text is not UTF-8")
    if isinstance(error, RecursionError):
        return RejectedRecord(RejectReason.NOT_JSON, "nested too deeply")
    if not isinstance(error, msgspec.ValidationError):
        return RejectedRecord(RejectReason.NOT_JSON, text)
    if text.startswith("Invalid RFC3339"):
        return RejectedRecord(RejectReason.BAD_TIMESTAMP, "timestamp is not RFC 3339")
    missing = text.startswith("Object missing required field")
    return RejectedRecord(RejectReason.MISSING_FIELD if missing else RejectReason.WRONG_TYPE, text)


def _epoch_seconds(time: float | datetime) -> float:
    """Return epoch seconds for a number or a time. A time without a zone is UTC."""
    if isinstance(time, datetime):
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    if not 0.0 <= time <= MAX_TIMESTAMP:
        raise RejectedRecord(RejectReason.BAD_TIMESTAMP, "timestamp is not in epoch seconds")
    return float(time)
