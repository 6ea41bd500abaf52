"""From drifted records to a page and back: daemon, broker, Prometheus and Alertmanager are real.

One scenario serves all tests here: three models warm up, two of them become slower, somebody is
paged, the daemon is restarted, the traffic is normal again, and the page is resolved.
"""

from __future__ import annotations

import re
import subprocess
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from grafana.alerts.rules import GRAFANA, RULES, Rule, by_name, groups
from grafana.links import RUNBOOKS
from monitor.demo.traffic import INJECTED, traffic
from monitor.health import Health
from monitor.metrics import MAX_SERIES, registry
from monitor.web.server import WebServer
from tests.debian import needed
from tests.integration.broker import KafkaBroker, free_ports
from tests.integration.grafana_queries import SCRAPE_SECONDS, queries
from tests.integration.harness import ROOT, Daemon, numbered, produce, until
from tests.integration.prometheus import (
    Alertmanager,
    Json,
    Notification,
    Prometheus,
    QueryError,
    Webhook,
)
from tests.monitor.notify.receiver import Receiver, Reply
from tests.monitor.test_metrics import crowd

ALL = by_name(groups(RULES.read_text()))
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
QUICKLY_S = 60.0
"""Within this an injected drift has to reach somebody."""
RATE = 200.0
WARM, DRIFTED, NORMAL = 6000, 1500, 3000
"""Records of the demo's two models in each phase; 2,000 of each model make its reference."""
LAST_DRIFTED = 300
HOSTILE = '<!channel> "}) or {{ $value }} (a|b) 模型 ${HOME} \\d'
"""The name of a third model: a copy of the one that drifts."""
NO_DATA = {
    'status="error"': "a share of no requests; the traffic may just have paused",
    "false_pages_measured": "the self-audit takes one model after the other, at its leisure",
}
"""Part of a panel's query -> why it has no data where nothing is wrong."""
RARE = {
    'plumbline_drift_active{severity="warning"}': "the injected drift is critical at once",
}
"""Series that a rule asks for -> why there are none in the scenario."""


@dataclass
class Scenario:
    """What happened, and who can be asked about it."""

    prometheus: Prometheus
    webhook: Webhook
    daemon: Daemon
    drifted: float
    normal: float
    """When the first record of these phases was written, in monotonic seconds."""
    begun: float
    drifting: float
    """Epoch seconds at which warm-up was done, and at which drift was seen by all."""


def lines() -> list[bytes]:
    """The phases one after the other, with a model more and some messages that are no records."""
    number = WARM + DRIFTED + NORMAL
    start = time.time() - number / RATE
    quiet = list(traffic(number, change_at=number, seed=7, rate=RATE, start=start))
    slow = list(traffic(number, change_at=WARM, seed=7, rate=RATE, start=start))
    return quiet[:WARM] + slow[WARM : WARM + DRIFTED] + quiet[WARM + DRIFTED :]


def with_another(records: list[bytes]) -> list[bytes]:
    """A second model that does as the one that drifts, under a hostile name."""
    ours, theirs = (msgspec.json.encode(name) for name in (INJECTED.model, HOSTILE))
    return [each for line in records for each in (line, line.replace(ours, theirs))]


@pytest.fixture(scope="module")
def crowded() -> Iterator[WebServer]:
    """The page of a process with 500 models, 12 features and 6 detectors."""
    with WebServer("127.0.0.1", 0, registry(crowd(500, 12, 6)), Health()) as made:
        yield made


@pytest.fixture(scope="module")
def logs(real_broker: KafkaBroker) -> str:
    """A topic of logs."""
    name = f"logs-{uuid.uuid4().hex[:8]}"
    real_broker.create_topic(name)
    return name


@pytest.fixture(scope="module")
def program() -> Iterator[Receiver]:
    """A program that the daemon itself tells of drift."""
    with Receiver(lambda _: Reply()) as made:
        yield made


@pytest.fixture(scope="module")
def start(
    real_broker: KafkaBroker, logs: str, program: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Daemon]:
    """Makes the daemon, the same one each time; a fourth model is one too many."""
    folder, prefix, port = tmp_path_factory.mktemp("daemon"), uuid.uuid4().hex, free_ports()[0]
    secret = folder / "url"
    secret.write_text(program.url)
    target = {"kind": "webhook", "url": {"file": str(secret)}}
    return lambda: Daemon(
        folder,
        real_broker.bootstrap,
        prefix=prefix,
        logs=[logs],
        roles="ingest,detect,notify",
        notifications={"targets": {"program": target}},
        limits={"models": 3},
        state={"checkpoint_seconds": 1.0},
        http={"port": port},
    )


@pytest.fixture(scope="module")
def daemon(start: Callable[[], Daemon]) -> Iterator[Daemon]:
    """The daemon, ready."""
    with start() as made:
        made.wait_ready()
        yield made


@pytest.fixture(scope="module")
def prometheus(
    daemon: Daemon,
    crowded: WebServer,
    alertmanager: Alertmanager,
    rules_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """Prometheus that scrapes the daemon, and a crowd of which it keeps nothing."""

    def job(name: str, port: int, **more: Any) -> Json:
        return {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}], **more}

    # The page of the crowd is made by this process, which has other things to do and may be slow.
    nothing = {
        "metric_relabel_configs": [{"action": "drop", "regex": ""}],
        "scrape_interval": "30s",
        "scrape_timeout": "30s",
    }
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": "1s"},
        "rule_files": [str(rules_file)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.url[7:]]}]}]},
        "scrape_configs": [
            job("plumbline", daemon.wait_for("started")["port"]),
            job("crowd", crowded.port, **nothing),
        ],
    }
    with Prometheus(tmp_path_factory.mktemp("prometheus"), config) as made:
        yield made


@pytest.fixture(scope="module")
def scenario(
    daemon: Daemon,
    start: Callable[[], Daemon],
    logs: str,
    prometheus: Prometheus,
    webhook: Webhook,
    real_broker: KafkaBroker,
) -> Iterator[Scenario]:
    """Play it: warm up, drift, page, a restart, normal again, resolve."""
    phases = iter(with_another(lines()))

    def send(count: int, *more: bytes) -> int:
        messages = [*islice(phases, 2 * count), *more]
        produce(real_broker.bootstrap, logs, messages)
        return len(messages)

    no_records = b"no record", b'{"model": "m"}'
    sent = send(WARM, *no_records, numbered(0, "one too many", timestamp=time.time()))
    daemon.wait_metric("records_consumed_total", sent)
    daemon.wait(lambda: daemon.metric("drift_statistic") > 0, "a verdict on the metrics")
    begun, drifted = time.time(), time.monotonic()
    send(DRIFTED - LAST_DRIFTED)
    models = INJECTED.model, HOSTILE
    until(lambda: all(webhook.about("pager", model=m) for m in models), "two pages", QUICKLY_S)
    send(LAST_DRIFTED)  # so that there is traffic at the moment that panels are asked about
    time.sleep(2 * SCRAPE_SECONDS)
    drifting = time.time()
    assert daemon.stop() == 0
    with start() as restarted:
        restarted.wait_ready()
        time.sleep(2 * SCRAPE_SECONDS)
        normal = time.monotonic()
        send(NORMAL)
        yield Scenario(prometheus, webhook, restarted, drifted, normal, begun, drifting)


def first_page(scenario: Scenario, model: str) -> Notification:
    """The first page about a model."""
    return scenario.webhook.about("pager", model=model)[0]


def test_an_injected_drift_pages(scenario: Scenario) -> None:
    """Within a minute of the first drifted record, on the right model, in words and with a link."""
    page = first_page(scenario, INJECTED.model)
    assert page.at - scenario.drifted < QUICKLY_S
    for alert in page.alerts():
        labels, annotations = alert["labels"], alert["annotations"]
        assert labels["alertname"] == "PlumblineDriftCritical"
        assert INJECTED.explains(labels["model"], labels["feature"])
        said = re.fullmatch(
            rf'The feature {labels["feature"]} of the model "{INJECTED.model}" has drifted far from'
            r" its reference: its population stability index is (\d\.\d\d)\.",
            annotations["description"],
        )
        assert said
        assert float(said[1]) >= 0.25
        assert annotations["runbook_url"] == f"{RUNBOOKS}plumblinedriftcritical"


def test_many_features_of_one_model_are_one_incident(scenario: Scenario) -> None:
    """Both faces of the change are in one group, and the pager hears of no other."""
    pages = scenario.webhook.about("pager", model=INJECTED.model)
    assert len({page.body["groupKey"] for page in pages}) == 1
    features = {alert["labels"]["feature"] for page in pages for alert in page.alerts()}
    assert features == set(INJECTED.features)


def test_nobody_else_is_woken(scenario: Scenario) -> None:
    """No page is about the model that did not change, or about Plumbline itself."""
    told = [each for each in scenario.webhook.received if "cluster" not in each.body["groupLabels"]]
    assert {each.receiver for each in told} <= {"pager", "chat"}
    assert {each.body["groupLabels"].get("model") for each in told} == {INJECTED.model, HOSTILE}


def test_a_hostile_name_does_no_harm(scenario: Scenario) -> None:
    """In the label it is what it is; in the text it can be neither a mention nor a template."""
    for alert in first_page(scenario, HOSTILE).alerts():
        assert alert["labels"]["model"] == HOSTILE
        shown = HOSTILE.replace("<", "?").replace(">", "?")
        assert f'of the model "{shown}" has drifted' in alert["annotations"]["description"]
        address = f"{GRAFANA}/d/plumbline-drift?var-model={urllib.parse.quote_plus(HOSTILE)}"
        assert alert["annotations"]["dashboard_url"] == address
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}plumblinedriftcritical"


def test_a_restart_neither_ends_nor_repeats_a_page(scenario: Scenario) -> None:
    """While the daemon is away the drift goes on: nobody is told that it is over, or told anew."""
    before = [n for n in scenario.webhook.about("pager", model=HOSTILE) if n.at < scenario.normal]
    assert {each.body["status"] for each in before} == {"firing"}
    starts = {(a["labels"]["feature"], a["startsAt"]) for each in before for a in each.alerts()}
    assert len(starts) == len(INJECTED.features)


def test_the_page_is_resolved(scenario: Scenario) -> None:
    """After traffic as it was before, the same group is told that all is over.

    The alarm was restored from a checkpoint by then; it is not forgotten, it ends.
    """

    def resolved() -> bool:
        last = scenario.webhook.about("pager", model=INJECTED.model)[-1]
        return bool(last.body["status"] == "resolved")

    until(resolved, "the end of the incident", QUICKLY_S)
    pages = scenario.webhook.about("pager", model=INJECTED.model)
    assert len({page.body["groupKey"] for page in pages}) == 1
    ended = {alert["labels"]["feature"] for page in pages for alert in page.alerts("resolved")}
    assert ended == set(INJECTED.features)


# --- every query answers ----------------------------------------------------------------------


def test_every_rule_is_evaluated(scenario: Scenario) -> None:
    """Prometheus has run all of them, and what is recorded for them, and none failed."""
    found = [rule for g in scenario.prometheus.get("rules")["groups"] for rule in g["rules"]]
    assert {rule["name"] for rule in found if rule["type"] == "alerting"} == ALL.keys()
    assert {(rule["health"], rule.get("lastError")) for rule in found} == {("ok", None)}


SELECTOR = re.compile(r"\b(?:plumbline_\w+|up)\b(?:{[^}]*})?")


@pytest.mark.parametrize("rule", ALL.values(), ids=ALL)
def test_what_a_rule_reads_is_there(rule: Rule, scenario: Scenario) -> None:
    """Where nothing is wrong an expression has no value; every series that it asks for does."""
    for selector in SELECTOR.findall(rule.expr):
        if selector not in RARE:
            assert scenario.prometheus.query(selector, scenario.drifting), selector


def test_every_query_of_a_runbook_can_be_run(scenario: Scenario) -> None:
    """Prometheus understands what somebody copies from a page at night."""
    pages = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
    asked = [
        query
        for page in pages
        for query in re.findall(r"^ *```promql\n(.+?)^ *```", page.read_text(), re.M | re.S)
    ]
    assert len(asked) > len(ALL)
    for query in asked:
        scenario.prometheus.query(query, scenario.drifting)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
@pytest.mark.parametrize("model", [INJECTED.model, HOSTILE], ids=["plain", "hostile"])
def test_every_panel_has_data(file: Path, model: str, scenario: Scenario) -> None:
    """Every query of a dashboard answers with data, whatever the model is called."""
    span = scenario.begun, scenario.drifting
    missing, asked = [], queries(file, scenario.prometheus, {"model": model}, span)
    assert asked
    for each in asked:
        try:
            if each.instant:
                found = scenario.prometheus.query(each.expression, scenario.drifting)
            else:
                found = scenario.prometheus.over(each.expression, *span)
        except QueryError as error:
            missing.append((each, str(error)))
            continue
        if not found and not any(part in each.expression for part in NO_DATA):
            missing.append((each, "no data"))
    assert missing == []


# --- the page of metrics ----------------------------------------------------------------------


def test_the_page_is_well_formed(scenario: Scenario) -> None:
    """What the daemon shows passes both parsers, and promtool has nothing to say about it."""
    classic = scenario.daemon.get("/metrics")[1]
    assert list(parse_classic(classic))
    parsed = parse_openmetrics(open_metrics(scenario.daemon))  # type: ignore[no-untyped-call]  # not typed there
    assert list(parsed)
    assert complaints(classic) == ""


def open_metrics(daemon: Daemon) -> str:
    """The page as Prometheus asks for it."""
    url = f"http://127.0.0.1:{daemon.wait_for('started')['port']}/metrics"
    request = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text: str = answer.read().decode()
        return text


def complaints(text: str) -> str:
    """What promtool finds wrong with a page."""
    command = [needed("promtool"), "check", "metrics"]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


def test_five_hundred_models_keep_the_budget(scenario: Scenario) -> None:
    """Prometheus reads the page of a crowd, and counts no more series than are allowed."""

    def highest(name: str) -> float:
        found = scenario.prometheus.query(f'max_over_time({name}{{job="crowd"}}[5m])')
        return max((float(each["value"][1]) for each in found), default=0.0)

    until(lambda: highest("up") == 1, "a scrape of the crowd", 90)
    assert MAX_SERIES * 0.9 < highest("scrape_samples_scraped") <= MAX_SERIES
    text = generate_latest(registry(crowd(500, 12, 6))).decode()
    assert complaints(text) == ""
