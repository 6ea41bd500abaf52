"""OTLP: spans and logs with attributes of language models, in protobuf and JSON.

A message is an ExportTraceServiceRequest or an ExportLogsServiceRequest, or TracesData or LogsData,
which have the same bytes, as the Kafka exporter of the OpenTelemetry Collector writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from monitor.ingest.decode.formats.otlp import kinds, wanted
from monitor.ingest.decode.formats.otlp.calls import inference_of_event, inference_of_span
from monitor.ingest.decode.formats.otlp.current import current_inference, is_current
from monitor.ingest.decode.formats.otlp.reading.entries import LogRecord, Span
from monitor.ingest.decode.formats.otlp.reading.json import read_json
from monitor.ingest.decode.formats.otlp.reading.protobuf import read_protobuf
from monitor.ingest.decode.formats.otlp.reading.signals import (
    LOGS,
    METRICS,
    is_access_log,
    signal_of,
)
from monitor.ingest.decode.formats.otlp.reading.wire import WIRE_BUILT
from monitor.ingest.decode.formats.otlp.traces import Retrievals, outer_calls
from monitor.ingest.decode.inference import inference_of
from monitor.ingest.decode.message import Found, LogMessage, NativeRecord, Skipped
from monitor.records import RejectedRecord, RejectReason

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_ENTRIES: Final = 50_000

_EXCEPTIONS: Final = ("gen_ai.client.inference.exception", "gen_ai.client.operation.exception")
_EVENTS: Final = {
    **dict.fromkeys(wanted.CONTENT_EVENTS, Skipped("message_event")),
    **dict.fromkeys(_EXCEPTIONS, Skipped("exception_event")),
    wanted.EVALUATION_EVENT: Skipped(kinds.EVALUATION),
}
"""Events that are no inferences."""
_SKIPPED: Final = {kind: Skipped(kind) for kind in kinds.KINDS}
_WRAPPER: Final = _SKIPPED[kinds.WRAPPER]
_OTHER_LOG: Final = Skipped("other_log")
_METRIC: Final = Skipped("metric")

_JSON_START: Final = b"{"

Entry = Span | LogRecord | RejectedRecord
Entries = Sequence[Entry]


class Otlp:
    """The format."""

    def recognizes(self, message: LogMessage) -> bool:
        """Return whether a message is OTLP, but not lines of Envoy's access log."""
        signal = signal_of(message)
        return signal is not None and not (signal == LOGS and is_access_log(message.value))

    def decode(self, message: LogMessage) -> Iterable[Found]:
        """Yield what is in a message, in its order."""
        entries = read(message)
        if entries is None:
            return [_METRIC]
        spans = [entry for entry in entries if isinstance(entry, Span)]
        if spans:
            return _spans(entries, spans)
        return map(_log_record, entries)


OTLP: Final = Otlp()


def read(message: LogMessage, *, natives: bool = True) -> Entries | None:
    """Return the spans and log records of a message; None if it has metrics.

    natives: whether usual calls may have a native record instead of attributes.
    Raises RejectedRecord if the message is no OTLP or too large.
    """
    payload = message.value
    if not payload:
        raise RejectedRecord(RejectReason.EMPTY, "no bytes")
    if len(payload) > MAX_BYTES:
        raise RejectedRecord(RejectReason.TOO_LARGE, f"{len(payload)} bytes, at most {MAX_BYTES}")
    signal = signal_of(message)
    if signal == METRICS:
        return None
    if payload.lstrip()[:1] == _JSON_START:
        entries: Entries = read_json(payload, most=MAX_ENTRIES + 1, natives=WIRE_BUILT and natives)
    elif signal is not None:
        entries = read_protobuf(payload, logs=signal == LOGS, most=MAX_ENTRIES + 1, natives=natives)
    else:
        raise RejectedRecord(RejectReason.NOT_PROTOBUF, "neither JSON nor protobuf of OTLP")
    if len(entries) > MAX_ENTRIES:
        raise RejectedRecord(RejectReason.TOO_LARGE, f"more than {MAX_ENTRIES} spans or logs")
    return entries


def _spans(entries: Entries, spans: Sequence[Span]) -> Iterator[Found]:
    """Yield what spans are; entries that are no spans are log records or rejected."""
    found = [_kind_of(span) for span in spans]
    outer = outer_calls(spans, found)
    retrievals = Retrievals(spans, found)
    numbers = iter(range(len(spans)))
    for entry in entries:
        if not isinstance(entry, Span):
            yield _log_record(entry)
            continue
        index = next(numbers)
        if index in outer:
            yield _WRAPPER
        elif found[index] != kinds.INFERENCE:
            yield _SKIPPED[found[index]]
        else:
            yield _inference(entry, retrievals.before(entry) if retrievals.any else None)


def _kind_of(span: Span) -> str:
    attributes = span.attributes
    if isinstance(attributes, NativeRecord) or is_current(attributes):
        return kinds.INFERENCE
    return kinds.kind_of(attributes)


def _inference(span: Span, contexts: list[str] | None) -> Found:
    attributes = span.attributes
    if isinstance(attributes, NativeRecord):
        if contexts is None:
            return attributes
        inference = inference_of(attributes)
        inference.contexts = contexts
        return inference
    if is_current(attributes) and (usual := current_inference(span, attributes, contexts)):
        return usual
    try:
        return inference_of_span(span, attributes, contexts)
    except RejectedRecord as error:
        return error.with_traceback(None)


def _log_record(entry: Entry) -> Found:
    """Return what a log record is."""
    if not isinstance(entry, LogRecord):
        assert isinstance(entry, RejectedRecord)  # spans are handled before
        return entry
    if entry.event != wanted.DETAILS_EVENT:
        return _EVENTS.get(entry.event, _OTHER_LOG)
    kind = kinds.kind_of(entry.attributes)
    if kind not in (kinds.INFERENCE, kinds.OTHER):
        return _SKIPPED[kind]
    try:
        return inference_of_event(entry)
    except RejectedRecord as error:
        return error.with_traceback(None)
