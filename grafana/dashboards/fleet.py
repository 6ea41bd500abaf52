"""*Fleet*: all models at a glance, for SREs. What is served, how well, and where it drifts."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards import frame
from grafana.dashboards.drift import SEVERITIES
from grafana.dashboards.drift import UID as DRIFT
from grafana.dashboards.frame import Row
from grafana.dashboards.panels import (
    Column,
    Words,
    graph,
    lead,
    limits,
    query,
    stat,
    states,
    table,
)
from grafana.dashboards.promql import (
    MODEL,
    events,
    highest,
    own,
    quantile,
    ratio,
    severity,
    total,
)
from grafana.dashboards.rows import traffic
from grafana.dashboards.rows.traffic import COST, ERRORS, FAILED, REQUESTS

UID = "plumbline-fleet"
NOTHING = f"0 * {own('window_records', MODEL)}"
"""A zero for each model that is watched, so that one without alarms is told of too."""
ALARMS = f"{severity(MODEL)} or {NOTHING}"
EVENTS = f"{events(MODEL)} or {NOTHING}"


def dashboard() -> Dashboard:
    """The dashboard."""
    return frame.dashboard(
        "Plumbline / Fleet",
        UID,
        "All models: traffic, errors, latency, tokens, cost, and where drift is open. A click on a"
        " model leads to its Drift dashboard.",
        [_now(), _drift(), traffic.row(), traffic.usage()],
        variables=[frame.model("inference_requests_total", several=True)],
    )


def _now() -> Row:
    drifting = f"count({highest(own('drift_active', MODEL), 'model')} > 0) or vector(0)"
    return Row(
        "Now",
        [
            stat(
                "Requests",
                Words(
                    "Inferences logged a second, all chosen models together.",
                    "The daily course of your traffic.",
                    "look at Requests by model, and whether the log still reaches Kafka.",
                ),
                "reqps",
                total(REQUESTS),
            ),
            stat(
                "Errors",
                Words(
                    "Share of the inferences whose log has an error.",
                    "Below 1 %.",
                    "find the model under Errors by model and look at its provider.",
                ),
                "percentunit",
                ratio(total(FAILED), total(REQUESTS)),
                thresholds=ERRORS,
            ),
            stat(
                "Cost an hour",
                Words(
                    "US dollars, as logged, at the present rate.",
                    "In step with the requests.",
                    "compare Cost and Tokens below; longer prompts cost like more of them.",
                ),
                "currencyUSD",
                f"3600 * {total(COST)}",
            ),
            stat(
                "Models watched",
                Words(
                    "Models that detect watches, those in warm-up among them.",
                    "As many as you serve.",
                    "a model that is missing has no records, or is beyond `limits.models`.",
                    "PlumblineModelsNotWatched",
                ),
                "none",
                f"count({highest(own('window_records', MODEL), 'model')})",
            ),
            stat(
                "Models that drift",
                Words(
                    "Models with at least one open alarm.",
                    "None.",
                    "open the model's Drift dashboard from the table below.",
                ),
                "none",
                drifting,
                thresholds=limits(warning=1),
            ),
            stat(
                "Event-time lag",
                Words(
                    "Age of the newest record that has been read: how late an alarm would be.",
                    "Seconds.",
                    "see Lag on the dashboard Plumbline itself; without traffic it grows as well.",
                    "PlumblineEventTimeLag",
                ),
                "s",
                highest(own("event_time_lag_seconds")),
                thresholds=limits(warning=60, critical=300),
            ),
        ],
    )


def _drift() -> Row:
    return Row(
        "Drift at a glance",
        [
            table(
                "Models",
                Words(
                    "Each model now, the worst first. PSI is the largest of its features; events"
                    " are those of the last 30 days.",
                    "No alarm, PSI below 0.1.",
                    "click on the model.",
                ),
                {"model": "Model"},
                [
                    Column("Alarm", "none", highest(ALARMS, "model"), names=SEVERITIES),
                    Column(
                        "Largest PSI",
                        "none",
                        highest(own("drift_psi", MODEL), "model"),
                        limits(0.1, 0.25),
                        3,
                    ),
                    Column("Events", "none", f"round({total(EVENTS, 'model')})", None, 0),
                    Column("Requests", "reqps", total(REQUESTS, "model")),
                    Column(
                        "Errors",
                        "percentunit",
                        ratio(total(FAILED, "model"), total(REQUESTS, "model")),
                        ERRORS,
                        2,
                    ),
                    Column(
                        "Latency p95",
                        "s",
                        quantile(0.95, "inference_latency_seconds", MODEL, by=("model",)),
                    ),
                ],
                sort_by="Alarm",
                link=lead("Drift of this model", _drift_of("__value.raw")),
                width=14,
            ),
            states(
                "Open alarms",
                Words(
                    "When each model had an open alarm, and how severe its worst one was.",
                    "Green; a model's first bar begins with its warm-up.",
                    "click on the model in the table; its Drift dashboard names the feature.",
                ),
                highest(ALARMS, "model"),
                "{{model}}",
                SEVERITIES,
                width=10,
            ).data_links([lead("Drift of this model", _drift_of("__field.labels.model"))]),
            _together(),
        ],
    )


def _together() -> Timeseries:
    """In how much of the fleet each feature has drifted: one cause, or many."""
    alarms = total(highest(own("drift_active", MODEL), "model", "feature"), "feature")
    judged = f"count({highest(own('reference_records', MODEL), 'model')} > 0)"
    return graph(
        "Models that drift together, by feature",
        Words(
            "For each feature, the share of the chosen models with a reference whose alarm on it is"
            " open; alarms within segments alone do not count. The alert leaves out models that had"
            " no traffic for an hour.",
            "Empty or zero; one model alone is a small step.",
            "from half of the models on they share a cause: a gateway, a tokenizer, the mix of"
            " traffic, a clock, the logging itself.",
            "PlumblineFleetDrift",
        ),
        "percentunit",
        query(f"{alarms} / on () group_left () ({judged} > 0)", "{{feature}}"),
        thresholds=limits(critical=0.5),
        width=24,
    )


def _drift_of(model: str) -> str:
    """The Drift dashboard of the model that a variable of Grafana's names."""
    return f"{DRIFT}?var-model=${{{model}:percentencode}}"
