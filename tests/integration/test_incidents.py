"""One incident is one page: the routes and inhibition rules in a real Alertmanager."""

from __future__ import annotations

import time
from pathlib import Path

from grafana.alerts.rules import RULES, by_name, groups
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.exporter import registry
from monitor.telemetry.health import Health
from monitor.telemetry.http.server import WebServer
from tests.integration.grafana_queries import queries
from tests.integration.harness import ROOT, until
from tests.integration.prometheus import (
    GROUP_WAIT_SECONDS,
    Alertmanager,
    Json,
    Prometheus,
    Webhook,
    firing,
)
from tests.long_form import long_only
from tests.monitor.telemetry.counted import count_event
from tests.monitor.telemetry.scrape import batch, event, state

ALL = by_name(groups(RULES.read_text()))
FLEET = ROOT / "grafana" / "dashboards" / "fleet.json"
HELD_BACK_SECONDS = GROUP_WAIT_SECONDS + 3
"""Time in which an inhibited alert would be sent if it were not inhibited."""


def alert(name: str, **labels: str) -> Json:
    """Return an alert with the labels of its rule."""
    return firing(name, ALL[name].labels, **labels)


def messages(webhook: Webhook, cluster: str) -> list[tuple[str, list[str]]]:
    """Return the messages about a cluster: the receiver and the names of the firing alerts."""
    return sorted(
        (each.receiver, sorted(alert["labels"]["alertname"] for alert in each.alerts()))
        for each in list(webhook.received)
        if each.body["groupLabels"].get("cluster") == cluster and each.alerts()
    )


INCIDENTS = {
    "a model that drifts in many features": (
        [
            alert("PlumblineDriftCritical", job="p", model="a", feature="latency_ms"),
            alert("PlumblineDriftCritical", job="p", model="a", feature="error"),
            alert("PlumblineDriftWarning", job="p", model="a", feature="cost_usd"),
            alert("PlumblineDriftFlapping", job="p", model="a", feature="refusal"),
        ],
        [("pager", ["PlumblineDriftCritical"] * 2)],
    ),
    "a small drift of another model": (
        [
            alert("PlumblineDriftCritical", job="p", model="a", feature="latency_ms"),
            alert("PlumblineDriftWarning", job="p", model="b", feature="latency_ms"),
        ],
        [("chat", ["PlumblineDriftWarning"]), ("pager", ["PlumblineDriftCritical"])],
    ),
    "most models in one feature": (
        [
            alert("PlumblineFleetDrift", job="p", feature="latency_ms"),
            *(
                alert("PlumblineDriftCritical", job="p", model=f"m{i}", feature="latency_ms")
                for i in range(40)
            ),
            alert("PlumblineDriftWarning", job="p", model="small", feature="latency_ms"),
            alert("PlumblineDriftFlapping", job="p", model="m1", feature="latency_ms"),
            alert("PlumblineFleetDriftWarning", job="p", feature="latency_ms"),
        ],
        [("pager", ["PlumblineFleetDrift"])],
    ),
    "most models in two features": (
        [
            *(alert("PlumblineFleetDrift", job="p", feature=f) for f in ("error", "latency_ms")),
            alert("PlumblineDriftCritical", job="p", model="a", feature="latency_ms"),
            alert("PlumblineDriftCritical", job="p", model="a", feature="error"),
        ],
        [("pager", ["PlumblineFleetDrift"] * 2)],
    ),
    "most models in one feature, one of them in another, and another installation": (
        [
            alert("PlumblineFleetDrift", job="p", feature="latency_ms"),
            alert("PlumblineDriftCritical", job="p", model="a", feature="latency_ms"),
            alert("PlumblineDriftCritical", job="p", model="b", feature="refusal"),
            alert("PlumblineDriftCritical", job="q", model="a", feature="latency_ms"),
        ],
        [
            ("pager", ["PlumblineDriftCritical"]),
            ("pager", ["PlumblineDriftCritical"]),
            ("pager", ["PlumblineFleetDrift"]),
        ],
    ),
    "most models a little": (
        [
            alert("PlumblineFleetDriftWarning", job="p", feature="latency_ms"),
            alert("PlumblineDriftWarning", job="p", model="a", feature="latency_ms"),
            alert("PlumblineDriftFlapping", job="p", model="b", feature="latency_ms"),
            alert("PlumblineDriftCritical", job="p", model="c", feature="latency_ms"),
        ],
        [("chat", ["PlumblineFleetDriftWarning"]), ("pager", ["PlumblineDriftCritical"])],
    ),
    "the same model elsewhere": (
        [
            alert("PlumblineDriftCritical", namespace="prod", job="p", model="a", feature="error"),
            alert("PlumblineDriftWarning", namespace="test", job="p", model="a", feature="error"),
        ],
        [("chat", ["PlumblineDriftWarning"]), ("pager", ["PlumblineDriftCritical"])],
    ),
    "no Plumbline at all": (
        [
            alert("PlumblineDown", namespace="n", job="p"),
            alert("PlumblineInstanceDown", namespace="n", job="p", instance="i"),
            alert("PlumblineNoRecords", namespace="n", job="p", topic="logs"),
            alert("PlumblineModelSilent", namespace="n", job="p", model="a"),
            alert("PlumblineDriftCritical", namespace="n", job="p", model="a", feature="error"),
        ],
        [("pager", ["PlumblineDown"])],
    ),
    "no Plumbline elsewhere": (
        [
            alert("PlumblineDown", namespace="test", job="p"),
            alert("PlumblineDriftCritical", namespace="prod", job="p", model="a", feature="error"),
        ],
        [("pager", ["PlumblineDown"]), ("pager", ["PlumblineDriftCritical"])],
    ),
    "a critical failure of Plumbline": (
        [
            alert("PlumblineStalled", namespace="n", job="p", instance="i", role="ingest"),
            alert("PlumblineNoRecords", namespace="n", job="p", topic="logs"),
            alert("PlumblineConsumerLagGrowing", namespace="n", job="p", topic="logs"),
            alert("PlumblineCheckpointStale", namespace="n", job="p", instance="i"),
            alert("PlumblineModelSilent", namespace="n", job="p", model="a"),
        ],
        [("pager", ["PlumblineNoRecords", "PlumblineStalled"])],
    ),
    "less severe failures of Plumbline": (
        [
            alert("PlumblineDeadLetters", namespace="n", job="p"),
            alert("PlumblineRebalancing", namespace="n", job="p"),
            alert("PlumblineSeriesLimitReached", namespace="n", job="p", instance="i"),
        ],
        [("chat", ["PlumblineDeadLetters", "PlumblineRebalancing"])],
    ),
}


def test_one_incident_is_one_page(alertmanager: Alertmanager, webhook: Webhook) -> None:
    """Alerts of one incident are one message; inhibited alerts are none."""
    expected = {name: sorted(wanted) for name, (_, wanted) in INCIDENTS.items()}

    def received() -> dict[str, list[tuple[str, list[str]]]]:
        return {name: messages(webhook, name) for name in INCIDENTS}

    alertmanager.post(
        [
            {**each, "labels": {**each["labels"], "cluster": name}}
            for name, (alerts, _) in INCIDENTS.items()
            for each in alerts
        ]
    )
    until(lambda: received() == expected, "the messages")
    time.sleep(HELD_BACK_SECONDS)
    assert received() == expected


# --- a fleet ----------------------------------------------------------------------------------


def fleet(drifted: int, metrics: Metrics) -> None:
    """Set the metrics of five models with a reference; the first `drifted` have an open alarm."""
    for number in range(5):
        metrics.watched[f"m{number}"] += 10
    metrics.models[0] = [
        state(f"m{i}", severities={"latency_ms": "critical"} if i < drifted else {})
        for i in range(5)
    ]


def shown(prometheus: Prometheus) -> dict[str, float]:
    """Return the share of drifted models by feature, as the Fleet dashboard shows it now."""
    now = time.time()
    found = queries(FLEET, prometheus, {}, (now - 60, now))
    (panel,) = (each for each in found if each.panel == "Models that drift together, by feature")
    series = prometheus.query(panel.expression)
    return {each["metric"]["feature"]: float(each["value"][1]) for each in series}


@long_only
def test_models_that_shift_together_are_one_page(
    alertmanager: Alertmanager, webhook: Webhook, rules_file: Path, tmp_path: Path
) -> None:
    """Four drifted models of five are one page, which names the feature and the numbers; two
    drifted models are one page each.
    """
    metrics = Metrics()
    metrics.count_transaction([batch({"model": "m0"})], {}, {})
    for number in range(5):
        count_event(metrics, event(severity="critical", model=f"m{number}"))
    fleet(0, metrics)
    with WebServer("127.0.0.1", 0, registry(metrics), Health()) as page:
        job = {"job_name": "p", "static_configs": [{"targets": [f"127.0.0.1:{page.port}"]}]}
        config = {
            "global": {
                "scrape_interval": "1s",
                "evaluation_interval": "1s",
                "external_labels": {"cluster": "a fleet"},
            },
            "rule_files": [str(rules_file)],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [alertmanager.url[7:]]}]}]
            },
            "scrape_configs": [job],
        }

        def become(drifted: int, expected: list[tuple[str, list[str]]]) -> None:
            def received() -> bool:
                fleet(drifted, metrics)
                return messages(webhook, "a fleet") == expected

            until(received, f"{expected}")

        with Prometheus(tmp_path, config) as prometheus:

            def judged() -> list[Json]:
                fleet(0, metrics)
                return prometheus.query("plumbline:models_judged:count == 5")

            until(lambda: bool(judged()), "traffic of five models")
            page_of_all = ("pager", ["PlumblineFleetDrift"])
            become(4, [page_of_all])
            time.sleep(HELD_BACK_SECONDS)
            assert messages(webhook, "a fleet") == [page_of_all]
            assert shown(prometheus) == {"latency_ms": 0.8}
            become(2, [*[("pager", ["PlumblineDriftCritical"])] * 2, page_of_all])
    (first, *_) = webhook.about("pager", cluster="a fleet")
    (alert,) = first.alerts()
    assert alert["annotations"]["description"].startswith(
        "The feature latency_ms has drifted in 4 of 5 models at once"
    )
    assert alert["annotations"]["dashboard_url"].endswith("/d/plumbline-fleet")
