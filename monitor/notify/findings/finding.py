"""A finding to send that is no drift: of an experiment, a replay or a judge.

It stays: nothing resolves it, and it belongs to no alarm of the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.events.findings.experiments import ExperimentEvent
from monitor.events.findings.judges import JudgeEvent
from monitor.events.replay import ReplayEvent
from monitor.events.types import Severity
from monitor.events.wording.experiments import experiment_sentence
from monitor.events.wording.judges import judge_sentence
from monitor.events.wording.replay import replay_sentence
from monitor.notify.message import MAX_SENTENCE_CHARS, MAX_SENTENCES, truncate

FindingEvent = ExperimentEvent | JudgeEvent | ReplayEvent


@dataclass(frozen=True, slots=True)
class FindingNotice:
    """An event to send. partition: of the events topic."""

    event: FindingEvent
    partition: int = 0

    @property
    def resolved(self) -> bool:
        """Whether the event ends something: a finding stays."""
        return False

    def sentence(self) -> str:
        """Return the event as a sentence on one line."""
        return finding_sentence(self.event)


@dataclass(frozen=True, slots=True)
class FindingBatch:
    """The findings of one message. A message has events of one type only."""

    notices: Sequence[FindingNotice]

    @property
    def refresh(self) -> bool:
        """Whether the message repeats earlier events: never."""
        return False


@dataclass(frozen=True, slots=True)
class Finding:
    """The content of a finding, whatever its type is.

    id, severity, time: of the event. sentence: the event on one line.
    alert: name of the alert rule for the same condition. title: its summary.
    runbook: link to the page that explains it. link: to what was found, with link_text.
    kind: of the event. labels: of an alert. source, component, group: as at PagerDuty.
    fields: of the event, shortened, for a program; links: further keys for a program.
    """

    id: str
    severity: Severity
    time: float
    sentence: str
    alert: str
    title: str
    kind: str
    source: str
    component: str
    group: str
    fields: Mapping[str, Any] = field(repr=False)
    labels: Mapping[str, str]
    runbook: str | None = None
    link: str | None = None
    link_text: str = ""
    links: Mapping[str, str | None] = field(default_factory=dict)


def finding_sentence(event: FindingEvent) -> str:
    """Return an event as a sentence on one line."""
    if isinstance(event, ReplayEvent):
        return truncate(replay_sentence(event), MAX_SENTENCE_CHARS)
    if isinstance(event, JudgeEvent):
        return truncate(judge_sentence(event), MAX_SENTENCE_CHARS)
    return truncate(experiment_sentence(event), MAX_SENTENCE_CHARS)


def shown(findings: Sequence[Finding]) -> tuple[list[Finding], int]:
    """Return at most MAX_SENTENCES findings, the severe first, and how many are left out."""
    ordered = sorted(findings, key=lambda each: each.severity == "info")
    return ordered[:MAX_SENTENCES], max(0, len(ordered) - MAX_SENTENCES)
