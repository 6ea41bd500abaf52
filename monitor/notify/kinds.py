"""The kinds of targets: how each is told, and of how much in one message."""

from __future__ import annotations

from typing import Final

from monitor.config_notify import PagerDutyTarget, SlackTarget, Target
from monitor.notify import pagerduty, slack, webhook
from monitor.notify.notice import Batch, Request

MOST: Final = {"slack": slack.MOST, "pagerduty": pagerduty.MOST, "webhook": webhook.MOST}
"""Events in one message, by kind."""


def requests(target: Target, batch: Batch, template: str | None, source: str) -> list[Request]:
    """What is sent to tell a target of a batch, in this order.

    template: of links to the dashboard. source: names this Plumbline and target among others.
    """
    if isinstance(target, SlackTarget):
        return slack.requests(target, batch, template, source)
    if isinstance(target, PagerDutyTarget):
        return pagerduty.requests(target, batch, template, source)
    return webhook.requests(target, batch, template, source)
