"""Feedback of Portkey: {"trace_id", "value": -10 to 10, "weight", "metadata"}.

It has no name and no time: it is the feature `feedback`, at the time of the message. The weight is
not used, because a mean of the traffic counts each record once. Source: docs of Portkey, feedback.
"""

from __future__ import annotations

from typing import Any

from monitor.ingest.decode.feedback.event import (
    PLAIN,
    DecodedFeedback,
    FeedbackEvent,
    missing,
    number_of,
    text_of,
)


def decode(fields: dict[str, Any], found: DecodedFeedback, written: float) -> None:
    """Add the value of an object. Raises RejectedRecord if it is none."""
    trace = text_of(fields, "trace_id", "traceID", "traceId")
    if trace is None:
        raise missing("trace_id", fields.get("trace_id"))
    value = fields.get("value")
    number = number_of(value)
    if number is None:
        raise missing("value", value)
    metadata = fields.get("metadata")
    user = text_of(metadata, "_user") if isinstance(metadata, dict) else None
    found.events.append(FeedbackEvent(trace, {PLAIN: number}, written, user_id=user))
