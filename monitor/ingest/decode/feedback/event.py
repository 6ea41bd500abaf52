"""A feedback event, and the helpers that all formats of feedback share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from monitor.records import RejectedRecord, RejectReason

MAX_MAGNITUDE: Final = 1e15
"""Larger numbers are not values: their squares would dominate every sum."""
MAX_TIMESTAMP: Final = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
MAX_MODEL_CHARS: Final = 200
MAX_NAME_CHARS: Final = 100
PLAIN: Final = ""
"""The name of feedback that has none: feature `feedback` instead of `feedback.NAME`."""

_YES: Final = ("up", "thumbs_up", "thumbsup", "like", "positive", "good", "yes", "true", "success")
_NO: Final = ("down", "thumbs_down", "thumbsdown", "dislike", "negative", "bad", "no", "false")
_PASSED: Final = ("pass", "passed", "correct", "relevant")
_FAILED: Final = ("failure", "fail", "failed", "incorrect", "not_relevant", "irrelevant")
LABELS: Final = dict.fromkeys((*_YES, *_PASSED), 1.0) | dict.fromkeys((*_NO, *_FAILED), 0.0)
"""Texts that are values. Other texts have no order, so they are skipped."""


class FeedbackEvent(msgspec.Struct, gc=False):
    """Values that refer to one record.

    id: the request id, the trace id, or both ids of a span (`span_id`).
    values: by name; PLAIN for the one that has none. time: epoch seconds.
    model, user_id, session_id, experiments: of the record, where the event names them.
    """

    id: str
    values: dict[str, float]
    time: float
    model: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    experiments: dict[str, str] | None = None


@dataclass(slots=True)
class DecodedFeedback:
    """What one message has.

    format: the recognized one. skipped: parts without a value that can be used, by kind.
    rejected: the error of the first invalid part; the others count nevertheless.
    """

    format: str
    events: list[FeedbackEvent] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: RejectedRecord | None = None

    def attempt(self, add: Callable[..., None], *arguments: Any) -> None:
        """Call `add` with this object and the arguments; keep the first error."""
        try:
            add(self, *arguments)
        except RejectedRecord as error:
            # The traceback would keep the whole message in memory.
            self.rejected = self.rejected or error.with_traceback(None)

    def add_named(
        self, reference: str, name: Any, value: Any, time: float, **fields: str | None
    ) -> None:
        """Add one value with a name, or count why there is none."""
        if not isinstance(name, str):
            raise missing("the name of a value", name)
        number = number_of(value)
        if not is_valid_name(name):
            self.skipped["bad_name"] += 1
        elif number is None:
            self.skipped["no_value" if value is None else "text"] += 1
        else:
            self.events.append(FeedbackEvent(reference, {name: number}, time, **fields))  # type: ignore[arg-type]  # texts only


def span_id(trace: str, span: str) -> str:
    """Return the id of a span within its trace: one text for both ids."""
    return f"{trace}/{span}"


def is_valid_name(name: str) -> bool:
    """Return whether a name can be part of the name of a feature."""
    return 0 < len(name) <= MAX_NAME_CHARS and name.isprintable()


def number_of(value: Any) -> float | None:
    """Return a value as a number: true is 1, a label such as "thumbs_up" 1 or 0.

    None for null, and for texts, lists and objects that are no value. Raises RejectedRecord for a
    number that is out of range.
    """
    if isinstance(value, str):
        return LABELS.get(value.strip().lower().replace("-", "_").replace(" ", "_"))
    if not isinstance(value, bool | int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        raise RejectedRecord(RejectReason.WRONG_TYPE, "a value is not finite")
    if not abs(value) <= MAX_MAGNITUDE:
        raise RejectedRecord(RejectReason.WRONG_TYPE, f"a value is beyond {MAX_MAGNITUDE:g}")
    return float(value)


def text_of(fields: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of some fields that is a text and not empty."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def missing(what: str, value: Any = None) -> RejectedRecord:
    """Return the error of a field that is missing or has a wrong type."""
    if value is None:
        return RejectedRecord(RejectReason.MISSING_FIELD, f"{what} is missing")
    return RejectedRecord(RejectReason.WRONG_TYPE, f"{what} has a wrong type")


def seconds_of(value: Any, default: float | None = None) -> float:
    """Return epoch seconds of a number or of RFC 3339 text, which is UTC without a zone.

    default: if there is none. Raises RejectedRecord if it is no time.
    """
    if value is None:
        if default is None:
            raise missing("timestamp")
        return default
    bad = RejectedRecord(RejectReason.BAD_TIMESTAMP, "timestamp is neither RFC 3339 nor seconds")
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
            seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            raise bad from None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    else:
        raise bad
    if not 0 <= seconds <= MAX_TIMESTAMP:
        raise RejectedRecord(RejectReason.BAD_TIMESTAMP, "timestamp is not in epoch seconds")
    return float(seconds)
