"""APISIX: entries of kafka-logger and other log plugins for routes with ai-proxy or ai-proxy-multi.

Source: apisix/utils/log-util.lua and apisix/plugins/ai-proxy/base.lua of apache/apisix. The calls
of models are in `llm_summary`, `llm_request` and `llm_response_text`, whose numbers may be texts,
because they are variables of nginx. A message is an array, or one entry if `batch_max_size` is 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from monitor.ingest.decode.bodies.calls import body_of, inference_of
from monitor.ingest.decode.bodies.content import chat
from monitor.ingest.decode.bodies.requests import Request, request_of
from monitor.ingest.decode.bodies.responses import Response, response_of
from monitor.ingest.decode.bodies.times import MILLISECONDS
from monitor.ingest.decode.bodies.values import (
    identifier,
    member,
    metadata,
    parsed_number,
    text,
)
from monitor.ingest.decode.formats.gateways.http import error_of_status
from monitor.ingest.decode.framing.documents import Documents, first_document, opened
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.message import Found, LogMessage, Skipped
from monitor.records import RejectedRecord, RejectReason

_NULL: Final = msgspec.Raw(b"null")
_KEY: Final = b"start_time"
_STREAM: Final = "text/event-stream"


class _Entry(msgspec.Struct, gc=False):
    """The fields of an entry that a record has."""

    start_time: float | None = None
    latency: float | None = None
    request: Any = None
    response: Any = None
    consumer: Any = None
    route_id: Any = None
    llm_summary: Any = None
    llm_request: Any = None
    llm_response_text: Any = None


class _Keys(msgspec.Struct, gc=False):
    """Top-level keys by which an entry differs from records of other formats."""

    start_time: msgspec.Raw = _NULL
    request: msgspec.Raw = _NULL
    response: msgspec.Raw = _NULL
    latency: msgspec.Raw = _NULL
    route_id: msgspec.Raw = _NULL
    llm_summary: msgspec.Raw = _NULL
    llm_request: msgspec.Raw = _NULL


_documents: Final = Documents(_Entry)
_first_keys: Final = first_document(_Keys)


def recognizes(message: LogMessage) -> bool:
    """Return whether a message holds entries of APISIX's log plugins."""
    value = opened(message.value, _KEY)
    keys = None if value is None else _first_keys(value)
    if keys is None or keys.start_time is _NULL:
        return False
    if keys.llm_summary is not _NULL or keys.llm_request is not _NULL:
        return True
    return not any(
        each is _NULL for each in (keys.request, keys.response, keys.latency, keys.route_id)
    )


def decode(message: LogMessage) -> Iterator[Found]:
    """Yield the calls of a message."""
    for entry in _documents(opened(message.value, _KEY) or message.value):
        if isinstance(entry, RejectedRecord):
            yield entry
            continue
        try:
            yield _found(entry)
        except RejectedRecord as error:
            yield error.with_traceback(None)


def _found(entry: _Entry) -> Inference | Skipped:
    summary = entry.llm_summary
    if not isinstance(summary, dict) and not isinstance(entry.llm_request, dict):
        return Skipped("http_request")
    request = _request(entry)
    response = _response(entry)
    error = error_of_status(member(entry.response, "status"))
    return inference_of(
        request,
        response,
        request_id=_request_id(entry) or response.request_id,
        timestamp=None if entry.start_time is None else entry.start_time / MILLISECONDS,
        model=text(member(summary, "request_model"))
        or request.model
        or text(member(summary, "model")),
        responded_model=response.model or text(member(summary, "model")),
        user_id=request.user_id or identifier(member(entry.consumer, "username")),
        latency_ms=entry.latency,
        time_to_first_token_ms=_measured(summary, "duration")
        if _is_stream(entry, request) and error is None
        else None,
        input_tokens=_measured(summary, "prompt_tokens"),
        output_tokens=_measured(summary, "completion_tokens"),
        error=error,
        metadata=metadata({"route_id": entry.route_id}),
    )


def _request(entry: _Entry) -> Request:
    """Return the request in `llm_request`, or in the body, which is logged if configured."""
    body = request_of(body_of(member(entry.request, "body")))
    messages = member(entry.llm_request, "messages")
    if messages is None:
        return body
    stream = member(entry.llm_request, "stream") is True
    return Request(body.model, chat(messages), body.user_id, stream or body.stream)


def _response(entry: _Entry) -> Response:
    """Return the response in `llm_response_text`, or in the body, which is logged if configured."""
    body = member(entry.response, "body")
    if body is not None:
        return response_of(body_of(body))
    content = member(entry.llm_response_text, "content")
    answer = content if isinstance(content, str) else None
    tools = _measured(entry.llm_summary, "tool_count")
    if not answer and tools:
        return Response()  # the log has no finish reasons: one of tools alone would mislead
    failed = error_of_status(member(entry.response, "status")) is not None
    return Response(text=None if failed and not answer else answer)


def _is_stream(entry: _Entry, request: Request) -> bool:
    if request.stream or member(entry.llm_summary, "stream") in (True, "true"):
        return True
    kind = text(member(entry.response, "headers", "content-type"))
    return kind is not None and kind.startswith(_STREAM)


def _request_id(entry: _Entry) -> str | None:
    for part in (entry.request, entry.response):
        for name in ("x-request-id", "X-Request-Id"):
            if found := identifier(member(part, "headers", name)):
                return found
    return None


def _measured(values: object, name: str) -> float | None:
    """Return a number, which may be a text. Raises RejectedRecord if it is of another type."""
    value = member(values, name)
    if value is None or value == "":
        return None
    found = parsed_number(value)
    if found is None:
        raise RejectedRecord(RejectReason.WRONG_TYPE, f"{name} is not a number")
    return found
