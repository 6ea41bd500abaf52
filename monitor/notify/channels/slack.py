"""Messages for Slack's incoming webhooks, in a format that other chats accept as well.

Only text and attachments: Mattermost, Rocket.Chat and others do not support Slack's blocks.
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.config.sections.notifications import SlackTarget
from monitor.notify.message import (
    Batch,
    Notice,
    Request,
    Sender,
    alarm_id,
    break_markup,
    headline,
    most_severe,
    open_since,
    short_name,
)
from monitor.records import Source

MAX_EVENTS = 1_000
"""Maximum number of events in one message."""
RED, AMBER, GREEN = "#c0392b", "#d68910", "#1e8449"


def requests(target: SlackTarget, batch: Batch, sender: Sender) -> list[Request]:
    """Return one request, for one event or many."""
    notices = batch.notices
    message = _one(notices[0], sender) if len(notices) == 1 else _many(notices, sender)
    return [Request.json(target.url.get_secret_value(), message)]


def escape(text: str) -> str:
    """Escape text from a log, so that it contains no mention, link or format.

    Slack interprets control sequences between < and >.
    """
    return break_markup(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _one(notice: Notice, sender: Sender) -> dict[str, Any]:
    event, sentence = notice.event, escape(notice.sentence())
    fields = {
        "Model": short_name(event.model),
        "Feature": short_name(event.feature),
        **({"Segment": short_name(event.segment)} if event.segment else {}),
        **({"Source": event.source} if event.source is not Source.LOG else {}),
        "Severity": notice.status,
        "Drift type": str(event.drift_type),
        "PSI": f"{event.psi:.3g}",
        "Open" if notice.resolved else "Since": open_since(notice),
        "Found by": ", ".join(event.found_by[:10]) or event.detector,
    }
    attachment = {
        "color": _color(notice),
        "fallback": sentence,
        **_title(sender, notice),
        **({"text": runbook} if (runbook := _runbook(sender, notice)) else {}),
        "fields": [
            {"title": title, "value": escape(short_name(value)), "short": True}
            for title, value in fields.items()
        ],
        "footer": escape(f"Plumbline, alarm {alarm_id(event.alarm)}"),
    }
    return {"text": sentence, "attachments": [attachment]}


def _many(notices: Sequence[Notice], sender: Sender) -> dict[str, Any]:
    shown, more = most_severe(notices)
    lines = [f"\N{BULLET} {escape(notice.sentence())}" for notice in shown]
    lines += [f"and {more} more"] if more else []
    lines += [runbook] if (runbook := _runbook(sender, shown[0])) else []
    text = escape(headline(notices))
    attachment = {
        "color": _color(shown[0]),
        "fallback": text,
        **_title(sender, shown[0]),
        "text": "\n".join(lines),
        "footer": "Plumbline",
    }
    return {"text": text, "attachments": [attachment]}


def _title(sender: Sender, notice: Notice) -> dict[str, str]:
    href = sender.dashboard(notice)
    return {"title": "Open the dashboard", "title_link": href} if href else {}


def _runbook(sender: Sender, notice: Notice) -> str:
    """Return the link to the runbook, in Slack's format; "" without one."""
    href = sender.runbook(notice)
    return f"<{href.replace('&', '&amp;')}|Open the runbook>" if href else ""


def _color(notice: Notice) -> str:
    return {"critical": RED, "warning": AMBER, "resolved": GREEN}[notice.status]
