"""Events for PagerDuty's Events API v2: an alarm is an incident, which its end resolves.

https://developer.pagerduty.com/docs/send-alert-event

Alarms that come too many at once share an incident, one for each partition of the events topic: an
alarm stays in its partition, so that whoever reads it can tell when the last of them has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor import events
from monitor.config_notify import PagerDutyTarget
from monitor.notify.notice import (
    Batch,
    Notice,
    Request,
    alarm_id,
    cut,
    headline,
    link,
    moment,
    name,
    told_first,
    trimmed,
    when,
)

MOST = 1_000
"""Events in one message."""
SUMMARY_CHARS = 1024
"""What PagerDuty takes."""

Message = dict[str, Any]


def requests(
    target: PagerDutyTarget, batch: Batch, template: str | None, source: str
) -> list[Request]:
    """A trigger for each alarm, or for many together, and a resolve for each that has ended."""
    over = [notice for notice in batch.notices if notice.over]
    ended = {notice.event.alarm for notice in over}
    found = [notice for notice in batch.notices if notice.event.alarm not in ended]
    messages = [
        *_triggers(found, template, source),
        *(_resolve(dedup_key(notice.event.alarm)) for notice in over),
        *(_resolve(_shared_key(source, partition)) for partition in sorted(batch.ended)),
    ]
    key = target.routing_key.get_secret_value()
    return [
        Request.json(target.endpoint, {"routing_key": key, **message}, key) for message in messages
    ]


def dedup_key(alarm: str) -> str:
    """The same for all events of an alarm."""
    return f"plumbline-{alarm_id(alarm)}"


def _shared_key(source: str, partition: int) -> str:
    return f"{source[:200]}-many-{partition}"


def _triggers(found: Sequence[Notice], template: str | None, source: str) -> list[Message]:
    """For those of each partition one trigger: of the alarm itself where it is alone."""
    by_partition: dict[int, list[Notice]] = {}
    for notice in found:
        by_partition.setdefault(notice.partition, []).append(notice)
    return [
        _one(notices[0], template)
        if len(notices) == 1
        else _many(notices, template, _shared_key(source, partition))
        for partition, notices in sorted(by_partition.items())
    ]


def _resolve(key: str) -> Message:
    return {"event_action": "resolve", "dedup_key": key}


def _one(notice: Notice, template: str | None) -> Message:
    event = notice.event
    payload = {
        "summary": cut(notice.sentence(), SUMMARY_CHARS),
        "component": name(event.feature),
        "group": name(event.segment) or "all traffic",
        "custom_details": {"since": when(notice), **trimmed(events.fields(event))},
    }
    return _trigger(dedup_key(event.alarm), notice, payload, template)


def _many(notices: Sequence[Notice], template: str | None, key: str) -> Message:
    told, more = told_first(notices)
    details = {f"{number}": notice.sentence() for number, notice in enumerate(told, 1)}
    features = {notice.event.feature for notice in notices}
    payload = {
        "summary": cut(headline(notices), SUMMARY_CHARS),
        "component": name(features.pop()) if len(features) == 1 else "many features",
        "custom_details": details | ({"more": f"and {more} more"} if more else {}),
    }
    return _trigger(key, told[0], payload, template)


def _trigger(key: str, worst: Notice, payload: Message, template: str | None) -> Message:
    time, href = moment(worst.event.time), link(template, worst)
    return {
        "event_action": "trigger",
        "dedup_key": key,
        "client": "Plumbline",
        "payload": {
            "source": name(worst.event.model) or "unnamed",
            "severity": worst.event.severity,
            "class": "drift",
            **({"timestamp": time.isoformat()} if time else {}),
            **payload,
        },
        **({"links": [{"href": href, "text": "Dashboard"}]} if href else {}),
    }
