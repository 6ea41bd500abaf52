"""The dashboard *Fleet*: traffic, service quality and drift of all models, for SREs."""

from __future__ import annotations

from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards.drift import SEVERITIES
from grafana.dashboards.drift import UID as DRIFT
from grafana.dashboards.elements import frame
from grafana.dashboards.elements.frame import Row
from grafana.dashboards.elements.panels import (
    Column,
    Description,
    Panel,
    dashboard_link,
    graph,
    limits,
    query,
    stat,
    state_timeline,
    table,
)
from grafana.dashboards.elements.promql import (
    MODEL,
    PAGING,
    events,
    highest,
    metric,
    quantile,
    ratio,
    severity,
    total,
)
from grafana.dashboards.rows import traffic
from grafana.dashboards.rows.daemon import reading
from grafana.dashboards.rows.traffic import COST, ERRORS, FAILED, REQUESTS

UID = "plumbline-fleet"
ZERO = f"0 * {metric('window_records', MODEL)}"
"""Zero for each watched model, so that models without alarms are included."""
ALARMS = f"{severity(MODEL)} or {ZERO}"
EVENTS = f"{events(MODEL, PAGING)} or {ZERO}"


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return frame.dashboard(
        "Plumbline / Fleet",
        UID,
        "All models: traffic, errors, latency, tokens, cost and open drift alarms. Click on a model"
        " to open its Drift dashboard.",
        [
            Row("Overview", [*_service(), *_models(), reading.newest_record()]),
            Row("Drift", [_table(), _alarms(), _together()]),
            traffic.row(),
            traffic.usage(),
        ],
        variables=[frame.model("inference_requests_total", several=True)],
    )


def _service() -> list[Panel]:
    return [
        stat(
            "Requests",
            Description(
                "Inferences logged per second, total of the selected models.",
                "The daily cycle of your traffic.",
                "Check Requests by model, and whether the log still reaches Kafka.",
            ),
            "reqps",
            total(REQUESTS),
        ),
        stat(
            "Errors",
            Description(
                "Share of the inferences that were logged with an error.",
                "Below 1 %.",
                "Find the model in Errors by model and check its provider.",
            ),
            "percentunit",
            ratio(total(FAILED), total(REQUESTS)),
            thresholds=ERRORS,
        ),
        stat(
            "Cost per hour",
            Description(
                "Logged cost in US dollars, at the current rate.",
                "Proportional to the requests.",
                "Compare cost and tokens below: longer prompts also raise the cost.",
            ),
            "currencyUSD",
            f"3600 * {total(COST)}",
        ),
    ]


def _models() -> list[Panel]:
    return [
        stat(
            "Models watched",
            Description(
                "Models that detect watches, including those in warm-up.",
                "The number of models that you serve.",
                "A missing model has no records, or is beyond `limits.models`.",
                "PlumblineModelsNotWatched",
            ),
            "none",
            f"count({highest(metric('window_records', MODEL), 'model')})",
        ),
        stat(
            "Models with drift",
            Description(
                "Models with at least one open alarm, without changes that are too small to page.",
                "None.",
                "Open the model's Drift dashboard from the table below.",
            ),
            "none",
            f"count({highest(metric('drift_active', MODEL, PAGING), 'model')} > 0) or vector(0)",
            thresholds=limits(warning=1),
        ),
    ]


def _table() -> Table:
    latency = quantile(0.95, "inference_latency_seconds", MODEL, by=("model",))
    errors = ratio(total(FAILED, "model"), total(REQUESTS, "model"))
    psi = highest(metric("drift_psi", MODEL), "model")
    return table(
        "Models",
        Description(
            "Current state of each model, highest severity first. PSI is the largest of its"
            " features. Events are those of the last 30 days.",
            "No alarm, PSI below 0.1.",
            "Click on the model.",
        ),
        {"model": "Model"},
        [
            Column("Alarm", "none", highest(ALARMS, "model"), names=SEVERITIES),
            Column("Largest PSI", "none", psi, limits(0.1, 0.25), 3),
            Column("Events", "none", f"round({total(EVENTS, 'model')})", None, 0),
            Column("Requests", "reqps", total(REQUESTS, "model")),
            Column("Errors", "percentunit", errors, ERRORS, 2),
            Column("Latency p95", "s", latency),
        ],
        sort_by="Alarm",
        link=dashboard_link("Drift of this model", _drift_of("__value.raw")),
        width=14,
    )


def _alarms() -> StateTimeline:
    link = dashboard_link("Drift of this model", _drift_of("__field.labels.model"))
    return state_timeline(
        "Open alarms",
        Description(
            "Times at which each model had an open alarm, with the highest severity.",
            "Green. The first bar of a model starts with its warm-up.",
            "Click on the model in the table. Its Drift dashboard shows the feature.",
        ),
        highest(ALARMS, "model"),
        "{{model}}",
        SEVERITIES,
        width=10,
    ).data_links([link])


def _together() -> Timeseries:
    """Return the share of models that have drifted, by feature: one cause, or several."""
    alarms = total(highest(metric("drift_active", MODEL, PAGING), "model", "feature"), "feature")
    judged = f"count({highest(metric('reference_records', MODEL), 'model')} > 0)"
    return graph(
        "Models that drift together, by feature",
        Description(
            "Share of the selected models with an open alarm for each feature, among models with a"
            " reference. Alarms within segments do not count. The alert also excludes models"
            " without traffic in the last hour.",
            "Empty or zero. One model is a small step.",
            "If half of the models or more drift, look for a shared cause: a gateway, a tokenizer,"
            " the traffic mix, a clock, the logging itself.",
            "PlumblineFleetDrift",
        ),
        "percentunit",
        query(f"{alarms} / on () group_left () ({judged} > 0)", "{{feature}}"),
        thresholds=limits(critical=0.5),
        width=24,
    )


def _drift_of(variable: str) -> str:
    """Return the path of the Drift dashboard of the model in a Grafana variable."""
    return f"{DRIFT}?var-model=${{{variable}:percentencode}}"
