"""Decoders of feedback. The format of a message is recognized by its shape; a file per format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from monitor.ingest.decode.feedback import (
    langfuse,
    langsmith,
    mlflow,
    otel,
    otel_protobuf,
    plain,
    portkey,
)
from monitor.ingest.decode.feedback.event import DecodedFeedback
from monitor.ingest.decode.formats.otlp.reading.signals import LOGS, TRACES, signal_of
from monitor.ingest.decode.framing.compression import decompressed
from monitor.ingest.decode.message import LogMessage
from monitor.records import RejectedRecord, RejectReason

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_EVENTS: Final = 50_000
"""Events of a message; a list with more is rejected."""

_PROTOBUF_START: Final = b"\x0a"
"""A message of OTLP in protobuf begins with a line feed, and so may JSON."""

Decode = Callable[[dict[str, Any], DecodedFeedback, float], None]
"""Adds the events of an object to what was found. The number is the time of the message."""

_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_parse: Final = msgspec.json.Decoder(Any).decode

FORMATS: Final = ("plain", "otel", "langfuse", "langsmith", "mlflow", "portkey")
"""Names of the formats, as `feedback_messages_total` has them."""


def decode_feedback(payload: bytes, written: float) -> DecodedFeedback:
    """Return the feedback of a message.

    written: time of the message, epoch seconds, for formats without a time. Of a list with an
    invalid part, the others count; the error is in the result. Raises RejectedRecord, and no other
    exception, if nothing of it can be used.
    """
    if not payload:
        raise RejectedRecord(RejectReason.EMPTY, "no bytes")
    payload = decompressed(payload)
    if len(payload) > MAX_BYTES:
        raise RejectedRecord(RejectReason.TOO_LARGE, f"{len(payload)} bytes, at most {MAX_BYTES}")
    if payload[:1] == _PROTOBUF_START:
        signal = signal_of(LogMessage(payload))
        if signal in (LOGS, TRACES):
            found = DecodedFeedback("otel")
            otel_protobuf.decode(payload, found, written, logs=signal == LOGS)
            return found
    return _decode_json(payload, written)


def _decode_json(payload: bytes, written: float) -> DecodedFeedback:
    try:
        content = _parse(payload)
    except UnicodeDecodeError:
        raise RejectedRecord(RejectReason.NOT_UTF8, "a text is not UTF-8") from None
    except _ERRORS as error:
        deep = isinstance(error, RecursionError)
        text = "nested too deeply" if deep else str(error)
        raise RejectedRecord(RejectReason.NOT_JSON, text) from None
    objects = content if isinstance(content, list) else [content]
    if len(objects) > MAX_EVENTS:
        raise RejectedRecord(RejectReason.TOO_LARGE, f"more than {MAX_EVENTS} events")
    found = DecodedFeedback("plain")
    for each in objects:
        found.attempt(_add_object, each, written)
    return found


def _add_object(found: DecodedFeedback, content: Any, written: float) -> None:
    if not isinstance(content, dict):
        raise RejectedRecord(RejectReason.WRONG_TYPE, "the message is not an object")
    found.format, decode = recognize(content)
    decode(content, found, written)


def _has(*keys: str) -> Callable[[dict[str, Any]], bool]:
    """Return a function that returns whether an object has one of the keys."""
    return lambda fields: not fields.keys().isdisjoint(keys)


def _is_trace(fields: dict[str, Any]) -> bool:
    info = fields.get("info")
    return "assessments" in fields or (isinstance(info, dict) and "assessments" in info)


def _is_langfuse(fields: dict[str, Any]) -> bool:
    return "name" in fields and _has(*_TRACE, "subject", "sessionId", "session_id")(fields)


_TRACE: Final = ("traceId", "trace_id", "traceID")
_SHAPES: Final[Sequence[tuple[str, Decode, Callable[[dict[str, Any]], bool]]]] = (
    ("otel", otel.decode, _has("resourceLogs", "resourceSpans")),
    ("langfuse", langfuse.decode_batch, lambda fields: isinstance(fields.get("batch"), list)),
    ("mlflow", mlflow.decode, _has("assessment_name")),
    ("mlflow", mlflow.decode_request, lambda fields: isinstance(fields.get("assessment"), dict)),
    ("mlflow", mlflow.decode_trace, _is_trace),
    ("langsmith", langsmith.decode, lambda f: "key" in f and _has("run_id", "score")(f)),
    ("plain", plain.decode, _has("request_id", "feedback", "scores")),
    ("langfuse", langfuse.decode, _is_langfuse),
    ("portkey", portkey.decode, lambda fields: "value" in fields and _has(*_TRACE)(fields)),
)
"""Format, decoder, and whether an object has its shape; the first that fits."""


def recognize(fields: dict[str, Any]) -> tuple[str, Decode]:
    """Return the format of an object and its decoder: the keys that only it has decide."""
    for name, decode, fits in _SHAPES:
        if fits(fields):
            return name, decode
    return "plain", plain.decode
