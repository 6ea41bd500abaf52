"""Metrics of replays: their names, their labels, and their bounds."""

from __future__ import annotations

from typing import get_args

from monitor.events.replay import ReplayedTask
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import MAX_MODELS, REASONS, QueueState, ReplayMetrics
from monitor.telemetry.exporter import MetricsCollector
from replay.results import ErrorReason
from tests.monitor.notify.replay_events import replayed
from tests.monitor.telemetry.scrape import get, samples

TASK = {"model": "llama", "task": "frozen", "metric": "exact_match"}


def test_without_the_role_there_are_none() -> None:
    """A process without the replay role exports nothing of replays."""
    names = {family.name for family in MetricsCollector(Metrics()).collect()}
    assert not any("replay" in name for name in names)


def test_a_run_is_counted_with_its_numbers() -> None:
    """Runs by verdict, scores, differences, duration and GPU time."""
    counts = ReplayMetrics()
    drifted = ReplayedTask(task="drifted", metric="token_f1", items=9, candidate=0.5)
    counts.count_run(replayed(seconds=42.0, gpu_seconds=84.0, absolute=(drifted,)))
    counts.count_run(replayed("error", reason="deadline", tasks=(), seconds=1.0))
    found = samples(Metrics(replay=counts))
    assert get(found, "replay_runs_total", model="llama", verdict="regressed") == 1
    assert get(found, "replay_runs_total", model="llama", verdict="error") == 1
    assert get(found, "replay_runs_total", model="llama", verdict="inconclusive") == 0
    assert get(found, "replay_errors_total", reason="deadline") == 1
    assert get(found, "replay_score", **TASK) == 0.75
    assert get(found, "replay_score", model="llama", task="drifted", metric="token_f1") == 0.5
    assert get(found, "replay_delta", **TASK) == -0.062
    assert get(found, "replay_delta_lower", **TASK) == -0.091
    assert get(found, "replay_delta_upper", **TASK) == -0.034
    assert get(found, "replay_gpu_seconds_total") == 84
    assert get(found, "replay_seconds_sum") == 43
    assert get(found, "replay_seconds_bucket", le="10.0") == 1
    assert get(found, "replay_seconds_bucket", le="60.0") == 2


def test_every_reason_is_counted_from_zero() -> None:
    """The series of a reason exists before its first error, so that its increase is seen."""
    assert get_args(ErrorReason) == REASONS
    found = samples(Metrics(replay=ReplayMetrics()))
    assert {get(found, "replay_errors_total", reason=name) for name in REASONS} == {0}


def test_progress_lasts_as_long_as_its_run() -> None:
    """A run that ended has no progress."""
    counts, labels = ReplayMetrics(), {"model": "llama", "task": "frozen"}
    counts.start("llama")
    counts.report_progress("llama", "frozen", 0.25)
    assert get(samples(Metrics(replay=counts)), "replay_progress", **labels) == 0.25
    counts.end_progress("llama")
    assert get(samples(Metrics(replay=counts)), "replay_progress", **labels) is None


def test_the_queue_has_samples_once_the_store_was_read() -> None:
    """An unknown queue does not look empty."""
    counts = ReplayMetrics()
    assert get(samples(Metrics(replay=counts)), "replay_queue_oldest_seconds") is None
    counts.queue = QueueState({"queued": 2, "running": 1}, 61.5, 3, 10.0)
    found = samples(Metrics(replay=counts))
    assert get(found, "replay_queue_runs", state="queued") == 2
    assert get(found, "replay_queue_oldest_seconds") == 61.5
    assert get(found, "replay_events_unsent") == 3
    assert get(found, "replay_gpu_budget_remaining_seconds") == 10


def test_models_are_bounded() -> None:
    """Models beyond the bound have no series."""
    counts = ReplayMetrics()
    for number in range(MAX_MODELS + 5):
        counts.count_run(replayed(model=f"m{number}"))
    assert len({model for model, _ in counts.runs}) == MAX_MODELS
    assert sum(counts.durations) == MAX_MODELS + 5
