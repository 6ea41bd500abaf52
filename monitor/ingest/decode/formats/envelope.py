"""JSON objects of one's own with the bodies of a request and a response of OpenAI or Anthropic.

The bodies are objects, JSON in a text, or server-sent events in a text. Beside them are identifier,
time and so on under the usual names below; other names need a mapping. A response that is logged
alone is a call as well, if it has a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from monitor.ingest.decode.bodies.calls import body_of, inference_of
from monitor.ingest.decode.bodies.requests import Request, request_of
from monitor.ingest.decode.bodies.responses import error_of, response_of
from monitor.ingest.decode.bodies.times import epoch_seconds
from monitor.ingest.decode.bodies.values import identifier, member, metadata, parsed_number, text
from monitor.ingest.decode.formats.gateways.http import error_of_status
from monitor.ingest.decode.framing.documents import Documents, opened
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.message import Found, LogMessage, Skipped
from monitor.records import RejectedRecord, RejectReason

Fields = Mapping[str, Any]

OPENAI: Final = "openai"
ANTHROPIC: Final = "anthropic"
REQUESTS: Final = ("request", "request_body", "requestBody", "req", "input")
RESPONSES: Final = ("response", "response_body", "responseBody", "resp", "output")
IDS: Final = ("request_id", "requestId", "call_id", "correlation_id", "id", "uuid")
TIMES: Final = (
    "timestamp",
    "time",
    "start_time",
    "startTime",
    "started_at",
    "request_time",
    "created_at",
    "created",
    "ts",
    "@timestamp",
)
MILLISECONDS: Final = (
    "latency_ms",
    "latencyMs",
    "duration_ms",
    "durationMs",
    "elapsed_ms",
    "response_time_ms",
)
SECONDS: Final = ("latency_s", "latency_seconds", "duration_s", "duration_seconds")
FIRST_TOKEN: Final = ("time_to_first_token_ms", "ttft_ms", "first_token_ms")
COSTS: Final = ("cost_usd", "cost", "response_cost", "total_cost")
USERS: Final = ("user_id", "userId", "user", "end_user")
SESSIONS: Final = ("session_id", "sessionId", "conversation_id", "thread_id")
STATUSES: Final = ("status_code", "statusCode", "http_status", "status")
ERRORS: Final = ("error_type", "error_class", "error_code", "error")

_KEYS_OF_OTHERS: Final = frozenset(
    {
        "completionStartTime",
        "started_at",
        "latencies",
        "route_id",
        "llm_summary",
        "databricks_request_id",
        "specversion",
        "schemaType",
        "resourceSpans",
        "resourceLogs",
        "Spans",
        "records",
    }
)
"""Top-level keys of other formats, which contain bodies as well."""
_NATIVE: Final = frozenset({"request_id", "timestamp", "model"})
_OPENED: Final = (
    *(b"response", b"response_body", b"responseBody", b"resp", b"output", b"choices"),
    *(b"stop_reason", b"messages", b"embedding"),
)
_UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Epoch numbers from here on are nano-, micro- or milliseconds: how many of them are a second."""

_documents: Final = Documents(dict[str, Any])


class Envelope:
    """The format for the bodies of one API: OPENAI or ANTHROPIC."""

    def __init__(self, api: str) -> None:
        self._api = api

    def recognizes(self, message: LogMessage) -> bool:
        """Return whether a message has a response of this API."""
        if "ce_type" in message.headers:  # of KServe, whose bodies are responses as well
            return False
        value = _opened(message.value)
        fields = None if value is None else _first_fields(value)
        if fields is None or not _KEYS_OF_OTHERS.isdisjoint(fields):
            return False
        if fields.keys() >= _NATIVE and not isinstance(_first(fields, RESPONSES), dict):
            return False
        body = fields if _is_response(fields) else _body(fields, RESPONSES)
        if body is None and self._api == OPENAI:
            return _is_failed_request(fields)
        return _api_of(body) == self._api

    def decode(self, message: LogMessage) -> Iterator[Found]:
        """Yield the calls of a message."""
        for fields in _documents(_opened(message.value) or message.value):
            if isinstance(fields, RejectedRecord):
                yield fields
                continue
            try:
                yield _found(fields)
            except RejectedRecord as error:
                yield error.with_traceback(None)


def _opened(value: bytes) -> bytes | None:
    return next((found for key in _OPENED if (found := opened(value, key)) is not None), None)


def _first_fields(value: bytes) -> Fields | None:
    """Return the fields of the first object of a message."""
    try:
        found = next(_documents(value), None)
    except RejectedRecord:
        return None
    return None if isinstance(found, RejectedRecord) else found


def _is_response(body: Fields) -> bool:
    """Return whether an object is a response that is no error."""
    if body.get("type") == "message":
        return "content" in body
    return isinstance(body.get("choices"), list) or body.get("object") in ("response", "list")


def _is_failed_request(fields: Fields) -> bool:
    """Return whether an object is a call that failed without a response."""
    request = _body(fields, REQUESTS)
    asked = isinstance(request, dict) and bool(request.keys() & {"messages", "prompt", "input"})
    return asked and text(request.get("model")) is not None and _error(fields) is not None


def _api_of(body: object) -> str | None:
    """Return the API whose response or error a body is; None if it is none."""
    if not isinstance(body, dict):
        return None
    if _is_response(body):
        return ANTHROPIC if body.get("type") == "message" else OPENAI
    if isinstance(member(body, "error", "message"), str):
        return ANTHROPIC if body.get("type") == "error" else OPENAI
    return None


def _found(fields: Fields) -> Inference | Skipped:
    if _is_response(fields):
        return _alone(fields)
    answered = _body(fields, RESPONSES)
    if member(answered, "object") == "list":
        return Skipped("embedding")
    request = request_of(_request(fields))
    response = response_of(answered)
    error = _error(fields)
    failed = (error or response.error) is not None
    return inference_of(
        request,
        response,
        request_id=identifier(_first(fields, IDS)),
        timestamp=_time(fields),
        model=request.model or text(fields.get("model")),
        user_id=identifier(_first(fields, USERS)),
        session_id=identifier(_first(fields, SESSIONS)),
        trace_id=identifier(fields.get("trace_id")),
        latency_ms=_latency(fields),
        time_to_first_token_ms=None if failed else _first_token(fields, request),
        cost_usd=_number(fields, COSTS),
        error=error,
        metadata=metadata(fields.get("metadata")),
    )


def _alone(fields: Fields) -> Inference | Skipped:
    """Return the call of a response that is logged without anything beside it."""
    if fields.get("object") == "list":
        return Skipped("embedding")
    return inference_of(Request(), response_of(fields))


def _body(fields: Fields, names: Sequence[str]) -> Any:
    """Return a body, which may be below the key `body`, beside headers or a status."""
    found = _first(fields, names)
    if isinstance(found, dict) and found.get("body") is not None:
        found = found["body"]
    body = found if member(found, 0, "role") is not None else body_of(found)
    if member(body, 0, "role") is not None:  # messages, not the events of a stream
        return {"messages": body}
    return body


def _request(fields: Fields) -> Any:
    """Return the body of a request, a prompt in its place, or else the whole object."""
    found = _body(fields, REQUESTS)
    if found is not None:
        return found
    prompt = text(_first(fields, REQUESTS))
    return fields if prompt is None else {"prompt": prompt}


def _first(fields: Fields, names: Sequence[str]) -> Any:
    return next((each for name in names if (each := fields.get(name)) is not None), None)


def _time(fields: Fields) -> float | None:
    value = _first(fields, TIMES)
    size = parsed_number(value)
    if size is None:
        return epoch_seconds(value)
    return size / next((unit for least, unit in _UNITS if size >= least), 1.0)


def _latency(fields: Fields) -> float | None:
    found = _number(fields, MILLISECONDS)
    if found is None:
        seconds = _number(fields, SECONDS)
        return None if seconds is None else 1000 * seconds
    return found


def _first_token(fields: Fields, request: Request) -> float | None:
    """Return the time to the first token, unless the request is known not to be a stream."""
    known = _first(fields, REQUESTS) is not None
    return None if known and not request.stream else _number(fields, FIRST_TOKEN)


def _error(fields: Fields) -> str | None:
    for name in ERRORS:
        if found := error_of(fields.get(name)):
            return found
    answered = _first(fields, RESPONSES)
    within = member(answered, "status_code") or member(answered, "status")
    return error_of_status(_first(fields, STATUSES)) or error_of_status(within)


def _number(fields: Fields, names: Sequence[str]) -> float | None:
    """Return the first number, which may be a text. Raises RejectedRecord if it is neither."""
    value = _first(fields, names)
    if value is None:
        return None
    found = parsed_number(value)
    if found is None:
        raise RejectedRecord(RejectReason.WRONG_TYPE, f"{names[0]} is not a number")
    return found
