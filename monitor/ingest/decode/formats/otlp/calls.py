"""From a span or a details event to an inference."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from monitor.ingest.decode.bodies.content import chat
from monitor.ingest.decode.bodies.values import member
from monitor.ingest.decode.formats.otlp import fields, wanted
from monitor.ingest.decode.formats.otlp.contents import (
    Answer,
    Prompt,
    answer_in,
    documents_in,
    prompt_in,
)
from monitor.ingest.decode.formats.otlp.reading.entries import (
    FAILED,
    Attributes,
    LogRecord,
    Span,
    SpanEvent,
)
from monitor.ingest.decode.inference import MAX_REASON_CHARS, Inference

UNNAMED_ERROR: Final = "error"
_CLASS: Final = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception)|\d{3}|[A-Z][A-Z\d_]+")
"""A class of exceptions, a status of HTTP, or one of gRPC such as UNAVAILABLE."""
_CHOICE: Final = "gen_ai.choice"
_CONTENT_KEYS: Final = ("gen_ai.event.content", "content", "gen_ai.prompt", "gen_ai.completion")


def inference_of_span(span: Span, attributes: Attributes, contexts: list[str] | None) -> Inference:
    """Return the inference of a span. Raises RejectedRecord if a measured field is no number.

    attributes: of the span. contexts: documents that were retrieved for it, in other spans.
    """
    inference = _inference(attributes, span.trace_id, span.span_id, span.start)
    inference.latency_ms = fields.latency_of(attributes, span.start, span.end)
    inference.time_to_first_token_ms = fields.first_token_of(attributes, span.start)
    inference.error = _error_of(span, attributes)
    inference.contexts = inference.contexts or contexts
    if span.events:
        _add_events(inference, span.events)
    return inference


def inference_of_event(record: LogRecord) -> Inference:
    """Return the inference of a details event. It has the time at its end, and no duration."""
    attributes = record.attributes
    inference = _inference(attributes, record.trace_id, record.span_id, record.time)
    inference.time_to_first_token_ms = fields.first_token_of(attributes, 0)
    inference.latency_ms = fields.latency_of(attributes, 0, 0)
    inference.error = fields.first_text(attributes, (wanted.ERROR,))
    return inference


def _inference(attributes: Attributes, trace_id: str, span_id: str, time: int) -> Inference:
    answer = answer_in(attributes)
    input_tokens, output_tokens = fields.tokens_of(attributes)
    return Inference(
        request_id=fields.first_text(attributes, wanted.REQUEST_IDS) or span_id or None,
        timestamp=time / fields.NANOSECONDS_PER_SECOND if time else None,
        model=fields.model_of(attributes),
        responded_model=fields.first_text(attributes, wanted.RESPONDED_MODELS),
        prompt=prompt_in(attributes),
        response=answer.text,
        contexts=documents_in(attributes) or None,
        user_id=fields.first_text(attributes, wanted.USERS),
        session_id=fields.first_text(attributes, wanted.SESSIONS),
        trace_id=trace_id or None,
        span_id=span_id or None,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=fields.cost_of(attributes),
        finish_reason=fields.finish_reason_of(attributes) or answer.finish_reason,
        metadata=fields.metadata_of(attributes),
    )


def _error_of(span: Span, attributes: Attributes) -> str | None:
    """Return the class or code of an error.

    The text of a status is none, even if it is one word, unless it is or begins with the name of
    one.
    """
    error = fields.first_text(attributes, (wanted.ERROR,))
    if error is not None:
        return error
    if span.code != FAILED and attributes.get("langfuse.observation.level") != "ERROR":
        return None
    for event in span.events:
        if event.name == "exception":
            name = fields.first_text(event.attributes, ("exception.type",))
            if name is not None:
                return name
    head = span.message[: MAX_REASON_CHARS + 1].partition(":")[0].strip()
    return head if _CLASS.fullmatch(head) else UNNAMED_ERROR


def _add_events(inference: Inference, events: Sequence[SpanEvent]) -> None:
    """Add the texts that older conventions put into events of the span."""
    if inference.prompt is None:
        inference.prompt = _prompt_of(events)
    if inference.response is None:
        answer = _answer_of(events)
        inference.response = answer.text
        inference.finish_reason = inference.finish_reason or answer.finish_reason


def _prompt_of(events: Iterable[SpanEvent]) -> Prompt:
    messages: list[Any] = []
    for event in events:
        if event.name in (wanted.DETAILS_EVENT, "gen_ai.content.prompt"):
            return prompt_in(event.attributes)
        if event.name in wanted.CONTENT_EVENTS and event.name.endswith(".message"):
            content = _content_of(event)
            role = event.name.split(".")[1]
            message = content if isinstance(content, dict) else {"content": content}
            messages.append({"role": role} | message)
    return chat(messages) if messages else None


def _answer_of(events: Iterable[SpanEvent]) -> Answer:
    for event in events:
        if event.name in (wanted.DETAILS_EVENT, "gen_ai.content.completion"):
            return answer_in(event.attributes)
        if event.name == _CHOICE:
            content = _content_of(event)
            message = member(content, "message") or content
            if message is None:  # as Strands Agents logs it
                message = fields.json_of(event.attributes.get("message"))
            if not isinstance(message, dict):
                message = {"content": message}
            reason = member(content, "finish_reason") or event.attributes.get("finish_reason")
            return answer_in({"gen_ai.output.messages": [message]})._replace(
                finish_reason=reason if isinstance(reason, str) else None
            )
    return Answer()


def _content_of(event: SpanEvent) -> Any:
    return next(
        (fields.json_of(event.attributes[key]) for key in _CONTENT_KEYS if key in event.attributes),
        None,
    )
