"""The optional C extension `_wire`, which reads spans without building what is not wanted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from monitor.ingest.decode.formats.otlp.reading.entries import LogRecord, Span, SpanEvent
from monitor.ingest.decode.formats.otlp.wanted import LOG_NAMES, NAMES, PREFIXES, SPAN_EVENTS
from monitor.ingest.decode.inference import FINISH_REASONS

try:
    from monitor.ingest.decode.formats.otlp.reading import _wire
except ImportError:  # installed without a C compiler
    WIRE_BUILT = False
else:
    WIRE_BUILT = True
    _REASONS = (tuple(FINISH_REASONS), tuple(FINISH_REASONS.values()))
    _WANTED = {
        natives: _wire.wanted(tuple(NAMES), PREFIXES, tuple(SPAN_EVENTS), _REASONS, natives)
        for natives in (False, True)
    }
    _WANTED_IN_LOGS = _wire.wanted(tuple(LOG_NAMES), PREFIXES, (), _REASONS, False)

_new_span: Final[Callable[[tuple[Any, ...]], Span]] = partial(tuple.__new__, Span)
_new_log_record: Final[Callable[[tuple[Any, ...]], LogRecord]] = partial(tuple.__new__, LogRecord)
"""They take all fields at once, and are three times as fast as calling the classes."""


def wire_spans(payload: bytes, most: int, *, natives: bool) -> list[Span] | None:
    """Return the spans of a message in protobuf; None if the official library has to read it.

    most: number of spans after which reading stops. natives: whether usual calls have a native
    record instead of attributes. Requires WIRE_BUILT.
    """
    found = _wire.read(_WANTED[natives], payload, False, most)
    return None if found is None else list(map(_span, found))


def wire_log_records(payload: bytes, most: int) -> list[LogRecord] | None:
    """Return the log records of a message in the same way."""
    found = _wire.read(_WANTED_IN_LOGS, payload, True, most)
    return None if found is None else list(map(_new_log_record, found))


def wire_json_spans(payload: bytes, most: int) -> list[Span | bytes] | None:
    """Return the spans of a message in JSON; None if it has to be decoded otherwise.

    Usual calls have a native record; the others are returned as their JSON.
    """
    found = _wire.read_json(_WANTED[True], payload, most)
    if found is None:
        return None
    return [each if isinstance(each, bytes) else _new_span(each) for each in found]


def _span(fields: tuple[Any, ...]) -> Span:
    if fields[-1]:
        fields = (*fields[:-1], [SpanEvent(*event) for event in fields[-1]])
    return _new_span(fields)
