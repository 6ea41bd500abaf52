"""The families of drift: alarms, statistics, values of features, windows and the self-audit."""

from __future__ import annotations

import math

import pytest

from monitor.detect.alarms.evaluator import Reading
from monitor.detect.audit.self_audit import AuditResult
from monitor.records import Source
from monitor.telemetry.counters.metrics import Metrics
from tests.monitor.telemetry.counted import count_event
from tests.monitor.telemetry.scrape import NAN, event, everything, get, samples, state

pytestmark = pytest.mark.filterwarnings("error")


def test_without_a_verdict_there_is_no_sample() -> None:
    """A detector in warm-up has no statistic, threshold or PSI, not even 0."""
    found = samples(everything())
    drift = {k: v for k, v in found.items() if "drift_" in k[0]}
    labels = {"model": "m", "feature": "latency_ms", "drift_type": "prediction"}
    assert get(drift, "drift_statistic", **labels, detector="ks") == 0.5
    assert get(drift, "drift_threshold", **labels, detector="ks") == 0.2
    assert get(drift, "drift_psi", **labels) == 0.3
    assert len(drift) == 7
    assert not any("adwin" in dict(labels).values() for _, labels in drift)
    assert not any(math.isnan(v) for v in found.values())


def test_values_of_features_have_both_sides() -> None:
    """Window and reference are separate metrics; a value that does not exist has no sample."""
    found = samples(everything())
    latency = {"model": "m", "feature": "latency_ms", "drift_type": "prediction"}
    error = {"model": "m", "feature": "error", "drift_type": "prediction"}
    assert get(found, "feature_value", **latency, statistic="p50") == 650
    assert get(found, "feature_reference_value", **latency, statistic="p50") == 400
    assert get(found, "feature_value", **error, statistic="share") is None
    assert get(found, "feature_reference_value", **error, statistic="share") == 0.01


def test_an_unknown_threshold_has_no_sample() -> None:
    """Its statistic may have one."""
    m = Metrics(models={0: [state(readings=[Reading("x", "ks", 0.5, NAN, NAN)])]})
    found = samples(m)
    labels = {"model": "m", "feature": "x", "drift_type": "data", "detector": "ks"}
    assert get(found, "drift_statistic", **labels) == 0.5
    assert get(found, "drift_threshold", **labels) is None


def test_an_open_alarm_is_1_for_its_severity() -> None:
    """After an escalation or a resolution the series stays as 0."""
    m = Metrics()
    labels = {"model": "m", "feature": "latency_ms", "drift_type": "prediction"}
    m.models[3] = [state(severities={"latency_ms": "warning"})]
    count_event(m, event())
    assert get(samples(m), "drift_active", **labels, severity="warning") == 1
    m.models[3] = [state(severities={"latency_ms": "critical"})]
    count_event(m, event("escalated", "critical"))
    found = samples(m)
    assert get(found, "drift_active", **labels, severity="warning") == 0
    assert get(found, "drift_active", **labels, severity="critical") == 1
    m.models[3] = [state(severities={})]
    count_event(m, event("resolved", "critical"))
    found = samples(m)
    assert get(found, "drift_active", **labels, severity="critical") == 0
    for severity in ("warning", "critical"):
        assert get(found, "drift_events_total", **labels, detector="ks", severity=severity) == 1


def test_a_small_change_is_an_alarm_of_its_own_severity() -> None:
    """An info alarm is exported, and returns to 0 when it escalates."""
    m = Metrics()
    labels = {"model": "m", "feature": "latency_ms", "drift_type": "prediction"}
    m.models[3] = [state(severities={"latency_ms": "info"})]
    count_event(m, event("opened", "info"))
    assert get(samples(m), "drift_active", **labels, severity="info") == 1
    m.models[3] = [state(severities={"latency_ms": "warning"})]
    count_event(m, event("escalated", "warning"))
    assert get(samples(m), "drift_active", **labels, severity="info") == 0
    assert get(samples(m), "drift_active", **labels, severity="warning") == 1


def test_a_restored_alarm_returns_to_0() -> None:
    """Its resolution is not counted as an event."""
    m = Metrics(models={0: [state(severities={"latency_ms": "critical"})]})
    labels = {"model": "m", "feature": "latency_ms", "drift_type": "prediction"}
    labels["severity"] = "critical"
    assert get(samples(m), "drift_active", **labels) == 1
    m.models[0] = [state(severities={})]
    count_event(m, event("resolved", "critical"))
    found = samples(m)
    assert get(found, "drift_active", **labels) == 0
    assert get(found, "drift_events_total", **labels, detector="ks") == 0


def test_an_alarm_that_was_handed_over_is_not_0() -> None:
    """While a process stops, its open alarms end for no reader: the next owner has them."""
    m = Metrics(models={0: [state(severities={"latency_ms": "critical"})]})
    count_event(m, event("opened", "critical"))
    labels = {"model": "m", "feature": "latency_ms", "drift_type": "prediction"}
    assert get(samples(m), "drift_active", **labels, severity="critical") == 1
    m.models.clear()
    assert get(samples(m), "drift_active", **labels, severity="critical") is None
    assert get(samples(m), "drift_events_total", **labels, detector="ks", severity="critical") == 1


def test_window_and_reference_sizes_are_exported() -> None:
    """Both are numbers of records by model."""
    found = samples(everything())
    assert get(found, "window_records", model="m") == 10
    assert get(found, "reference_records", model="m") == 50


def test_promised_and_measured_false_pages_are_exported() -> None:
    """A rate that was not measured yet has no sample, not 0."""
    metrics = everything()
    metrics.audits = [
        AuditResult("m", 0.033, 0.02, 0.0, 0.1, 500_000, {}, False),
        AuditResult("new", 0.033, None, None, None, 0, {}, False),
    ]
    found = samples(metrics)
    assert get(found, "false_pages_promised_per_day", model="m") == 0.033
    assert get(found, "false_pages_measured_per_day", model="m") == 0.02
    assert get(found, "false_pages_audited_records", model="m") == 500_000
    assert get(found, "false_pages_promised_per_day", model="new") == 0.033
    assert get(found, "false_pages_measured_per_day", model="new") is None
    assert get(found, "false_pages_audited_records", model="new") == 0


def test_false_pages_of_a_model_are_the_sum_of_its_sources() -> None:
    """One series per model, whatever its sources; a source without a rate adds only its budget."""
    metrics = everything()
    log = AuditResult("m", 0.027, 0.02, 0.0, 0.1, 500_000, {}, False)
    judge = AuditResult("m", 0.006, None, None, None, 0, {}, False)
    metrics.audits = [log, judge]
    found = samples(metrics)
    assert get(found, "false_pages_promised_per_day", model="m") == pytest.approx(0.033)
    assert get(found, "false_pages_measured_per_day", model="m") == 0.02


def test_sources_of_a_model_share_families_and_not_series() -> None:
    """Features tell sources apart; windows and records are those of the log, once per model."""
    metrics = everything()
    judge = state(
        source=Source.JUDGE,
        reference_records=0,
        window_records=0,
        warmup=750,
        readings=[],
        psi={"judge.tone": 0.4},
        severities={},
        values=[],
    )
    metrics.models[0] = [state(), judge]
    found = samples(metrics)
    assert get(found, "window_records", model="m") == 10
    assert get(found, "reference_records", model="m") == 50
    assert get(found, "records_watched_total", model="m") == 1
    assert get(found, "samples_watched_total", model="m", source="judge") == 2
    assert get(found, "samples_watched_total", model="m", source="log") is None
    assert get(found, "warmup_records_remaining", model="m", source="judge") == 750
    assert get(found, "warmup_records_remaining", model="m", source="log") == 0
    psi = {"model": "m", "feature": "judge.tone", "drift_type": "concept"}
    assert get(found, "drift_psi", **psi) == 0.4
