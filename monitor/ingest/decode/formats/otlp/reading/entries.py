"""Spans and log records of OTLP, as the readers of both encodings return them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from monitor.ingest.decode.message import NativeRecord

Attributes = Mapping[str, Any]
"""Attributes by key: texts, booleans, numbers, lists, and objects with such values."""


class SpanEvent(NamedTuple):
    """An event of a span. time: nanoseconds since 1970."""

    name: str
    time: int
    attributes: Attributes


class Span(NamedTuple):
    """A span with the wanted attributes.

    trace_id, span_id, parent_id: hexadecimal, in lower case; parent_id is "" for a root.
    start, end: nanoseconds since 1970; 0 if unknown. code: of the status, FAILED for errors.
    message: text of the status.
    attributes: also those of the resource, where the span does not have them itself. A usual call
    may have its native record instead.
    events: those with wanted names.
    """

    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    code: int
    message: str
    attributes: Attributes | NativeRecord
    events: Sequence[SpanEvent]


FAILED = 2
"""Code of a status: error."""


class LogRecord(NamedTuple):
    """A log record with the wanted attributes.

    event: its name; "" for a record that is no event. time: nanoseconds since 1970; 0 if unknown.
    attributes: as those of a span.
    """

    event: str
    time: int
    trace_id: str
    span_id: str
    attributes: Attributes
