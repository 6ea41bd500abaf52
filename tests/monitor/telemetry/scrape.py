"""Metrics with known content, and their samples as Prometheus reads them."""

from __future__ import annotations

import json
import math
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from monitor.detect.alarms.evaluator import Reading
from monitor.detect.audit.self_audit import AuditResult
from monitor.detect.tracks.feature_values import FeatureValue
from monitor.events.types import DriftEvent, Summary
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.decode.native.kinds import Needed, fields_of
from monitor.ingest.features import Batch, FeatureExtractor
from monitor.records import Record, Source
from monitor.telemetry.counters.experiments import ExperimentMetrics
from monitor.telemetry.counters.joins import JoinMetrics
from monitor.telemetry.counters.judging import JudgeMetrics, Quality
from monitor.telemetry.counters.metrics import Metrics, ModelState
from monitor.telemetry.counters.replay import QueueState, ReplayMetrics
from monitor.telemetry.counters.web import ReviewState, WebMetrics
from monitor.telemetry.exporter import MetricsCollector
from monitor.telemetry.health import Health
from tests.monitor.experiments.decisions.looks import (
    COST,
    SCORE,
    Experiment,
    design,
    normal,
    run,
)
from tests.monitor.notify.replay_events import replayed
from tests.monitor.telemetry.counted import count_event

decode = NativeDecoder()
NAN = math.nan


def record(**fields: Any) -> Record:
    """Return a record with these fields."""
    return decode(json.dumps({"request_id": "r", "timestamp": 1.0, "model": "m"} | fields).encode())


def extractor() -> FeatureExtractor:
    """Return an extractor without metadata."""
    return FeatureExtractor({}, models=500, scores=50)


def batch(*fields: dict[str, Any], by: FeatureExtractor | None = None) -> Batch:
    """Return the features of records with these fields."""
    return (by or extractor()).batch(
        fields_of([record(**each) for each in fields], Needed()), range(len(fields))
    )


def event(change: str = "opened", severity: str = "warning", model: str = "m") -> DriftEvent:
    """Return a drift event of latency."""
    return DriftEvent(
        id="1",
        alarm="1",
        change=change,  # type: ignore[arg-type]  # a str of the parametrization
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
    """Return the state of a model with one verdict and one detector in warm-up."""
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
        "values": [
            FeatureValue("latency_ms", "p50", 400.0, 650.0),
            FeatureValue("error", "share", 0.01, NAN),
        ],
    }
    return ModelState(model=model, **(fields | changed))


def everything() -> Metrics:
    """Return metrics in which every family has a sample."""
    m = Metrics({"warning": 0.1, "critical": 0.25}, health=Health(lambda: 0.0))
    m.count_transaction(
        [batch({"latency_ms": 5, "input_tokens": 1, "output_tokens": 2, "cost_usd": 0.5})],
        {"inference-logs": 3},
        {"not_json": 2},
    )
    m.decoding.formats["otlp"] += 2
    m.decoding.skipped["tool"] += 1
    m.samples.written["uniform"] += 2
    m.samples.redacted["email"] += 1
    m.samples.cut += 1
    m.samples.dropped["too_large"] += 1
    m.health.register("ingest")
    m.count_watched("m", Source.LOG, 1)
    m.count_watched("m", Source.JUDGE, 2)
    m.rebalances["ingest"] += 1
    m.rebalances["detect"] += 1
    m.lag["inference-logs", 0] = 7
    m.expired["inference-logs"] = 4
    m.models[0] = [state()]
    count_event(m, event())
    m.count_checkpoint(0.25, 1000)
    m.deliveries.sent["team"] += 5
    m.deliveries.retried["team", "timeout"] += 4
    m.deliveries.failed["team", "rejected"] += 3
    m.deliveries.suppressed["team", "duplicate"] += 2
    m.deliveries.waiting["team"] = 1
    m.audits = [AuditResult("m", 0.033, 0.02, 0.0, 0.1, 500_000, {}, False)]
    m.judging = judged()
    m.exposures_without_unit["prompt"] += 3
    m.experiments = compared()
    m.replay = replayed_once()
    m.web = reviewed()
    m.join_keys_written += 8
    m.joins = joined()
    return m


def reviewed() -> WebMetrics:
    """Return the metrics of a web role in which every family has a sample."""
    state = ReviewState({("answers", "open"): 2}, {"answers": 61.0}, 3, 4)
    m = WebMetrics(review=state, store_errors=1, streams=2)
    m.count_request("/", 200, 0.02, stream=False)
    m.count_refusal("host")
    m.count_rating("answers", "submitted")
    return m


def joined() -> JoinMetrics:
    """Return the metrics of a join role in which every family has a sample."""
    m = JoinMetrics(unreadable=1, keys=5, waiting=2, state_bytes=180, keys_dropped=3, lost=4)
    m.messages["plain"] += 9
    m.values.update(sent=4, late=1)
    m.without_unit["prompt"] += 1
    return m


def replayed_once() -> ReplayMetrics:
    """Return the metrics of a replay role in which every family has a sample."""
    m = ReplayMetrics(queue=QueueState({"queued": 2, "running": 1}, 61.5, 3, 10.0))
    m.count_run(replayed())
    m.report_progress("llama", "frozen", 0.25)
    m.actions["roll_back", "delivered"] += 1
    return m


def compared() -> ExperimentMetrics:
    """Return the metrics of a role experiment in which every family has a sample."""
    plan = design(guardrails=(COST,))
    draw = {SCORE.name: normal((10.0, 10.0), 4.0), COST.name: normal((0.3, 0.4), 0.1)}
    *_, last = run(Experiment(plan, draw), looks=2, users=300)
    m = ExperimentMetrics()
    m.publish(last.result)
    m.exposures["prompt"] += 600
    return m


def judged() -> JudgeMetrics:
    """Return the metrics of a judge role in which every family has a sample."""
    m = JudgeMetrics(in_flight=12, remaining=7.25)
    m.samples.update(judged=5, paced=4, repeated=3, unreadable=2)
    m.calls["claude", "answered"] += 9
    m.calls["claude", "timeout"] += 1
    m.cost["claude"] += 0.125
    m.unscored["no_budget"] += 6
    m.agreement["answer_quality"] = 0.71
    m.deviation["answer_quality"] = 0.3
    m.golden["answer_quality"] = -0.4
    m.canaries["claude"] = 0.02
    m.quality["m", "answer_quality"] = Quality(3.8, 3.6, 4.0)
    m.passing["m", "answer_quality"] = Quality(0.8, 0.7, 0.9)
    for score in (4.0, 4.5, 1.0):
        m.count_score("m", "answer_quality", score)
    return m


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    """Return all samples of a scrape; both text formats must have the same."""
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
    """Return a sample, or None if it does not exist."""
    return found.get((f"plumbline_{name}", frozenset(labels.items())))


def crowd(models: int, features: int, detectors: int) -> Metrics:
    """Return metrics of many models, with features by detectors."""
    m = Metrics()
    names = [f"m{i}" for i in range(models)]
    m.count_transaction([batch(*({"model": n, "latency_ms": 5.0} for n in names))], {}, {})
    readings = [
        Reading(f"f{f}", f"d{d}", 1.0, 2.0, NAN) for f in range(features) for d in range(detectors)
    ]
    psi = {f"f{f}": 0.0 for f in range(features)}
    m.models[0] = [
        state(n, readings=readings, psi=psi, severities={"f0": "warning"}) for n in names
    ]
    return m
