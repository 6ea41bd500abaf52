"""The dashboard *Judged quality*: scores of judges, their cost, and whether they can be trusted."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards.drift import SEVERITIES
from grafana.dashboards.drift import UID as DRIFT
from grafana.dashboards.elements import frame
from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import (
    AMBER,
    RED,
    Description,
    Panel,
    dashboard_link,
    dashed,
    graph,
    limits,
    query,
    stat,
    state_timeline,
)
from grafana.dashboards.elements.promql import MODEL, highest, increase, metric, severity, total
from grafana.dashboards.rows.judging import operation, scores, trust
from grafana.dashboards.rows.judging.operation import FAILURES, UNSCORED

UID = "plumbline-judged"
JUDGED = 'feature=~"(missing[.])?(judge|ragas)[.].+"'
KEYS = ("model", "feature")


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return frame.dashboard(
        "Plumbline / Judged quality",
        UID,
        "Quality of the answers of models, scored by judges on a sample of the traffic: by model"
        " and rubric, with what it costs and whether the judges can be trusted.",
        [
            Row("Overview", [*_results(), *_budget(), _attacks()]),
            scores.row(),
            Row("Drift of judged features", [_psi(), _alarms(), _warmup()]),
            operation.samples(),
            operation.calls(),
            trust.row(),
        ],
        variables=[frame.model("judge_score_count", several=True), frame.rubric()],
        links=[
            frame.to_runbook("Runbook: the judge is down", "PlumblineJudgeDown"),
            frame.to_dashboards("Drift", "plumbline-drift"),
        ],
    )


def _results() -> list[Panel]:
    judged = total(increase("judge_samples_total", 'outcome="judged"', over="1h"))
    return [
        stat(
            "Samples judged, last hour",
            Description(
                "Samples of the last hour that have a result: scored, or unscored by name.",
                "The sampling rate times the requests.",
                "See Samples by outcome. Without samples, check `sampling.rate` and the role"
                " ingest.",
                "PlumblineJudgeDown",
            ),
            "none",
            f"round({judged})",
        ),
        stat(
            "Results without a score",
            Description(
                "Share of the results of uniform samples that are no score.",
                "Below 5 %.",
                "See Results without a score, by reason.",
                "PlumblineJudgeUnscored",
            ),
            "percentunit",
            UNSCORED,
            thresholds=limits(0.05, 0.2),
        ),
        stat(
            "Calls without an answer",
            Description(
                "Share of the calls to judges that have no usable answer.",
                "Below 1 %.",
                "See Calls by judge and outcome.",
                "PlumblineJudgeDown",
            ),
            "percentunit",
            FAILURES,
            thresholds=limits(0.05, 0.5),
        ),
    ]


def _budget() -> list[Panel]:
    return [
        stat(
            "Cost, last 24 hours",
            Description(
                "Cost of the calls to judges in the last 24 hours, in US dollars.",
                "At most `judges.budget.usd_per_day`.",
                "See Cost by judge. Lower `sampling.rate` or judge by fewer rubrics.",
            ),
            "currencyUSD",
            total(increase("judge_cost_usd_total", over="1d")),
        ),
        stat(
            "Budget remaining today",
            Description(
                "US dollars that remain of the budget of the day, of all processes. The day ends at"
                " 00:00 UTC.",
                "Falls evenly over the day.",
                "At zero, samples are unscored with the reason no_budget until the day ends.",
                "PlumblineJudgeBudgetLow",
            ),
            "currencyUSD",
            total(metric("judge_budget_remaining_usd")),
        ),
    ]


def _attacks() -> Panel:
    return stat(
        "Attacks that succeed",
        Description(
            "Largest share of canary attacks that changed the verdict of a judge.",
            "Zero.",
            "See Attacks that succeed, by judge.",
            "PlumblineJudgeAttacked",
        ),
        "percentunit",
        highest(metric("judge_canary_success_ratio")),
        thresholds=limits(critical=0.001),
    )


def _psi() -> Timeseries:
    limit = metric("drift_psi_threshold", 'severity="{}"')
    panel = graph(
        "PSI of judged features",
        Description(
            "Population stability index of the scores against their reference, and of the share of"
            " samples without a score (missing). The dashed lines are `alarms.min_psi` and"
            " `alarms.critical_psi`.",
            "Below the lower line. Empty during the warm-up of 2,000 scored samples.",
            "A value above a line is an alarm if the change is also significant. Click on a line to"
            " open Drift.",
            "PlumblineDriftWarning",
        ),
        "none",
        query(highest(metric("drift_psi", MODEL, JUDGED), *KEYS), "{{model}}, {{feature}}"),
        query(highest(limit.replace("{}", "warning")), "warning"),
        query(highest(limit.replace("{}", "critical")), "critical"),
        width=9,
    )
    return dashed(dashed(panel, "B", AMBER), "C", RED).data_links([_link()])


def _alarms() -> StateTimeline:
    return state_timeline(
        "Open alarms on judged features",
        Description(
            "Times at which a judged feature had an open alarm. Blue (info) is a significant change"
            " that is too small to page.",
            "Empty, green or blue.",
            "If Golden set moved at the same time, the judge changed and not the model. Otherwise"
            " follow the runbook.",
            "PlumblineDriftCritical",
        ),
        highest(severity(MODEL, JUDGED), *KEYS),
        "{{model}}, {{feature}}",
        SEVERITIES,
        width=9,
    ).data_links([_link()])


def _warmup() -> Timeseries:
    remaining = metric("warmup_records_remaining", MODEL, 'source="judge"')
    return graph(
        "Warm-up of judged features",
        Description(
            "Scored samples that are still missing in the reference of each model.",
            "Zero. During the warm-up a line that falls steadily.",
            "A line that does not fall has no new scores: see Samples by outcome. For a rare model"
            " raise its rate in `sampling.models`.",
        ),
        "none",
        query(highest(remaining, "model"), "{{model}}"),
        width=6,
    )


def _link() -> DashboardLink:
    model, feature = (f"${{__field.labels.{key}:percentencode}}" for key in KEYS)
    path = f"{DRIFT}?var-model={model}&var-feature={feature}"
    return dashboard_link("Drift of this feature", path)
