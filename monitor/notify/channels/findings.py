"""Findings of experiments, replays and judges for all kinds of targets.

A finding stays, so nothing resolves it: at PagerDuty a person does, and an alert at Alertmanager
ends after a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from monitor.config.sections.notifications import (
    AlertmanagerTarget,
    PagerDutyTarget,
    SlackTarget,
    Target,
)
from monitor.events.findings.experiments import ExperimentEvent
from monitor.events.findings.judges import JudgeEvent
from monitor.events.replay import ReplayEvent
from monitor.notify.channels import alertmanager, pagerduty, slack, webhook
from monitor.notify.findings.experiment import experiment_finding, experiment_summary
from monitor.notify.findings.finding import Finding, FindingBatch, FindingEvent, shown
from monitor.notify.findings.judge import judge_finding, judge_summary
from monitor.notify.findings.replay import replay_finding, replay_summary
from monitor.notify.message import Request, Sender, alarm_id, to_datetime, truncate

VALID_SECONDS: Final = 86_400.0
"""Time after which an alert at Alertmanager ends."""
_COLORS: Final = {"info": "#2471a3", "warning": slack.AMBER, "critical": slack.RED}


def requests(target: Target, batch: FindingBatch, sender: Sender, now: float) -> list[Request]:
    """Return the requests that send a batch to a target, in order.

    Their number depends on the batch only. now: time of the attempt, in seconds since the epoch.
    """
    events = [notice.event for notice in batch.notices]
    findings = [finding(event, sender) for event in events]
    summary = _summary(events, findings)
    if isinstance(target, SlackTarget):
        return [Request.json(target.url.get_secret_value(), _slack(findings, summary))]
    if isinstance(target, PagerDutyTarget):
        key = target.routing_key.get_secret_value()
        return [
            Request.json(target.endpoint, {"routing_key": key, **_pagerduty(each)}, key)
            for each in findings
        ]
    if isinstance(target, AlertmanagerTarget):
        alerts = [_alert(target, each, now) for each in findings]
        return [alertmanager.request(target, alerts)]
    token = target.token.get_secret_value() if target.token else None
    message = _webhook(findings, summary, sender)
    return [Request.json(target.url.get_secret_value(), message, token=token)]


def finding(event: FindingEvent, sender: Sender) -> Finding:
    """Return the content of an event of any type."""
    if isinstance(event, ReplayEvent):
        return replay_finding(event, sender)
    if isinstance(event, JudgeEvent):
        return judge_finding(event, sender)
    return experiment_finding(event, sender)


def _summary(events: Sequence[FindingEvent], findings: Sequence[Finding]) -> str:
    """Return the text of a message with one event or many, all of one type."""
    if len(findings) == 1:
        return findings[0].sentence
    replays = [event for event in events if isinstance(event, ReplayEvent)]
    if replays:
        return replay_summary(replays)
    judges = [event for event in events if isinstance(event, JudgeEvent)]
    if judges:
        return judge_summary(judges)
    return experiment_summary([each for each in events if isinstance(each, ExperimentEvent)])


def _slack(findings: Sequence[Finding], summary: str) -> dict[str, Any]:
    kept, more = shown(findings)
    worst = kept[0]
    text = slack.escape(summary)
    lines = []
    if len(findings) > 1:
        lines = [f"\N{BULLET} {slack.escape(each.sentence)}" for each in kept]
        lines += [f"and {more} more"] if more else []
    if worst.runbook:
        lines.append(f"<{worst.runbook.replace('&', '&amp;')}|How to read this>")
    attachment = {
        "color": _COLORS[worst.severity],
        "fallback": text,
        **({"title": worst.link_text, "title_link": worst.link} if worst.link else {}),
        **({"text": "\n".join(lines)} if lines else {}),
        "footer": slack.escape(f"Plumbline, event {alarm_id(worst.id)}"),
    }
    return {"text": text, "attachments": [attachment]}


def _pagerduty(found: Finding) -> dict[str, Any]:
    time = to_datetime(found.time)
    hrefs = {found.kind.title(): found.link, "Runbook": found.runbook}
    links = [{"href": href, "text": text} for text, href in hrefs.items() if href]
    return {
        "event_action": "trigger",
        "dedup_key": pagerduty.dedup_key(found.id),
        "client": "Plumbline",
        "payload": {
            "summary": truncate(found.sentence, pagerduty.MAX_SUMMARY_CHARS),
            "source": found.source,
            "severity": found.severity,
            "class": found.kind,
            "component": found.component,
            "group": found.group,
            **({"timestamp": time.isoformat()} if time else {}),
            "custom_details": found.fields,
        },
        **({"links": links} if links else {}),
    }


def _alert(target: AlertmanagerTarget, found: Finding, now: float) -> alertmanager.Alert:
    labels = {
        "alertname": found.alert,
        "severity": found.severity,
        "scope": found.kind,
        "sender": "plumbline",
        **{name: alertmanager.label_value(value) for name, value in found.labels.items()},
    }
    annotations = {
        "summary": found.title,
        "description": alertmanager.plain(found.sentence),
        "runbook_url": found.runbook,
        "dashboard_url": found.link,
    }
    return {
        "labels": {name: value for name, value in (target.labels | labels).items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": alertmanager.timestamp(min(found.time, now)),
        "endsAt": alertmanager.timestamp(now + VALID_SECONDS),
        **({"generatorURL": found.link} if found.link else {}),
    }


def _webhook(findings: Sequence[Finding], summary: str, sender: Sender) -> dict[str, Any]:
    events = [
        {**each.fields, "summary": each.sentence, **each.links, "runbook_url": each.runbook}
        for each in findings
    ]
    return {
        "version": webhook.VERSION,
        "source": sender.name,
        "summary": summary,
        "events": events,
    }
