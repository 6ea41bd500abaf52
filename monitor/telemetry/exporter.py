"""Prometheus exporter: the metric families of a process."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from monitor import __version__
from monitor.detect.audit.self_audit import AuditResult
from monitor.events.drift_types import drift_type
from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.log_decoder import NATIVE
from monitor.ingest.fields.limits import model_label
from monitor.notify.counts import DeliveryCounts
from monitor.records import RejectReason, Source
from monitor.telemetry.counters.metrics import Metrics, ModelState
from monitor.telemetry.counters.traffic import LATENCY_BUCKETS, Traffic
from monitor.telemetry.families.build import (
    by_column,
    by_label,
    by_labels,
    counter,
    gauge,
    single_counter,
    single_gauge,
    without_nan,
)
from monitor.telemetry.families.experiments import experiment_families
from monitor.telemetry.families.help_texts import HELP
from monitor.telemetry.families.joins import join_families
from monitor.telemetry.families.judging import judge_families, judge_quality, judge_scores
from monitor.telemetry.families.process import ProcessesCollector
from monitor.telemetry.families.replay import replay_families, replay_results
from monitor.telemetry.families.web import web_families
from monitor.telemetry.health import Health

MAX_SERIES = 5_000
PROCESS_SERIES = 6
"""Series of the client library: memory, CPU, file descriptors and start time of the process."""

COMMAND_OUTCOMES = ("applied", "refused", "rejected")
_STREAM = ("model", "feature", "drift_type")


def registry(metrics: Metrics) -> CollectorRegistry:
    """Return a registry of these metrics and, where the system provides them, of the process."""
    own = CollectorRegistry(auto_describe=False)
    own.register(MetricsCollector(metrics))
    own.register(ProcessesCollector(lambda: tuple(metrics.children)))
    return own


class MetricsCollector(Collector):
    """Converts `Metrics` to families at a scrape; `clock` returns seconds since the epoch."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Return nothing, so that the registration does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all families, the most important first: the series limit cuts off the last.

        Families without a label of unbounded size come first and always fit. Alarms are next: every
        family after them has a series for each partition or model, and is cut off before them.
        """
        with self._metrics.lock:
            states = [state for part in list(self._metrics.models.values()) for state in part]
            judging, experiments = self._metrics.judging, self._metrics.experiments
            replay, joins = self._metrics.replay, self._metrics.joins
            web = self._metrics.web
            families, dropped = _limit(
                MAX_SERIES - PROCESS_SERIES - 1,
                chain(
                    self._daemon(),
                    _notifications(self._metrics.deliveries),
                    judge_families(judging) if judging else (),
                    replay_families(replay) if replay else (),
                    join_families(joins) if joins else (),
                    web_families(web) if web else (),
                    self._alarms(states),
                    experiment_families(experiments) if experiments else (),
                    replay_results(replay) if replay else (),
                    self._partitions(),
                    self._watched(),
                    _audits(self._metrics.audits),
                    _traffic(self._metrics.traffic),
                    judge_quality(judging) if judging else (),
                    _windows(states),
                    [_latency(self._metrics.traffic)],
                    judge_scores(judging) if judging else (),
                    _readings(states),
                    _values(states),
                ),
            )
        yield from map(_labelled, families)
        yield single_gauge("metric_series_dropped", dropped)

    def _daemon(self) -> Iterator[Metric]:
        m = self._metrics
        yield gauge("build_info", ["version"], {(__version__,): 1.0})
        yield single_gauge("start_time_seconds", m.started)
        yield from _roles(m.health)
        yield counter("records_consumed", ["topic"], by_label(m.consumed))
        # All reasons from the start: Prometheus sees no increase in a series that begins at 1.
        rejected = by_label(dict.fromkeys(map(str, RejectReason), 0) | m.rejected)
        yield counter("records_rejected", ["reason"], rejected)
        formats = dict.fromkeys((NATIVE, *FORMATS), 0) | m.decoding.formats
        yield counter("records_decoded", ["format"], by_label(formats))
        yield counter("records_skipped", ["kind"], by_label(m.decoding.skipped))
        yield single_counter("records_duplicate", m.decoding.duplicates)
        yield single_gauge("calls_waiting", m.decoding.calls_waiting)
        yield single_counter("schema_registry_failures", m.decoding.registry_failures)
        incomplete = by_label(m.dead_letters_incomplete)
        yield counter("dead_letters_incomplete", ["outcome"], incomplete)
        yield counter("samples_written", ["kind"], by_label(m.samples.written))
        yield counter("samples_redacted", ["kind"], by_label(m.samples.redacted))
        yield single_counter("samples_cut", m.samples.cut)
        yield counter("samples_dropped", ["reason"], by_label(m.samples.dropped))
        yield single_counter("rebalances", sum(m.rebalances.values()))
        without_unit = by_label(m.exposures_without_unit)
        yield counter("experiment_records_without_unit", ["experiment"], without_unit)
        yield single_counter("join_keys_written", m.join_keys_written)
        yield single_counter("scores_dropped", m.scores_dropped)
        yield single_counter("segments_dropped", m.segments_dropped)
        yield single_counter("records_ahead", m.records_ahead)
        yield single_counter("chunks_rejected", m.chunks_rejected)
        commands = by_label(dict.fromkeys(COMMAND_OUTCOMES, 0) | m.commands)
        yield counter("commands", ["outcome"], commands)
        yield single_counter("transactions_aborted", m.transactions_aborted.total())
        yield single_counter("checkpoints_failed", m.checkpoints_failed)
        yield single_counter("checkpoints_unusable", m.checkpoints_unusable)
        yield single_counter("checkpoint_bytes", m.checkpoint_bytes)
        if m.checkpoint_seconds is not None and m.last_checkpoint is not None:
            yield single_gauge("checkpoint_seconds", m.checkpoint_seconds)
            yield single_gauge("last_checkpoint_timestamp_seconds", m.last_checkpoint)
        yield counter("messages_expired", ["topic"], by_label(m.expired))
        if m.newest_event_time is not None:
            age = max(0.0, self._clock() - m.newest_event_time)
            yield single_gauge("event_time_lag_seconds", age)

    def _partitions(self) -> Iterator[Metric]:
        lag = self._metrics.lag
        by_partition = {(topic, str(partition)): n for (topic, partition), n in dict(lag).items()}
        yield gauge("consumer_lag_records", ["topic", "partition"], by_partition)

    def _watched(self) -> Iterator[Metric]:
        yield counter("records_watched", ["model"], by_label(self._metrics.watched))
        samples = by_labels(self._metrics.samples_watched)
        yield counter("samples_watched", ["model", "source"], samples)
        skipped = by_labels(self._metrics.samples_skipped)
        yield counter("samples_skipped", ["model", "source"], skipped)

    def _alarms(self, states: Sequence[ModelState]) -> Iterator[Metric]:
        thresholds = by_label(self._metrics.psi_thresholds)
        yield gauge("drift_psi_threshold", ["severity"], thresholds)
        events = self._metrics.drift_events
        # Open alarms first: only they must not be cut off.
        active = {
            (*_stream(s.model, f), severity): 1.0
            for s in states
            for f, severity in s.severities.items()
        }
        # A resolved alarm stays as 0: a series that disappears looks like an outage. That of a
        # partition that was handed over disappears: it may be open at the next owner.
        owned = {state.model for state in states}
        for model, feature, _, severity in events:
            if model in owned:
                active.setdefault((*_stream(model, feature), severity), 0.0)
        yield gauge("drift_active", [*_STREAM, "severity"], active)
        counts = {(*_stream(m, f), *others): n for (m, f, *others), n in dict(events).items()}
        yield counter("drift_events", [*_STREAM, "detector", "severity"], by_labels(counts))


def _stream(model: str, feature: str) -> tuple[str, str, str]:
    """Return the values of the labels _STREAM."""
    return model, feature, drift_type(feature)


def _roles(health: Health) -> Iterator[Metric]:
    ages, not_ready = health.ages(), health.unready()
    yield gauge("heartbeat_age_seconds", ["role"], by_label(ages))
    yield gauge("role_ready", ["role"], {(role,): float(role not in not_ready) for role in ages})


def _notifications(counts: DeliveryCounts) -> Iterator[Metric]:
    labels = ["target", "reason"]
    yield counter("notifications_sent", ["target"], by_label(counts.sent))
    yield counter("notifications_retried", labels, by_labels(counts.retried))
    yield counter("notifications_failed", labels, by_labels(counts.failed))
    yield counter("notifications_suppressed", labels, by_labels(counts.suppressed))
    yield gauge("notifications_waiting", ["target"], by_label(counts.waiting))


def _audits(audits: Sequence[AuditResult]) -> Iterator[Metric]:
    """Yield the budget and the self-audit's result; no rate before the first audited record.

    The rates of a model are the sums over its sources.
    """
    promised, measured, records = (defaultdict[tuple[str], float](float) for _ in range(3))
    for audit in audits:
        promised[audit.model,] += audit.promised
        records[audit.model,] += audit.records
        if audit.measured is not None:
            measured[audit.model,] += audit.measured
    yield gauge("false_pages_promised_per_day", ["model"], promised)
    yield gauge("false_pages_measured_per_day", ["model"], measured)
    yield gauge("false_pages_audited_records", ["model"], records)


def _traffic(traffic: Traffic) -> Iterator[Metric]:
    models = _models(traffic)
    requests = by_column(models, traffic.requests, ("ok", "error"))
    yield counter("inference_requests", ["model", "status"], requests)
    tokens = by_column(models, traffic.tokens, ("input", "output"))
    yield counter("inference_tokens", ["model", "direction"], tokens)
    cost = {(model,): float(traffic.cost[i]) for i, model in models}
    yield counter("inference_cost_usd", ["model"], cost)


def _latency(traffic: Traffic) -> Metric:
    name = "inference_latency_seconds"
    family = HistogramMetricFamily(f"plumbline_{name}", HELP[name], labels=("model",))
    bounds = [*(repr(bound) for bound in LATENCY_BUCKETS), "+Inf"]
    for i, model in _models(traffic):
        cumulative = np.cumsum(traffic.latency[i]).tolist()
        buckets = list(zip(bounds, cumulative, strict=True))
        family.add_metric((model,), buckets, sum_value=float(traffic.latency_sum[i]))
    return family


def _models(traffic: Traffic) -> list[tuple[int, str]]:
    """Return row number and name of the models that have records."""
    rows = enumerate(traffic.models)
    return [(i, model) for i, model in rows if traffic.requests[i].sum() > 0]


def _windows(states: Sequence[ModelState]) -> Iterator[Metric]:
    of_log = [state for state in states if state.source is Source.LOG]
    records = {(s.model,): float(s.window_records) for s in of_log}
    yield gauge("window_records", ["model"], records)
    reference = {(s.model,): float(s.reference_records) for s in of_log}
    yield gauge("reference_records", ["model"], reference)
    warmup = {(s.model, str(s.source)): float(s.warmup) for s in states}
    yield gauge("warmup_records_remaining", ["model", "source"], warmup)
    psi = {_stream(s.model, f): value for s in states for f, value in s.psi.items()}
    yield gauge("drift_psi", _STREAM, without_nan(psi))


def _readings(states: Iterable[ModelState]) -> Iterator[Metric]:
    """Yield statistics and thresholds; a detector without a verdict has no sample."""
    readings = {
        (*_stream(state.model, reading.feature), reading.detector): reading
        for state in states
        for reading in state.readings
        if not math.isnan(reading.statistic)
    }
    labels = [*_STREAM, "detector"]
    statistics = {key: reading.statistic for key, reading in readings.items()}
    yield gauge("drift_statistic", labels, statistics)
    thresholds = {key: reading.threshold for key, reading in readings.items()}
    yield gauge("drift_threshold", labels, without_nan(thresholds))


def _values(states: Iterable[ModelState]) -> Iterator[Metric]:
    """Yield the values of features, current and reference; a feature without any has no sample."""
    values = {
        (*_stream(state.model, value.feature), value.statistic): value
        for state in states
        for value in state.values
    }
    labels = [*_STREAM, "statistic"]
    current = {key: value.current for key, value in values.items()}
    yield gauge("feature_value", labels, without_nan(current))
    reference = {key: value.reference for key, value in values.items()}
    yield gauge("feature_reference_value", labels, without_nan(reference))


def _labelled(family: Metric) -> Metric:
    """Return a family whose label `model` tells models apart from "other"."""
    for index, sample in enumerate(family.samples):
        model = sample.labels.get("model")
        if model is not None and model_label(model) != model:
            labels = sample.labels | {"model": model_label(model)}
            family.samples[index] = sample._replace(labels=labels)
    return family


def _limit(samples: int, families: Iterable[Metric]) -> tuple[list[Metric], int]:
    """Cut off the families after this number of samples; return them and the number dropped.

    A histogram keeps all buckets of a label set or none.
    """
    kept, dropped = [], 0
    for family in families:
        unit = _unit(family)
        cut = min(samples // unit * unit, len(family.samples))
        dropped += len(family.samples) - cut
        samples -= cut
        family.samples = family.samples[:cut]
        kept.append(family)
    return kept, dropped


def _unit(family: Metric) -> int:
    """Return the number of samples of each label set, of which the sum of a histogram is last."""
    if not isinstance(family, HistogramMetricFamily) or not family.samples:
        return 1
    return 1 + next(i for i, s in enumerate(family.samples) if s.name == f"{family.name}_sum")
