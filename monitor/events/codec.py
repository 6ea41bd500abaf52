"""Ids of drift events, and their JSON.

The events topic has events of several types. A reader skips and counts those that it does not know.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from monitor.events.types import DriftEvent
from monitor.records import Source


class UnknownEventType(ValueError):
    """The event is not a drift event. type: as in the event."""

    def __init__(self, type_: str) -> None:
        super().__init__("not a drift event")
        self.type = type_


class _Header(msgspec.Struct):
    """The field that all types of events have; an event without it is a drift event."""

    type: str = "drift"


_header_decoder = msgspec.json.Decoder(_Header)
_decoder = msgspec.json.Decoder(DriftEvent)


def event_id(  # noqa: PLR0913 # each is a part of the identity
    *,
    model: str,
    segment: str,
    feature: str,
    detector: str,
    record: int,
    time: float,
    reason: str = "",
    source: Source = Source.LOG,
) -> str:
    """Return a hash of what was found and where.

    record: number of the record among those of the model, so that the id does not depend on
    partitions or batches. time: event time, which keeps ids apart when that count starts again at
    zero. reason: of an alarm that ended without a new record (`DriftEvent.reason`).
    source: part of the hash unless it is the log, so that earlier ids are the same.
    """
    where = (model, segment, feature, detector, record, time)
    if source is not Source.LOG:
        parts: tuple[object, ...] = (*where, reason, source)
    else:
        parts = (*where, reason) if reason else where
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def encode_event(event: DriftEvent) -> bytes:
    """Return the event as JSON."""
    return msgspec.json.encode(event)


def decode_event(content: bytes) -> DriftEvent:
    """Return the drift event of a JSON text.

    Raises UnknownEventType for an event of another type, and ValueError if it is not an event.
    """
    kind = _header_decoder.decode(content).type
    if kind != "drift":
        raise UnknownEventType(kind)
    return _decoder.decode(content)


def event_fields(event: DriftEvent) -> dict[str, Any]:
    """Return the event as plain values, for a log line or a request."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    return plain
