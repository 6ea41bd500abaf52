"""Messages for Slack's incoming webhooks, in the form that other chats take as well.

Text and attachments only: Mattermost, Rocket.Chat and others know these and not Slack's blocks.
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from monitor.config_notify import SlackTarget
from monitor.notify.notice import (
    Batch,
    Notice,
    Request,
    alarm_id,
    headline,
    link,
    name,
    told_first,
    when,
)

MOST = 1_000
"""Events in one message."""
RED, AMBER, GREEN = "#c0392b", "#d68910", "#1e8449"
_STEERING = re.compile(r"@(?=\S)|\](?=\()|:(?=//)|`|(?<!\w)#(?=\S)")
_APART = "\N{ZERO WIDTH SPACE}"


def requests(target: SlackTarget, batch: Batch, template: str | None, source: str) -> list[Request]:
    """One message, of one event or of many."""
    notices = batch.notices
    message = _one(notices[0], template) if len(notices) == 1 else _many(notices, template)
    return [Request.json(target.url.get_secret_value(), message)]


def escape(text: str) -> str:
    """Text from a log that can neither mention anyone nor pass for a link or a format.

    Slack reads control sequences between < and >; other chats also read @channel, #channel,
    Markdown links and backticks, which a character without width takes apart.
    """
    apart = _STEERING.sub(lambda found: found.group() + _APART, text)
    return apart.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _one(notice: Notice, template: str | None) -> dict[str, Any]:
    event, sentence = notice.event, escape(notice.sentence())
    fields = {
        "Model": name(event.model),
        "Feature": name(event.feature),
        **({"Segment": name(event.segment)} if event.segment else {}),
        "Severity": "resolved" if notice.over else event.severity,
        "PSI": f"{event.psi:.3g}",
        "Open" if notice.over else "Since": when(notice),
        "Found by": ", ".join(event.found_by[:10]) or event.detector,
    }
    attachment = {
        "color": _color(notice),
        "fallback": sentence,
        **_title(template, notice),
        "fields": [
            {"title": title, "value": escape(name(value)), "short": True}
            for title, value in fields.items()
        ],
        "footer": escape(f"Plumbline, alarm {alarm_id(event.alarm)}"),
    }
    return {"text": sentence, "attachments": [attachment]}


def _many(notices: Sequence[Notice], template: str | None) -> dict[str, Any]:
    told, more = told_first(notices)
    lines = [f"\N{BULLET} {escape(notice.sentence())}" for notice in told]
    lines += [f"and {more} more"] if more else []
    text = escape(headline(notices))
    attachment = {
        "color": _color(told[0]),
        "fallback": text,
        **_title(template, told[0]),
        "text": "\n".join(lines),
        "footer": "Plumbline",
    }
    return {"text": text, "attachments": [attachment]}


def _title(template: str | None, notice: Notice) -> dict[str, str]:
    href = link(template, notice)
    return {"title": "Open the dashboard", "title_link": href} if href else {}


def _color(notice: Notice) -> str:
    if notice.over:
        return GREEN
    return RED if notice.event.severity == "critical" else AMBER
