"""Decode JSON into a type with msgspec; the reasons why that fails are those of rejections."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from monitor.records import RejectedRecord, RejectReason

JSON_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for invalid messages."""

MAX_RECORD_BYTES: Final = 4 * 1024 * 1024
"""Size of one record in a log."""

_HALF: Final = rb"u[dD][89a-fA-F][\da-fA-F]{2}"
_PAIR: Final = rb"u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"
_LONE_SURROGATE: Final = re.compile(
    rb"((?:[^\\]*+\\(?:"
    + _PAIR
    + rb"|(?!"
    + _HALF
    + rb").))*+[^\\]*+)(?:\\("
    + _HALF
    + rb")|\\?\Z)",
    re.DOTALL,
)
"""The escape of half a character, which remains if JavaScript cuts a string within an emoji, and
everything in front of it; or the rest, without one. One match for many other escapes saves time."""
T = TypeVar("T")


def check_size(payload: bytes) -> None:
    """Raise RejectedRecord if one record is larger than MAX_RECORD_BYTES."""
    if len(payload) > MAX_RECORD_BYTES:
        detail = f"{len(payload)} bytes, at most {MAX_RECORD_BYTES}"
        raise RejectedRecord(RejectReason.TOO_LARGE, detail)


def json_decoder(kind: type[T], *, strict: bool = True) -> Callable[[bytes], T]:
    """Return a function that decodes JSON into a type, and raises RejectedRecord for any other.

    Keys that the type does not have are checked as JSON and otherwise ignored, without building
    their values.

    strict: whether a number in a text is of another type than a number.
    """
    decode = msgspec.json.Decoder(kind, strict=strict).decode

    def decoded(payload: bytes) -> T:
        try:
            return decode(payload)
        except JSON_ERRORS as error:
            repaired = replace_lone_surrogates(payload)
            if repaired != payload:
                return decoded(repaired)
            raise rejection(payload, error) from None

    return decoded


def lenient_decoder(kind: Any) -> Callable[[bytes | msgspec.Raw], Any]:
    """Return a function that decodes JSON into a type; None if it is not of that type.

    It is for fields that must not reject a record.
    """
    decode = msgspec.json.Decoder(kind).decode

    def decoded(payload: bytes | msgspec.Raw) -> Any:
        try:
            return decode(payload)
        except (*JSON_ERRORS, OverflowError):
            original = bytes(payload)
            repaired = replace_lone_surrogates(original)
            return None if repaired == original else decoded(repaired)

    return decoded


def replace_lone_surrogates(payload: bytes) -> bytes:
    """Replace escapes of half a character by U+FFFD, so that the record need not be rejected."""
    if rb"\ud" not in payload and rb"\uD" not in payload:
        return payload
    return _LONE_SURROGATE.sub(_replaced, payload)


def _replaced(match: re.Match[bytes]) -> bytes:
    return match[0] if match[2] is None else match[1] + rb"\ufffd"


def rejection(payload: bytes, error: Exception) -> RejectedRecord:
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
