"""Checkpoints, and what makes work be done again: rebalances and rolled-back transactions."""

from __future__ import annotations

from grafana.dashboards.frame import Row
from grafana.dashboards.panels import Words, graph, limits, query
from grafana.dashboards.promql import highest, increase, own, rate, total


def row() -> Row:
    """The row."""
    age = f"time() - {own('last_checkpoint_timestamp_seconds')}"
    return Row(
        "State",
        [
            graph(
                "Age of the last checkpoint",
                Words(
                    "Seconds since the last checkpoint of each process.",
                    "Below `state.checkpoint_seconds`, 5 by default, and a little.",
                    "a crash now would repeat that much work; the log says what hinders it.",
                    "PlumblineCheckpointStale",
                ),
                "s",
                query(highest(age, "instance"), "{{instance}}"),
                thresholds=limits(60, 300),
            ),
            graph(
                "Time of a checkpoint",
                Words(
                    "Seconds that the last checkpoint took.",
                    "Well below the time between two.",
                    "the broker is slow, or the process has too many models.",
                ),
                "s",
                query(highest(own("checkpoint_seconds"), "instance"), "{{instance}}"),
            ),
            graph(
                "Bytes of checkpoints",
                Words(
                    "Bytes a second written to the state topic.",
                    "About 134 KB a model that had traffic, every checkpoint.",
                    "raise `state.checkpoint_seconds`.",
                ),
                "Bps",
                query(total(rate("checkpoint_bytes_total"), "instance"), "{{instance}}"),
            ),
            graph(
                "Checkpoints lost",
                Words(
                    "Checkpoints rolled back, and checkpoints that could not be restored.",
                    "Zero; a few around a rebalance.",
                    "read the log: it says what was lost, and from where detect goes on.",
                    "PlumblineCheckpointsFailing",
                ),
                "none",
                query(total(increase("checkpoints_failed_total")), "failed"),
                query(total(increase("checkpoints_unusable_total")), "unusable"),
            ),
            graph(
                "Rebalances",
                Words(
                    "Assignments of partitions, of both roles.",
                    "Only when processes start and stop.",
                    "give each process a `kafka.instance`; look for those that keep restarting.",
                    "PlumblineRebalancing",
                ),
                "none",
                query(total(increase("rebalances_total"), "instance"), "{{instance}}"),
            ),
            graph(
                "Transactions rolled back",
                Words(
                    "Transactions of ingest that were rolled back and read again. Nothing is lost.",
                    "Zero; a few when a broker restarts.",
                    "look at the broker and at `transaction.timeout.ms`.",
                    "PlumblineTransactionsAborting",
                ),
                "none",
                query(total(increase("transactions_aborted_total"), "instance"), "{{instance}}"),
            ),
        ],
    )
