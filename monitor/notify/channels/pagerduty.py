"""Events for PagerDuty's Events API v2: each alarm is an incident, resolved with the alarm.

https://developer.pagerduty.com/docs/send-alert-event

Alarms in one message share an incident, one for each partition of the events topic. All events of
an alarm are in one partition, so the consumer of the partition can resolve the shared incident
with the last of its alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.config.sections.notifications import PagerDutyTarget
from monitor.events.codec import event_fields
from monitor.notify.message import (
    Batch,
    Notice,
    Request,
    Sender,
    alarm_id,
    headline,
    most_severe,
    open_since,
    request_ids,
    short_name,
    to_datetime,
    truncate,
    truncate_values,
)

MAX_EVENTS = 1_000
"""Maximum number of events in one message."""
MAX_SUMMARY_CHARS = 1024
"""Limit of PagerDuty."""

Message = dict[str, Any]


def requests(target: PagerDutyTarget, batch: Batch, sender: Sender) -> list[Request]:
    """Return a trigger for each alarm, or for many together, and a resolve for each resolution."""
    resolved = [notice.event.alarm for notice in batch.notices if notice.resolved]
    ended = set(resolved)
    still_open = [notice for notice in batch.notices if notice.event.alarm not in ended]
    messages = [
        *_triggers(still_open, sender),
        *(_resolve(dedup_key(alarm)) for alarm in resolved),
        *(_resolve(_shared_key(sender.name, partition)) for partition in sorted(batch.ended)),
    ]
    key, ids = target.routing_key.get_secret_value(), request_ids(batch)
    return [
        Request.json(target.endpoint, {"routing_key": key, **message}, key, *ids)
        for message in messages
    ]


def dedup_key(alarm: str) -> str:
    """Return the deduplication key of all events of an alarm."""
    return f"plumbline-{alarm_id(alarm)}"


def _shared_key(source: str, partition: int) -> str:
    return f"{source[:200]}-many-{partition}"


def _triggers(notices: Sequence[Notice], sender: Sender) -> list[Message]:
    """Return one trigger per partition, of its only alarm or of the shared incident."""
    by_partition: dict[int, list[Notice]] = {}
    for notice in notices:
        by_partition.setdefault(notice.partition, []).append(notice)
    return [
        _one(group[0], sender)
        if len(group) == 1
        else _many(group, sender, _shared_key(sender.name, partition))
        for partition, group in sorted(by_partition.items())
    ]


def _resolve(key: str) -> Message:
    return {"event_action": "resolve", "dedup_key": key}


def _one(notice: Notice, sender: Sender) -> Message:
    event = notice.event
    payload = {
        "summary": truncate(notice.sentence(), MAX_SUMMARY_CHARS),
        "component": short_name(event.feature),
        "group": short_name(event.segment) or "all traffic",
        "custom_details": {"since": open_since(notice), **truncate_values(event_fields(event))},
    }
    return _trigger(dedup_key(event.alarm), notice, payload, sender)


def _many(notices: Sequence[Notice], sender: Sender, key: str) -> Message:
    shown, more = most_severe(notices)
    details = {f"{number}": notice.sentence() for number, notice in enumerate(shown, 1)}
    features = {notice.event.feature for notice in notices}
    payload = {
        "summary": truncate(headline(notices), MAX_SUMMARY_CHARS),
        "component": short_name(features.pop()) if len(features) == 1 else "many features",
        "custom_details": details | ({"more": f"and {more} more"} if more else {}),
    }
    return _trigger(key, shown[0], payload, sender)


def _trigger(key: str, worst: Notice, payload: Message, sender: Sender) -> Message:
    time = to_datetime(worst.event.time)
    hrefs = {"Dashboard": sender.dashboard(worst), "Runbook": sender.runbook(worst)}
    links = [{"href": href, "text": text} for text, href in hrefs.items() if href]
    return {
        "event_action": "trigger",
        "dedup_key": key,
        "client": "Plumbline",
        "payload": {
            "source": short_name(worst.event.model) or "unnamed",
            "severity": worst.event.severity,
            "class": "drift",
            **({"timestamp": time.isoformat()} if time else {}),
            **payload,
        },
        **({"links": links} if links else {}),
    }
