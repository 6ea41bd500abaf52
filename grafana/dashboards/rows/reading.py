"""What is read and refused, and how far behind it is."""

from __future__ import annotations

from grafana.dashboards.frame import Row
from grafana.dashboards.panels import Words, graph, limits, query
from grafana.dashboards.promql import highest, own, rate, total


def row() -> Row:
    """The row."""
    return Row(
        "Reading",
        [
            graph(
                "Messages read",
                Words(
                    "Messages read and committed a second, by topic of the log.",
                    "The traffic of your models.",
                    "at zero with lag growing: the process stands, or Kafka refuses it.",
                    "PlumblineNoRecords",
                ),
                "cps",
                query(total(rate("records_consumed_total"), "topic"), "{{topic}}"),
            ),
            graph(
                "Refused by reason",
                Words(
                    "Messages a second that were no records, and why.",
                    "Zero.",
                    "a producer writes another form: see `plumbline.dlq`, whose headers name place"
                    " and reason.",
                ),
                "cps",
                query(total(rate("records_rejected_total"), "reason"), "{{reason}}"),
            ),
            graph(
                "Records watched",
                Words(
                    "Records that detect has seen a second.",
                    "What is read, less what is refused.",
                    "less than that for long: detect is behind, see Lag.",
                ),
                "cps",
                query(total(rate("records_watched_total")), "watched"),
            ),
            graph(
                "Lag by partition",
                Words(
                    "Messages of each partition that have not been read.",
                    "Near zero, short peaks.",
                    "all grow: start more processes. One grows: its worker stands, or its models"
                    " are too much for one.",
                    "PlumblineConsumerLagGrowing",
                ),
                "short",
                query(
                    highest(own("consumer_lag_records"), "topic", "partition"),
                    "{{topic}} {{partition}}",
                ),
            ),
            graph(
                "Event-time lag by process",
                Words(
                    "Age of the newest record that each process has read.",
                    "Seconds.",
                    "grows by a second each second where nothing arrives.",
                ),
                "s",
                query(highest(own("event_time_lag_seconds"), "instance"), "{{instance}}"),
                thresholds=limits(60, 300),
            ),
            graph(
                "Left out",
                Words(
                    "What was beyond a bound or could not be read, a second.",
                    "Zero.",
                    "scores: `limits.scores`; segments: `limits.segments`; chunks: another version"
                    " writes to the feature topic.",
                    "PlumblineLimitReached",
                ),
                "cps",
                *(
                    query(total(rate(f"{name}_total")), name.replace("_", " "))
                    for name in ("scores_dropped", "segments_dropped", "chunks_rejected")
                ),
            ),
        ],
    )
