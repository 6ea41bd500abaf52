"""A fast path for spans with the attributes of the current semantic conventions only.

It reads what the general path reads, with typed decoders and without a look at other conventions,
and leaves everything unusual to it. A test compares both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from monitor.ingest.decode.bodies.content import MAX_MESSAGES, MAX_ROLE_CHARS, NOT_TEXT, TOOL_CALLS
from monitor.ingest.decode.formats.otlp.fields import (
    MILLISECONDS,
    NANOSECONDS_PER_MS,
    NANOSECONDS_PER_SECOND,
)
from monitor.ingest.decode.formats.otlp.reading.entries import FAILED, Attributes, Span
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.json_decoding import lenient_decoder
from monitor.records import ChatMessage

_MAX_INT64: Final = 2**63
_CALLS: Final = frozenset({"chat", "text_completion", "generate_content"})
_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
_NAMES: Final = frozenset(
    {
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.request.stream",
        "gen_ai.response.id",
        "gen_ai.response.model",
        "gen_ai.response.time_to_first_chunk",
        _FINISH_REASONS,
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.conversation.id",
        "gen_ai.system_instructions",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "user.id",
        "error.type",
    }
)


class _Part(msgspec.Struct, gc=False):
    """A part whose text is in one place. Keys of another type are left to the general path."""

    type: str | None = None
    text: str | None = None
    content: str | None = None
    response: str | None = None
    parts: None = None
    output: None = None
    value: None = None


class _Message(msgspec.Struct, gc=False):
    role: str | None = None
    parts: list[_Part] | None = None
    finish_reason: str | None = None
    content: None = None
    output: None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None


T = TypeVar("T")
_messages: Final = lenient_decoder(list[_Message])
_parts: Final = lenient_decoder(list[_Part])


class _UnusualError(Exception):
    """The general path has to read this span."""


def is_current(attributes: Attributes) -> bool:
    """Return whether a span is an inference that has attributes of current conventions only."""
    return attributes.get("gen_ai.operation.name") in _CALLS and attributes.keys() <= _NAMES


def current_inference(
    span: Span, attributes: Attributes, contexts: list[str] | None
) -> Inference | None:
    """Return the inference of a span for which `is_current`; None if it is unusual.

    attributes: of the span. contexts: documents that were retrieved for it, in other spans.
    """
    get = attributes.get
    if span.events or (span.code == FAILED and get("error.type") is None):
        return None
    try:
        answer, reason = _answer(get("gen_ai.output.messages"))
        tokens = _number(get("gen_ai.usage.input_tokens"))
        cached = _number(get("gen_ai.usage.cache_read.input_tokens"))
        first = _number(get("gen_ai.response.time_to_first_chunk"))
        reasons = get(_FINISH_REASONS)
        if reasons:
            if type(reasons) is not list or type(reasons[0]) is not str:
                return None
            reason = reasons[0] or reason
        if cached is not None and (tokens is None or cached > tokens):
            return None
        start, end = span.start, span.end
        return Inference(
            request_id=_text(get("gen_ai.response.id")) or span.span_id or None,
            timestamp=start / NANOSECONDS_PER_SECOND if start else None,
            model=_text(get("gen_ai.request.model")),
            responded_model=_text(get("gen_ai.response.model")),
            prompt=_prompt(get("gen_ai.input.messages"), get("gen_ai.system_instructions")),
            response=answer,
            contexts=contexts,
            user_id=_text(get("user.id")),
            session_id=_text(get("gen_ai.conversation.id")),
            trace_id=span.trace_id or None,
            span_id=span.span_id or None,
            latency_ms=(end - start) / NANOSECONDS_PER_MS if 0 < start <= end else None,
            time_to_first_token_ms=None
            if first is None or get("gen_ai.request.stream") in (False, "false")
            else first * MILLISECONDS,
            input_tokens=tokens,
            output_tokens=_number(get("gen_ai.usage.output_tokens")),
            finish_reason=reason,
            error=_text(get("error.type")),
        )
    except _UnusualError:
        return None


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value or None
    raise _UnusualError


def _number(value: Any) -> float | None:
    if value is None or type(value) is float:
        return value
    if type(value) is int and -_MAX_INT64 <= value < _MAX_INT64:
        return value
    raise _UnusualError


def _decoded(decode: Callable[[bytes], list[T] | None], value: Any) -> list[T]:
    found = decode(value.encode()) if type(value) is str and value[:1] == "[" else None
    if found is None or len(found) > MAX_MESSAGES:
        raise _UnusualError
    return found


def _prompt(messages: Any, system: Any) -> list[ChatMessage] | None:
    found = []
    if system is not None and (text := _text_of(_decoded(_parts, system))):
        found.append(ChatMessage("system", text))
    if messages is not None:
        for message in _decoded(_messages, messages):
            if message.parts is None:
                raise _UnusualError
            role = message.role or "user"
            found.append(ChatMessage(role[:MAX_ROLE_CHARS], _text_of(message.parts)))
    return found or None


def _answer(messages: Any) -> tuple[str | None, str | None]:
    """Return the text and the finish reason of the first choice."""
    if messages is None:
        return None, None
    decoded = _decoded(_messages, messages)
    if not decoded:
        return None, None
    first = decoded[0]
    if first.parts is None:
        raise _UnusualError
    text: str | None = _text_of(first.parts)
    if not text and any(part.type in TOOL_CALLS for part in first.parts):
        text = None
    return text, first.finish_reason or None


def _text_of(parts: list[_Part]) -> str:
    if len(parts) == 1:
        part = parts[0]
        return "" if part.type in NOT_TEXT else part.text or part.content or part.response or ""
    texts = (
        part.text or part.content or part.response for part in parts if part.type not in NOT_TEXT
    )
    return "\n".join(filter(None, texts))
