"""The dashboard *Plumbline itself*: consumption, state, notifications and processes."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards.elements import frame
from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, Panel, limits, stat
from grafana.dashboards.elements.promql import increase, metric, scoped, total
from grafana.dashboards.rows import feedback
from grafana.dashboards.rows.daemon import notifications, processes, reading, state

UID = "plumbline-itself"


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return frame.dashboard(
        "Plumbline / Plumbline itself",
        UID,
        "Plumbline's own operation: consumed and rejected messages, lag, checkpoints, notifications"
        " and resources.",
        [
            Row("Overview", [*_processes(), reading.newest_record(), *_losses()]),
            reading.row(),
            state.row(),
            feedback.row(),
            notifications.row(),
            processes.row(),
        ],
    )


def _processes() -> list[Panel]:
    up, known = scoped("up"), f"last_over_time({metric('build_info')}[1h])"
    return [
        stat(
            "Processes",
            Description(
                "Processes that Prometheus can scrape.",
                "The number of processes that you have started.",
                "Read the log of the missing process. A process stops when one of its roles fails.",
                "PlumblineDown",
            ),
            "none",
            f"count({metric('build_info')})",
        ),
        stat(
            "Processes down",
            Description(
                "Processes that were scraped within the last hour and cannot be scraped now,"
                " although they are still targets.",
                "None.",
                "Start them again. They resume from their checkpoint and lose nothing.",
                "PlumblineInstanceDown",
            ),
            "none",
            f"count({up} == 0 and on (job, instance) {known}) or vector(0)",
            thresholds=limits(critical=1),
        ),
    ]


def _losses() -> list[Panel]:
    failures = " + ".join(
        total(increase(name, over="1h"))
        for name in ("checkpoints_failed_total", "checkpoints_unusable_total")
    )
    return [
        stat(
            "Messages rejected, last hour",
            Description(
                "Messages of the last hour that are not valid records and are in the dead-letter"
                " topic.",
                "None.",
                "See Messages rejected, by reason, then read messages of the topic"
                " `plumbline.dlq`.",
                "PlumblineDeadLetters",
            ),
            "none",
            f"round({total(increase('records_rejected_total', over='1h'))})",
            thresholds=limits(warning=1),
        ),
        stat(
            "Checkpoints failed, last hour",
            Description(
                "Checkpoints of the last hour that were rolled back or could not be restored.",
                "None.",
                "The log contains partition and reason. `state.unusable` sets how detect"
                " continues.",
                "PlumblineCheckpointUnusable",
            ),
            "none",
            f"round({failures})",
            thresholds=limits(warning=1, critical=3),
        ),
        stat(
            "Series dropped",
            Description(
                "Series beyond the limit of 5,000 of a process.",
                "None.",
                "Start more detect processes, or reduce the number of models or features.",
                "PlumblineSeriesLimitReached",
            ),
            "none",
            total(metric("metric_series_dropped")),
            thresholds=limits(warning=1),
        ),
    ]
