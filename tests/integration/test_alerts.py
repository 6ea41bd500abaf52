"""Alerting end to end, with a real daemon, broker, Prometheus and Alertmanager.

All tests share one scenario: three models warm up, two of them become slower, a page is sent, the
daemon is restarted, the traffic becomes normal again, and the page is resolved.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.parse
import urllib.request
import uuid
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from grafana.alerts.rules import GRAFANA, RULES, Rule, by_name, groups
from grafana.links import RUNBOOKS
from judges.rubrics import loading
from monitor.cli.demo.traffic import INJECTED, traffic
from monitor.events.evaluations import encode_evaluation
from monitor.kafka.topics import Topics
from monitor.telemetry.exporter import MAX_SERIES, registry
from monitor.telemetry.health import Health
from monitor.telemetry.http.server import WebServer
from tests.debian import needed
from tests.integration.broker import KafkaBroker, free_ports
from tests.integration.grafana_queries import SCRAPE_SECONDS, queries
from tests.integration.harness import ROOT, TIMEOUT_S, Daemon, numbered, produce, until
from tests.integration.prometheus import (
    Alertmanager,
    Json,
    Notification,
    Prometheus,
    QueryError,
    Webhook,
)
from tests.judges.replies import Reply, message
from tests.judges.server import ModelServer, Received
from tests.judges.trust.calibration.evaluations import with_labels
from tests.monitor.notify.receiver import Receiver
from tests.monitor.notify.receiver import Reply as TargetReply
from tests.monitor.telemetry.scrape import crowd

ALL = by_name(groups(RULES.read_text()))
DASHBOARDS = sorted(
    file
    for file in (ROOT / "grafana" / "dashboards").glob("*.json")
    if file.stem not in {"replay", "review"}
)
"""All but those of replays and of the role web, which test_replay and test_web query."""
QUICKLY_S = 60.0
"""Seconds from the first drifted record to the page, at most."""
RATE = 200.0
WARM, DRIFTED, NORMAL = 6000, 1200, 3000
"""Records of the demo's two models in each phase. The reference takes 2,000 of each model."""
EARLIER = 600
"""Records before the warm-up, of a model without a reference, for looks at the experiment."""
MOST_CONTINUED = 15_000
CONTINUED_PER_SECOND = 100
"""Drifted records that continue until Prometheus has scraped the state to query: over 2 minutes."""
HOSTILE = '<!channel> "}) or {{ $value }} (a|b) 模型 ${HOME} \\d'
"""The name of a third model: a copy of the one that drifts."""
MODELS = (INJECTED.model, HOSTILE)
COMPARED = {
    "variants": {"control": 1, '<!channel> "}) $x (a|b) 模型': 1},
    "unit": "request_id",
    "assignment": "hash",
    "goal": "latency_ms",
    "secondary": ["output_tokens"],
    "guardrails": ["error"],
}
"""An experiment whose variants are the same."""
NO_DATA = {
    "false_pages_measured": "the self-audit takes one model after the other",
    'ragas[.].+"}': "the scenario has no metric of RAGAS",
    '(judge|ragas)[.].+", severity': "no judged feature drifts",
    "experiment_records_without_unit": "every record has the unit",
    "plumbline_replay_": "the scenario has no replay",
    "plumbline_feedback_": "test_join has feedback",
    "plumbline_join_": "test_join has feedback",
    'style[.].+|prompt[.].+"}': "test_style has a drift of style",
    "records_skipped_total": "every message is an inference",
    "experiment_time_to_verdict": "absent once an experiment has a verdict",
}
"""Part of a panel's query -> why it may have no data."""
ELSEWHERE = tuple(f"plumbline_{name}_" for name in ("replay", "web", "review", "feedback", "join"))
"""Beginnings of the metrics of roles that are not in the scenario, but in their own tests."""
RARE = {
    'plumbline_drift_active{severity="warning"}': "the injected drift is critical at once",
    'plumbline_judge_golden_shift{rubric=~"ragas[.].+"}': "there is no metric of RAGAS",
    'plumbline_judge_calls_total{outcome=~"unavailable|timeout"}': "the judge answers",
    'plumbline_experiment_srm_status{status="block"}': "the hash splits as planned",
    'plumbline_experiment_guardrail{state="harm"}': "both variants are the same",
    'plumbline_experiment_verdict{verdict!="not_yet"}': "both variants are the same",
}
"""Selector of a rule -> why it has no series in the scenario."""


@dataclass
class Scenario:
    """The running services, and the times of the phases.

    drifted, normal: monotonic seconds before the first record of the phase.
    begun, drifting: epoch seconds after the warm-up, and during drifted traffic.
    """

    prometheus: Prometheus
    webhook: Webhook
    daemon: Daemon
    drifted: float
    normal: float
    begun: float
    drifting: float


def lines() -> tuple[Iterator[bytes], Iterator[bytes], Iterator[bytes]]:
    """Return the records of the warm-up, of the drifted and of the normal phase."""
    number = WARM + DRIFTED + MOST_CONTINUED + NORMAL
    start = time.time() - number / RATE
    quiet = list(traffic(number, change_at=number, seed=7, rate=RATE, start=start))
    slow = list(traffic(number, change_at=WARM, seed=7, rate=RATE, start=start))
    phases = quiet[:WARM], slow[WARM:-NORMAL], quiet[-NORMAL:]
    warm, drifted, normal = (with_another(phase) for phase in phases)
    return warm, drifted, normal


def earlier() -> list[bytes]:
    """Return records of the ten minutes before the warm-up: looks are at whole minutes."""
    start = time.time() - 900
    values = {"latency_ms": 400, "output_tokens": 50}
    return [
        numbered(i, "earlier", timestamp=start + 600 * i / EARLIER, **values)
        for i in range(EARLIER)
    ]


def with_another(records: list[bytes]) -> Iterator[bytes]:
    """Repeat each record of the model that drifts for a second model, which has a hostile name."""
    ours, theirs = (msgspec.json.encode(name) for name in MODELS)
    copies = (line.replace(ours, theirs).replace(b'"demo-', b'"copy-') for line in records)
    return (each for pair in zip(records, copies, strict=True) for each in pair)


@contextmanager
def flowing(bootstrap: str, topic: str, records: Iterator[bytes], rate: int) -> Iterator[None]:
    """Write records in a thread, at most `rate` in a second, until the block ends."""
    ended = threading.Event()

    def write() -> None:
        producer = Producer({"bootstrap.servers": bootstrap, "log_level": 2})
        while not ended.wait(0.1):
            for record in islice(records, rate // 10):
                producer.produce(topic, record)
            producer.poll(0)
        assert producer.flush(TIMEOUT_S) == 0

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            yield
        finally:
            ended.set()
        writing.result()


@pytest.fixture(scope="module")
def crowded() -> Iterator[WebServer]:
    """The metrics page of a process with 500 models, 12 features and 6 detectors."""
    with WebServer("127.0.0.1", 0, registry(crowd(500, 12, 6)), Health()) as running:
        yield running


@pytest.fixture(scope="module")
def logs(real_broker: KafkaBroker) -> str:
    """A topic for the inference logs."""
    name = f"logs-{uuid.uuid4().hex[:8]}"
    real_broker.create_topic(name)
    return name


@pytest.fixture(scope="module")
def program() -> Iterator[Receiver]:
    """A webhook target of the daemon itself."""
    with Receiver(lambda _: TargetReply()) as running:
        yield running


def verdict(request: Received) -> Reply:
    """Return the verdict of a judge: a score that follows from the judged text, with some noise."""
    text = json.dumps(request.body["messages"])  # with random delimiters, of the same length
    score = 2 + len(text) % 3 + (zlib.crc32(text.encode()) % 4 == 0)
    scores = {each.name: score for each in loading.load("answer_quality").dimensions}
    answer = {"reasoning": "as told", "scores": scores, "strengths": [], "weaknesses": []}
    return message(json.dumps(answer))


@pytest.fixture(scope="module")
def judge() -> Iterator[ModelServer]:
    """A provider of judges."""
    with ModelServer(verdict, key=None) as running:
        yield running


def judged(server: ModelServer, folder: Path) -> dict[str, Any]:
    """Return sections in which everything about judges happens within seconds."""
    golden = folder / "golden.jsonl"
    golden.write_bytes(b"".join(numbered(i, response=f"{i}") + b"\n" for i in range(12)))
    return {
        "sampling": {"rate": 0.18},
        "judges": {
            "rubrics": ["answer_quality"],
            "model": "judge",
            "client": {"base_url": server.url},
            "prices": {"judge": {"input": 1, "output": 5}},
            "budget": {"usd_per_day": 1000},
            "panel": {"models": ["judge"], "share": 0.1},
            "golden": {"path": str(golden), "every_hours": 0.001},
            "canaries": {"attacks": 3, "every_hours": 0.001},
            "windows": {"records": 50, "stride": 10},
            "reference": {"records": 500},
        },
    }


@pytest.fixture(scope="module")
def start(
    real_broker: KafkaBroker,
    logs: str,
    program: Receiver,
    judge: ModelServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], Daemon]:
    """Return a function that describes the daemon, always the same one, with at most 4 models.

    Prometheus scrapes it across the restart, so the port is fixed.
    """
    folder, prefix, port = tmp_path_factory.mktemp("daemon"), uuid.uuid4().hex, free_ports()[0]
    secret = folder / "url"
    secret.write_text(program.url)
    target = {"kind": "webhook", "url": {"file": str(secret)}}
    return lambda: Daemon(
        folder,
        real_broker.bootstrap,
        prefix=prefix,
        logs=[logs],
        roles="ingest,detect,judge,experiment,notify",
        notifications={"targets": {"program": target}},
        limits={"models": 4},
        state={"checkpoint_seconds": 1.0},
        http={"port": port},
        experiments={"new-prompt": COMPARED},
        **judged(judge, folder),
    )


@pytest.fixture(scope="module")
def daemon(start: Callable[[], Daemon]) -> Iterator[Daemon]:
    """The daemon, once it is ready."""
    with start() as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def prometheus(
    daemon: Daemon,
    crowded: WebServer,
    alertmanager: Alertmanager,
    rules_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """Prometheus that scrapes the daemon, and a large page of which it keeps no samples."""

    def job(name: str, port: int, **more: Any) -> Json:
        return {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}], **more}

    # This process serves the large page, so a scrape of it may be slow.
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
    with Prometheus(tmp_path_factory.mktemp("prometheus"), config) as running:
        yield running


@pytest.fixture(scope="module")
def scenario(
    daemon: Daemon,
    start: Callable[[], Daemon],
    logs: str,
    prometheus: Prometheus,
    webhook: Webhook,
    real_broker: KafkaBroker,
) -> Iterator[Scenario]:
    """Run the scenario up to the first normal records after the restart."""
    warm, slow, quiet = lines()
    bootstrap = real_broker.bootstrap
    others = b"no record", b'{"model": "m"}', numbered(0, "one too many", timestamp=time.time())
    labelled = [
        each for number, name in enumerate(MODELS) for each in with_labels(number, 80, name)
    ]
    evaluations = Topics(daemon.prefix).evaluations
    produce(bootstrap, evaluations, [encode_evaluation(each) for each in labelled])
    produce(bootstrap, logs, [*earlier(), *warm, *others])
    daemon.wait_metric("records_consumed_total", EARLIER + 2 * WARM + len(others))
    daemon.wait(lambda: daemon.metric("drift_statistic") > 0, "a statistic of a detector")
    daemon.wait(lambda: has_judged(daemon), "everything about judges")
    begun, drifted = time.time(), time.monotonic()
    produce(bootstrap, logs, islice(slow, 2 * DRIFTED))
    # The traffic continues up to the time of the queries: rates need requests between scrapes.
    with flowing(bootstrap, logs, slow, 2 * CONTINUED_PER_SECOND):
        until(lambda: all(webhook.about("pager", model=m) for m in MODELS), "two pages", QUICKLY_S)
        drifting = time_with_rates(prometheus)
    assert daemon.stop() == 0
    with start() as restarted:
        restarted.wait_ready()
        # The alerts must have been evaluated with the restored alarms before these end.
        ready = time.time()
        until(lambda: latest_scrape(prometheus) > ready, "a scrape after the restart")
        scraped = time.time()
        until(lambda: evaluated(prometheus) > scraped, "an evaluation after the restart")
        normal = time.monotonic()
        produce(bootstrap, logs, quiet)
        yield Scenario(prometheus, webhook, restarted, drifted, normal, begun, drifting)


def has_judged(daemon: Daemon) -> bool:
    """Return whether both models are judged and watched, and the golden set was judged twice."""
    quality = "judge.answer_quality"
    watched = (daemon.metric("drift_psi", model=model, feature=quality) for model in MODELS)
    others = (
        *("judge_quality", "judge_agreement", "judge_repeat_deviation", "experiment_mean"),
        "judge_pass_ratio",
    )
    return all(value > 0 for value in (*watched, *map(daemon.metric, others)))


def time_with_rates(prometheus: Prometheus) -> float:
    """Wait for a scrape at which Prometheus has the rates of all models; return its time."""
    scrapes = [0.0]

    def found() -> bool:
        scrapes.append(latest_scrape(prometheus))
        return has_rates(prometheus, scrapes[-1])

    until(found, "the rates of all models")
    return scrapes[-1]


def has_rates(prometheus: Prometheus, at: float) -> bool:
    """Return whether there are rates of all models at a time, and no scrape has failed."""
    window = f"{4 * SCRAPE_SECONDS}s"
    scrapes = f'up{{job="plumbline"}}[{window}]'
    complete = f"count_over_time({scrapes}) >= 3 and min_over_time({scrapes}) == 1"
    if not prometheus.query(complete, at):
        return False
    counters = "inference_requests_total", "inference_tokens_total", "records_watched_total"
    return all(
        {each["metric"]["model"] for each in prometheus.query(rate, at)} >= set(MODELS)
        for rate in (f"sum by (model) (rate(plumbline_{c}[{window}])) > 0" for c in counters)
    )


def latest_scrape(prometheus: Prometheus) -> float:
    """Return the time of the newest alarm series (epoch seconds); 0 if the last scrape failed."""
    return newest(prometheus, "timestamp(plumbline_drift_active)")


def evaluated(prometheus: Prometheus) -> float:
    """Return the time at which the alert was last found to be firing (epoch seconds), or 0."""
    alert = 'ALERTS{alertname="PlumblineDriftCritical", alertstate="firing"}'
    return newest(prometheus, f"timestamp({alert})")


def newest(prometheus: Prometheus, expression: str) -> float:
    """Return the largest value of an expression, or 0 if it has no series."""
    return max((float(each["value"][1]) for each in prometheus.query(expression)), default=0.0)


def first_page(scenario: Scenario, model: str) -> Notification:
    """Return the first page about a model."""
    return scenario.webhook.about("pager", model=model)[0]


def test_an_injected_drift_pages(scenario: Scenario) -> None:
    """Within a minute, the page names the model and the drifted feature and links its runbook."""
    page = first_page(scenario, INJECTED.model)
    assert page.at - scenario.drifted < QUICKLY_S
    for alert in page.alerts():
        labels, annotations = alert["labels"], alert["annotations"]
        assert labels["alertname"] == "PlumblineDriftCritical"
        assert INJECTED.explains(labels["model"], labels["feature"])
        said = re.fullmatch(
            rf'The feature {labels["feature"]} of the model "{INJECTED.model}" has drifted far from'
            r" its reference: population stability index \(PSI\) (\d\.\d\d)\.",
            annotations["description"],
        )
        assert said
        assert float(said[1]) >= 0.25
        assert annotations["runbook_url"] == f"{RUNBOOKS}plumblinedriftcritical"


def test_many_features_of_one_model_are_one_incident(scenario: Scenario) -> None:
    """All drifted features of a model are in one group of alerts, the only one of the model."""
    pages = scenario.webhook.about("pager", model=INJECTED.model)
    assert len({page.body["groupKey"] for page in pages}) == 1
    features = {alert["labels"]["feature"] for page in pages for alert in page.alerts()}
    assert features == set(INJECTED.features)


def test_no_other_page_is_sent(scenario: Scenario) -> None:
    """No message is about the model that did not change, or about Plumbline itself."""
    sent = [each for each in scenario.webhook.received if "cluster" not in each.body["groupLabels"]]
    assert {each.receiver for each in sent} <= {"pager", "chat"}
    assert {each.body["groupLabels"].get("model") for each in sent} == {INJECTED.model, HOSTILE}


def test_a_hostile_name_does_no_harm(scenario: Scenario) -> None:
    """The label has the name unchanged; the text has it without mentions and templates."""
    for alert in first_page(scenario, HOSTILE).alerts():
        assert alert["labels"]["model"] == HOSTILE
        shown = HOSTILE.replace("<", "?").replace(">", "?")
        assert f'of the model "{shown}" has drifted' in alert["annotations"]["description"]
        address = f"{GRAFANA}/d/plumbline-drift?var-model={urllib.parse.quote_plus(HOSTILE)}"
        assert alert["annotations"]["dashboard_url"] == address
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}plumblinedriftcritical"


def test_a_restart_neither_ends_nor_repeats_a_page(scenario: Scenario) -> None:
    """During a restart the alert neither resolves nor starts again."""
    before = [n for n in scenario.webhook.about("pager", model=HOSTILE) if n.at < scenario.normal]
    assert {each.body["status"] for each in before} == {"firing"}
    starts = {(a["labels"]["feature"], a["startsAt"]) for each in before for a in each.alerts()}
    assert len(starts) == len(INJECTED.features)


def test_the_page_is_resolved(scenario: Scenario) -> None:
    """After normal traffic, the alarm restored from the checkpoint ends, and its page resolves."""

    def resolved() -> bool:
        last = scenario.webhook.about("pager", model=INJECTED.model)[-1]
        return bool(last.body["status"] == "resolved")

    until(resolved, "the end of the incident", QUICKLY_S)
    pages = scenario.webhook.about("pager", model=INJECTED.model)
    assert len({page.body["groupKey"] for page in pages}) == 1
    ended = {alert["labels"]["feature"] for page in pages for alert in page.alerts("resolved")}
    assert ended == set(INJECTED.features)


# --- queries of rules, runbooks and dashboards --------------------------------------------------


def test_every_rule_is_evaluated(scenario: Scenario) -> None:
    """Prometheus has evaluated every alert rule and recording rule without an error."""
    found = [rule for g in scenario.prometheus.get("rules")["groups"] for rule in g["rules"]]
    assert {rule["name"] for rule in found if rule["type"] == "alerting"} == ALL.keys()
    assert {(rule["health"], rule.get("lastError")) for rule in found} == {("ok", None)}


SELECTOR = re.compile(r"\b(?:plumbline_\w+|up)\b(?:{[^}]*})?")


@pytest.mark.parametrize("rule", ALL.values(), ids=ALL)
def test_every_selector_of_a_rule_has_series(rule: Rule, scenario: Scenario) -> None:
    """The expression of a rule is empty while nothing is wrong; its selectors are not."""
    for selector in SELECTOR.findall(rule.expr):
        if selector not in RARE and not selector.startswith(ELSEWHERE):
            assert scenario.prometheus.query(selector, scenario.drifting), selector


def test_every_query_of_a_runbook_can_be_run(scenario: Scenario) -> None:
    """Prometheus accepts the queries that the runbooks show."""
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
    """Every query of a dashboard returns data, whatever the name of the model."""
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


# --- the metrics page ---------------------------------------------------------------------------


def test_the_page_is_well_formed(scenario: Scenario) -> None:
    """The metrics page passes both parsers and promtool."""
    classic = scenario.daemon.get("/metrics")[1]
    assert list(parse_classic(classic))
    parsed = parse_openmetrics(open_metrics(scenario.daemon))  # type: ignore[no-untyped-call]  # untyped in the library
    assert list(parsed)
    assert complaints(classic) == ""


def open_metrics(daemon: Daemon) -> str:
    """Return the page in the format that Prometheus requests."""
    url = f"http://127.0.0.1:{daemon.wait_for('started')['port']}/metrics"
    request = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        text: str = response.read().decode()
        return text


def complaints(text: str) -> str:
    """Return the errors that promtool reports for a page."""
    command = [needed("promtool"), "check", "metrics"]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


def test_five_hundred_models_keep_the_budget(scenario: Scenario) -> None:
    """Prometheus scrapes the page of 500 models and counts no more series than allowed."""

    def highest(name: str) -> float:
        found = scenario.prometheus.query(f'max_over_time({name}{{job="crowd"}}[5m])')
        return max((float(each["value"][1]) for each in found), default=0.0)

    until(lambda: highest("up") == 1, "a scrape of the large page")
    assert MAX_SERIES * 0.9 < highest("scrape_samples_scraped") <= MAX_SERIES
    text = generate_latest(registry(crowd(500, 12, 6))).decode()
    assert complaints(text) == ""
