"""Scores of Langfuse: the object of its API and exports, and the events of its ingestion API.

A score refers to an observation (a span), or to a whole trace. Numeric and boolean scores have a
`value`; of categorical ones the text counts if it is a label such as "thumbs_up". Source: OpenAPI
specification of Langfuse, schemas Score, ScoreBody and IngestionEvent.
"""

from __future__ import annotations

from typing import Any

from monitor.ingest.decode.feedback.event import (
    DecodedFeedback,
    missing,
    number_of,
    seconds_of,
    span_id,
    text_of,
)


def decode(fields: dict[str, Any], found: DecodedFeedback, written: float) -> None:
    """Add the score of an object. Raises RejectedRecord if it is none."""
    trace, span = _subject(fields)
    if trace is None:
        if text_of(fields, "sessionId", "session_id", "datasetRunId", "dataset_run_id"):
            found.skipped["session"] += 1
            return
        raise missing("traceId")
    value = fields.get("value")
    if _kind(fields) in ("CATEGORICAL", "TEXT", "CORRECTION") or value is None:
        # the value of a category is its place in a list of the user, which need not be in order
        value = text_of(fields, "stringValue", "string_value") or (
            value if isinstance(value, str) else None
        )
    elif _kind(fields) == "BOOLEAN" and isinstance(value, str):
        value = number_of(value)
    reference = trace if span is None else span_id(trace, span)
    found.add_named(reference, fields.get("name"), value, _time(fields, written))


def decode_batch(fields: dict[str, Any], found: DecodedFeedback, written: float) -> None:
    """Add the scores of a request to the ingestion API; other events are skipped."""
    for event in fields["batch"]:
        body = event.get("body") if isinstance(event, dict) else None
        if not isinstance(body, dict):
            raise missing("body", event)
        if event.get("type") == "score-create":
            timed = {"timestamp": event.get("timestamp")} | body
            decode(timed, found, written)
        else:
            found.skipped["other_event"] += 1


def _subject(fields: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the ids of trace and observation; newer versions of the API have them in `subject`."""
    subject = fields.get("subject")
    if isinstance(subject, dict):
        own, trace = text_of(subject, "id"), text_of(subject, "traceId", "trace_id")
        if subject.get("kind") == "observation":
            return trace, own
        return (own if subject.get("kind") == "trace" else None), None
    trace = text_of(fields, "traceId", "trace_id")
    return trace, text_of(fields, "observationId", "observation_id")


def _kind(fields: dict[str, Any]) -> str | None:
    return text_of(fields, "dataType", "data_type")


def _time(fields: dict[str, Any], written: float) -> float:
    for name in ("timestamp", "updatedAt", "updated_at", "createdAt", "created_at"):
        if fields.get(name) is not None:
            return seconds_of(fields[name])
    return written
