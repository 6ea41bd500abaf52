"""All fields of a native record, for samples.

The fields that features need have the same types as in `Record`, so that exactly the messages that
are records are whole records. The other fields are decoded one by one, and each is missing if it
has a wrong type: a field that nothing watches must not lose a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from monitor.records import ChatMessage, Part, Texts, WholeRecord

MAX_MAGNITUDE: Final = 1e15
"""Numbers of metadata beyond this are missing, as in features."""
MAX_ROLE_CHARS: Final = 32
MAX_REASON_CHARS: Final = 100

_NULL: Final = msgspec.Raw(b"null")
_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)
T = TypeVar("T")


class RoleMessage(msgspec.Struct, gc=False):
    """A chat message with its role, which may have any type."""

    role: msgspec.Raw = _NULL
    content: str | list[Part | str] | None = None


class WholeFields(msgspec.Struct, gc=False):
    """A record as decoded; `record_of_fields` decodes its optional fields."""

    request_id: str
    timestamp: float | datetime
    model: str
    prompt: str | list[RoleMessage] | None = None
    response: str | None = None
    contexts: msgspec.Raw = _NULL
    reference: msgspec.Raw = _NULL
    experiments: msgspec.Raw = _NULL
    user_id: msgspec.Raw = _NULL
    session_id: msgspec.Raw = _NULL
    trace_id: msgspec.Raw = _NULL
    span_id: msgspec.Raw = _NULL
    latency_ms: float | None = None
    time_to_first_token_ms: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    scores: dict[str, float | None] | None = None
    feedback: msgspec.Raw = _NULL
    metadata: msgspec.Raw = _NULL


class TextFields(msgspec.Struct, gc=False):
    """The texts of a record as decoded."""

    prompt: str | list[RoleMessage] | None = None
    response: str | None = None


decode_text_fields: Final[Callable[[bytes], TextFields]] = msgspec.json.Decoder(TextFields).decode
"""Raises what msgspec raises if the bytes are not a record."""
decode_fields: Final[Callable[[bytes], WholeFields]] = msgspec.json.Decoder(WholeFields).decode
"""Raises what msgspec raises if the bytes are not a record."""

_decode_any: Final = msgspec.json.Decoder(Any).decode
_decode_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_decode_id: Final = msgspec.json.Decoder(str | int | None).decode
_decode_number: Final = msgspec.json.Decoder(float | None).decode
_decode_text: Final = msgspec.json.Decoder(str | None).decode
_decode_contexts: Final = msgspec.json.Decoder(list[str] | None).decode
_decode_variants: Final = msgspec.json.Decoder(dict[str, str] | None).decode


def record_of_fields(fields: WholeFields) -> WholeRecord:
    """Return the record of decoded fields, whose timestamp is in epoch seconds."""
    prompt, time = fields.prompt, fields.timestamp
    return WholeRecord(
        request_id=fields.request_id,
        timestamp=time.timestamp() if isinstance(time, datetime) else time,
        model=fields.model,
        prompt=list(map(_message, prompt)) if isinstance(prompt, list) else prompt,
        response=fields.response,
        contexts=_optional(_decode_contexts, fields.contexts),
        reference=_optional(_decode_text, fields.reference),
        experiments=_optional(_decode_variants, fields.experiments),
        user_id=_id(fields.user_id),
        session_id=_id(fields.session_id),
        trace_id=_id(fields.trace_id),
        span_id=_id(fields.span_id),
        latency_ms=fields.latency_ms,
        time_to_first_token_ms=fields.time_to_first_token_ms,
        input_tokens=fields.input_tokens,
        output_tokens=fields.output_tokens,
        cost_usd=fields.cost_usd,
        finish_reason=fields.finish_reason and fields.finish_reason[:MAX_REASON_CHARS],
        error=fields.error,
        scores=_without_null(fields.scores),
        feedback=_optional(_decode_number, fields.feedback),
        metadata=_metadata(fields.metadata),
    )


def texts_of(fields: TextFields) -> Texts:
    """Return the texts of decoded fields."""
    prompt = fields.prompt
    return Texts(
        list(map(_message, prompt)) if isinstance(prompt, list) else prompt, fields.response
    )


def _optional(decode: Callable[[msgspec.Raw], T | None], raw: msgspec.Raw) -> T | None:
    """Return the value of an optional field; None if it has a wrong type or half a character."""
    if raw is _NULL:  # most fields are absent
        return None
    try:
        return decode(raw)
    except _ERRORS:
        return None


def _id(raw: msgspec.Raw) -> str | None:
    """Return an identifier as text; some logs have numbers."""
    value = _optional(_decode_id, raw)
    return None if value is None else str(value)


def _message(message: RoleMessage) -> ChatMessage:
    role = _optional(_decode_text, message.role) or ""
    content = message.content
    if isinstance(content, list):
        texts = (part if isinstance(part, str) else part.text or "" for part in content)
        content = "\n".join(filter(None, texts))
    return ChatMessage(role[:MAX_ROLE_CHARS], content or "")


def _without_null(scores: dict[str, float | None] | None) -> dict[str, float] | None:
    if scores is None:
        return None
    return {name: score for name, score in scores.items() if score is not None}


def _metadata(raw: msgspec.Raw) -> dict[str, str | float] | None:
    """Return the texts and numbers of metadata. A boolean is the text true or false."""
    values = _optional(_decode_keys, raw)
    if values is None:
        return None
    kept: dict[str, str | float] = {}
    for key, each in values.items():
        value = _optional(_decode_any, each)
        if isinstance(value, bool):
            kept[key] = "true" if value else "false"
        elif isinstance(value, str) or (
            isinstance(value, int | float) and abs(value) <= MAX_MAGNITUDE
        ):
            kept[key] = value
    return kept
