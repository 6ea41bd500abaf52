"""The native format: one JSON object a record, decoded by one reused msgspec decoder."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

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


def decoder(metadata: bool) -> Callable[[bytes], Record]:
    """A decoder of native records, with their metadata where it is needed."""
    decode_json = msgspec.json.Decoder(RecordWithMetadata if metadata else Record).decode

    def decode(payload: bytes) -> Record:
        if len(payload) > MAX_BYTES:
            raise RefusedError(Refusal.TOO_LARGE, f"{len(payload)} bytes, at most {MAX_BYTES}")
        try:
            record = decode_json(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            whole = _without_halves(payload)
            if whole != payload:
                return decode(whole)
            raise _refused(payload, error) from None
        time = record.timestamp
        if not (isinstance(time, float) and 0.0 <= time <= LATEST):
            record.timestamp = _epoch_seconds(time)
        model = record.model
        if not (0 < len(model) <= MAX_MODEL_CHARS and model.isprintable()):
            raise RefusedError(Refusal.BAD_MODEL, "model must be 1 to 200 printable characters")
        return record

    return decode


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
