"""The exporter: names and labels of the contract, the numbers of the daemon, hostile names."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from monitor import __version__
from monitor.app import App
from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig
from monitor.records import RejectReason
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.exporter import MetricsCollector, registry
from monitor.telemetry.health import Health
from tests.monitor.telemetry.counted import count_event
from tests.monitor.telemetry.scrape import batch, event, everything, get, samples, state

pytestmark = pytest.mark.filterwarnings("error")

# --- the contract -----------------------------------------------------------------------------

STREAM = {"model", "feature", "drift_type"}
ARM = {"experiment", "variant"}
TASK = {"model", "task", "metric"}
CONTRACT = {  # of the design, as far as it is implemented
    "records_consumed_total": {"topic"},
    "records_rejected_total": {"reason"},
    "records_decoded_total": {"format"},
    "records_skipped_total": {"kind"},
    "samples_written_total": {"kind"},
    "samples_redacted_total": {"kind"},
    "samples_cut_total": set(),
    "samples_dropped_total": {"reason"},
    "consumer_lag_records": {"topic", "partition"},
    "event_time_lag_seconds": set(),
    "records_ahead_total": set(),
    "rebalances_total": set(),
    "inference_requests_total": {"model", "status"},
    "inference_latency_seconds_bucket": {"model", "le"},
    "inference_latency_seconds_count": {"model"},
    "inference_latency_seconds_sum": {"model"},
    "inference_tokens_total": {"model", "direction"},
    "inference_cost_usd_total": {"model"},
    "checkpoint_seconds": set(),
    "last_checkpoint_timestamp_seconds": set(),
    "drift_statistic": {*STREAM, "detector"},
    "drift_threshold": {*STREAM, "detector"},
    "drift_psi": STREAM,
    "drift_psi_threshold": {"severity"},
    "feature_value": {*STREAM, "statistic"},
    "feature_reference_value": {*STREAM, "statistic"},
    "drift_active": {*STREAM, "severity"},
    "drift_events_total": {*STREAM, "detector", "severity"},
    "window_records": {"model"},
    "reference_records": {"model"},
    "warmup_records_remaining": {"model", "source"},
    "samples_watched_total": {"model", "source"},
    "samples_skipped_total": {"model", "source"},
    "build_info": {"version"},
    "start_time_seconds": set(),
    "heartbeat_age_seconds": {"role"},
    "role_ready": {"role"},
    "notifications_sent_total": {"target"},
    "notifications_retried_total": {"target", "reason"},
    "notifications_failed_total": {"target", "reason"},
    "notifications_suppressed_total": {"target", "reason"},
    "notifications_waiting": {"target"},
    "judge_score_bucket": {"model", "rubric", "le"},
    "judge_score_count": {"model", "rubric"},
    "judge_score_sum": {"model", "rubric"},
    "judge_quality": {"model", "rubric"},
    "judge_quality_lower": {"model", "rubric"},
    "judge_quality_upper": {"model", "rubric"},
    "judge_pass_ratio": {"model", "rubric"},
    "judge_pass_ratio_lower": {"model", "rubric"},
    "judge_pass_ratio_upper": {"model", "rubric"},
    "judge_calls_total": {"judge", "outcome"},
    "judge_cost_usd_total": {"judge"},
    "judge_budget_remaining_usd": set(),
    "judge_unscored_total": {"reason"},
    "judge_agreement": {"rubric"},
    "experiment_users": ARM,
    "experiment_mean": {*ARM, "metric"},
    "experiment_effect": {*ARM, "metric"},
    "experiment_effect_lower": {*ARM, "metric"},
    "experiment_effect_upper": {*ARM, "metric"},
    "experiment_verdict": {*ARM, "metric", "verdict"},
    "experiment_guardrail": {*ARM, "metric", "state"},
    "experiment_goal": {"experiment", "metric"},
    "experiment_srm_status": {"experiment", "status"},
    "experiment_srm_evalue": {"experiment"},
    "replay_runs_total": {"model", "verdict"},
    "replay_score": TASK,
    "replay_delta": TASK,
    "replay_delta_lower": TASK,
    "replay_delta_upper": TASK,
    "replay_seconds_bucket": {"le"},
    "replay_gpu_seconds_total": set(),
    "replay_judge_cost_usd_total": set(),
    "replay_progress": {"model", "task"},
    "web_requests_total": {"route", "status"},
    "web_request_seconds_bucket": {"le"},
    "web_refusals_total": {"reason"},
    "review_items": {"queue", "state"},
    "review_ratings_total": {"queue", "action"},
    "review_labels_unsent": set(),
}
HISTOGRAMS = {
    f"plumbline_{name}"
    for name in (
        *("inference_latency_seconds", "judge_score", "replay_seconds"),
        "web_request_seconds",
    )
}
LABELS = {"model", "status", "direction", "feature", "detector", "severity", "version", "le"}
LABELS |= {"statistic", "drift_type", "topic", "partition", "reason", "outcome", "role", "target"}
LABELS |= {"judge", "rubric", "kind", "source", *ARM, "metric", "verdict", "state"}
LABELS |= {"task", "action", "format", "route", "queue"}


def test_names_and_labels_are_those_of_the_contract() -> None:
    """Dashboards and alerts depend on them."""
    found: dict[str, set[str]] = {}
    for name, labels in samples(everything()):
        found.setdefault(name.removeprefix("plumbline_"), set()).update(dict(labels))
    assert {name: found.get(name) for name in CONTRACT} == CONTRACT
    assert set().union(*found.values()) <= LABELS


def test_kinds_are_those_of_the_contract() -> None:
    """Totals are counters, distributions are histograms, all others are gauges."""
    text = generate_latest(registry(everything())).decode()
    for family in parse_classic(text):
        totals = {s.name.endswith("_total") for s in family.samples}
        expected = "counter" if totals == {True} else "gauge"
        if family.name in HISTOGRAMS:
            expected = "histogram"
        assert family.type == expected, family.name
        assert family.documentation


def test_a_new_process_exports_its_version_and_zeros() -> None:
    """All other values are 0; reasons of rejections and outcomes of dead letters have labels."""
    found = samples(Metrics())
    assert get(found, "build_info", version=__version__) == 1
    assert get(found, "metric_series_dropped") == 0
    facts = {"plumbline_build_info", "plumbline_start_time_seconds"}
    assert {value for (name, _), value in found.items() if name not in facts} == {0}
    labelled = {name for name, labels in found if labels}
    assert labelled == {
        "plumbline_build_info",
        "plumbline_records_rejected_total",
        "plumbline_records_decoded_total",
        "plumbline_commands_total",
        "plumbline_dead_letters_incomplete_total",
        "plumbline_samples_written_total",
        "plumbline_samples_dropped_total",
    }


def test_every_reject_reason_exists_from_the_start() -> None:
    """Prometheus sees the first rejection as an increase only if the series was 0 before."""
    found = samples(Metrics())
    assert {get(found, "records_rejected_total", reason=reason) for reason in RejectReason} == {0}


def test_psi_thresholds_are_those_of_the_configuration() -> None:
    """They are those from which an alarm opens and from which it is critical."""
    config = Config(alarms=AlarmsConfig(min_psi=0.07, critical_psi=0.3))
    found = samples(App(config, ("detect",)).metrics)
    assert get(found, "drift_psi_threshold", severity="warning") == 0.07
    assert get(found, "drift_psi_threshold", severity="critical") == 0.3


# --- numbers ----------------------------------------------------------------------------------


def test_counts_of_the_daemon_are_exported() -> None:
    """These are messages, rejections, rebalances of all roles, lag and age of the newest record."""
    found = samples(everything())
    assert get(found, "records_consumed_total", topic="inference-logs") == 3
    assert get(found, "records_rejected_total", reason="not_json") == 2
    assert get(found, "records_watched_total", model="m") == 1
    assert get(found, "rebalances_total") == 2
    assert get(found, "consumer_lag_records", topic="inference-logs", partition="0") == 7
    assert get(found, "event_time_lag_seconds") == 99


def test_counts_of_notifications_are_exported() -> None:
    """These are messages, attempts and events by target and reason."""
    found = samples(everything())
    assert get(found, "notifications_sent_total", target="team") == 5
    assert get(found, "notifications_retried_total", target="team", reason="timeout") == 4
    assert get(found, "notifications_failed_total", target="team", reason="rejected") == 3
    assert get(found, "notifications_suppressed_total", target="team", reason="duplicate") == 2
    assert get(found, "notifications_waiting", target="team") == 1


@pytest.mark.parametrize("ahead", [3601.0, 86_400.0, 5e9])
def test_records_from_the_future_do_not_hide_the_lag(ahead: float) -> None:
    """Records more than an hour ahead of the clock are counted and left out of the lag."""
    m = Metrics(clock=lambda: 100.0)
    m.count_transaction([batch({"timestamp": 40.0}, {"timestamp": 100.0 + ahead})], {}, {})
    m.count_transaction([batch({"timestamp": 100.0 + ahead})], {}, {})
    assert get(samples(m), "event_time_lag_seconds") == 60
    assert get(samples(m), "records_ahead_total") == 2
    m.count_transaction([batch({"timestamp": 100.0 + 3599})], {}, {})
    assert get(samples(m), "event_time_lag_seconds") == 0


def test_the_event_time_lag_is_of_the_last_transaction() -> None:
    """A record from the future does not affect later values."""
    m = Metrics()
    for times, age in (([10.0, 40.0], 60), ([30.0], 70), ([500.0], 0), ([90.0, 20.0], 10)):
        m.count_transaction([batch({"timestamp": t}) for t in times], {}, {})
        assert get(samples(m), "event_time_lag_seconds") == age
    m.count_transaction([batch()], {}, {})
    assert get(samples(m), "event_time_lag_seconds") == 10


def test_the_state_of_the_roles_is_exported() -> None:
    """These are the age of the heartbeat, readiness, and the start time of the process."""
    now = [50.0]
    health = Health(lambda: now[0])
    health.register("ingest")
    health.register("detect")
    health.mark_ready("detect")
    now[0] += 30
    health.beat("detect")
    found = samples(Metrics(health=health, started=1000.0))
    assert get(found, "heartbeat_age_seconds", role="ingest") == 30
    assert get(found, "heartbeat_age_seconds", role="detect") == 0
    assert get(found, "role_ready", role="ingest") == 0
    assert get(found, "role_ready", role="detect") == 1
    assert get(found, "start_time_seconds") == 1000


def test_the_start_time_is_in_seconds_since_the_epoch() -> None:
    """PromQL compares it with time()."""
    assert abs(Metrics().started - time.time()) < 60


# --- labels and threads ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ['a"b', "a\nb", "a\\b", "a\\nb", 'x"} 1\nplumbline_fake 7', "模型-🤖", "a=b,c", " ", "\\"],
)
def test_hostile_names_are_escaped(name: str) -> None:
    """The name of a model cannot add samples or make the text invalid."""
    m = everything()
    m.models[0] = [state(model=name)]
    m.watched[name] += 3
    count_event(m, event(model=name))
    found = samples(m)
    assert get(found, "records_watched_total", model=name) == 3
    assert get(found, "window_records", model=name) == 10
    stream = {"model": name, "feature": "latency_ms", "drift_type": "prediction"}
    assert get(found, "drift_active", **stream, severity="warning") == 1
    assert not any("fake" in key for key, _ in found)


def test_a_scrape_may_run_while_roles_count() -> None:
    """New keys during a scrape do not make it fail."""
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


def test_registration_does_not_collect() -> None:
    """It takes no lock, and every call returns a new registry."""
    m = Metrics()
    with m.lock:
        assert registry(m) is not registry(m)
