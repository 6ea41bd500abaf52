"""Experiment events for all kinds of targets.

A finding of an experiment stays, so nothing resolves it: at PagerDuty a person does, and an alert
at Alertmanager ends after a day.
"""

from __future__ import annotations

from typing import Any, Final

from monitor.config.sections.notifications import (
    AlertmanagerTarget,
    PagerDutyTarget,
    SlackTarget,
    Target,
)
from monitor.events.experiments import experiment_fields
from monitor.notify.channels import alertmanager, pagerduty, slack, webhook
from monitor.notify.experiment_message import (
    ALERTS,
    TITLES,
    ExperimentBatch,
    ExperimentNotice,
    report_link,
    runbook,
    shown,
    summary,
)
from monitor.notify.message import (
    Request,
    Sender,
    alarm_id,
    short_name,
    to_datetime,
    truncate,
    truncate_values,
)

VALID_SECONDS: Final = 86_400.0
"""Time after which an alert at Alertmanager ends."""
_COLORS: Final = {"info": "#2471a3", "warning": slack.AMBER, "critical": slack.RED}


def requests(target: Target, batch: ExperimentBatch, sender: Sender, now: float) -> list[Request]:
    """Return the requests that send a batch to a target, in order.

    Their number depends on the batch only. now: time of the attempt, in seconds since the epoch.
    """
    if isinstance(target, SlackTarget):
        return [Request.json(target.url.get_secret_value(), _slack(batch, sender))]
    if isinstance(target, PagerDutyTarget):
        key = target.routing_key.get_secret_value()
        messages = [_pagerduty(notice, sender) for notice in batch.notices]
        return [
            Request.json(target.endpoint, {"routing_key": key, **message}, key)
            for message in messages
        ]
    if isinstance(target, AlertmanagerTarget):
        alerts = [_alert(target, notice, sender, now) for notice in batch.notices]
        return [alertmanager.request(target, alerts)]
    token = target.token.get_secret_value() if target.token else None
    return [Request.json(target.url.get_secret_value(), _webhook(batch, sender), token=token)]


def _slack(batch: ExperimentBatch, sender: Sender) -> dict[str, Any]:
    notices, more = shown(batch.notices)
    worst = notices[0].event
    text = slack.escape(summary(batch.notices))
    lines = []
    if len(batch.notices) > 1:
        lines = [f"\N{BULLET} {slack.escape(notice.sentence())}" for notice in notices]
        lines += [f"and {more} more"] if more else []
    if href := runbook(sender, worst):
        lines.append(f"<{href.replace('&', '&amp;')}|How to read this>")
    link = report_link(sender, worst)
    attachment = {
        "color": _COLORS[worst.severity],
        "fallback": text,
        **({"title": "Open the experiment", "title_link": link} if link else {}),
        **({"text": "\n".join(lines)} if lines else {}),
        "footer": slack.escape(f"Plumbline, event {alarm_id(worst.id)}"),
    }
    return {"text": text, "attachments": [attachment]}


def _pagerduty(notice: ExperimentNotice, sender: Sender) -> dict[str, Any]:
    event, time = notice.event, to_datetime(notice.event.time)
    hrefs = {"Experiment": report_link(sender, event), "Runbook": runbook(sender, event)}
    links = [{"href": href, "text": text} for text, href in hrefs.items() if href]
    return {
        "event_action": "trigger",
        "dedup_key": pagerduty.dedup_key(event.id),
        "client": "Plumbline",
        "payload": {
            "summary": truncate(notice.sentence(), pagerduty.MAX_SUMMARY_CHARS),
            "source": short_name(event.experiment) or "unnamed",
            "severity": event.severity,
            "class": "experiment",
            "component": short_name(event.metric) or "users",
            "group": short_name(event.variant) or "all variants",
            **({"timestamp": time.isoformat()} if time else {}),
            "custom_details": truncate_values(experiment_fields(event)),
        },
        **({"links": links} if links else {}),
    }


def _alert(
    target: AlertmanagerTarget, notice: ExperimentNotice, sender: Sender, now: float
) -> alertmanager.Alert:
    event, link = notice.event, report_link(sender, notice.event)
    labels = {
        "alertname": ALERTS[event.kind],
        "severity": event.severity,
        "scope": "experiment",
        "sender": "plumbline",
        "experiment": alertmanager.label_value(event.experiment),
        "variant": alertmanager.label_value(event.variant),
        "metric": alertmanager.label_value(event.metric),
    }
    annotations = {
        "summary": TITLES[event.kind],
        "description": alertmanager.plain(notice.sentence()),
        "runbook_url": runbook(sender, event),
        "dashboard_url": link,
    }
    return {
        "labels": {name: value for name, value in (target.labels | labels).items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": alertmanager.timestamp(min(event.time, now)),
        "endsAt": alertmanager.timestamp(now + VALID_SECONDS),
        **({"generatorURL": link} if link else {}),
    }


def _webhook(batch: ExperimentBatch, sender: Sender) -> dict[str, Any]:
    events = []
    for notice in batch.notices:
        fields: dict[str, Any] = truncate_values(experiment_fields(notice.event))
        events.append(
            fields
            | {
                "summary": notice.sentence(),
                "experiment_url": report_link(sender, notice.event),
                "runbook_url": runbook(sender, notice.event),
            }
        )
    return {
        "version": webhook.VERSION,
        "source": sender.name,
        "summary": summary(batch.notices),
        "events": events,
    }
