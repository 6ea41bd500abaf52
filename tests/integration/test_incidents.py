"""One incident is one page: the committed routes and inhibition in the real Alertmanager."""

from __future__ import annotations

import time
from pathlib import Path

from grafana.alerts.rules import RULES, by_name, groups
from monitor.health import Health
from monitor.metrics import Metrics, registry
from monitor.web.server import WebServer
from tests.integration.grafana_queries import queries
from tests.integration.harness import ROOT, until
from tests.integration.prometheus import Alertmanager, Json, Prometheus, Webhook, firing
from tests.monitor.test_metrics import batch, event, state

ALL = by_name(groups(RULES.read_text()))
FLEET = ROOT / "grafana" / "dashboards" / "fleet.json"


def alert(name: str, **labels: str) -> Json:
    """An alert as its rule labels it."""
    return firing(name, ALL[name].labels, **labels)


def told(webhook: Webhook, cluster: str) -> list[tuple[str, list[str]]]:
    """Who was told what in a cluster: receivers with the names of alerts, group by group."""
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
    "a Plumbline that is badly ill": (
        [
            alert("PlumblineStalled", namespace="n", job="p", instance="i", role="ingest"),
            alert("PlumblineNoRecords", namespace="n", job="p", topic="logs"),
            alert("PlumblineConsumerLagGrowing", namespace="n", job="p", topic="logs"),
            alert("PlumblineCheckpointStale", namespace="n", job="p", instance="i"),
            alert("PlumblineModelSilent", namespace="n", job="p", model="a"),
        ],
        [("pager", ["PlumblineNoRecords", "PlumblineStalled"])],
    ),
    "lesser troubles": (
        [
            alert("PlumblineDeadLetters", namespace="n", job="p"),
            alert("PlumblineRebalancing", namespace="n", job="p"),
            alert("PlumblineSeriesLimitReached", namespace="n", job="p", instance="i"),
        ],
        [("chat", ["PlumblineDeadLetters", "PlumblineRebalancing"])],
    ),
}


def test_one_incident_is_one_page(alertmanager: Alertmanager, webhook: Webhook) -> None:
    """What belongs together is one message, and what follows from something else is none."""
    expected = {name: sorted(messages) for name, (_, messages) in INCIDENTS.items()}

    def heard() -> dict[str, list[tuple[str, list[str]]]]:
        return {name: told(webhook, name) for name in INCIDENTS}

    alertmanager.post(
        [
            {**each, "labels": {**each["labels"], "cluster": name}}
            for name, (alerts, _) in INCIDENTS.items()
            for each in alerts
        ]
    )
    until(lambda: heard() == expected, "the messages", 20)
    time.sleep(3)  # what is held back must stay held back
    assert heard() == expected


# --- a fleet ----------------------------------------------------------------------------------


def fleet(drifted: int, metrics: Metrics) -> None:
    """Of five models with a reference and traffic the first so many have an open alarm."""
    for number in range(5):
        metrics.watched[f"m{number}"] += 10
    metrics.models[0] = [
        state(f"m{i}", severities={"latency_ms": "critical"} if i < drifted else {})
        for i in range(5)
    ]


def shown(prometheus: Prometheus) -> dict[str, float]:
    """What the Fleet dashboard shows of it now: the share of models, by feature."""
    now = time.time()
    asked = queries(FLEET, prometheus, {}, (now - 60, now))
    (panel,) = (each for each in asked if each.panel == "Models that drift together, by feature")
    found = prometheus.query(panel.expression)
    return {each["metric"]["feature"]: float(each["value"][1]) for each in found}


def test_models_that_shift_together_are_one_page(
    alertmanager: Alertmanager, webhook: Webhook, rules_file: Path, tmp_path: Path
) -> None:
    """From the page of metrics to the pager: four of five models are one page, which names feature
    and numbers; when two are left each of them has its own.
    """
    metrics = Metrics()
    metrics.ingested([batch({"model": "m0"})], {}, {})
    for number in range(5):
        metrics.drift(event(severity="critical", model=f"m{number}"))
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
            def heard() -> bool:
                fleet(drifted, metrics)
                return told(webhook, "a fleet") == expected

            until(heard, f"{expected}", 30)

        with Prometheus(tmp_path, config) as prometheus:

            def judged() -> list[Json]:
                fleet(0, metrics)
                return prometheus.query("plumbline:models_judged:count == 5")

            until(lambda: bool(judged()), "traffic of five models", 30)
            page_of_all = ("pager", ["PlumblineFleetDrift"])
            become(4, [page_of_all])
            time.sleep(3)  # what is held back must stay held back
            assert told(webhook, "a fleet") == [page_of_all]
            assert shown(prometheus) == {"latency_ms": 0.8}
            become(2, [*[("pager", ["PlumblineDriftCritical"])] * 2, page_of_all])
    (first, *_) = webhook.about("pager", cluster="a fleet")
    (alert,) = first.alerts()
    assert alert["annotations"]["description"].startswith(
        "The feature latency_ms has drifted in 4 of 5 models at once"
    )
    assert alert["annotations"]["dashboard_url"].endswith("/d/plumbline-fleet")
