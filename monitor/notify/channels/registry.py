"""The kinds of targets: their requests and the maximum number of events in a message."""

from __future__ import annotations

from typing import Final

from monitor.config.sections.notifications import (
    AlertmanagerTarget,
    PagerDutyTarget,
    SlackTarget,
    Target,
)
from monitor.notify.channels import alertmanager, findings, pagerduty, slack, webhook
from monitor.notify.findings.finding import FindingBatch
from monitor.notify.message import Batch, Request, Sender

MAX_EVENTS: Final = {
    "slack": slack.MAX_EVENTS,
    "pagerduty": pagerduty.MAX_EVENTS,
    "alertmanager": alertmanager.MAX_EVENTS,
    "webhook": webhook.MAX_EVENTS,
}
"""Maximum number of events in one message, by kind."""


AnyBatch = Batch | FindingBatch
"""The events of a message, all of one type."""


def requests(target: Target, batch: AnyBatch, sender: Sender, now: float) -> list[Request]:
    """Return the requests that send a batch to a target, in order.

    Their number depends on the batch only.

    now: time of the attempt, in seconds since the epoch.
    """
    if isinstance(batch, FindingBatch):
        return findings.requests(target, batch, sender, now)
    if isinstance(target, SlackTarget):
        return slack.requests(target, batch, sender)
    if isinstance(target, PagerDutyTarget):
        return pagerduty.requests(target, batch, sender)
    if isinstance(target, AlertmanagerTarget):
        return alertmanager.requests(target, batch, sender, now)
    return webhook.requests(target, batch, sender)
