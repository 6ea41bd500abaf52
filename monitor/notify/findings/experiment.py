"""Content of notifications about experiments: their sentences, links and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from monitor.events.findings.experiments import ExperimentEvent, experiment_fields
from monitor.notify.findings.finding import Finding, finding_sentence
from monitor.notify.message import (
    MAX_SENTENCE_CHARS,
    Sender,
    short_name,
    truncate,
    truncate_values,
)

ALERTS: Final = {
    "verdict": "PlumblineExperimentVerdict",
    "srm": "PlumblineExperimentSampleRatioMismatch",
    "guardrail": "PlumblineExperimentGuardrailBreached",
}
"""Alert rule for the same condition, by the kind of event. Each has a runbook."""
TITLES: Final = {
    "verdict": "An experiment has a verdict.",
    "srm": "The split of an experiment differs from its plan.",
    "guardrail": "A variant of an experiment breaches a guardrail.",
}


def experiment_finding(event: ExperimentEvent, sender: Sender) -> Finding:
    """Return the content of an event."""
    link = _report_link(sender, event)
    return Finding(
        id=event.id,
        severity=event.severity,
        time=event.time,
        sentence=finding_sentence(event),
        alert=ALERTS[event.kind],
        title=TITLES[event.kind],
        kind="experiment",
        source=short_name(event.experiment) or "unnamed",
        component=short_name(event.metric) or "users",
        group=short_name(event.variant) or "all variants",
        fields=truncate_values(experiment_fields(event)),
        labels={
            "experiment": event.experiment,
            "variant": event.variant,
            "metric": event.metric,
        },
        runbook=sender.page(ALERTS[event.kind]),
        link=link,
        link_text="Open the experiment",
        links={"experiment_url": link},
    )


def _report_link(sender: Sender, event: ExperimentEvent) -> str | None:
    """Return the link to the report of the experiment, with a percent-encoded name."""
    if sender.experiment_url is None:
        return None
    name = quote(short_name(event.experiment), safe="")
    return sender.experiment_url.format_map({"experiment": name})


def experiment_summary(events: Sequence[ExperimentEvent]) -> str:
    """Return the text of a message with many events."""
    names = list(dict.fromkeys(short_name(each.experiment) for each in events))
    more = f" and {len(names) - 3} more" if names[3:] else ""
    text = f"{len(events)} findings in experiments: {', '.join(names[:3])}{more}"
    return truncate(text, MAX_SENTENCE_CHARS)
