"""The limit on series cuts alarms off last; unwatched models have no series of their own."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitor.config.sections.detection import LimitsConfig
from monitor.detect.alarms.evaluator import Reading
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.monitor import DriftMonitor
from monitor.detect.tracks.feature_values import FeatureValue
from monitor.ingest.fields.limits import OTHER
from monitor.roles.detect import Detect
from monitor.telemetry.counters.judging import JudgeMetrics
from monitor.telemetry.counters.metrics import Metrics, ModelState
from monitor.telemetry.exporter import MAX_SERIES, PROCESS_SERIES, MetricsCollector, registry
from monitor.telemetry.health import Health
from tests.monitor import synthetic
from tests.monitor.notify import drift_events
from tests.monitor.telemetry.counted import count_event
from tests.monitor.telemetry.scrape import crowd, get, samples

MANY = 2 * MAX_SERIES
ALARM_FAMILIES = ("plumbline_drift_active", "plumbline_drift_events_total")


def scraped(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the samples by name and labels, without those of the process."""
    text = generate_latest(registry(metrics)).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.startswith("process_")
    }


def state(model: str, alarms: int = 0) -> ModelState:
    """Return the state of a model with open alarms and a reading of twenty features."""
    readings = [Reading(f"f{i}", "ks", 0.1, 0.2, 0.5) for i in range(20)]
    severities = {f"f{i}": "critical" for i in range(alarms)}
    return ModelState(model, 1, 1, 1, readings, {f"f{i}": 0.1 for i in range(20)}, severities)


def many_watched_models(metrics: Metrics) -> None:
    """Count the records of many models."""
    metrics.watched.update({f"m{i}": 1 for i in range(MANY)})


def many_partitions(metrics: Metrics) -> None:
    """Measure the lag of many partitions."""
    metrics.lag |= {("inference-logs", i): 1 for i in range(MANY)}


def many_states(metrics: Metrics) -> None:
    """Publish the states of many models."""
    metrics.models[1] = [state(f"m{i}") for i in range(MANY)]


def many_resolved_alarms(metrics: Metrics) -> None:
    """Count many alarms that have resolved."""
    for i in range(MANY):
        count_event(metrics, drift_events.event("resolved", model=f"m{i}"))


def test_values_of_features_are_cut_off_first() -> None:
    """Many values drop no other series of the same models."""
    values = [FeatureValue(f"f{i}", "p50", 1.0, 2.0) for i in range(MANY)]
    metrics = Metrics()
    metrics.models[0] = [state("m", alarms=20)]
    without = scraped(metrics)
    metrics.models[0] = [replace(state("m", alarms=20), values=values)]
    found = scraped(metrics)
    dropped = ("plumbline_metric_series_dropped", frozenset[tuple[str, str]]())
    assert found.items() >= {each: n for each, n in without.items() if each != dropped}.items()
    assert len(found) <= MAX_SERIES - PROCESS_SERIES
    assert found[dropped] >= 2 * MANY - MAX_SERIES


@pytest.mark.parametrize(
    "crowd", [many_watched_models, many_partitions, many_states, many_resolved_alarms]
)
def test_open_alarms_are_exported_in_any_crowd(crowd: Callable[[Metrics], None]) -> None:
    """The crowd comes first in time; open alarms and thresholds are complete nevertheless."""
    metrics = Metrics({"warning": 0.1, "critical": 0.25})
    crowd(metrics)
    metrics.models[0] = [state("alarmed", alarms=20)]
    found = scraped(metrics)
    assert len(found) <= MAX_SERIES - PROCESS_SERIES
    active = {labels for (name, labels), n in found.items() if name == ALARM_FAMILIES[0] and n}
    assert len(active) == 20
    assert sum(name == "plumbline_drift_psi_threshold" for name, _ in found) == 2
    assert found["plumbline_metric_series_dropped", frozenset()] > 0
    assert ("plumbline_checkpoint_bytes_total", frozenset()) in found


@pytest.mark.parametrize("crowd", [many_watched_models, many_partitions, many_states])
def test_counts_of_alarms_are_exported_in_a_crowd(crowd: Callable[[Metrics], None]) -> None:
    """The counter of an alarm is as important as its state."""
    metrics = Metrics()
    crowd(metrics)
    metrics.models[-1] = [state(f"alarmed-{i}", alarms=0) for i in range(50)]
    for i in range(50):
        count_event(metrics, drift_events.event(model=f"alarmed-{i}"))
    found = scraped(metrics)
    for family in ALARM_FAMILIES:
        assert sum(name == family for name, _ in found) == 50


def test_unwatched_models_are_counted_as_other() -> None:
    """Detect counts the records of models beyond the limit under one name."""
    config = synthetic.config(limits=LimitsConfig(models=2))
    metrics = Metrics()
    detect = Detect(config, {}, metrics, Health(), lambda _: False)
    partition = Partition(DriftMonitor(config, {}), 0)
    names = ("a", "b", *(f"m{i}" for i in range(100)), "other", "a")
    detect._evaluate(partition, [synthetic.stream(10, model=name) for name in names])
    assert metrics.watched == {"a": 20, "b": 10, OTHER: 1010}
    assert metrics.watched == partition.monitor.log.records


def test_series_are_limited_and_dropped_series_are_counted() -> None:
    """500 models with 12 features and 6 detectors keep all alarms within the limit."""
    found = samples(crowd(500, 12, 6))
    dropped = get(found, "metric_series_dropped")
    unlimited = samples_without_limit(crowd(500, 12, 6))
    assert dropped is not None
    assert len(found) <= MAX_SERIES
    assert len(found) + dropped == unlimited > MAX_SERIES * 10
    names = Counter(name.removeprefix("plumbline_") for name, _ in found)
    assert names["drift_active"] == names["window_records"] == names["reference_records"] == 500
    assert names["inference_requests_total"] == 1000
    assert names["drift_statistic"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux provides these metrics")
def test_process_metrics_are_within_the_limit() -> None:
    """Memory, CPU, files and start time of the process are exported within MAX_SERIES."""
    found = [s.name for f in registry(crowd(500, 12, 6)).collect() for s in f.samples]
    assert len([name for name in found if name.startswith("process_")]) == PROCESS_SERIES
    assert len(found) == MAX_SERIES


def samples_without_limit(metrics: Metrics) -> int:
    """Return the number of samples without the limit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monitor.telemetry.exporter.MAX_SERIES", 10**9)
        return sum(len(family.samples) for family in MetricsCollector(metrics).collect())


@pytest.mark.parametrize("limit", [20, 100, 137, 300, 333, 2000])
def test_histograms_are_complete(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any limit, a label set has all buckets of its histogram or none."""
    metrics = crowd(9, 1, 1)
    metrics.judging = JudgeMetrics()
    for i in range(9):
        metrics.judging.count_score(f"m{i}", "answer_quality", 3.0)
    unlimited = histogram_sizes(metrics)
    monkeypatch.setattr("monitor.telemetry.exporter.MAX_SERIES", limit)
    assert len(samples(metrics)) <= limit
    found = histogram_sizes(metrics)
    assert found.items() <= unlimited.items()
    dropped = len(unlimited) - len(found)
    assert dropped == 0 if limit == 2000 else dropped > 0


def histogram_sizes(metrics: Metrics) -> Counter[tuple[str, str]]:
    """Return the number of samples of each histogram by name and model."""
    found = samples(metrics)
    families = ("plumbline_inference_latency_seconds_", "plumbline_judge_score_")
    return Counter(
        (family, dict(labels)["model"])
        for name, labels in found
        for family in families
        if name.startswith(family)
    )


def test_few_models_are_complete() -> None:
    """Ten models with all features and detectors are below the limit."""
    found = samples(crowd(10, 12, 6))
    assert get(found, "metric_series_dropped") == 0
    assert len([1 for name, _ in found if name == "plumbline_drift_threshold"]) == 720
