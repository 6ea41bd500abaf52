"""Content of notifications about experiments: events in a message, their sentences and links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from monitor.events.experiments import ExperimentEvent
from monitor.events.wording.experiments import experiment_sentence
from monitor.notify.message import MAX_SENTENCE_CHARS, MAX_SENTENCES, Sender, short_name, truncate

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


@dataclass(frozen=True, slots=True)
class ExperimentNotice:
    """An experiment event to send. partition: of the events topic."""

    event: ExperimentEvent
    partition: int = 0

    @property
    def resolved(self) -> bool:
        """Whether the event ends something: a finding of an experiment stays."""
        return False

    def sentence(self) -> str:
        """Return the event as a sentence on one line."""
        return truncate(experiment_sentence(self.event), MAX_SENTENCE_CHARS)


@dataclass(frozen=True, slots=True)
class ExperimentBatch:
    """The experiment events of one message. A message has events of one type only."""

    notices: Sequence[ExperimentNotice]

    @property
    def refresh(self) -> bool:
        """Whether the message repeats earlier events: never."""
        return False


def runbook(sender: Sender, event: ExperimentEvent) -> str | None:
    """Return the link to the page that explains the event."""
    if sender.runbooks_url is None:
        return None
    return f"{sender.runbooks_url.rstrip('/')}/{ALERTS[event.kind].lower()}"


def report_link(sender: Sender, event: ExperimentEvent) -> str | None:
    """Return the link to the report of the experiment, with a percent-encoded name."""
    if sender.experiment_url is None:
        return None
    name = quote(short_name(event.experiment), safe="")
    return sender.experiment_url.format_map({"experiment": name})


def summary(notices: Sequence[ExperimentNotice]) -> str:
    """Return the text of a message with one event or many."""
    if len(notices) == 1:
        return notices[0].sentence()
    names = list(dict.fromkeys(short_name(each.event.experiment) for each in notices))
    more = f" and {len(names) - 3} more" if names[3:] else ""
    text = f"{len(notices)} findings in experiments: {', '.join(names[:3])}{more}"
    return truncate(text, MAX_SENTENCE_CHARS)


def shown(notices: Sequence[ExperimentNotice]) -> tuple[list[ExperimentNotice], int]:
    """Return at most MAX_SENTENCES events, warnings first, and how many are left out."""
    ordered = sorted(notices, key=lambda notice: notice.event.severity == "info")
    return ordered[:MAX_SENTENCES], max(0, len(ordered) - MAX_SENTENCES)
