"""Feedback of LangSmith: the object of its API and webhooks.

`score` is a number, a truth value or null; without it, a label in `value` counts. It refers to
`run_id`, else to `trace_id`. Source: langsmith-sdk, python/langsmith/schemas.py, FeedbackBase.
"""

from __future__ import annotations

from typing import Any

from monitor.ingest.decode.feedback.event import DecodedFeedback, missing, seconds_of, text_of


def decode(fields: dict[str, Any], found: DecodedFeedback, written: float) -> None:
    """Add the value of an object. Raises RejectedRecord if it is none."""
    reference = text_of(fields, "run_id", "trace_id")
    if reference is None:
        if text_of(fields, "session_id"):
            found.skipped["session"] += 1
            return
        raise missing("run_id", fields.get("run_id"))
    value = fields.get("score")
    if value is None:
        value = fields.get("value")
        if isinstance(value, dict | list):
            value = None
    time = fields.get("modified_at") or fields.get("created_at")
    found.add_named(reference, fields.get("key"), value, seconds_of(time, written))
