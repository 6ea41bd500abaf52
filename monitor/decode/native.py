"""The native format: one JSON object a record, decoded by one reused msgspec decoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

from monitor.records import Record, RecordWithMetadata, Refusal, RefusedError

MAX_BYTES = 4 * 1024 * 1024
MAX_MODEL_CHARS = 200
LATEST = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
"""Later event times are milliseconds or nanoseconds taken for seconds."""

_HALF = re.compile(
    rb"\\(?:[^u]|u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"  # kept as they are
    rb"|(u[dD][89a-fA-F][\da-fA-F]{2}))"
)
"""The escape of half a character, left where JavaScript cut a string within an emoji."""


_FAILURES = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class NativeDecoder:
    """Decodes native records, with their metadata where it is needed."""

    def __init__(self, metadata: bool) -> None:
        self._decode = msgspec.json.Decoder(RecordWithMetadata if metadata else Record).decode

    def __call__(self, payload: bytes) -> Record:
        """The record of one message, or RefusedError."""
        if len(payload) > MAX_BYTES:
            raise RefusedError(Refusal.TOO_LARGE, f"{len(payload)} bytes, at most {MAX_BYTES}")
        try:
            record = self._decode(payload)
        except _FAILURES as error:
            whole = _without_halves(payload)
            if whole != payload:
                return self(whole)
            raise _refused(payload, error) from None
        if not (isinstance(record.timestamp, float) and 0.0 <= record.timestamp <= LATEST):
            record.timestamp = _epoch_seconds(record.timestamp)
        if not _sound(record.model):
            raise RefusedError(Refusal.BAD_MODEL, "model must be 1 to 200 printable characters")
        return record

    def many(self, payloads: Sequence[bytes]) -> list[Record] | None:
        """The records of messages where all are plain ones; None where one needs a closer look.

        Checking a batch as a whole saves a sixth of the time that it takes one by one.
        """
        if max(map(len, payloads)) > MAX_BYTES:
            return None
        try:
            records = list(map(self._decode, payloads))
        except _FAILURES:
            return None
        times = [record.timestamp for record in records]
        if set(map(type, times)) != {float}:
            return None
        seconds = np.fromiter(times, np.float64, len(times))
        in_range = bool(seconds.min() >= 0.0 and seconds.max() <= LATEST)
        sound = all(map(_sound, {record.model for record in records}))
        return records if in_range and sound else None


def _sound(model: str) -> bool:
    return 0 < len(model) <= MAX_MODEL_CHARS and model.isprintable()


def _without_halves(payload: bytes) -> bytes:
    """The payload with U+FFFD for halves of characters: no reason to lose a record."""
    return _HALF.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], payload)


def _refused(payload: bytes, error: Exception) -> RefusedError:
    """What was wrong, from msgspec's message: it names types and places, never content."""
    text = str(error)
    if not payload:
        return RefusedError(Refusal.EMPTY, "no bytes")
    if isinstance(error, UnicodeDecodeError):
        return RefusedError(Refusal.NOT_UTF8, "a text is not UTF-8")
    if isinstance(error, RecursionError):
        return RefusedError(Refusal.NOT_JSON, "nested too deeply")
    if not isinstance(error, msgspec.ValidationError):
        return RefusedError(Refusal.NOT_JSON, text)
    if text.startswith("Invalid RFC3339"):
        return RefusedError(Refusal.BAD_TIMESTAMP, "timestamp is not RFC 3339")
    missing = text.startswith("Object missing required field")
    return RefusedError(Refusal.MISSING_FIELD if missing else Refusal.WRONG_TYPE, text)


def _epoch_seconds(time: float | datetime) -> float:
    """Epoch seconds from a number or a time; a time without zone is UTC."""
    if isinstance(time, datetime):
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    if not 0.0 <= time <= LATEST:
        raise RefusedError(Refusal.BAD_TIMESTAMP, "timestamp is not in epoch seconds")
    return float(time)
