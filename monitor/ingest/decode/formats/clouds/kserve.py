"""KServe: requests and responses as CloudEvents, in binary and in structured mode.

Sources: the logger of KServe (pkg/logger), the Kafka protocol binding and the JSON event format of
CloudEvents 1.0, and Open Inference Protocol V2.

A request and its response are two events with one id. KServe logs a response with status 200 only,
and gives it the content type of the request, so that a stream is a text that is called JSON.
Other CloudEvents are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from monitor.ingest.decode.bodies.calls import inference_of
from monitor.ingest.decode.bodies.requests import Request
from monitor.ingest.decode.bodies.responses import Response
from monitor.ingest.decode.bodies.times import milliseconds_between, rfc3339
from monitor.ingest.decode.bodies.values import metadata, text
from monitor.ingest.decode.formats.clouds import cloud_events, inference_bodies
from monitor.ingest.decode.formats.clouds.cloud_events import Event
from monitor.ingest.decode.inference import MAX_ID_CHARS, Inference
from monitor.ingest.decode.json_decoding import check_size, lenient_decoder
from monitor.ingest.decode.message import CallPart, Found, LogMessage, Skipped
from monitor.records import RejectedRecord, RejectReason

recognizes: Final = cloud_events.recognizes
REQUEST: Final = "request"
RESPONSE: Final = "response"
_ROLES: Final = (REQUEST, RESPONSE)
_PROBE: Final = "probe"
"""Kind of a request without a body, such as one for the state of a model."""
_TYPE: Final = "org.kubeflow.serving.inference."
_decode_any = lenient_decoder(Any)


class _Half(NamedTuple):
    """One of the two events of a call. content: the kind of what is skipped if it is a text."""

    identifier: str
    time: float | None
    service: str | None
    content: Request | Response | str
    metadata: dict[str, str | float] | None


def decode(message: LogMessage) -> Iterator[Found]:
    """Yield the halves of calls in a message."""
    for event in cloud_events.events(message):
        try:
            yield event if isinstance(event, RejectedRecord) else _found(event)
        except RejectedRecord as error:
            yield error


def _found(event: Event) -> Found:
    """Return the half of a call in an event. Raises RejectedRecord if it is invalid."""
    kind = text(event.attributes.get("type")) or ""
    role = kind.removeprefix(_TYPE)
    if not kind.startswith(_TYPE) or role not in _ROLES:
        return Skipped("other_event")
    identifier, time = _identity(event, role)
    check_size(event.data)
    content = _content(event, role)
    service = text(event.attributes.get("inferenceservicename"))
    half = _Half(identifier, time, service, content, _headers(event))
    return CallPart(
        call=_key(event, identifier),
        role=role,
        roles=_ROLES,
        fields={"half": half},
        time=time,
        size=0 if isinstance(content, str) else len(event.data),
        finish=_joined,
    )


def _content(event: Event, role: str) -> Request | Response | str:
    """Return the content of a body, or the kind of what is skipped."""
    if not event.data.strip():
        return _PROBE
    body = inference_bodies.body(event.data)
    if body is None:
        raise RejectedRecord(RejectReason.NOT_JSON, f"{role} is neither JSON nor a stream")
    return inference_bodies.content(role, body)


def _identity(event: Event, role: str) -> tuple[str, float | None]:
    """Return the id and the time of an event. Raises RejectedRecord without one of them."""
    identifier = text(event.attributes.get("id"))
    if identifier is None:
        raise RejectedRecord(RejectReason.MISSING_FIELD, "no id of the event")
    if len(identifier) > MAX_ID_CHARS:
        raise RejectedRecord(RejectReason.WRONG_TYPE, f"id is longer than {MAX_ID_CHARS}")
    logged = event.attributes.get("time")
    time = rfc3339(logged) if isinstance(logged, str) else None
    if role == REQUEST and time is None:
        raise RejectedRecord(RejectReason.BAD_TIMESTAMP, "time of the event is not RFC 3339")
    return identifier, time


def _key(event: Event, identifier: str) -> str:
    """Return what the events of a call share. Each component of a service logs its own events."""
    names = ("namespace", "inferenceservicename", "component")
    return "\n".join([identifier, *(text(event.attributes.get(name)) or "" for name in names)])


def _headers(event: Event) -> dict[str, str | float] | None:
    """Return the headers that the logger was told to keep: name -> values, as JSON in a text."""
    logged = event.attributes.get("metadata")
    values = _decode_any(logged.encode()) if isinstance(logged, str) else None
    if not isinstance(values, dict):
        return None
    firsts = {
        name: each[0] if isinstance(each, list) and each else each for name, each in values.items()
    }
    return metadata(firsts)


def _joined(parts: Sequence[CallPart], final: bool) -> Inference | Skipped | None:
    """Return the inference of a request and its response."""
    halves = {part.role: part.fields["half"] for part in parts}
    request, response = halves.get(REQUEST), halves.get(RESPONSE)
    if not isinstance(request, _Half) or not isinstance(response, _Half):
        return None
    asked, answered = request.content, response.content
    for content in (answered, asked):  # the response is the better evidence
        if isinstance(content, str):
            return Skipped(content)
    assert isinstance(asked, Request)  # of the event with this role
    assert isinstance(answered, Response)
    return inference_of(
        asked,
        answered,
        request_id=request.identifier,
        timestamp=request.time,
        model=asked.model or answered.model or request.service,
        latency_ms=milliseconds_between(request.time, response.time),
        metadata=request.metadata,
    )
