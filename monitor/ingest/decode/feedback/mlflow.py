"""Assessments of MLflow: one, or those of a trace.

Feedback counts; an expectation is what the answer should be, and an error has no value. A trace id
of MLflow is `tr-` and the id of OpenTelemetry. Source: mlflow, protos/assessments.proto.
"""

from __future__ import annotations

from typing import Any

from monitor.ingest.decode.feedback.event import (
    DecodedFeedback,
    missing,
    seconds_of,
    span_id,
    text_of,
)


def decode(fields: dict[str, Any], found: DecodedFeedback, written: float) -> None:
    """Add the assessment of an object. Raises RejectedRecord if it is none."""
    trace, span = text_of(fields, "trace_id"), text_of(fields, "span_id")
    if trace is None:
        raise missing("trace_id", fields.get("trace_id"))
    feedback = fields.get("feedback")
    if fields.get("expectation") is not None:
        found.skipped["expectation"] += 1
        return
    if fields.get("valid") is False:  # another assessment has replaced it
        found.skipped["replaced"] += 1
        return
    if not isinstance(feedback, dict):
        raise missing("feedback", feedback)
    if feedback.get("error") is not None or fields.get("error") is not None:
        found.skipped["error"] += 1
        return
    value = feedback.get("value")
    if isinstance(value, list | dict):
        found.skipped["text"] += 1
        return
    time = fields.get("last_update_time") or fields.get("create_time")
    otel = trace.rpartition("/")[2].removeprefix("tr-")
    reference = otel if span is None else span_id(otel, span)
    found.add_named(reference, fields.get("assessment_name"), value, seconds_of(time, written))


def decode_trace(fields: dict[str, Any], found: DecodedFeedback, written: float) -> None:
    """Add the assessments of a trace."""
    info = fields["info"] if isinstance(fields.get("info"), dict) else fields
    assessments = info.get("assessments")
    if not isinstance(assessments, list):
        raise missing("assessments", assessments)
    trace = text_of(info, "trace_id", "request_id")
    for each in assessments:
        if not isinstance(each, dict):
            raise missing("assessments", each)
        decode({"trace_id": trace} | each, found, written)


def decode_request(fields: dict[str, Any], found: DecodedFeedback, written: float) -> None:
    """Add the assessment of a request to the API, which wraps it."""
    decode(fields["assessment"], found, written)
