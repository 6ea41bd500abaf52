"""Telling people directly: what is delivered, what waits, and what nobody was told."""

from __future__ import annotations

from grafana.dashboards.frame import Row
from grafana.dashboards.panels import Words, graph, limits, query
from grafana.dashboards.promql import increase, own, total


def row() -> Row:
    """The row; empty where no targets are configured."""
    return Row(
        "Direct notifications",
        [
            graph(
                "Waiting",
                Words(
                    "Drift events that a target has still to be told of.",
                    "Zero; for a minute or two more when many alarms open at once. Empty where no"
                    " `notifications.targets` are configured, as are all graphs of this row.",
                    "the target does not answer: see Failed for why.",
                    "PlumblineNotificationsWaiting",
                ),
                "none",
                query(total(own("notifications_waiting"), "target"), "{{target}}"),
                width=6,
            ),
            graph(
                "Delivered",
                Words(
                    "Messages that a target has taken.",
                    "A few when alarms open and resolve, none otherwise.",
                    "none though alarms opened: see Waiting, and the target's `severity`.",
                ),
                "none",
                query(total(increase("notifications_sent_total"), "target"), "{{target}}"),
                width=6,
            ),
            graph(
                "Failed",
                Words(
                    "Attempts that failed and are tried again, and messages that were given up:"
                    " nobody was told what is in those.",
                    "Zero; a few attempts when the network or the target has a bad minute.",
                    "`rejected` is a wrong address or key: `plumbline notify test` says more.",
                    "PlumblineNotificationsFailing",
                ),
                "none",
                query(
                    total(increase("notifications_failed_total"), "target", "reason"),
                    "{{target}} given up, {{reason}}",
                ),
                query(
                    total(increase("notifications_retried_total"), "target", "reason"),
                    "{{target}} tried again, {{reason}}",
                ),
                thresholds=limits(warning=1),
                width=6,
            ),
            graph(
                "Not told",
                Words(
                    "Events of which a target is not told: told before (`duplicate`), below its"
                    " `severity`, or no event at all (`unreadable`).",
                    "Warnings, where a target wants critical alarms alone; duplicates after a"
                    " crash of detect.",
                    "unreadable: another version writes to `plumbline.events`; the log says where.",
                ),
                "none",
                query(
                    total(increase("notifications_suppressed_total"), "target", "reason"),
                    "{{target}}, {{reason}}",
                ),
                width=6,
            ),
        ],
    )
