"""The text of a judge event: one sentence for log lines and notifications."""

from __future__ import annotations

import math

from monitor.events.findings.judges import JudgeEvent
from monitor.events.wording.drift import number_text, printable

_MAX_NAME_CHARS = 60


def judge_sentence(event: JudgeEvent) -> str:
    """Return the event as one sentence: the judge, what happened, and the numbers behind it."""
    return printable(f"judge {_name(event.judge)}: {_found(event)}")


def _found(event: JudgeEvent) -> str:
    if event.change == "down":
        return (
            f"{event.failed:,} of {event.calls:,} calls had no answer; quality is not judged until"
            " it answers again"
        )
    if event.change == "recovered":
        return "answers again"
    return (
        f"{_name(event.name)} of the golden set moved by {_number(event.mean)}"
        f" ({_number(event.lower)} to {_number(event.upper)}, {event.items:,} records): the judge"
        " has changed, not the models"
    )


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "unknown"
    sign = "-" if value < 0 else "+"
    return f"{sign}{number_text(abs(value), 2)}"


def _name(name: str) -> str:
    return name if len(name) <= _MAX_NAME_CHARS else f"{name[:_MAX_NAME_CHARS]}..."
