"""Bifrost's Kafka connector: a trace a message, whose spans of kind `llm.call` are the calls.

Sources: docs/features/observability/kafka.mdx and core/schemas/trace.go of maximhq/bifrost. The
root span repeats the attributes of the call, so it is no call itself. A failed attempt that is
retried, and a fallback, have a span of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from monitor.ingest.decode.bodies.content import answer_of, calls_tools, chat
from monitor.ingest.decode.bodies.times import epoch_seconds, milliseconds_between
from monitor.ingest.decode.bodies.values import (
    identifier,
    member,
    metadata,
    number,
    parsed_number,
    text,
    total,
)
from monitor.ingest.decode.framing.documents import Documents, first_document, opened
from monitor.ingest.decode.inference import UNNAMED_ERROR, Inference
from monitor.ingest.decode.json_decoding import lenient_decoder
from monitor.ingest.decode.message import Found, LogMessage, Skipped
from monitor.records import ChatMessage, RejectedRecord, RejectReason

_NULL: Final = msgspec.Raw(b"null")
_KEY: Final = b"Spans"
MAX_SPANS: Final = 10_000
CALL: Final = "llm.call"
KINDS: Final = {
    "http.request": "http_request",
    "plugin": "plugin",
    "mcp.tool": "tool",
    "mcp.client": "tool",
    "retry": "attempt",
    "fallback": "attempt",
    "embedding": "embedding",
    "speech": "audio",
    "transcription": "audio",
    "internal": "internal",
}
"""Kind of another span -> kind of what is skipped; OTHER of all others."""
OTHER: Final = "other_span"
OPERATIONS: Final = {
    "embedding": "embedding",
    "embeddings": "embedding",
    "rerank": "rerank",
    "speech": "audio",
    "speech_stream": "audio",
    "transcription": "audio",
    "transcription_stream": "audio",
    "image_generation": "image",
    "video_generation": "video",
}
"""Operation of a call that is no inference -> kind of what is skipped."""
_NANOSECONDS_PER_MS: Final = 1e6
_Attributes = dict[str, Any]


class _Span(msgspec.Struct, gc=False, rename="pascal"):
    span_id: Any = msgspec.field(default=None, name="SpanID")
    name: Any = None
    kind: Any = None
    start_time: Any = None
    end_time: Any = None
    status: Any = None
    status_msg: Any = None
    attributes: dict[str, Any] | None = None


class _Trace(msgspec.Struct, gc=False, rename="pascal"):
    request_id: Any = msgspec.field(default=None, name="RequestID")
    trace_id: Any = msgspec.field(default=None, name="TraceID")
    attributes: Any = None
    spans: list[_Span] | None = None


class _Keys(msgspec.Struct, gc=False):
    """Top-level keys by which a trace differs from records of other formats."""

    trace_id: msgspec.Raw = msgspec.field(default=_NULL, name="TraceID")
    root_span: msgspec.Raw = msgspec.field(default=_NULL, name="RootSpan")
    spans: msgspec.Raw = msgspec.field(default=_NULL, name="Spans")


_documents: Final = Documents(_Trace)
_first_keys: Final = first_document(_Keys)
_decode_lenient: Final = lenient_decoder(Any)


def recognizes(message: LogMessage) -> bool:
    """Return whether a message is a trace of Bifrost."""
    value = opened(message.value, _KEY)
    keys = None if value is None else _first_keys(value)
    return keys is not None and keys.trace_id is not _NULL and keys.spans is not _NULL


def decode(message: LogMessage) -> Iterator[Found]:
    """Yield the calls of a message, and what other spans are."""
    for trace in _documents(opened(message.value, _KEY) or message.value):
        if isinstance(trace, RejectedRecord):
            yield trace
            continue
        spans = (trace.spans or [])[:MAX_SPANS]
        calls = [place for place, span in enumerate(spans) if _kind(span) is None]
        last = calls[-1] if calls else None
        for place, span in enumerate(spans):
            kind = _kind(span)
            if kind is not None:
                yield Skipped(kind)
                continue
            try:
                yield _inference(trace, span, last=place == last)
            except RejectedRecord as error:
                yield error.with_traceback(None)


def _kind(span: _Span) -> str | None:
    """Return the kind of a span that is no call of a language model; None if it is one.

    A call of another model has the same kind of span; the first word of its name is the operation.
    """
    if span.kind != CALL:
        return KINDS.get(text(span.kind) or "", OTHER)
    operation = (span.attributes or {}).get("gen_ai.operation.name") or span.name
    return OPERATIONS.get((text(operation) or "").partition(" ")[0])


def _inference(trace: _Trace, span: _Span, *, last: bool) -> Inference:
    """Return a call. The last one has the identifier of the request, the others their own."""
    values: _Attributes = span.attributes or {}
    request_id = identifier(trace.request_id) or identifier(trace.trace_id)
    span_id = identifier(span.span_id)
    if not last and request_id is not None:
        request_id = f"{request_id}/{span_id}"
    start, end = epoch_seconds(span.start_time), epoch_seconds(span.end_time)
    failed = span.status == "error"
    answer, tools = _answer(values)
    return Inference(
        request_id=request_id,
        timestamp=start,
        model=text(values.get("gen_ai.request.model")),
        responded_model=text(values.get("gen_ai.response.model")),
        prompt=_prompt(values),
        response=None if failed and not answer else answer,
        user_id=_first_id(values, ("gen_ai.request.user", "user.id", "gen_ai.customer_id")),
        session_id=_first_id(values, ("gen_ai.conversation.id", "session.id")),
        trace_id=identifier(trace.trace_id),
        span_id=span_id,
        latency_ms=milliseconds_between(start, end),
        time_to_first_token_ms=None if failed else _first_token(values),
        input_tokens=_input_tokens(values),
        output_tokens=_number(
            values, "gen_ai.usage.completion_tokens", "gen_ai.usage.output_tokens"
        ),
        cost_usd=_number(values, "gen_ai.usage.cost"),
        finish_reason=_finish_reason(values, tools=tools and not answer),
        error=_error(span, values) if failed else None,
        metadata=metadata(
            {
                "provider": values.get("gen_ai.provider.name"),
                "virtual_key": values.get("bifrost.virtual_key.name"),
                "retries": values.get("bifrost.retries"),
            }
        ),
    )


def _messages(value: object) -> object:
    """Return messages, which are JSON in a text; a text that is not JSON is a message."""
    if not isinstance(value, str):
        return value
    found = _decode_lenient(value.encode("utf-8", "replace"))
    return found if isinstance(found, list | dict) else value


def _prompt(values: _Attributes) -> str | list[ChatMessage] | None:
    messages = _messages(values.get("gen_ai.input.messages"))
    if messages is None:
        messages = text(values.get("gen_ai.input.text"))
    return chat(messages, text(values.get("gen_ai.request.instructions")))


def _answer(values: _Attributes) -> tuple[str | None, bool]:
    """Return the text of the first choice that has one, and whether the response calls tools."""
    messages = _messages(values.get("gen_ai.output.messages"))
    if isinstance(messages, str):
        return messages, False
    found = messages if isinstance(messages, list) else [messages]
    tools = any(map(calls_tools, found))
    answers = [each for each in map(answer_of, found) if each is not None]
    answer = next(filter(None, answers), answers[0] if answers else None)
    return (answer or None) if tools else answer, tools


def _input_tokens(values: _Attributes) -> float | None:
    """Return the tokens of the prompt. More cached tokens than these are counted beside them."""
    prompt = _number(values, "gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens")
    details = "gen_ai.usage.prompt_token_details"
    cached = total(
        number(values.get(f"{details}.cached_read_tokens")),
        number(values.get(f"{details}.cached_write_tokens")),
    )
    if not prompt or cached is None or cached <= prompt:  # 0 is what failures have
        return prompt
    return prompt + cached


def _finish_reason(values: _Attributes, *, tools: bool) -> str | None:
    stated = text(values.get("gen_ai.response.finish_reason"))
    first = text(member(values.get("gen_ai.response.finish_reasons"), 0))
    return stated or first or ("tool_calls" if tools else None)


def _first_token(values: _Attributes) -> float | None:
    """Return the time to the first token in ms, which only streams have."""
    seconds = _number(values, "gen_ai.response.time_to_first_chunk")
    if seconds is not None:
        return 1000 * seconds
    nanoseconds = _number(values, "gen_ai.response.time_to_first_token")
    return None if nanoseconds is None else nanoseconds / _NANOSECONDS_PER_MS


def _error(span: _Span, values: _Attributes) -> str:
    """Return the class or code of an error; a message is reduced later, as in all formats."""
    names = ("error.type", "gen_ai.error.type", "gen_ai.error.code", "http.status_code")
    return _first_id(values, names) or text(span.status_msg) or UNNAMED_ERROR


def _first_id(values: _Attributes, names: tuple[str, ...]) -> str | None:
    return next((each for name in names if (each := identifier(values.get(name)))), None)


def _number(values: _Attributes, *names: str) -> float | None:
    """Return the first number, which may be a text. Raises RejectedRecord if one is neither."""
    for name in names:
        value = values.get(name)
        if value is None:
            continue
        found = parsed_number(value)
        if found is None:
            raise RejectedRecord(RejectReason.WRONG_TYPE, f"{name} is not a number")
        return found
    return None
