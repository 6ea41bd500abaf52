"""Checkpoints, and the causes of repeated work: rebalances and rolled-back transactions."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, graph, limits, query
from grafana.dashboards.elements.promql import highest, increase, metric, rate, total


def row() -> Row:
    """Return the row."""
    panels = [_age(), _duration(), _size(), _failures(), _rebalances(), _rollbacks()]
    panels += [_commands()]
    return Row("State", panels)


def _age() -> Timeseries:
    age = f"time() - {metric('last_checkpoint_timestamp_seconds')}"
    return graph(
        "Checkpoint age",
        Description(
            "Time since the last checkpoint of each process.",
            "Little more than `state.checkpoint_seconds` (5 by default).",
            "A crash would repeat the work of this time. The log names the cause.",
            "PlumblineCheckpointStale",
        ),
        "s",
        query(highest(age, "instance"), "{{instance}}"),
        thresholds=limits(60, 300),
    )


def _duration() -> Timeseries:
    return graph(
        "Checkpoint duration",
        Description(
            "Time that the last checkpoint took.",
            "Well below `state.checkpoint_seconds`.",
            "The broker is slow, or the process has too many models.",
        ),
        "s",
        query(highest(metric("checkpoint_seconds"), "instance"), "{{instance}}"),
    )


def _size() -> Timeseries:
    return graph(
        "Checkpoint bytes",
        Description(
            "Bytes per second written to the state topic.",
            "About 150 KB per checkpoint for each model that had traffic.",
            "Raise `state.checkpoint_seconds`.",
        ),
        "Bps",
        query(total(rate("checkpoint_bytes_total"), "instance"), "{{instance}}"),
    )


def _failures() -> Timeseries:
    return graph(
        "Failed checkpoints",
        Description(
            "Checkpoints that were rolled back, and checkpoints that could not be restored.",
            "Zero, apart from a few around a rebalance.",
            "The log contains the cause, the lost state, and the offset at which detect continues.",
            "PlumblineCheckpointsFailing",
        ),
        "none",
        query(total(increase("checkpoints_failed_total")), "failed"),
        query(total(increase("checkpoints_unusable_total")), "unusable"),
    )


def _rebalances() -> Timeseries:
    return graph(
        "Rebalances",
        Description(
            "Assignments of partitions to each process, for all roles.",
            "Only when processes start and stop.",
            "Give each process a `kafka.instance`, and look for processes that restart repeatedly.",
            "PlumblineRebalancing",
        ),
        "none",
        query(total(increase("rebalances_total"), "instance"), "{{instance}}"),
    )


def _rollbacks() -> Timeseries:
    return graph(
        "Transactions rolled back",
        Description(
            "Transactions of ingest that were rolled back. Their messages are read again; nothing"
            " is lost.",
            "Zero, apart from a few when a broker restarts.",
            "Check the broker and `transaction.timeout.ms`.",
            "PlumblineTransactionsAborting",
        ),
        "none",
        query(total(increase("transactions_aborted_total"), "instance"), "{{instance}}"),
    )


def _commands() -> Timeseries:
    return graph(
        "Commands",
        Description(
            "Commands that detect has read in each interval, by outcome: new references that were"
            " accepted, or refused.",
            "Zero, apart from the times at which you accept a change.",
            "`refused`: the command has printed the reason, and the log has it. `rejected`: a"
            " message that is no command; check who may write to `plumbline.commands`.",
        ),
        "short",
        query(total(increase("commands_total"), "outcome"), "{{outcome}}"),
    )
