"""The dashboard *Replay*: did a model get worse, by how much, and do replays run at all?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard, Threshold, ThresholdsMode

from grafana.dashboards.elements import frame
from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import (
    GREEN,
    RED,
    Column,
    Description,
    Panel,
    dashed,
    graph,
    limits,
    query,
    stat,
    table,
)
from grafana.dashboards.elements.promql import MODEL, highest, increase, metric, total
from grafana.dashboards.rows.replaying import operation

UID = "plumbline-replay"
TASK = ("model", "task", "metric")
NAMES = "{{model}}, {{task}}, {{metric}}"
BELOW_ZERO = (
    ThresholdsConfig()
    .mode(ThresholdsMode.ABSOLUTE)
    .steps([Threshold(None, RED), Threshold(0.0, GREEN)])
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return frame.dashboard(
        "Plumbline / Replay",
        UID,
        "Replays of traffic through lm-eval: whether a model got worse after a drift, by how much,"
        " and whether the replays themselves work.",
        [
            Row("Verdicts", [*_counts(), _scores()]),
            Row("Results over time", [_verdicts(), _delta(), _score()]),
            operation.queue(),
            operation.cost(),
            operation.trust(),
        ],
        variables=[frame.model("replay_runs_total", several=True)],
        links=[
            frame.to_runbook("Runbook: a model regressed", "PlumblineReplayRegressed"),
            frame.to_runbook("Runbook: replays fail", "PlumblineReplayFailing"),
            frame.to_dashboards("Drift", "plumbline-drift"),
        ],
    )


def _ended(verdict: str) -> str:
    runs = increase("replay_runs_total", MODEL, f'verdict="{verdict}"', over="1d")
    return f"round({total(runs)})"


def _counts() -> list[Panel]:
    return [
        stat(
            "Regressed, last 24 hours",
            Description(
                "Replays of the last 24 hours that prove that the model got worse.",
                "Zero.",
                "See Last replay by model and task for the size, then follow the runbook.",
                "PlumblineReplayRegressed",
            ),
            "none",
            _ended("regressed"),
            thresholds=limits(critical=1),
            width=6,
        ),
        stat(
            "Not regressed, last 24 hours",
            Description(
                "Replays of the last 24 hours that prove that the model is not worse by more than"
                " `replay.margin`.",
                "As many as there are replays.",
                "If the others are inconclusive, a set has too few items: see `required` in the"
                " event, and raise `replay.items.baseline`.",
            ),
            "none",
            _ended("not_regressed"),
            width=6,
        ),
        *_undecided(),
    ]


def _undecided() -> list[Panel]:
    return [
        stat(
            "Inconclusive, last 24 hours",
            Description(
                "Replays of the last 24 hours whose items neither prove nor exclude a drop.",
                "Few of them.",
                "The event names the number of items that would decide. More items, a larger margin"
                " or less noisy scores decide sooner.",
            ),
            "none",
            _ended("inconclusive"),
            thresholds=limits(warning=3),
            width=6,
        ),
        stat(
            "Failed, last 24 hours",
            Description(
                "Replays of the last 24 hours that ended without a statement about the model.",
                "Zero.",
                "See Failed replays by reason.",
                "PlumblineReplayFailing",
            ),
            "none",
            _ended("error"),
            thresholds=limits(1, 5),
            width=6,
        ),
    ]


def _last(name: str) -> str:
    return highest(metric(name, MODEL), *TASK)


def _scores() -> Panel:
    return table(
        "Last replay by model and task",
        Description(
            "Score of the model in its last replay, and its difference from the baseline with the"
            " interval of the difference. 0.05 is five points; negative is worse.",
            "An interval that contains zero, or is above it. Tasks without a difference have no"
            " baseline: their score is no verdict.",
            "A red end of the interval means that the drop is proven for this task. The items that"
            " flipped are in the report: `plumbline replay show`.",
            "PlumblineReplayRegressed",
        ),
        {"model": "Model", "task": "Task", "metric": "Metric"},
        [
            Column("Score", "none", _last("replay_score"), decimals=3),
            Column("Difference", "none", _last("replay_delta"), decimals=3),
            Column("From", "none", _last("replay_delta_lower"), decimals=3),
            Column("To", "none", _last("replay_delta_upper"), BELOW_ZERO, decimals=3),
        ],
        sort_by="Model",
    )


def _verdicts() -> Timeseries:
    runs = increase("replay_runs_total", MODEL, over="1h")
    return graph(
        "Replays by verdict",
        Description(
            "Replays that ended within the last hour, by model and verdict.",
            "A bar after each drift that starts a replay. Cancelled: the drift was over first.",
            "Regressed: follow the runbook. Error: see Failed replays by reason.",
            "PlumblineReplayRegressed",
        ),
        "none",
        query(f"round({total(runs, 'model', 'verdict')}) > 0", "{{model}}, {{verdict}}"),
        stacked=True,
    )


def _delta() -> Timeseries:
    panel = graph(
        "Difference from the baseline",
        Description(
            "Score of the last replay less that of the baseline on the same items, and the ends of"
            " its interval (dashed). Negative is worse.",
            "Around zero, within `replay.margin`.",
            "A whole interval below zero is a proven drop; without a regressed verdict it is"
            " smaller than the margin.",
            "PlumblineReplayRegressed",
        ),
        "none",
        query(_last("replay_delta"), NAMES),
        query(_last("replay_delta_lower"), f"{NAMES}, from"),
        query(_last("replay_delta_upper"), f"{NAMES}, to"),
    )
    return dashed(dashed(panel, "B"), "C")


def _score() -> Timeseries:
    return graph(
        "Scores",
        Description(
            "Mean score of the model in its last replay, by task and metric.",
            "Steps of the size of the noise: see the interval of the difference.",
            "Compare two replays item by item: `plumbline replay compare`.",
        ),
        "none",
        query(_last("replay_score"), NAMES),
    )
