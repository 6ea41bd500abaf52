"""The text of a replay event: one sentence for log lines and notifications."""

from __future__ import annotations

import math

from monitor.events.replay import ReplayEvent
from monitor.events.wording.drift import number_text, printable

_MAX_NAME_CHARS = 60
_POINTS = 100.0
_UNKNOWN = "unknown"


def replay_sentence(event: ReplayEvent) -> str:
    """Return the event as one sentence: the model, the verdict, and the numbers behind it."""
    return printable(f"{_name(event.model)}, replay: {_found(event)}{_cause(event)}")


def points(value: float | None, *, sign: bool = True) -> str:
    """Return a difference of scores from 0 to 1 in points; "unknown" without one."""
    if value is None or not math.isfinite(value):
        return _UNKNOWN
    text = number_text(abs(_POINTS * value), 2 if abs(value) < 0.1 else 3)
    if not sign or text == "0":
        return text
    return f"{'-' if value < 0 else '+'}{text}"


def _found(event: ReplayEvent) -> str:
    if event.verdict == "error":
        baseline = " of the baseline" if event.trigger == "baseline" else ""
        return f"no verdict{baseline} ({_name(event.reason) or _UNKNOWN}){_absolute(event)}"
    if event.verdict == "cancelled":
        return "cancelled, because the drift has resolved"
    return f"{_verdict(event)}, {_numbers(event)}"


def _verdict(event: ReplayEvent) -> str:
    if event.verdict == "regressed":
        return "regressed"
    if event.verdict == "not_regressed":
        small = ", a small drop is proven" if "small_drop" in event.flags else ""
        margin = points(event.margin, sign=False)
        return f"not regressed (within the margin of {margin} points{small})"
    more = None if event.required is None else max(0, event.required - event.items)
    needed = f" ({more:,} more items needed)" if more else ""
    return f"inconclusive{needed}"


def _numbers(event: ReplayEvent) -> str:
    """Return the numbers of the task that decided."""
    metric = _name(event.metric.replace("_", " ")) or "score"
    several = f" of {_name(event.task)}" if len(event.tasks) > 1 else ""
    interval = f"{points(event.lower)} to {points(event.upper)}"
    return f"{metric}{several} {points(event.delta)} points ({interval}), {event.items:,} items"


def _absolute(event: ReplayEvent) -> str:
    """Return the score of the drifted items, of a run that has no verdict."""
    if not event.absolute or event.absolute[0].candidate is None:
        return ""
    first = event.absolute[0]
    metric = _name(first.metric.replace("_", " "))
    score = number_text(first.candidate or 0.0, 3)
    return f"; {metric} of {first.items:,} drifted items {score}"


def _cause(event: ReplayEvent) -> str:
    """Return what started the run."""
    if event.alarm:
        feature = f" of {_name(event.feature)}" if event.feature else ""
        return f"; started by drift{feature}, alarm {_name(event.alarm)}"
    return {"schedule": "; scheduled", "manual": "; started by hand"}.get(event.trigger, "")


def _name(name: str) -> str:
    """Return a name from the configuration or a log, shortened."""
    if len(name) <= _MAX_NAME_CHARS:
        return name
    return name[: _MAX_NAME_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"
