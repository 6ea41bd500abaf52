"""AWS Bedrock: the log of model invocations, from S3 or from a CloudWatch subscription.

Sources: "Monitor model invocation using CloudWatch Logs and Amazon S3" in the user guide of Amazon
Bedrock, and "Log group-level subscription filters" in that of CloudWatch Logs.

A CloudWatch batch is compressed with gzip, which is undone before a format sees the message. Bodies
above 100 KB are in S3 only (`inputBodyS3Path`): their texts are missing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from monitor.ingest.decode.bodies.calls import body_of, inference_of
from monitor.ingest.decode.bodies.requests import request_of
from monitor.ingest.decode.bodies.responses import Response, response_of
from monitor.ingest.decode.bodies.values import member, metadata, number, total
from monitor.ingest.decode.formats.clouds.models import EMBEDDING, kind_without_text
from monitor.ingest.decode.framing.compression import decompressed
from monitor.ingest.decode.framing.documents import (
    Documents,
    check_count,
    first_document,
    opened,
)
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.json_decoding import check_size, json_decoder, lenient_decoder
from monitor.ingest.decode.message import Found, LogMessage, Skipped
from monitor.records import RejectedRecord, RejectReason

_METRICS: Final = "amazon-bedrock-invocationMetrics"
_NULL: Final = msgspec.Raw(b"null")
_NO_TEXT: Final = {
    "embed": EMBEDDING,
    "rerank": "rerank",
    "titan-image": "image",
    "nova-canvas": "image",
    "stability.": "image",
    "nova-reel": "video",
    "luma.ray": "video",
}
"""Part of the name of a model that writes no text -> kind of what is skipped."""
_MARKS: Final = ('"schemaType"', '"input"', '"output"', '"errorCode"')


class _Input(msgspec.Struct):
    inputBodyJson: msgspec.Raw = _NULL
    inputTokenCount: float | None = None
    cacheReadInputTokenCount: float | None = None
    cacheWriteInputTokenCount: float | None = None


class _Output(msgspec.Struct):
    outputBodyJson: msgspec.Raw = _NULL
    outputTokenCount: float | None = None


class _Invocation(msgspec.Struct):
    """An entry of the log. Input tokens that were cached are counted beside the others."""

    timestamp: datetime
    requestId: str
    modelId: str
    schemaType: str = "ModelInvocationLog"
    operation: str | None = None
    input: _Input | None = None
    output: _Output | None = None
    errorCode: str | None = None
    requestMetadata: msgspec.Raw = _NULL


class _LogEvent(msgspec.Struct):
    message: str


class _Subscription(msgspec.Struct):
    """A batch of a CloudWatch subscription."""

    messageType: str
    logEvents: list[_LogEvent] = []


class _Shape(msgspec.Struct):
    """What distinguishes the messages of this format."""

    schemaType: str | None = None
    messageType: str | None = None
    logGroup: str | None = None
    requestId: msgspec.Raw = _NULL
    modelId: msgspec.Raw = _NULL
    timestamp: msgspec.Raw = _NULL
    input: msgspec.Raw = _NULL
    output: msgspec.Raw = _NULL


class _Data(msgspec.Struct):
    data: str


class _LambdaEvent(msgspec.Struct):
    awslogs: _Data


_KEYS: Final = (b"schemaType", b"messageType", b"modelId")
_FIELDS: Final = frozenset(
    {
        *("inputBodyJson", "inputBodyS3Path", "inputTokenCount"),
        *("outputBodyJson", "outputBodyS3Path", "outputTokenCount"),
    }
)
"""Keys in an entry's input and output, one of which shows that it is one."""
_members = lenient_decoder(dict[str, msgspec.Raw])
_shape = lenient_decoder(_Shape)
_first_shape = first_document(_Shape)
_documents = Documents(msgspec.Raw)
_lambda_event = lenient_decoder(_LambdaEvent)
_invocation = json_decoder(_Invocation)
_subscription = json_decoder(_Subscription)
_any = lenient_decoder(Any)


def recognizes(message: LogMessage) -> bool:
    """Return whether a message is an invocation log, or a batch of a CloudWatch subscription."""
    value = _opened(message.value)
    shape = None if value is None else _first_shape(value)
    if shape is None:
        return False
    return _is_entry(shape) or _is_subscription(shape)


def decode(message: LogMessage) -> Iterator[Found]:
    """Yield the inferences of a message: an entry, a batch of a subscription, or several of them.

    An object of S3 is lines. A Lambda function gets a batch in base64, below `awslogs`.
    """
    value = _opened(message.value) or message.value
    if _shape(value) is not None:
        yield from _entries(value)
        return
    for each in _documents(value):
        try:
            if isinstance(each, RejectedRecord):
                yield each
            else:
                yield from _entries(bytes(each))
        except RejectedRecord as error:
            yield error.with_traceback(None)


def _opened(value: bytes) -> bytes | None:
    found = next((found for key in _KEYS if (found := opened(value, key)) is not None), None)
    if found is not None or b'"awslogs"' not in value:
        return found
    event = _lambda_event(value)
    if event is None:
        return None
    try:
        return decompressed(base64.b64decode(event.awslogs.data, validate=True))
    except (binascii.Error, ValueError, RejectedRecord):
        return None


def _entries(value: bytes) -> Iterator[Found]:
    shape = _shape(value)
    if shape is None or not _is_subscription(shape):
        yield _found(value)
        return
    batch = _subscription(value)
    if batch.messageType != "DATA_MESSAGE":
        yield Skipped("control_message")
        return
    check_count(len(batch.logEvents))
    for event in batch.logEvents:
        if not any(key in event.message for key in _MARKS):
            yield Skipped("other_log")  # Bedrock's check of permissions, or another program's log
            continue
        try:
            yield _found(event.message.encode())
        except RejectedRecord as error:
            yield error


def _is_entry(shape: _Shape) -> bool:
    """Return whether an object is an entry, which some exports write without its schema."""
    if shape.schemaType is not None:
        return shape.schemaType == "ModelInvocationLog"
    if any(each is _NULL for each in (shape.requestId, shape.modelId, shape.timestamp)):
        return False
    return not _FIELDS.isdisjoint((*(_members(shape.input) or ()), *(_members(shape.output) or ())))


def _is_subscription(shape: _Shape) -> bool:
    return shape.messageType in ("DATA_MESSAGE", "CONTROL_MESSAGE") and shape.logGroup is not None


def _found(payload: bytes) -> Found:
    """Return the inference of an entry. Raises RejectedRecord if it is invalid."""
    check_size(payload)
    entry = _invocation(payload)
    if entry.schemaType != "ModelInvocationLog":
        return Skipped("other_log")
    if not entry.requestId:
        raise RejectedRecord(RejectReason.MISSING_FIELD, "no requestId")
    given, answered = entry.input or _Input(), entry.output or _Output()
    logged = _body(answered.outputBodyJson)
    kind = _kind(entry.modelId, logged)
    if kind is not None:
        return Skipped(kind)
    return _inference(entry, given, answered, logged)


def _inference(entry: _Invocation, given: _Input, answered: _Output, logged: Any) -> Inference:
    response = response_of(body_of(logged)) if logged is not None else Response()
    metrics = _metrics_of(logged)
    return inference_of(
        request_of(_body(given.inputBodyJson)),
        response,
        request_id=entry.requestId,
        timestamp=_epoch_seconds(entry.timestamp),
        model=model_name(entry.modelId),
        latency_ms=number(member(metrics, "invocationLatency"))
        or number(member(logged, "metrics", "latencyMs")),
        time_to_first_token_ms=number(member(metrics, "firstByteLatency")),
        input_tokens=total(
            given.inputTokenCount, given.cacheReadInputTokenCount, given.cacheWriteInputTokenCount
        ),
        output_tokens=answered.outputTokenCount,
        error=entry.errorCode or None,
        metadata=metadata(_any(entry.requestMetadata)),
    )


def _body(logged: msgspec.Raw) -> Any:
    """Return a body, which may be JSON in a text; the events of a stream are not joined."""
    found = _any(logged)
    return _any(found.encode("utf-8", "replace")) if isinstance(found, str) else found


def _epoch_seconds(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def model_name(identifier: str) -> str:
    """Return the name of a model: of an ARN, what follows the type of the resource.

    "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0" gives
    "eu.amazon.nova-lite-v1:0".
    """
    if not identifier.startswith("arn:"):
        return identifier
    resource = identifier.split(":", 5)[-1]
    return resource.partition("/")[2] or resource


def _metrics_of(logged: object) -> Any:
    """Return the measurements that Bedrock adds to the last event of a stream."""
    if not isinstance(logged, list):
        return None
    for event in reversed(logged):
        if isinstance(event, dict) and _METRICS in event:
            return event[_METRICS]
    return None


def _kind(model: str, logged: object) -> str | None:
    """Return the kind of a call that writes no text, also where bodies are not logged."""
    named = next((kind for part, kind in _NO_TEXT.items() if part in model), None)
    return kind_without_text(None, logged) if named is None else named
