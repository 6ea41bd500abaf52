"""*Plumbline itself*: whether the monitor reads, judges and keeps what it has judged."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards import frame
from grafana.dashboards.frame import Row
from grafana.dashboards.panels import Words, limits, stat
from grafana.dashboards.promql import everybodys, highest, increase, own, total
from grafana.dashboards.rows import notifications, processes, reading, state

UID = "plumbline-itself"


def dashboard() -> Dashboard:
    """The dashboard."""
    return frame.dashboard(
        "Plumbline / Plumbline itself",
        UID,
        "The monitor: what it reads and refuses, how far behind it is, its checkpoints, whom it"
        " could not tell of drift, and what it costs.",
        [_now(), reading.row(), state.row(), notifications.row(), processes.row()],
    )


def _now() -> Row:
    up, known = everybodys("up"), f"last_over_time({own('build_info')}[1h])"
    failed = "".join(
        f" + {total(increase(name, over='1h'))}"
        for name in ("checkpoints_failed_total", "checkpoints_unusable_total")
    )
    return Row(
        "Now",
        [
            stat(
                "Processes",
                Words(
                    "Processes that answer Prometheus.",
                    "As many as you have started.",
                    "read the log of the one that is missing; it ends when a role fails.",
                    "PlumblineDown",
                ),
                "none",
                f"count({own('build_info')})",
            ),
            stat(
                "Processes down",
                Words(
                    "Processes that answered within the last hour and do not now, though"
                    " Prometheus still asks them.",
                    "None.",
                    "start them again: they go on from their checkpoint and lose nothing.",
                    "PlumblineInstanceDown",
                ),
                "none",
                f"count({up} == 0 and on (job, instance) {known}) or vector(0)",
                thresholds=limits(critical=1),
            ),
            stat(
                "Event-time lag",
                Words(
                    "Age of the newest record that has been read: how late an alarm would be.",
                    "Seconds.",
                    "with lag below, processes are missing; without it, the log has no traffic.",
                ),
                "s",
                highest(own("event_time_lag_seconds")),
                thresholds=limits(60, 300),
            ),
            stat(
                "Refused in an hour",
                Words(
                    "Messages of the last hour that were no records and went to the dead letters.",
                    "None.",
                    "see Refused by reason, then read some of the topic `plumbline.dlq`.",
                    "PlumblineDeadLetters",
                ),
                "none",
                f"round({total(increase('records_rejected_total', over='1h'))})",
                thresholds=limits(warning=1),
            ),
            stat(
                "Checkpoints lost in an hour",
                Words(
                    "Checkpoints that failed, or could not be restored, in the last hour.",
                    "None.",
                    "the log says which and why; `state.unusable` says what then.",
                    "PlumblineCheckpointUnusable",
                ),
                "none",
                f"round({failed.removeprefix(' + ')})",
                thresholds=limits(warning=1, critical=3),
            ),
            stat(
                "Series cut off",
                Words(
                    "Series that found no room among the 5,000 of a process.",
                    "None.",
                    "watch fewer models or features in a process: start more of detect.",
                    "PlumblineSeriesLimitReached",
                ),
                "none",
                total(own("metric_series_dropped")),
                thresholds=limits(warning=1),
            ),
        ],
    )
