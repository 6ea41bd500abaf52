"""The work of the replay role: the queue, what runs cost, failures, events and actions."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries

from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import Description, Panel, graph, limits, query, stat
from grafana.dashboards.elements.promql import (
    MODEL,
    highest,
    increase,
    metric,
    quantile,
    rate,
    ratio,
    total,
)


def queue() -> Row:
    """Return the row of queued and running replays."""
    return Row("Queue", [_runs(), _oldest(), _progress()])


def cost() -> Row:
    """Return the row of durations, GPU time and the cost of judges."""
    return Row("Duration and cost", [_durations(), _gpu(), *_budget(), _judges()])


def trust() -> Row:
    """Return the row of failures, of the events that the role reads and of what it sends."""
    return Row("Operation", [_errors(), _events(), _actions()])


def _runs() -> Timeseries:
    return graph(
        "Queued and running replays",
        Description(
            "Replays in the result store that wait for a worker, and that run. All processes read"
            " the same store.",
            "Zero queued most of the time.",
            "If queued replays stay while none runs, follow the runbook.",
            "PlumblineReplayQueueStuck",
        ),
        "none",
        query(highest(metric("replay_queue_runs"), "state"), "{{state}}"),
        query(highest(metric("replay_events_unsent")), "events that wait to be sent"),
    )


def _oldest() -> Timeseries:
    return graph(
        "Age of the oldest queued replay",
        Description(
            "Time since the oldest queued replay was inserted.",
            "Below the duration of a replay.",
            "No worker takes it: no process, no free GPU, or no GPU time left of the day. With"
            " workers that are busy, start more of them.",
            "PlumblineReplayQueueStuck",
        ),
        "s",
        query(highest(metric("replay_queue_oldest_seconds")), "oldest"),
        thresholds=limits(1800, 21_600),
    )


def _progress() -> Timeseries:
    return graph(
        "Progress of running replays",
        Description(
            "Share of the items of a running replay that are scored, by model and task. A replay"
            " may stop before its end, once the verdict is certain.",
            "Lines that rise.",
            "A flat line: the endpoint is slow or hangs. The replay fails at"
            " `replay.deadline_minutes`.",
        ),
        "percentunit",
        query(highest(metric("replay_progress", MODEL), "model", "task"), "{{model}}, {{task}}"),
    )


def _durations() -> Timeseries:
    return graph(
        "Duration of replays",
        Description(
            "Time from the start to the end of a replay: median, 95th percentile and mean.",
            "Minutes, far below `replay.deadline_minutes`.",
            "Fewer items (`replay.limit`), more requests at a time (`concurrency`) or a larger"
            " batch make a replay shorter.",
        ),
        "s",
        query(quantile(0.5, "replay_seconds"), "p50"),
        query(quantile(0.95, "replay_seconds"), "p95"),
        query(
            ratio(total(rate("replay_seconds_sum")), total(rate("replay_seconds_count"))), "mean"
        ),
    )


def _gpu() -> Timeseries:
    return graph(
        "GPUs in use by replays",
        Description(
            "GPU seconds per second that replays have used, counted when a replay ends.",
            "Zero for endpoints; otherwise at most the GPUs of the workers.",
            "Endpoints are not counted here: their GPUs belong to the serving stack.",
        ),
        "none",
        query(total(rate("replay_gpu_seconds_total")), "GPUs"),
    )


def _judges() -> Panel:
    return stat(
        "Cost of judges, last 24 hours",
        Description(
            "What judges that score answers of replays have cost in the last 24 hours.",
            "At most `judges.budget.shares.replay` of the budget of a day. Zero without"
            " `replay.rubric`.",
            "Lower `replay.items.baseline`, or raise the share: a replay whose money is used up"
            " ends with the error `budget`.",
        ),
        "currencyUSD",
        total(increase("replay_judge_cost_usd_total", over="1d")),
    )


def _budget() -> list[Panel]:
    return [
        stat(
            "GPU time, last 24 hours",
            Description(
                "GPU time that replays have used in the last 24 hours.",
                "At most `replay.budget.gpu_hours_per_day`.",
                "Raise `replay.cooldown_minutes`, or lower `replay.limit`.",
            ),
            "s",
            total(increase("replay_gpu_seconds_total", over="1d")),
        ),
        stat(
            "GPU time remaining today",
            Description(
                "GPU time that remains of the budget of the day. The day ends at 00:00 UTC.",
                "Above the time that a replay takes. Empty without a budget.",
                "At zero, replays on GPUs stay queued until the day ends. Raise the budget if a"
                " verdict cannot wait.",
                "PlumblineReplayQueueStuck",
            ),
            "s",
            highest(metric("replay_gpu_budget_remaining_seconds")),
        ),
    ]


def _errors() -> Timeseries:
    return graph(
        "Failed replays by reason",
        Description(
            "Replays that ended without a verdict within the last hour, by reason, and operations"
            " of the result store that failed.",
            "None.",
            "The runbook has an action for each reason.",
            "PlumblineReplayFailing",
        ),
        "none",
        query(
            f"round({total(increase('replay_errors_total', over='1h'), 'reason')}) > 0",
            "{{reason}}",
        ),
        query(total(increase("replay_store_errors_total", over="1h")), "store"),
    )


def _events() -> Timeseries:
    return graph(
        "Events read by outcome",
        Description(
            "Events that the role has read within the last hour: those that queued a replay, and"
            " why the others did not.",
            "Mostly filtered, of another type, or its own.",
            "Too few items: too few samples were accepted for a baseline. Cooldown: lower"
            " `replay.cooldown_minutes` if verdicts are missing. Unreadable: another version"
            " writes events.",
        ),
        "none",
        query(
            f"round({total(increase('replay_events_total', over='1h'), 'outcome')})",
            "{{outcome}}",
        ),
        stacked=True,
    )


def _actions() -> Timeseries:
    return graph(
        "Actions by outcome",
        Description(
            "Webhooks (promote, roll back, retrain) that were called after a verdict within the"
            " last hour, by outcome.",
            "One for each verdict that an action is configured for.",
            "A failed call is in the log with its status. Check the receiver, and the secret of the"
            " signature.",
        ),
        "none",
        query(
            f"round({total(increase('replay_actions_total', over='1h'), 'action', 'outcome')}) > 0",
            "{{action}}, {{outcome}}",
        ),
    )
