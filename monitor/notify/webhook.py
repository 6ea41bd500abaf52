"""Drift events as JSON for a program, all of them and whole, however many come at once."""

from __future__ import annotations

from typing import Any

from monitor import events
from monitor.config_notify import WebhookTarget
from monitor.notify.notice import Batch, Notice, Request, headline, link, trimmed

MOST = 100
"""Events in one message: each of them is in it, so that a message has a bounded size."""
VERSION = 1


def requests(
    target: WebhookTarget, batch: Batch, template: str | None, source: str
) -> list[Request]:
    """One message with its events in the order of the topic."""
    notices = batch.notices
    message = {
        "version": VERSION,
        "source": source,
        "summary": notices[0].sentence() if len(notices) == 1 else headline(notices),
        "events": [_event(notice, template) for notice in notices],
    }
    token = target.token.get_secret_value() if target.token else None
    return [Request.json(target.url.get_secret_value(), message, token=token)]


def _event(notice: Notice, template: str | None) -> dict[str, Any]:
    plain: dict[str, Any] = trimmed(events.fields(notice.event))
    return plain | {
        "summary": notice.sentence(),
        "since": notice.since,
        "dashboard_url": link(template, notice),
    }
