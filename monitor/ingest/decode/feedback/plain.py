"""Plumbline's own feedback event, one JSON object or a list of them.

{"request_id": ..., "feedback": 1, "scores": {"helpful": 4}, "timestamp": ...}, with `trace_id` and
`span_id` instead of the request id, and where they are known `model`, `user_id`, `session_id` and
`experiments`.
"""

from __future__ import annotations

from typing import Any

from monitor.ingest.decode.feedback.event import (
    MAX_MODEL_CHARS,
    PLAIN,
    DecodedFeedback,
    FeedbackEvent,
    is_valid_name,
    missing,
    number_of,
    seconds_of,
    span_id,
    text_of,
)
from monitor.records import RejectedRecord, RejectReason


def decode(fields: dict[str, Any], found: DecodedFeedback, written: float) -> None:
    """Add the event of an object. Raises RejectedRecord if it is none."""
    del written  # the contract requires a timestamp
    reference = _reference(fields)
    time = seconds_of(fields.get("timestamp"))
    model = fields.get("model")
    if model is not None and not _is_model(model):
        raise RejectedRecord(RejectReason.BAD_MODEL, "model must be 1 to 200 printable characters")
    values = _values(fields, found)
    if values:
        found.events.append(
            FeedbackEvent(
                reference,
                values,
                time,
                model,
                text_of(fields, "user_id"),
                text_of(fields, "session_id"),
                _variants(fields.get("experiments")),
            )
        )


def _reference(fields: dict[str, Any]) -> str:
    """Return the id that an event refers to."""
    request = fields.get("request_id")
    if isinstance(request, str) and request:
        return request
    trace, span = text_of(fields, "trace_id"), text_of(fields, "span_id")
    if trace is not None:
        return trace if span is None else span_id(trace, span)
    raise missing("request_id, or trace_id and span_id,", request)


def _values(fields: dict[str, Any], found: DecodedFeedback) -> dict[str, float]:
    """Return the values of an event by name; null and other texts are counted as skipped."""
    scores = fields.get("scores")
    if scores is not None and not isinstance(scores, dict):
        raise missing("scores", scores)
    if "feedback" not in fields and scores is None:
        raise missing("feedback or scores")
    given = {PLAIN: fields["feedback"]} if "feedback" in fields else {}
    values = {}
    for name, value in (given | (scores or {})).items():
        if isinstance(value, list | dict):
            raise missing("a value", value)
        number = number_of(value)
        if name != PLAIN and not is_valid_name(name):
            found.skipped["bad_name"] += 1
        elif number is None:
            found.skipped["no_value" if value is None else "text"] += 1
        else:
            values[name] = number
    return values


def _is_model(model: Any) -> bool:
    return isinstance(model, str) and 0 < len(model) <= MAX_MODEL_CHARS and model.isprintable()


def _variants(experiments: Any) -> dict[str, str] | None:
    """Return the variants by experiment; without those of a wrong type."""
    if not isinstance(experiments, dict):
        return None
    return {name: each for name, each in experiments.items() if isinstance(each, str)}
