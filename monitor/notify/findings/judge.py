"""Content of notifications about judges: their sentences and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from monitor.events.findings.judges import JudgeEvent, judge_fields
from monitor.notify.findings.finding import Finding, finding_sentence
from monitor.notify.message import MAX_SENTENCE_CHARS, Sender, short_name, truncate, truncate_values

JUDGE_ALERTS: Final = {
    "down": "PlumblineJudgeDown",
    "recovered": "PlumblineJudgeDown",
    "changed": "PlumblineJudgeDrift",
}
"""Alert rule for the same condition, by change. Each has a runbook."""
_TITLES: Final = {
    "down": "A judge does not answer.",
    "recovered": "A judge answers again.",
    "changed": "A judge scores the golden set in another way.",
}


def judge_finding(event: JudgeEvent, sender: Sender) -> Finding:
    """Return the content of an event."""
    return Finding(
        id=event.id,
        severity=event.severity,
        time=event.time,
        sentence=finding_sentence(event),
        alert=JUDGE_ALERTS[event.change],
        title=_TITLES[event.change],
        kind="judge",
        source=short_name(event.judge) or "unnamed",
        component=short_name(event.name) or "judge",
        group=event.change,
        fields=truncate_values(judge_fields(event)),
        labels={"judge": event.judge, "change": event.change, "rubric": event.name},
        runbook=sender.page(JUDGE_ALERTS[event.change]),
    )


def judge_summary(events: Sequence[JudgeEvent]) -> str:
    """Return the text of a message with many events."""
    names = list(dict.fromkeys(short_name(each.judge) for each in events))
    more = f" and {len(names) - 3} more" if names[3:] else ""
    text = f"{len(events)} changes of judges: {', '.join(names[:3])}{more}"
    return truncate(text, MAX_SENTENCE_CHARS)
