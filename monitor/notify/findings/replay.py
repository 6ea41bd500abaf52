"""Content of notifications about replays: their sentences, links and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from monitor.events.replay import ReplayEvent, replay_fields
from monitor.notify.findings.finding import Finding, finding_sentence
from monitor.notify.message import (
    MAX_SENTENCE_CHARS,
    Sender,
    alarm_id,
    short_name,
    truncate,
    truncate_values,
)

REPLAY_ALERTS: Final = {
    "regressed": "PlumblineReplayRegressed",
    "error": "PlumblineReplayFailing",
}
"""Alert rule for the same condition, by verdict. Each has a runbook."""
VERDICT: Final = "PlumblineReplayVerdict"
"""Name of an alert about any other verdict, which no rule has."""
_RUNBOOK: Final = REPLAY_ALERTS["regressed"]
"""The page that explains verdicts."""
_TITLES: Final = {
    "regressed": "A replay found that a model got worse.",
    "error": "A replay ended without a verdict.",
}


def replay_finding(event: ReplayEvent, sender: Sender) -> Finding:
    """Return the content of an event."""
    link = _link(sender, event)
    alert = REPLAY_ALERTS.get(event.verdict)
    return Finding(
        id=event.id,
        severity=event.severity,
        time=event.time,
        sentence=finding_sentence(event),
        alert=alert or VERDICT,
        title=_TITLES.get(event.verdict, "A replay has a verdict."),
        kind="replay",
        source=short_name(event.model) or "unnamed",
        component=short_name(event.feature) or "model",
        group=short_name(event.task) or "all tasks",
        fields=truncate_values(replay_fields(event)),
        labels={"model": event.model, "verdict": event.verdict, "task": event.task},
        runbook=sender.page(alert or _RUNBOOK),
        link=link,
        link_text="Open the replay",
        links={"replay_url": link},
    )


def _link(sender: Sender, event: ReplayEvent) -> str | None:
    """Return the link to the replay, with percent-encoded values."""
    if sender.replay_url is None:
        return None
    values = {
        "model": short_name(event.model),
        "run": alarm_id(event.run),
        "alarm": alarm_id(event.alarm) if event.alarm else "",
    }
    return sender.replay_url.format_map({k: quote(v, safe="") for k, v in values.items()})


def replay_summary(events: Sequence[ReplayEvent]) -> str:
    """Return the text of a message with many events."""
    names = list(dict.fromkeys(short_name(each.model) for each in events))
    more = f" and {len(names) - 3} more" if names[3:] else ""
    worse = sum(each.verdict == "regressed" for each in events)
    regressed = f", {worse} regressed" if worse else ""
    text = f"{len(events)} replays ended{regressed}: {', '.join(names[:3])}{more}"
    return truncate(text, MAX_SENTENCE_CHARS)
