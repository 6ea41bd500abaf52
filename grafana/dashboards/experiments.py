"""The dashboard *Experiments*: verdicts, effects with their intervals, guardrails, and trust."""

from __future__ import annotations

from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards.elements import frame
from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import (
    AMBER,
    BLUE,
    GREEN,
    RED,
    Column,
    Description,
    Names,
    Panel,
    dashed,
    graph,
    limits,
    query,
    stat,
    state_timeline,
    table,
)
from grafana.dashboards.elements.promql import EXPERIMENT, highest, increase, metric, ratio, total

UID = "plumbline-experiments"
ARM = ("experiment", "variant")
COMPARED = (*ARM, "metric")
SELECTED = f"{EXPERIMENT}, metric=~`${{metric:regex}}`"
VERDICTS: Names = {
    0: ("not yet", "text"),
    1: ("no difference", BLUE),
    2: ("worse", RED),
    3: ("better", GREEN),
}
GUARDRAILS: Names = {
    0: ("not yet", "text"),
    1: ("safe", GREEN),
    2: ("worse within its margin", AMBER),
    3: ("harm", RED),
}
SPLIT: Names = {0: ("as planned", GREEN), 1: ("in doubt", AMBER), 2: ("blocked", RED)}


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return frame.dashboard(
        "Plumbline / Experiments",
        UID,
        "Experiments between variants: verdicts that stay, effects with intervals that are valid"
        " at any time, guardrails, and whether the data can be trusted.",
        [
            Row("Verdicts", [_table(), _verdicts(), _guardrails()]),
            Row("Effects", [_effects(), _means()]),
            Row("Trust", [*_stats(), _evidence(), _users(), _mix()]),
            Row("Data", [_coverage(), _effective(), _days(), _exposures()]),
        ],
        variables=[frame.experiment(), frame.compared()],
        links=[
            frame.to_runbook("How to read a verdict", "PlumblineExperimentVerdict"),
            frame.to_dashboards("Drift", "plumbline-drift"),
        ],
    )


def _states(name: str, label: str, states: tuple[str, ...], *matchers: str) -> str:
    """Return the number of the state that holds, in the order of `states`."""
    selected = [metric(name, *matchers, f'{label}="{state}"') for state in states]
    return " or ".join(f"{number} * {each}" for number, each in enumerate(selected))


def _verdict() -> str:
    states = ("not_yet", "no_difference", "worse", "better")
    return highest(_states("experiment_verdict", "verdict", states, SELECTED), *COMPARED)


def _guardrail() -> str:
    states = ("unknown", "safe", "both", "harm")
    return highest(_states("experiment_guardrail", "state", states, SELECTED), *COMPARED)


def _table() -> Panel:
    def effect(suffix: str) -> str:
        return highest(metric(f"experiment_effect{suffix}", SELECTED), *COMPARED)

    return table(
        "Variants against the control",
        Description(
            "Effect of each variant relative to the control, with an interval that misses the true"
            " effect at any look with a small probability only, and the verdict.",
            "A verdict of the goal once there is enough evidence; it stays.",
            "Not yet: see Time to a verdict. Blocked: see Split of users.",
            "PlumblineExperimentVerdict",
        ),
        {"experiment": "Experiment", "variant": "Variant", "metric": "Metric"},
        [
            Column("Effect", "percentunit", effect(""), decimals=2),
            Column("From", "percentunit", effect("_lower"), decimals=2),
            Column("To", "percentunit", effect("_upper"), decimals=2),
            Column("Verdict", "none", _verdict(), names=VERDICTS),
            Column("Guardrail", "none", _guardrail(), names=GUARDRAILS),
        ],
        sort_by="Verdict",
    )


def _verdicts() -> StateTimeline:
    goal = highest(metric("experiment_goal", SELECTED), "experiment", "metric")
    return state_timeline(
        "Verdicts of the goal",
        Description(
            "Verdict of each variant by the goal of its experiment. It stays once it is given.",
            "One change, from not yet.",
            "Without a verdict see Time to a verdict.",
            "PlumblineExperimentVerdict",
        ),
        f"{_verdict()} and on (experiment, metric) {goal}",
        "{{experiment}}, {{variant}}, {{metric}}",
        VERDICTS,
    )


def _guardrails() -> StateTimeline:
    return state_timeline(
        "Guardrails",
        Description(
            "Whether a guardrail metric got worse: certainly (harm), certainly not by its margin"
            " (safe), or both, which is worse by less than the margin.",
            "Safe, or not yet.",
            "At harm follow the runbook before the experiment goes on.",
            "PlumblineExperimentGuardrailBreached",
        ),
        _guardrail(),
        "{{experiment}}, {{variant}}, {{metric}}",
        GUARDRAILS,
    )


def _effects() -> Timeseries:
    names = "{{experiment}}, {{variant}}, {{metric}}"
    panel = graph(
        "Effect with its interval",
        Description(
            "Effect relative to the control, and the ends of its interval (dashed). The interval is"
            " valid at any time, so that it may be read every minute.",
            "An interval that narrows; it excludes zero when there is a difference.",
            "A wide interval needs more users: see Time to a verdict.",
            "PlumblineExperimentVerdict",
        ),
        "percentunit",
        query(highest(metric("experiment_effect", SELECTED), *COMPARED), names),
        query(highest(metric("experiment_effect_lower", SELECTED), *COMPARED), f"{names}, from"),
        query(highest(metric("experiment_effect_upper", SELECTED), *COMPARED), f"{names}, to"),
        width=12,
    )
    return dashed(dashed(panel, "B"), "C")


def _means() -> Timeseries:
    return graph(
        "Means by variant",
        Description(
            "Mean of each metric in its unit: latency, length and cost as geometric means, or a"
            " quantile where the metric is one.",
            "Steady lines: they are means since the start of the phase.",
            "A mean that keeps moving shows that users or traffic change.",
        ),
        "none",
        query(
            highest(metric("experiment_mean", SELECTED), *COMPARED),
            "{{experiment}}, {{variant}}, {{metric}}",
        ),
        width=12,
    )


def _stats() -> list[Panel]:
    return [
        stat(
            "Split of users",
            Description(
                "Worst state of the split of users of the selected experiments: 0 as planned, 1 in"
                " doubt, 2 differs, which blocks verdicts.",
                "Zero.",
                "Follow the runbook: results of a wrong split cannot be trusted.",
                "PlumblineExperimentSampleRatioMismatch",
            ),
            "none",
            highest(
                _states("experiment_srm_status", "status", ("ok", "warn", "block"), EXPERIMENT)
            ),
            thresholds=limits(1, 2),
        ),
        stat(
            "Age of the oldest look",
            Description(
                "Time since the last look at an experiment, the oldest of the selected ones.",
                "Below five minutes while there is traffic.",
                "Follow the runbook.",
                "PlumblineExperimentStale",
            ),
            "s",
            f"time() - min({metric('experiment_last_look_timestamp_seconds', EXPERIMENT)})",
            thresholds=limits(600, 1800),
        ),
        *_activity(),
    ]


def _activity() -> list[Panel]:
    return [
        stat(
            "Users in several variants",
            Description(
                "Users that were seen in more than one variant, over the selected experiments.",
                "Zero, or a small share of the users.",
                "Check that the assignment is by the unit of the experiment and does not change.",
                "PlumblineExperimentSampleRatioMismatch",
            ),
            "none",
            total(metric("experiment_users_in_several_variants", EXPERIMENT)),
        ),
        stat(
            "Looks, last hour",
            Description(
                "Looks at the selected experiments in the last hour.",
                "60 for each experiment with steady traffic.",
                "Without looks see Age of the oldest look.",
                "PlumblineExperimentStale",
            ),
            "none",
            f"round({total(increase('experiment_looks_total', EXPERIMENT, over='1h'))})",
        ),
    ]


def _evidence() -> Timeseries:
    return graph(
        "Evidence of a wrong split",
        Description(
            "E-value of a sample ratio mismatch. At 100 it is in doubt, at 1,000 verdicts are"
            " blocked; both stay for the phase.",
            "Below 10; it may rise for a while by chance.",
            "Follow the runbook.",
            "PlumblineExperimentSampleRatioMismatch",
        ),
        "none",
        query(highest(metric("experiment_srm_evalue", EXPERIMENT), "experiment"), "{{experiment}}"),
        thresholds=limits(100, 1000),
    )


def _users() -> Timeseries:
    return graph(
        "Users by variant",
        Description(
            "Users at their first exposure, since the start of the phase.",
            "Lines that grow in the planned proportions.",
            "A line that is flat belongs to a stopped variant, or its traffic has ended.",
            "PlumblineExperimentSampleRatioMismatch",
        ),
        "none",
        query(highest(metric("experiment_users", EXPERIMENT), *ARM), "{{experiment}}, {{variant}}"),
    )


def _mix() -> Timeseries:
    requests = highest(metric("experiment_requests", EXPERIMENT), *ARM)
    return graph(
        "Requests per user",
        Description(
            "Requests per user by variant. Means over requests move when heavy users send more of"
            " them, although no request has changed.",
            "Equal lines.",
            "If they differ by more than a tenth, compare also metrics of the user.",
        ),
        "none",
        query(
            ratio(requests, highest(metric("experiment_users", EXPERIMENT), *ARM)),
            "{{experiment}}, {{variant}}",
        ),
    )


def _coverage() -> Timeseries:
    return graph(
        "Requests with a value",
        Description(
            "Share of the requests of a variant that have a value of a metric; for a judge, the"
            " share that was judged.",
            "Equal in all variants.",
            "If it differs, the compared requests are not alike: check sampling and unscored"
            " results.",
        ),
        "percentunit",
        query(
            highest(metric("experiment_value_ratio", SELECTED), *COMPARED),
            "{{experiment}}, {{variant}}, {{metric}}",
        ),
        width=6,
    )


def _effective() -> Timeseries:
    names = "{{experiment}}, {{variant}}"
    largest = highest(metric("experiment_largest_bucket_ratio", EXPERIMENT), *ARM)
    return graph(
        "Effective users",
        Description(
            "Number of equally active users that would give as much certainty, and the largest"
            " share of the requests that one of 1,024 groups of users has, in thousandths.",
            "Above 100; the largest share below 50 thousandths.",
            "A few users send most requests: exclude them, or wait for more users.",
        ),
        "none",
        query(highest(metric("experiment_effective_users", EXPERIMENT), *ARM), names),
        query(f"1000 * {largest}", f"{names}, largest share"),
        width=6,
    )


def _days() -> Timeseries:
    return graph(
        "Time to a verdict",
        Description(
            "Time until a verdict is expected at today's traffic if the effect stays as it is, for"
            " variants without a verdict.",
            "A line that falls.",
            "If it is longer than you can wait, raise the coverage or the smallest effect of the"
            " next phase.",
        ),
        "s",
        query(
            highest(metric("experiment_time_to_verdict_seconds", EXPERIMENT), *ARM),
            "{{experiment}}, {{variant}}",
        ),
        width=6,
    )


def _exposures() -> Timeseries:
    without_unit = increase("experiment_records_without_unit_total", EXPERIMENT)
    return graph(
        "Exposures",
        Description(
            "Exposures that entered the sums, records without the unit of their experiment, and"
            " exposures that are in no sums, by reason.",
            "Only the first kind.",
            "Without a unit: log it (user_id by default). Ignored: the configuration of ingest and"
            " of the role experiment differ.",
            "PlumblineExperimentStale",
        ),
        "none",
        query(
            total(increase("experiment_exposures_total", EXPERIMENT), "experiment"),
            "{{experiment}}",
        ),
        query(total(without_unit, "experiment"), "{{experiment}}, without unit"),
        query(
            total(increase("experiment_exposures_ignored_total"), "reason"), "ignored, {{reason}}"
        ),
        width=6,
    )
