"""*Drift*: one model, for who is on call. What has moved, how far, since when, and is it real."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards import frame
from grafana.dashboards.frame import Annotation, Row
from grafana.dashboards.panels import (
    AMBER,
    GREEN,
    RED,
    Column,
    Words,
    dashed,
    graph,
    limits,
    query,
    stat,
    states,
    table,
)
from grafana.dashboards.promql import (
    FEATURE,
    MODEL,
    events,
    highest,
    own,
    quantile,
    rate,
    severity,
    total,
)
from grafana.dashboards.rows import audit, detectors

UID = "plumbline-drift"
SEVERITIES = {0: ("none", GREEN), 1: ("warning", AMBER), 2: ("critical", RED)}


def dashboard() -> Dashboard:
    """The dashboard."""
    return frame.dashboard(
        "Plumbline / Drift",
        UID,
        "One model: which features have drifted from the reference, how far and since when. Marks"
        " on the graphs are open alarms.",
        [_now(), _size(), detectors.row(), _traffic(), _budget(), audit.row()],
        variables=[
            frame.model("window_records", several=False),
            frame.feature(),
        ],
        annotations=[
            Annotation(
                "Alarms",
                f"{highest(severity(MODEL, FEATURE), 'feature')} > 0",
                "{{feature}} drifts",
                ["feature"],
                RED,
            )
        ],
        links=[
            frame.to_runbook("Runbook: critical drift", "PlumblineDriftCritical"),
            frame.to_runbook("Runbook: drift", "PlumblineDriftWarning"),
            frame.to_dashboards("Replay", "plumbline-replay"),  # shown once there is that dashboard
        ],
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            _alarms("critical", limits(critical=1)),
            _alarms("warning", limits(warning=1)),
            stat(
                "Largest PSI",
                Words(
                    "Population stability index of the feature that has moved most.",
                    "Below 0.1.",
                    "see PSI by feature for which it is.",
                ),
                "none",
                highest(own("drift_psi", MODEL, FEATURE)),
                thresholds=limits(0.1, 0.25),
            ),
            stat(
                "Current window",
                Words(
                    "Records in the current window, which is compared with the reference.",
                    "`windows.records`, 1,000 by default.",
                    "less means that it still fills; zero is warm-up, and nothing is judged yet.",
                    "PlumblineModelWarmingUp",
                ),
                "none",
                highest(own("window_records", MODEL)),
            ),
            stat(
                "Reference window",
                Words(
                    "Records in the reference, the traffic that you accept.",
                    "Fifty windows or more.",
                    "zero is warm-up: the reference is being gathered.",
                ),
                "none",
                highest(own("reference_records", MODEL)),
            ),
            stat(
                "Records watched",
                Words(
                    "Records of this model a second that detect has seen.",
                    "The model's requests.",
                    "at zero nothing is judged: see Lag on the dashboard Plumbline itself.",
                ),
                "reqps",
                total(rate("records_watched_total", MODEL)),
            ),
        ],
    )


def _alarms(name: str, thresholds: ThresholdsConfig) -> Stat:
    opened = total(own("drift_active", MODEL, FEATURE, f'severity="{name}"'))
    return stat(
        f"Open alarms, {name}",
        Words(
            f"Features with an open alarm of severity {name}.",
            "None.",
            "see below which features, then the runbook.",
            f"PlumblineDrift{name.title()}",
        ),
        "none",
        f"{opened} or vector(0)",
        thresholds=thresholds,
    )


def _size() -> Row:
    psi = graph(
        "PSI by feature",
        Words(
            "Population stability index: how far each feature's distribution is from the reference."
            " The dashed lines are `alarms.min_psi` and `alarms.critical_psi`.",
            "Below the lower line.",
            "above a line *and* significant is an alarm. One feature alone: a change in the"
            " client or the prompt. Many at once: another model or other users.",
        ),
        "none",
        query(highest(own("drift_psi", MODEL, FEATURE), "feature"), "{{feature}}"),
        query(highest(own("drift_psi_threshold", 'severity="warning"')), "least for a warning"),
        query(highest(own("drift_psi_threshold", 'severity="critical"')), "critical"),
        width=14,
    )
    return Row(
        "How far",
        [
            dashed(dashed(psi, "B", AMBER), "C", RED),
            states(
                "Open alarms by feature",
                Words(
                    "When each feature had an open alarm. Green is an alarm that is resolved.",
                    "Empty or green.",
                    "an alarm resolves once a whole window has passed without a finding.",
                ),
                highest(severity(MODEL, FEATURE), "feature"),
                "{{feature}}",
                SEVERITIES,
                width=10,
            ),
        ],
    )


def _traffic() -> Row:
    requests = total(rate("inference_requests_total", MODEL))
    tokens = total(rate("inference_tokens_total", MODEL), "direction")
    return Row(
        "Before and after",
        [
            graph(
                "Requests and errors",
                Words(
                    "Inferences logged a second, with and without an error.",
                    "The daily course, hardly any error.",
                    "a drift that begins with a jump of traffic is other users, not another model.",
                ),
                "reqps",
                query(total(rate("inference_requests_total", MODEL), "status"), "{{status}}"),
                stacked=True,
            ),
            graph(
                "Latency",
                Words(
                    "Median, 95th and 99th percentile of the logged latency.",
                    "The same on both sides of a mark.",
                    "slower at the same output tokens is the provider's doing.",
                ),
                "s",
                *(
                    query(quantile(q, "inference_latency_seconds", MODEL), f"p{100 * q:g}")
                    for q in (0.5, 0.95, 0.99)
                ),
            ),
            graph(
                "Tokens a request",
                Words(
                    "Mean tokens read (input) and written (output) for a request.",
                    "The same on both sides of a mark.",
                    "input that moves is a new prompt or other users; output alone, the model.",
                ),
                "short",
                query(f"{tokens} / on () group_left () ({requests} > 0)", "{{direction}}"),
            ),
        ],
    )


def _budget() -> Row:
    """What the false-page budget was spent on."""
    found = events(MODEL, FEATURE)
    return Row(
        "Budget: drift events in the last 30 days",
        [
            stat(
                "Events",
                Words(
                    "Drift events of this model in the last 30 days, of any severity: alarms that"
                    " opened or became critical, those within segments among them. Prometheus must"
                    " keep 30 days.",
                    "True drifts, and at most one false page (`alarms.false_pages`).",
                    "if most were false, the reference lacks what is normal: build a new one.",
                ),
                "none",
                f"round({total(found)}) or vector(0)",
                over_time=False,
                width=6,
            ),
            table(
                "Events by feature",
                Words(
                    "Drift events in the last 30 days by feature, severity and the detector that"
                    " spoke most clearly.",
                    "Few rows.",
                    "one feature that pages again and again wants a new reference, or a larger"
                    " `alarms.min_psi`.",
                    "PlumblineDriftFlapping",
                ),
                {"feature": "Feature", "detector": "Detector", "severity": "Severity"},
                [
                    Column(
                        "Events",
                        "none",
                        f"round({total(found, 'feature', 'detector', 'severity')})",
                        None,
                        0,
                    )
                ],
                sort_by="Events",
                width=18,
            ),
        ],
    )
