"""The native format: one JSON object a record, decoded by one reused msgspec decoder.

A batch is first shortened: `_scan`, in C, counts the characters of prompts and responses, checks
them, and leaves out what no feature looks at; a seventh is left to decode, all at once. Where it
was not built, or finds anything out of the ordinary, messages are decoded whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

from monitor.decode.decoded import UNCOUNTED, Decoded, one_by_one, uncounted
from monitor.decode.shorten import BUILT, Shortened, shorten
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
    """Decodes native records, with their metadata where it is needed.

    shortening: whether batches are shortened first; it changes nothing but the time that they take.
    """

    def __init__(self, metadata: bool, *, shortening: bool = BUILT) -> None:
        kind = RecordWithMetadata if metadata else Record
        kinds: type[Sequence[Record]] = list[RecordWithMetadata] if metadata else list[Record]
        self._decode: Callable[[bytes], Record] = msgspec.json.Decoder(kind).decode
        self._decode_list: Callable[[bytes], Sequence[Record]] = msgspec.json.Decoder(kinds).decode
        self._shortening = shortening

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
        return _settled(record)

    def many(self, payloads: Sequence[bytes]) -> Decoded:
        """The records of messages, and the refusals of what is none."""
        return self._short(payloads) if self._shortening else self._whole(payloads)

    def _whole(self, payloads: Sequence[bytes]) -> Decoded:
        """Checking a batch as a whole saves a sixth of the time that it takes one by one."""
        n = len(payloads)
        if max(map(len, payloads), default=0) <= MAX_BYTES:
            records = _attempt(lambda: list(map(self._decode, payloads)))
            if records is not None:
                return Decoded(records, uncounted(n), np.arange(n), [])
        return one_by_one(self, payloads)

    def _short(self, payloads: Sequence[bytes]) -> Decoded:
        short = shorten(payloads, MAX_BYTES)
        records = _attempt(lambda: self._decode_list(short.joined))
        if records is not None and len(records) == len(payloads):
            return Decoded(records, short.counted, short.plain, [])
        return self._mixed(payloads, short, records)

    def _mixed(
        self, payloads: Sequence[bytes], short: Shortened, records: Sequence[Record] | None
    ) -> Decoded:
        """As `_short`, where messages are not plain, or no records.

        records: those of the plain ones, where all of them are records.
        """
        found: list[Record | None] = [None] * len(payloads)
        parts: Sequence[Record | None] = records or [
            self._part(short.joined[a:b]) for a, b in short.parts.tolist()
        ]
        for index, record in zip(short.plain.tolist(), parts, strict=True):
            found[index] = record
        counted = uncounted(len(payloads))
        counted[:, short.plain] = short.counted
        refusals = []
        for index, payload in enumerate(payloads):
            if found[index] is None:
                counted[:, index] = UNCOUNTED
                try:
                    found[index] = self(payload)
                except RefusedError as refused:
                    refusals.append((index, refused.with_traceback(None)))
        kept = np.array([index for index, each in enumerate(found) if each is not None], np.int64)
        return Decoded(list(filter(None, found)), counted[:, kept], kept, refusals)

    def _part(self, text: bytes) -> Record | None:
        """One shortened record; None where a look at the whole has to say what is wrong."""
        try:
            return _settled(self._decode(text))
        except (*_FAILURES, RefusedError):
            return None


def _attempt(decode: Callable[[], Sequence[Record]]) -> Sequence[Record] | None:
    """The records that are decoded, if all is well with all of them."""
    try:
        records = decode()
        _settle(records)
    except (*_FAILURES, RefusedError):
        return None
    return records


def _settle(records: Sequence[Record]) -> None:
    """Settle records, all at once where their times are numbers, as they are mostly.

    Raises RefusedError where one is to be refused.
    """
    times = [record.timestamp for record in records]
    if set(map(type, times)) == {float}:
        seconds = np.fromiter(times, np.float64, len(times))
        in_range = bool(seconds.min() >= 0.0 and seconds.max() <= LATEST)
        if in_range and all(map(_sound, {record.model for record in records})):
            return
    for record in records:
        _settled(record)


def _settled(record: Record) -> Record:
    """The record with its time in epoch seconds, or RefusedError."""
    if not (isinstance(record.timestamp, float) and 0.0 <= record.timestamp <= LATEST):
        record.timestamp = _epoch_seconds(record.timestamp)
    if not _sound(record.model):
        raise RefusedError(Refusal.BAD_MODEL, "model must be 1 to 200 printable characters")
    return record


def _sound(model: str) -> bool:
    return 0 < len(model) <= MAX_MODEL_CHARS and model.isprintable()


def _without_halves(payload: bytes) -> bytes:
    """The payload with U+FFFD for halves of characters: no reason to lose a record."""
    if rb"\ud" not in payload and rb"\uD" not in payload:
        return payload
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
