"""JSON payload for a program; it contains every event of the message in full."""

from __future__ import annotations

from typing import Any

from monitor.config.sections.notifications import WebhookTarget
from monitor.events.codec import event_fields
from monitor.notify.message import (
    Batch,
    Notice,
    Request,
    Sender,
    headline,
    request_ids,
    truncate_values,
)

MAX_EVENTS = 100
"""Maximum number of events in one message. It limits the size, because all are in the payload."""
VERSION = 1


def requests(target: WebhookTarget, batch: Batch, sender: Sender) -> list[Request]:
    """Return one request with the events in the order of the topic."""
    notices = batch.notices
    message = {
        "version": VERSION,
        "source": sender.name,
        "summary": notices[0].sentence() if len(notices) == 1 else headline(notices),
        "events": [_event(notice, sender) for notice in notices],
    }
    token = target.token.get_secret_value() if target.token else None
    return [Request.json(target.url.get_secret_value(), message, *request_ids(batch), token=token)]


def _event(notice: Notice, sender: Sender) -> dict[str, Any]:
    fields: dict[str, Any] = truncate_values(event_fields(notice.event))
    return fields | {
        "summary": notice.sentence(),
        "since": notice.start,
        "dashboard_url": sender.dashboard(notice),
        "runbook_url": sender.runbook(notice),
    }
