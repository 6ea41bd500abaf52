"""Notifications that Plumbline sends: pending, delivered, failed and suppressed."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, graph, limits, query
from grafana.dashboards.elements.promql import increase, metric, total


def row() -> Row:
    """Return the row; its graphs are empty if no targets are configured."""
    return Row("Notifications", [_waiting(), _delivered(), _failed(), _suppressed()])


def _waiting() -> Timeseries:
    return graph(
        "Pending events",
        Description(
            "Drift events whose notification to a target is pending.",
            "Zero, apart from a minute or two when many alarms open at once. All graphs of this row"
            " are empty if `notifications.targets` is not configured.",
            "The target does not accept notifications. Failed deliveries shows the reason.",
            "PlumblineNotificationsWaiting",
        ),
        "none",
        query(total(metric("notifications_waiting"), "target"), "{{target}}"),
        width=6,
    )


def _delivered() -> Timeseries:
    return graph(
        "Delivered notifications",
        Description(
            "Notifications that a target has accepted.",
            "A few when alarms open and resolve, otherwise none.",
            "If alarms opened and nothing was delivered, check Pending events and the target's"
            " `severity`.",
        ),
        "none",
        query(total(increase("notifications_sent_total"), "target"), "{{target}}"),
        width=6,
    )


def _failed() -> Timeseries:
    return graph(
        "Failed deliveries",
        Description(
            "Failed attempts that are retried, and notifications that were given up. Plumbline does"
            " not send the latter again.",
            "Zero, apart from a few attempts during a problem of the network or the target.",
            "`rejected` usually means a wrong address or key: run `plumbline notify test`.",
            "PlumblineNotificationsFailing",
        ),
        "none",
        query(
            total(increase("notifications_failed_total"), "target", "reason"),
            "{{target}} given up, {{reason}}",
        ),
        query(
            total(increase("notifications_retried_total"), "target", "reason"),
            "{{target}} retried, {{reason}}",
        ),
        thresholds=limits(warning=1),
        width=6,
    )


def _suppressed() -> Timeseries:
    return graph(
        "Suppressed events",
        Description(
            "Events without a notification to a target: already sent (`duplicate`), below its"
            " `severity`, of an unknown `type`, or not decodable (`unreadable`).",
            "Warnings, if a target receives only critical alarms; duplicates after a crash of"
            " detect.",
            "`unreadable` means that another version writes to `plumbline.events`. The log has the"
            " partition and offset.",
        ),
        "none",
        query(
            total(increase("notifications_suppressed_total"), "target", "reason"),
            "{{target}}, {{reason}}",
        ),
        width=6,
    )
