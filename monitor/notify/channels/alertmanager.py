"""Alerts for Alertmanager's API v2: each open alarm is an alert, posted again before it expires.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml

An alert has the name and labels that the drift rules of Prometheus give it, and the label `sender`.
The alert POSTED exists while Plumbline posts alerts; the example configuration of Alertmanager lets
it inhibit the drift alerts of Prometheus, so that a drift pages once.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from monitor.config.sections.notifications import AlertmanagerTarget
from monitor.events.types import DriftEvent
from monitor.notify.message import (
    MAX_NAME_CHARS,
    Batch,
    Notice,
    Request,
    Sender,
    alarm_id,
    alert_name,
    break_markup,
    to_datetime,
    truncate,
)

MAX_EVENTS = 200
"""Maximum number of events in one message."""
MAX_ALERTS = 500
"""Maximum number of alerts in one request."""
VALID_SECONDS: Final = 600.0
"""Time after which an alert expires unless it is posted again: longer than a restart of notify."""
PATH = "/api/v2/alerts"
POSTED = "PlumblineDriftPosted"
"""Name of the alert that exists while Plumbline posts its drift alerts itself."""
SUMMARIES: Final = {
    "critical": "A feature of a model has drifted far from its reference.",
    "warning": "A feature of a model has drifted from its reference.",
}
"""Summaries of the drift rules, by severity."""

_HASH_CHARS = 8
Alert = dict[str, Any]


def requests(target: AlertmanagerTarget, batch: Batch, sender: Sender, now: float) -> list[Request]:
    """Return requests with the alerts of a batch, each for all members of the cluster.

    now: time of the attempt, in seconds since the epoch.
    """
    alerts = _alerts(target, batch.notices, sender, now)
    if batch.refresh:
        alerts = [_posted(target, now), *alerts]
    return [
        request(target, alerts[start : start + MAX_ALERTS])
        for start in range(0, len(alerts), MAX_ALERTS)
    ]


def _alerts(
    target: AlertmanagerTarget, notices: Iterable[Notice], sender: Sender, now: float
) -> list[Alert]:
    """Return the alerts of events; of several events with the same labels, the last."""
    found: dict[tuple[tuple[str, str], ...], Alert] = {}
    for notice in notices:
        ended = notice.resolved
        each = _alert(target, notice, sender, now, ended=ended)
        for alert in [*_lower(target, notice, each, now), each]:
            key = tuple(sorted(alert["labels"].items()))
            found.pop(key, None)
            found[key] = alert
    return list(found.values())


def _lower(target: AlertmanagerTarget, notice: Notice, alert: Alert, now: float) -> list[Alert]:
    """Return the warning that ends when its alarm becomes critical, if the target has it."""
    if notice.event.change != "escalated" or target.severity != "warning":
        return []
    warning = {"alertname": alert_name("warning"), "severity": "warning"}
    start, end = _end(alert["startsAt"], notice.event, now)
    return [{**alert, "labels": alert["labels"] | warning, "startsAt": start, "endsAt": end}]


def _alert(
    target: AlertmanagerTarget, notice: Notice, sender: Sender, now: float, *, ended: bool
) -> Alert:
    event, dashboard = notice.event, sender.dashboard(notice)
    start = timestamp(min(_started(notice), now))
    end = timestamp(now + VALID_SECONDS)
    if ended:
        start, end = _end(start, event, now)
    annotations = {
        "summary": notice.mark + SUMMARIES.get(event.severity, SUMMARIES["warning"]),
        "description": plain(notice.sentence()),
        "runbook_url": sender.runbook(notice),
        "dashboard_url": dashboard,
        "alarm": alarm_id(event.alarm),
    }
    return {
        "labels": _labels(target, event),
        "annotations": {key: value for key, value in annotations.items() if value},
        "startsAt": start,
        "endsAt": end,
        **({"generatorURL": dashboard} if dashboard else {}),
    }


def _labels(target: AlertmanagerTarget, event: DriftEvent) -> dict[str, str]:
    """Return the labels of the drift rules, and those that only events have.

    Alertmanager treats an empty label as a missing one.
    """
    labels = {
        "alertname": alert_name(event.severity),
        "severity": event.severity,
        "scope": "model",
        "sender": "plumbline",
        "model": label_value(event.model),
        "segment": label_value(event.segment),
        "feature": label_value(event.feature),
        "drift_type": str(event.drift_type),
    }
    return {name: value for name, value in (target.labels | labels).items() if value}


def _posted(target: AlertmanagerTarget, now: float) -> Alert:
    """Return the alert that exists while Plumbline posts alerts of this severity and above."""
    labels = {
        "alertname": POSTED,
        "severity": "info",
        "scope": "monitor",
        "sender": "plumbline",
        "least_severity": target.severity,
    }
    return {
        "labels": target.labels | labels,
        "annotations": {
            "summary": "Plumbline posts its drift alerts itself.",
            "description": "It inhibits the drift alerts of Prometheus. It is not a problem.",
        },
        "startsAt": timestamp(now),
        "endsAt": timestamp(now + VALID_SECONDS),
    }


def label_value(name: str) -> str:
    """Return a name as a printable label of limited length; a changed name ends with its hash."""
    short = truncate(name, MAX_NAME_CHARS)
    if short == name:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:_HASH_CHARS]
    return truncate(name, MAX_NAME_CHARS - _HASH_CHARS - 1) + "~" + digest


def plain(text: str) -> str:
    """Return a text without mentions, links and markup; `<` and `&` become `?` as in the rules.

    Alertmanager passes annotations to chats and e-mails as they are.
    """
    return break_markup(text).replace("<", "?").replace("&", "?")


def _started(notice: Notice) -> float:
    """Return the event time of the change or, if it is unknown, of the opening of the alarm."""
    since = notice.event.explanation.since
    if since is not None and since.time is not None:
        return since.time
    return notice.event.time if notice.since is None else notice.since


def _end(start: str, event: DriftEvent, now: float) -> tuple[str, str]:
    """Return start and end of an alert that ended at an event: not in the future, and in order."""
    end = timestamp(min(event.time, now))
    return min(start, end), end


def timestamp(seconds: float) -> str:
    """Return a time in RFC 3339, in microseconds; the epoch if it is before it or out of range."""
    time = to_datetime(max(0.0, seconds)) or datetime.fromtimestamp(0, UTC)
    return time.isoformat(timespec="microseconds")


def request(target: AlertmanagerTarget, alerts: list[Alert]) -> Request:
    """Return a request for the members of a cluster; their addresses are not secret."""
    first, *others = (url.rstrip("/") + PATH for url in target.urls)
    request = Request.json(first, alerts)
    headers, secrets = dict(request.headers), list[str]()
    if target.token is not None:
        secrets = [target.token.get_secret_value()]
        headers["Authorization"] = f"Bearer {secrets[0]}"
    elif target.username is not None and target.password is not None:
        password = target.password.get_secret_value()
        secrets = [base64.b64encode(f"{target.username}:{password}".encode()).decode(), password]
        headers["Authorization"] = f"Basic {secrets[0]}"
    return replace(request, headers=headers, secrets=tuple(secrets), replicas=tuple(others))
