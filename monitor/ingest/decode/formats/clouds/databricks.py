"""Databricks: rows of inference tables as JSON, of all generations of the schema.

Sources: "Inference tables for monitoring and debugging models", with timestamp_ms and
execution_time_ms, and "Monitor served models using AI Gateway-enabled inference tables", with
request_time and execution_duration_ms, in the documentation of Databricks. The tables of the newer
Unity AI Gateway have the names of its table of usage: request_id, event_time and latency_ms. Both
may be joined by the identifier with a table of usage, system.serving.endpoint_usage or
system.ai_gateway.usage, whose numbers of tokens count where the bodies have none. Exports leave out
columns that are null.

A message is a row, an array of rows, or lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from monitor.ingest.decode.bodies.calls import body_of, inference_of
from monitor.ingest.decode.bodies.requests import Request, request_of
from monitor.ingest.decode.bodies.responses import Response, response_of
from monitor.ingest.decode.bodies.times import MILLISECONDS, epoch_seconds
from monitor.ingest.decode.bodies.values import member, parsed_number, text
from monitor.ingest.decode.formats.clouds.models import EMBEDDING, kind_without_text
from monitor.ingest.decode.framing.documents import Documents, first_document
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.json_decoding import check_size, json_decoder, lenient_decoder
from monitor.ingest.decode.message import Found, LogMessage, Skipped
from monitor.records import RejectedRecord, RejectReason

_NULL: Final = msgspec.Raw(b"null")
_MARK: Final = re.compile(rb'"(?:databricks_request_id|event_time)"')
_FAILED: Final = 400
_MCP: Final = "MCP"
_STREAM: Final = "text/event-stream"


class _Row(msgspec.Struct):
    """A row. request_metadata: a map, which some exports write as text or as a list of entries."""

    databricks_request_id: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None
    timestamp_ms: float | str | None = None
    request_time: str | float | None = None
    event_time: str | float | None = None
    execution_time_ms: float | None = None
    execution_duration_ms: float | None = None
    latency_ms: float | None = None
    time_to_first_byte_ms: float | None = None
    status_code: int | str | None = None
    request: msgspec.Raw = _NULL
    response: msgspec.Raw = _NULL
    request_metadata: msgspec.Raw = _NULL
    endpoint_name: str | None = None
    destination_name: str | None = None
    destination_model: str | None = None
    served_entity_id: str | None = None
    requester: str | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    input_token_count: float | None = None
    output_token_count: float | None = None
    request_streaming: bool | None = None
    response_content_type: str | None = None
    api_type: str | None = None
    service_type: str | None = None


class _Shape(msgspec.Struct):
    """What distinguishes the messages of this format."""

    databricks_request_id: str | None = None
    request_id: str | None = None
    timestamp_ms: msgspec.Raw = _NULL
    request_time: msgspec.Raw = _NULL
    event_time: msgspec.Raw = _NULL
    destination_name: msgspec.Raw = _NULL
    destination_model: msgspec.Raw = _NULL
    logging_error_codes: msgspec.Raw = _NULL


_shape = first_document(_Shape)
_documents = Documents(msgspec.Raw)
_row = json_decoder(_Row, strict=False)
_any = lenient_decoder(Any)


def recognizes(message: LogMessage) -> bool:
    """Return whether a message has rows of an inference table."""
    if _MARK.search(message.value) is None:
        return False
    shape = _shape(message.value)
    if shape is None:
        return False
    if shape.databricks_request_id is not None:
        return shape.timestamp_ms is not _NULL or shape.request_time is not _NULL
    columns = shape.destination_name, shape.destination_model, shape.logging_error_codes
    newer = shape.request_id is not None and shape.event_time is not _NULL
    return newer and any(each is not _NULL for each in columns)


def decode(message: LogMessage) -> Iterator[Found]:
    """Yield the inferences of rows."""
    for document in _documents(message.value):
        try:
            yield document if isinstance(document, RejectedRecord) else _found(bytes(document))
        except RejectedRecord as error:
            yield error.with_traceback(None)


def _found(payload: bytes) -> Inference | Skipped:
    check_size(payload)
    row = _row(payload)
    if not (row.databricks_request_id or row.request_id):
        raise RejectedRecord(RejectReason.MISSING_FIELD, "no databricks_request_id")
    if row.api_type is not None and EMBEDDING in row.api_type:
        return Skipped(EMBEDDING)
    if row.service_type is not None and row.service_type.startswith(_MCP):
        return Skipped("mcp")
    request = body_of(_any(row.request))
    response = body_of(_any(row.response))
    kind = kind_without_text(request, response)
    return _inference(row, request, response) if kind is None else Skipped(kind)


def _inference(row: _Row, request: Any, response: Any) -> Inference:
    asked = request_of(request)
    answered = response_of(response) if response is not None else Response()
    failed = _failure(row, answered)
    # The bodies come first: their numbers of tokens have the same meaning in all formats.
    input_tokens = _first(answered.input_tokens, row.input_tokens, row.input_token_count)
    output_tokens = _first(answered.output_tokens, row.output_tokens, row.output_token_count)
    return inference_of(
        asked,
        answered,
        request_id=row.databricks_request_id or row.request_id,
        timestamp=_time(row),
        # Failures have no response: the name in it would be another model than theirs.
        model=asked.model or _endpoint(row) or row.served_entity_id or answered.model,
        responded_model=answered.model or row.destination_model,
        latency_ms=_first(row.execution_time_ms, row.execution_duration_ms, row.latency_ms),
        time_to_first_token_ms=row.time_to_first_byte_ms
        if _is_stream(row, asked) and failed is None
        else None,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        user_id=asked.user_id or text(row.requester),
        error=failed,
    )


def _is_stream(row: _Row, asked: Request) -> bool:
    kind = row.response_content_type or ""
    return asked.stream or row.request_streaming is True or kind.startswith(_STREAM)


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _time(row: _Row) -> float | None:
    if row.request_time is not None:
        return epoch_seconds(row.request_time)
    if row.event_time is not None:
        return epoch_seconds(row.event_time)
    return epoch_seconds(row.timestamp_ms, MILLISECONDS)


def _failure(row: _Row, answered: Response) -> str | None:
    """Return the code of an error in the response, or the status of the request."""
    status = parsed_number(row.status_code)
    if answered.error is not None or status is None or status < _FAILED:
        return answered.error
    return str(int(status)) if status < 1000 else "error"


def _endpoint(row: _Row) -> str | None:
    """Return the name of the endpoint, or of the model behind it."""
    if name := row.endpoint_name or row.destination_name:
        return name
    logged = _any(row.request_metadata)
    if isinstance(logged, str):
        logged = _any(logged.encode())
    if isinstance(logged, list):  # entries of a map
        pairs = [(member(each, "key"), member(each, "value")) for each in logged]
        logged = {key: value for key, value in pairs if isinstance(key, str)}
    return text(member(logged, "endpoint_name")) or text(member(logged, "model_name"))
