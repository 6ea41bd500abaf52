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

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def decoder(metadata: bool) -> Callable[[bytes], Record]:
    """A decoder of native records, with their metadata where it is needed."""
    decode_json = msgspec.json.Decoder(RecordWithMetadata if metadata else Record).decode

    def decode(payload: bytes) -> Record:
        try:
            record = decode_json(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _refused(payload, error) from None
        time = record.timestamp
        if not (isinstance(time, float) and 0.0 <= time <= LATEST):
            record.timestamp = _epoch_seconds(time)
        if not 0 < len(record.model) <= MAX_MODEL_CHARS or _CONTROL.search(record.model):
            raise RefusedError(Refusal.BAD_MODEL, "model must be 1 to 200 printable characters")
        if len(payload) > MAX_BYTES:
            raise RefusedError(Refusal.TOO_LARGE, f"{len(payload)} bytes, at most {MAX_BYTES}")
        return record

    return decode


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
    missing = text.startswith("Object missing required field")
    return RefusedError(Refusal.MISSING_FIELD if missing else Refusal.WRONG_TYPE, text)


def _epoch_seconds(time: float | str) -> float:
    """Epoch seconds from a number or an RFC 3339 time; a time without zone is UTC."""
    if isinstance(time, str):
        try:
            parsed = datetime.fromisoformat(time)
        except ValueError:
            raise RefusedError(Refusal.BAD_TIMESTAMP, "timestamp is not RFC 3339") from None
        time = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    if not 0.0 <= time <= LATEST:
        raise RefusedError(Refusal.BAD_TIMESTAMP, "timestamp is not in epoch seconds")
    return float(time)
