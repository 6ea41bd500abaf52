"""Metric families of replays. Without the replay role there are none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric

from monitor.telemetry.counters.replay import RUN_BUCKETS, ReplayMetrics
from monitor.telemetry.families.build import (
    by_label,
    by_labels,
    counter,
    gauge,
    single_counter,
    single_gauge,
)
from monitor.telemetry.families.help_texts import HELP

_TASK = ("model", "task", "metric")


def replay_families(m: ReplayMetrics) -> Iterator[Metric]:
    """Yield the families whose number of series does not depend on models."""
    yield counter("replay_events", ["outcome"], by_label(m.events))
    yield counter("replay_errors", ["reason"], by_label(m.errors))
    yield counter("replay_actions", ["action", "outcome"], by_labels(m.actions))
    yield single_counter("replay_store_errors", m.store_errors)
    yield single_counter("replay_gpu_seconds", m.gpu_seconds)
    yield single_counter("replay_judge_cost_usd", m.judge_nanodollars / 1e9)
    if m.queue is not None:
        yield gauge("replay_queue_runs", ["state"], by_label(m.queue.runs))
        yield single_gauge("replay_queue_oldest_seconds", m.queue.oldest)
        yield single_gauge("replay_events_unsent", m.queue.unsent)
        if m.queue.gpu_seconds_left is not None:
            yield single_gauge("replay_gpu_budget_remaining_seconds", m.queue.gpu_seconds_left)
    yield _seconds(m)


def replay_results(m: ReplayMetrics) -> Iterator[Metric]:
    """Yield the families by model: runs, progress and the last results."""
    yield counter("replay_runs", ["model", "verdict"], by_labels(m.runs))
    yield gauge("replay_progress", ["model", "task"], by_labels(m.progress))
    deltas = dict(m.deltas)
    for suffix, values in (
        ("", {key: each.value for key, each in deltas.items()}),
        ("_lower", {key: each.lower for key, each in deltas.items()}),
        ("_upper", {key: each.upper for key, each in deltas.items()}),
    ):
        yield gauge(f"replay_delta{suffix}", _TASK, values)
    yield gauge("replay_score", _TASK, by_labels(m.scores))


def _seconds(m: ReplayMetrics) -> Metric:
    name = "replay_seconds"
    family = HistogramMetricFamily(f"plumbline_{name}", HELP[name], labels=())
    bounds = [*map(repr, RUN_BUCKETS), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(m.durations)), strict=True))
    family.add_metric((), buckets, sum_value=m.seconds)
    return family
