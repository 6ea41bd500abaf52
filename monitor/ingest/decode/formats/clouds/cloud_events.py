"""CloudEvents on Kafka: binary mode (attributes in headers) and structured mode (JSON).

Sources: CloudEvents 1.0, "Kafka Protocol Binding" and "JSON Event Format".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from monitor.ingest.decode.framing.documents import check_count, check_message_size
from monitor.ingest.decode.json_decoding import json_decoder, lenient_decoder
from monitor.ingest.decode.message import LogMessage
from monitor.records import RejectedRecord, RejectReason

_STRUCTURED: Final = "application/cloudevents"
_BATCH: Final = "application/cloudevents-batch"
_PREFIX: Final = "ce_"
_TEXT_DATA: Final = (b'"data":data:', b'"data":event:')
"""A stream that was put into the envelope without encoding it, as the Java SDK does if its type is
called JSON (cloudevents/sdk-java issue 422)."""
_ATTRIBUTES: Final = frozenset(
    {
        "id",
        "type",
        "time",
        "source",
        "inferenceservicename",
        "namespace",
        "component",
        "endpoint",
        "metadata",
    }
)


@dataclass(frozen=True, slots=True)
class Event:
    """An event. attributes: by name, those that KServe uses. data: its bytes."""

    attributes: Mapping[str, Any]
    data: bytes


_Raws = dict[str, msgspec.Raw]


class _Shape(msgspec.Struct):
    """What distinguishes a structured event without headers, as in files."""

    specversion: str
    type: str
    id: str
    source: str


_shape = lenient_decoder(_Shape)
_shapes = lenient_decoder(list[_Shape])
_members = json_decoder(_Raws)
_batch = json_decoder(list[msgspec.Raw])
_any = lenient_decoder(Any)


def recognizes(message: LogMessage) -> bool:
    """Return whether a message is a CloudEvent or a batch of them."""
    headers = message.headers
    if "ce_specversion" in headers or ("ce_type" in headers and "ce_id" in headers):
        return True
    if _content_type(message).startswith(_STRUCTURED):
        return True
    value = message.value
    if b'"specversion"' not in value:
        return False
    return _shape(_envelope(value)) is not None or bool(_shapes(value))


def events(message: LogMessage) -> Iterator[Event | RejectedRecord]:
    """Yield the events of a message. Raises RejectedRecord if the whole message is invalid."""
    check_message_size(message.value)
    headers = message.headers
    kind = _content_type(message)
    if "ce_type" in headers and not kind.startswith(_STRUCTURED):
        attributes = {
            name.removeprefix(_PREFIX): value.decode("utf-8", "replace")
            for name, value in headers.items()
            if name.startswith(_PREFIX)
        }
        yield Event(attributes, message.value)
    elif kind.startswith(_BATCH) or message.value.lstrip()[:1] == b"[":
        batch = _batch(message.value)
        check_count(len(batch))
        for raw in batch:
            try:
                yield _structured(bytes(raw))
            except RejectedRecord as error:
                yield error
    else:
        yield _structured(message.value)


def _content_type(message: LogMessage) -> str:
    value = message.headers.get("content-type") or message.headers.get("contenttype") or b""
    return value[:100].decode("ascii", "replace").strip().lower()


def _structured(value: bytes) -> Event:
    envelope = _envelope(value)
    members = _members(envelope)
    attributes = {name: _any(members[name]) for name in _ATTRIBUTES & members.keys()}
    if envelope is not value:
        start = len(envelope) - 1 + len(b',"data":')
        return Event(attributes, value[start:].rstrip().removesuffix(b"}"))
    if "data_base64" in members:
        return Event(attributes, _from_base64(_any(members["data_base64"])))
    data = members.get("data")
    if data is None:
        return Event(attributes, b"")
    raw = bytes(data)
    if raw[:1] == b'"':  # a text, which may hold JSON
        decoded = _any(raw)
        return Event(attributes, decoded.encode() if isinstance(decoded, str) else raw)
    return Event(attributes, raw)


def _envelope(value: bytes) -> bytes:
    """Return the attributes of an event whose data is a stream in the place of JSON.

    Returns the same object for any other value.
    """
    for mark in _TEXT_DATA:
        place = value.find(mark)
        if place > 0:
            return value[:place].rstrip().removesuffix(b",") + b"}"
    return value


def _from_base64(value: object) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        raise RejectedRecord(RejectReason.WRONG_TYPE, "data_base64 is not base64") from None
