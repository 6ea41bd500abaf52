"""The dashboard *Drift*: which features of one model have drifted, how far and since when."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards.elements import frame
from grafana.dashboards.elements.frame import Annotation, Row
from grafana.dashboards.elements.panels import (
    AMBER,
    BLUE,
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
    state_timeline,
    table,
)
from grafana.dashboards.elements.promql import (
    FEATURE,
    MODEL,
    PAGING,
    events,
    highest,
    increase,
    metric,
    quantile,
    rate,
    severity,
    total,
)
from grafana.dashboards.rows import audit, detectors, sources, values

UID = "plumbline-drift"
SEVERITIES = {0: ("none", GREEN), 1: ("info", BLUE), 2: ("warning", AMBER), 3: ("critical", RED)}


def dashboard() -> Dashboard:
    """Return the dashboard."""
    overview = [
        _alarms("critical", limits(critical=1)),
        _alarms("warning", limits(warning=1)),
        _largest_psi(),
        *_windows(),
    ]
    return frame.dashboard(
        "Plumbline / Drift",
        UID,
        "One model: which features have drifted from the reference, how far and since when. Marks"
        " on the graphs are open alarms, and replays that ended.",
        [
            Row("Overview", overview),
            Row("Drift size", [_psi(), _timeline()]),
            values.row(),
            detectors.row(),
            Row("Traffic", [_requests(), _latency(), _tokens()]),
            sources.row(),
            _budget(),
            audit.row(),
        ],
        variables=[
            frame.model("window_records", several=False),
            frame.drift_type(),
            frame.feature(),
        ],
        annotations=[
            Annotation(
                "Alarms",
                f"{highest(severity(MODEL, FEATURE), 'feature')} > 1",
                "Open alarm: {{feature}}",
                ["feature"],
                RED,
            ),
            Annotation(
                "Replays",
                f"{total(increase('replay_runs_total', MODEL, over='2m'), 'verdict')} > 0",
                "Replay: {{verdict}}",
                ["verdict"],
                BLUE,
            ),
        ],
        links=[
            frame.to_runbook("Runbook: critical drift", "PlumblineDriftCritical"),
            frame.to_runbook("Runbook: drift", "PlumblineDriftWarning"),
            frame.to_dashboards("Replay", "plumbline-replay"),
        ],
    )


def _alarms(name: str, thresholds: ThresholdsConfig) -> Stat:
    opened = total(metric("drift_active", MODEL, FEATURE, f'severity="{name}"'))
    return stat(
        f"Open alarms, {name}",
        Description(
            f"Features with an open alarm of severity {name}.",
            "None.",
            "Find the features below, then follow the runbook.",
            f"PlumblineDrift{name.title()}",
        ),
        "none",
        f"{opened} or vector(0)",
        thresholds=thresholds,
    )


def _largest_psi() -> Stat:
    return stat(
        "Largest PSI",
        Description(
            "Population stability index of the feature that has changed most.",
            "Below 0.1.",
            "PSI by feature shows which feature it is.",
        ),
        "none",
        highest(metric("drift_psi", MODEL, FEATURE)),
        thresholds=limits(0.1, 0.25),
    )


def _windows() -> list[Panel]:
    return [
        stat(
            "Current window",
            Description(
                "Records in the current window, which is compared with the reference.",
                "`windows.records`, 1,000 by default.",
                "A smaller number means that the window is filling. Zero means warm-up: the model"
                " is not checked for drift yet.",
                "PlumblineModelWarmingUp",
            ),
            "none",
            highest(metric("window_records", MODEL)),
        ),
        stat(
            "Reference window",
            Description(
                "Records in the reference, the accepted baseline.",
                "50 windows or more.",
                "Zero means warm-up: the reference is being gathered.",
            ),
            "none",
            highest(metric("reference_records", MODEL)),
        ),
        stat(
            "Records watched",
            Description(
                "Records of this model per second that detect has processed.",
                "The model's request rate.",
                "At zero nothing is checked for drift: see the lag on the dashboard Plumbline"
                " itself.",
            ),
            "reqps",
            total(rate("records_watched_total", MODEL)),
        ),
    ]


def _psi() -> Timeseries:
    panel = graph(
        "PSI by feature",
        Description(
            "Population stability index: distance of each feature's distribution from the"
            " reference. The dashed lines are `alarms.min_psi` and `alarms.critical_psi`.",
            "Below the lower line.",
            "A value above a line is an alarm if the change is also significant. One feature: a"
            " change in the client or the prompt. Several: another model, or different users.",
        ),
        "none",
        query(highest(metric("drift_psi", MODEL, FEATURE), "feature"), "{{feature}}"),
        query(highest(metric("drift_psi_threshold", 'severity="warning"')), "warning"),
        query(highest(metric("drift_psi_threshold", 'severity="critical"')), "critical"),
        width=14,
    )
    return dashed(dashed(panel, "B", AMBER), "C", RED)


def _timeline() -> StateTimeline:
    return state_timeline(
        "Open alarms by feature",
        Description(
            "Times at which each feature had an open alarm. Green is a resolved alarm. Blue (info)"
            " is a significant change that is too small to page.",
            "Empty, green or blue.",
            "An alarm resolves when the newest records are evidence that the change is over.",
        ),
        highest(severity(MODEL, FEATURE), "feature"),
        "{{feature}}",
        SEVERITIES,
        width=10,
    )


def _requests() -> Timeseries:
    return graph(
        "Requests and errors",
        Description(
            "Inferences logged per second, with and without an error.",
            "The daily cycle, hardly any errors.",
            "A drift that starts with a jump of the traffic comes from different users, not from"
            " another model.",
        ),
        "reqps",
        query(total(rate("inference_requests_total", MODEL), "status"), "{{status}}"),
        stacked=True,
    )


def _latency() -> Timeseries:
    return graph(
        "Latency",
        Description(
            "Median, 95th and 99th percentile of the logged latency.",
            "The same before and after a mark.",
            "If latency grows and output tokens do not, the cause is the provider.",
        ),
        "s",
        *(
            query(quantile(q, "inference_latency_seconds", MODEL), f"p{100 * q:g}")
            for q in (0.5, 0.95, 0.99)
        ),
    )


def _tokens() -> Timeseries:
    requests = total(rate("inference_requests_total", MODEL))
    tokens = total(rate("inference_tokens_total", MODEL), "direction")
    return graph(
        "Tokens per request",
        Description(
            "Mean number of tokens read (input) and generated (output) per request.",
            "The same before and after a mark.",
            "A change of input means a new prompt or different users; of output only, the model.",
        ),
        "short",
        query(f"{tokens} / on () group_left () ({requests} > 0)", "{{direction}}"),
    )


def _budget() -> Row:
    """Return the row of the drift events that count against the false-page budget."""
    found = events(MODEL, FEATURE)
    by_detector = f"round({total(found, 'feature', 'detector', 'severity')})"
    return Row(
        "Budget: drift events in the last 30 days",
        [
            stat(
                "Events",
                Description(
                    "Drift events of this model in the last 30 days that page: alarms that opened"
                    " or became more severe, including those within segments. Small changes (info)"
                    " do not count. Prometheus must retain 30 days.",
                    "True drifts, and at most one false page (`alarms.false_pages`).",
                    "If most were false, the reference does not cover normal traffic: build a new"
                    " one.",
                ),
                "none",
                f"round({total(events(MODEL, FEATURE, PAGING))}) or vector(0)",
                over_time=False,
                width=6,
            ),
            table(
                "Events by feature",
                Description(
                    "Drift events in the last 30 days by feature, severity and the detector with"
                    " the clearest result.",
                    "Few rows.",
                    "A feature with repeated events needs a new reference, or a larger"
                    " `alarms.min_psi`.",
                    "PlumblineDriftFlapping",
                ),
                {"feature": "Feature", "detector": "Detector", "severity": "Severity"},
                [Column("Events", "none", by_detector, None, 0)],
                sort_by="Events",
                width=18,
            ),
        ],
    )
