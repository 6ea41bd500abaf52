"""What Prometheus sees: the contract's names and labels, sums that add up, a bound that holds."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from monitor import __version__
from monitor.alarm_path import Reading
from monitor.app import App
from monitor.audit import Audited
from monitor.config import AlarmsConfig, Config
from monitor.decode import decoder
from monitor.events import DriftEvent, Summary
from monitor.features import Batch, FeatureExtractor
from monitor.health import Health
from monitor.metrics import (
    HISTOGRAM_SAMPLES,
    LATENCY_BUCKETS,
    MAX_SERIES,
    PROCESS_SERIES,
    Metrics,
    MetricsCollector,
    ModelState,
    Traffic,
    registry,
)
from monitor.records import Record, Refusal

pytestmark = pytest.mark.filterwarnings("error")

decode = decoder("native", metadata=False)
NAN = math.nan


def record(**fields: Any) -> Record:
    """A record with these fields."""
    return decode(json.dumps({"request_id": "r", "timestamp": 1.0, "model": "m"} | fields).encode())


def extractor() -> FeatureExtractor:
    """An extractor without metadata."""
    return FeatureExtractor({}, models=500, scores=50, categories=100)


def batch(*fields: dict[str, Any], by: FeatureExtractor | None = None) -> Batch:
    """The features of records with these fields."""
    return (by or extractor()).batch([record(**each) for each in fields], range(len(fields)))


def event(change: str = "opened", severity: str = "warning", model: str = "m") -> DriftEvent:
    """A drift event of latency."""
    return DriftEvent(
        id="1",
        alarm="1",
        change=change,  # type: ignore[arg-type]  # a test says it in words
        model=model,
        segment="",
        feature="latency_ms",
        detector="ks",
        found_by=("ks",),
        severity=severity,  # type: ignore[arg-type]  # as above
        position=1,
        record=1,
        time=1.0,
        statistic=1.0,
        threshold=0.5,
        p_value=0.001,
        psi=0.2,
        reference_id="x",
        reference=Summary(n=1, missing=0.0),
        current=Summary(n=1, missing=0.0),
    )


def state(model: str = "m", **changed: Any) -> ModelState:
    """A model with one verdict and one detector that warms up."""
    fields: dict[str, Any] = {
        "records": 0,
        "reference_records": 50,
        "window_records": 10,
        "readings": [
            Reading("latency_ms", "ks", 0.5, 0.2, 0.01),
            Reading("latency_ms", "adwin", NAN, NAN, NAN),
        ],
        "psi": {"latency_ms": 0.3, "error": NAN},
        "severities": {"latency_ms": "warning"},
    }
    return ModelState(model=model, **(fields | changed))


def everything() -> Metrics:
    """Metrics in which every family has something to say."""
    m = Metrics({"warning": 0.1, "critical": 0.25}, health=Health(lambda: 0.0))
    m.ingested(
        [batch({"latency_ms": 5, "input_tokens": 1, "output_tokens": 2, "cost_usd": 0.5})],
        {"inference-logs": 3},
        {"not_json": 2},
    )
    m.health.expect("ingest")
    m.watched["m"] += 1
    m.rebalances["ingest"] += 1
    m.rebalances["detect"] += 1
    m.lag["inference-logs", 0] = 7
    m.models[0] = [state()]
    m.drift(event())
    m.checkpoint(0.25, 1000)
    m.notices.sent["team"] += 5
    m.notices.retried["team", "timeout"] += 4
    m.notices.failed["team", "rejected"] += 3
    m.notices.suppressed["team", "duplicate"] += 2
    m.notices.waiting["team"] = 1
    m.audits = [Audited("m", 0.033, 0.02, 0.0, 0.1, 500_000, {}, False)]
    return m


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    """All samples of a scrape; both forms of the text parse, and say the same."""
    own = CollectorRegistry(auto_describe=False)
    own.register(MetricsCollector(metrics, lambda: 100.0))
    found = []
    openmetrics = generate_openmetrics(own)  # type: ignore[no-untyped-call]  # not typed there
    for parse, text in (
        (parse_openmetrics, openmetrics),
        (parse_classic, generate_latest(own)),
    ):
        flat = [s for family in parse(text.decode()) for s in family.samples]
        known = {(s.name, frozenset(s.labels.items())): s.value for s in flat}
        assert len(known) == len(flat)
        found.append(known)
    assert found[0] == found[1]
    return found[0]


def get(found: Samples, name: str, **labels: str) -> float | None:
    """One sample, None where there is none."""
    return found.get((f"plumbline_{name}", frozenset(labels.items())))


# --- the contract -----------------------------------------------------------------------------

CONTRACT = {  # of the design, as far as there is something to show
    "records_consumed_total": {"topic"},
    "records_rejected_total": {"reason"},
    "consumer_lag_records": {"topic", "partition"},
    "event_time_lag_seconds": set(),
    "rebalances_total": set(),
    "inference_requests_total": {"model", "status"},
    "inference_latency_seconds_bucket": {"model", "le"},
    "inference_latency_seconds_count": {"model"},
    "inference_latency_seconds_sum": {"model"},
    "inference_tokens_total": {"model", "direction"},
    "inference_cost_usd_total": {"model"},
    "checkpoint_seconds": set(),
    "last_checkpoint_timestamp_seconds": set(),
    "drift_statistic": {"model", "feature", "detector"},
    "drift_threshold": {"model", "feature", "detector"},
    "drift_psi": {"model", "feature"},
    "drift_psi_threshold": {"severity"},
    "drift_active": {"model", "feature", "severity"},
    "drift_events_total": {"model", "feature", "detector", "severity"},
    "window_records": {"model"},
    "reference_records": {"model"},
    "build_info": {"version"},
    "start_time_seconds": set(),
    "heartbeat_age_seconds": {"role"},
    "role_ready": {"role"},
    "notifications_sent_total": {"target"},
    "notifications_retried_total": {"target", "reason"},
    "notifications_failed_total": {"target", "reason"},
    "notifications_suppressed_total": {"target", "reason"},
    "notifications_waiting": {"target"},
}
LABELS = {"model", "status", "direction", "feature", "detector", "severity", "version", "le"}
LABELS |= {"topic", "partition", "reason", "role", "target"}


def test_names_and_labels_are_those_of_the_contract() -> None:
    """Dashboards and alerts hang on exactly these."""
    found: dict[str, set[str]] = {}
    for name, labels in samples(everything()):
        found.setdefault(name.removeprefix("plumbline_"), set()).update(dict(labels))
    assert {name: found.get(name) for name in CONTRACT} == CONTRACT
    assert set().union(*found.values()) <= LABELS


def test_kinds_are_those_of_the_contract() -> None:
    """A total is a counter, a latency a histogram, anything else a gauge."""
    text = generate_latest(registry(everything())).decode()
    for family in parse_classic(text):
        totals = {s.name.endswith("_total") for s in family.samples}
        expected = "counter" if totals == {True} else "gauge"
        if family.name == "plumbline_inference_latency_seconds":
            expected = "histogram"
        assert family.type == expected, family.name
        assert family.documentation


def test_nothing_yet() -> None:
    """A process that has just begun shows its version and zeros, and claims nothing else."""
    found = samples(Metrics())
    assert get(found, "build_info", version=__version__) == 1
    assert get(found, "metric_series_dropped") == 0
    facts = {"plumbline_build_info", "plumbline_start_time_seconds"}
    assert {value for (name, _), value in found.items() if name not in facts} == {0}
    labelled = {name for name, labels in found if labels}
    assert labelled == {"plumbline_build_info", "plumbline_records_rejected_total"}


def test_every_reason_is_there_before_it_occurs() -> None:
    """A counter that appears with its first refusal would not rise by it, for Prometheus."""
    found = samples(Metrics())
    assert {get(found, "records_rejected_total", reason=reason) for reason in Refusal} == {0}


def test_psi_thresholds_are_those_of_the_configuration() -> None:
    """From which PSI on an alarm opens, and from which it is critical, is shown beside the PSI."""
    config = Config(alarms=AlarmsConfig(min_psi=0.07, critical_psi=0.3))
    found = samples(App(config, ("detect",)).metrics)
    assert get(found, "drift_psi_threshold", severity="warning") == 0.07
    assert get(found, "drift_psi_threshold", severity="critical") == 0.3


# --- numbers ----------------------------------------------------------------------------------


def test_what_the_daemon_counts() -> None:
    """Messages, refusals, rebalances of all roles, lag and the age of the newest record."""
    found = samples(everything())
    assert get(found, "records_consumed_total", topic="inference-logs") == 3
    assert get(found, "records_rejected_total", reason="not_json") == 2
    assert get(found, "records_watched_total", model="m") == 1
    assert get(found, "rebalances_total") == 2
    assert get(found, "consumer_lag_records", topic="inference-logs", partition="0") == 7
    assert get(found, "event_time_lag_seconds") == 99


def test_what_became_of_notifications() -> None:
    """Messages and attempts by target, and why."""
    found = samples(everything())
    assert get(found, "notifications_sent_total", target="team") == 5
    assert get(found, "notifications_retried_total", target="team", reason="timeout") == 4
    assert get(found, "notifications_failed_total", target="team", reason="rejected") == 3
    assert get(found, "notifications_suppressed_total", target="team", reason="duplicate") == 2
    assert get(found, "notifications_waiting", target="team") == 1


def test_event_time_lag_follows_the_log() -> None:
    """The newest record of the last commit counts; one from the future spoils no later reading."""
    m = Metrics()
    for times, age in (([10.0, 40.0], 60), ([30.0], 70), ([500.0], 0), ([90.0, 20.0], 10)):
        m.ingested([batch({"timestamp": t}) for t in times], {}, {})
        assert get(samples(m), "event_time_lag_seconds") == age
    m.ingested([batch()], {}, {})
    assert get(samples(m), "event_time_lag_seconds") == 10


fields = st.fixed_dictionaries(
    {"model": st.sampled_from("abcd")},
    optional={
        "latency_ms": st.none()
        | st.floats(-10, 200_000)
        | st.sampled_from([bound * 1000 for bound in LATENCY_BUCKETS]),
        "input_tokens": st.none() | st.integers(-5, 1000),
        "output_tokens": st.integers(0, 1000),
        "cost_usd": st.floats(0, 10),
        "error": st.none() | st.sampled_from(["", "timeout"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(fields, max_size=8), max_size=4))
def test_counters_add_up(log: list[list[dict[str, Any]]]) -> None:
    """Over any batches, the counters are what counting record by record gives."""
    m, by = Metrics(), extractor()
    expected: defaultdict[tuple[str, frozenset[tuple[str, str]]], float] = defaultdict(float)

    def count(name: str, number: float = 1, **labels: str) -> None:
        expected[f"plumbline_inference_{name}", frozenset(labels.items())] += number

    for part in log:
        m.ingested([batch(*part, by=by)], {}, {})
        for r in part:
            model = r["model"]
            failed = bool(r.get("error"))
            count("requests_total", model=model, status="error" if failed else "ok")
            count("requests_total", 0, model=model, status="ok" if failed else "error")
            for key in ("input", "output"):
                tokens = max(0, r.get(f"{key}_tokens") or 0)
                count("tokens_total", tokens, model=model, direction=key)
            count("cost_usd_total", r.get("cost_usd", 0), model=model)
            latency = r.get("latency_ms")
            known = latency is not None
            count("latency_seconds_count", known, model=model)
            count("latency_seconds_sum", max(0, latency or 0) / 1000, model=model)
            for bound in (*LATENCY_BUCKETS, math.inf):
                label = "+Inf" if bound == math.inf else repr(bound)
                inside = latency is not None and latency / 1000 <= bound
                count("latency_seconds_bucket", inside, model=model, le=label)
    found = {key: v for key, v in samples(m).items() if "_inference_" in key[0]}
    assert found.keys() == expected.keys()
    for series, total in expected.items():
        assert found[series] == pytest.approx(total, rel=1e-12, abs=1e-12)


def test_counters_never_fall() -> None:
    """Negative numbers in a log add nothing, so that a rate stays a rate."""
    m, by = Metrics(), extractor()
    m.ingested([batch({"input_tokens": 5, "cost_usd": 1, "latency_ms": 500}, by=by)], {}, {})
    before = samples(m)
    m.ingested([batch({"input_tokens": -4, "cost_usd": -1, "latency_ms": -500}, by=by)], {}, {})
    after = samples(m)
    names = {key for key in before if key[0].endswith(("_total", "_sum", "_count", "_bucket"))}
    assert len(names) > 20
    assert all(after[key] >= before[key] for key in names)


def test_a_batch_that_knows_fewer_models() -> None:
    """A batch made before others that are counted already does not upset the sums."""
    traffic, by = Traffic(), extractor()
    old = batch({"model": "a", "latency_ms": 1}, by=by)
    traffic.add(batch({"model": "b", "latency_ms": 1}, by=by))
    traffic.add(old)
    assert dict(zip(traffic.models, traffic.requests[:, 0].tolist(), strict=True)) == {
        "other": 0,
        "a": 1,
        "b": 1,
    }


def test_how_the_roles_are() -> None:
    """Since when each role's loop has not turned, whether it has joined, and when all began."""
    now = [50.0]
    health = Health(lambda: now[0])
    health.expect("ingest")
    health.expect("detect")
    health.ready("detect")
    now[0] += 30
    health.beat("detect")
    found = samples(Metrics(health=health, started=1000.0))
    assert get(found, "heartbeat_age_seconds", role="ingest") == 30
    assert get(found, "heartbeat_age_seconds", role="detect") == 0
    assert get(found, "role_ready", role="ingest") == 0
    assert get(found, "role_ready", role="detect") == 1
    assert get(found, "start_time_seconds") == 1000


def test_a_process_knows_when_it_began() -> None:
    """In epoch seconds, as time() has it in a query."""
    assert abs(Metrics().started - time.time()) < 60


# --- drift ------------------------------------------------------------------------------------


def test_no_verdict_no_sample() -> None:
    """A detector that warms up shows no statistic, no threshold and no PSI, least of all zero."""
    found = samples(everything())
    drift = {k: v for k, v in found.items() if "drift_" in k[0]}
    assert get(drift, "drift_statistic", model="m", feature="latency_ms", detector="ks") == 0.5
    assert get(drift, "drift_threshold", model="m", feature="latency_ms", detector="ks") == 0.2
    assert get(drift, "drift_psi", model="m", feature="latency_ms") == 0.3
    assert len(drift) == 7
    assert not any("adwin" in dict(labels).values() for _, labels in drift)
    assert not any(math.isnan(v) for v in found.values())


def test_threshold_that_is_not_known_has_no_sample() -> None:
    """A statistic may be there before its threshold is."""
    m = Metrics(models={0: [state(readings=[Reading("x", "ks", 0.5, NAN, NAN)])]})
    found = samples(m)
    assert get(found, "drift_statistic", model="m", feature="x", detector="ks") == 0.5
    assert get(found, "drift_threshold", model="m", feature="x", detector="ks") is None


def test_alarms() -> None:
    """An open alarm is 1 under its severity; one that has ended stays as 0."""
    m = Metrics()
    labels = {"model": "m", "feature": "latency_ms"}
    m.models[3] = [state(severities={"latency_ms": "warning"})]
    m.drift(event())
    assert get(samples(m), "drift_active", **labels, severity="warning") == 1
    m.models[3] = [state(severities={"latency_ms": "critical"})]
    m.drift(event("escalated", "critical"))
    found = samples(m)
    assert get(found, "drift_active", **labels, severity="warning") == 0
    assert get(found, "drift_active", **labels, severity="critical") == 1
    m.models[3] = [state(severities={})]
    m.drift(event("resolved", "critical"))
    found = samples(m)
    assert get(found, "drift_active", **labels, severity="critical") == 0
    for severity in ("warning", "critical"):
        assert get(found, "drift_events_total", **labels, detector="ks", severity=severity) == 1


def test_an_alarm_of_an_earlier_process_ends_as_a_zero() -> None:
    """An alarm that was restored and resolves is seen to end, and counts as no new event."""
    m = Metrics(models={0: [state(severities={"latency_ms": "critical"})]})
    labels = {"model": "m", "feature": "latency_ms", "severity": "critical"}
    assert get(samples(m), "drift_active", **labels) == 1
    m.models[0] = [state(severities={})]
    m.drift(event("resolved", "critical"))
    found = samples(m)
    assert get(found, "drift_active", **labels) == 0
    assert get(found, "drift_events_total", **labels, detector="ks") == 0


def test_reference_and_window() -> None:
    """How much each model's verdicts rest on."""
    found = samples(everything())
    assert get(found, "window_records", model="m") == 10
    assert get(found, "reference_records", model="m") == 50


def test_promise_and_measure() -> None:
    """Both are rates a day; nothing measured is no sample, and not a perfect record."""
    metrics = everything()
    metrics.audits = [
        Audited("m", 0.033, 0.02, 0.0, 0.1, 500_000, {}, False),
        Audited("new", 0.033, None, None, None, 0, {}, False),
    ]
    found = samples(metrics)
    assert get(found, "false_pages_promised_per_day", model="m") == 0.033
    assert get(found, "false_pages_measured_per_day", model="m") == 0.02
    assert get(found, "false_pages_audited_records", model="m") == 500_000
    assert get(found, "false_pages_promised_per_day", model="new") == 0.033
    assert get(found, "false_pages_measured_per_day", model="new") is None
    assert get(found, "false_pages_audited_records", model="new") == 0


# --- labels and bounds ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ['a"b', "a\nb", "a\\b", "a\\nb", 'x"} 1\nplumbline_fake 7', "模型-🤖", "a=b,c", " ", "\\"],
)
def test_hostile_names_survive(name: str) -> None:
    """A model's name can break neither the text of a scrape nor out of its label."""
    m = everything()
    m.models[0] = [state(model=name)]
    m.watched[name] += 3
    m.drift(event(model=name))
    found = samples(m)
    assert get(found, "records_watched_total", model=name) == 3
    assert get(found, "window_records", model=name) == 10
    assert get(found, "drift_active", model=name, feature="latency_ms", severity="warning") == 1
    assert not any("fake" in key for key, _ in found)


def crowd(models: int, features: int, detectors: int) -> Metrics:
    """Metrics of so many models, with so many features by so many detectors."""
    m = Metrics()
    names = [f"m{i}" for i in range(models)]
    m.ingested([batch(*({"model": n, "latency_ms": 5.0} for n in names))], {}, {})
    readings = [
        Reading(f"f{f}", f"d{d}", 1.0, 2.0, NAN) for f in range(features) for d in range(detectors)
    ]
    psi = {f"f{f}": 0.0 for f in range(features)}
    m.models[0] = [
        state(n, readings=readings, psi=psi, severities={"f0": "warning"}) for n in names
    ]
    return m


def test_series_are_bounded_and_what_is_cut_is_counted() -> None:
    """500 models with 12 features and 6 detectors stay within the bound; alarms are all there."""
    found = samples(crowd(500, 12, 6))
    dropped = get(found, "metric_series_dropped")
    whole = samples_without_bound(crowd(500, 12, 6))
    assert dropped is not None
    assert len(found) <= MAX_SERIES
    assert len(found) + dropped == whole > MAX_SERIES * 10
    names = Counter(name.removeprefix("plumbline_") for name, _ in found)
    assert names["drift_active"] == names["window_records"] == names["reference_records"] == 500
    assert names["inference_requests_total"] == 1000
    assert names["drift_statistic"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells of the process")
def test_the_process_is_told_of_within_the_bound() -> None:
    """Memory, processor, files and start of the process are there, and cost the bound nothing."""
    found = [s.name for f in registry(crowd(500, 12, 6)).collect() for s in f.samples]
    assert len([name for name in found if name.startswith("process_")]) == PROCESS_SERIES
    assert len(found) == MAX_SERIES


def samples_without_bound(metrics: Metrics) -> int:
    """How many samples there would be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monitor.metrics.MAX_SERIES", 10**9)
        return sum(len(family.samples) for family in MetricsCollector(metrics).collect())


@pytest.mark.parametrize("bound", [20, 100, 137, 500])
def test_histograms_are_cut_as_wholes(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model has all buckets of its latency or none, wherever the bound falls."""
    monkeypatch.setattr("monitor.metrics.MAX_SERIES", bound)
    found = samples(crowd(9, 1, 1))
    assert len(found) <= bound
    latency = Counter(
        dict(labels)["model"] for name, labels in found if "inference_latency" in name
    )
    assert set(latency.values()) <= {HISTOGRAM_SAMPLES}


def test_few_models_are_shown_whole() -> None:
    """Ten models with all features and detectors need no cut."""
    found = samples(crowd(10, 12, 6))
    assert get(found, "metric_series_dropped") == 0
    assert len([1 for name, _ in found if name == "plumbline_drift_threshold"]) == 720


def test_scrape_while_the_roles_count() -> None:
    """A scrape does not fail because a role counts something new meanwhile."""
    m = Metrics()
    done = threading.Event()

    def count() -> None:
        for i in range(20_000):
            m.watched[f"m{i}"] += 1
            m.rebalances[f"r{i}"] += 1
            m.lag["t", i] = 1
        done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=count)
    try:
        thread.start()
        collector = MetricsCollector(m)
        while not done.is_set():
            assert len(list(collector.collect())) > 10
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert m.rebalances.total() == m.watched.total() == 20_000


def test_registering_does_not_scrape() -> None:
    """The names are not known ahead of time, and asking for them takes no lock."""
    m = Metrics()
    with m.lock:
        assert registry(m) is not registry(m)
