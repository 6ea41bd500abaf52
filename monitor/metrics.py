"""What Prometheus sees. Roles write plain numbers; the collector turns them into families.

One process, one registry, no global state. Labels hold models, features, topics and reasons, never
a prompt, a user or a request; the number of series is bounded, and what is cut off is counted.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from monitor import __version__
from monitor.alarm_path import Reading
from monitor.audit import Audited
from monitor.events import DriftEvent
from monitor.features import Batch
from monitor.health import Health
from monitor.records import Refusal

MAX_SERIES = 5_000
PROCESS_SERIES = 6
"""What the client library tells of the process: memory, processor, files, start."""
LATENCY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""Seconds: a first token's time at one end, a long answer of a large model at the other."""
HISTOGRAM_SAMPLES = len(LATENCY_BUCKETS) + 3
"""Of one model: the buckets, the one without a bound, the count and the sum."""
STREAM = ("model", "feature")


@dataclass(frozen=True, slots=True)
class ModelState:
    """What the watch over one model says after `records` records; psi, severities by feature."""

    model: str
    records: int
    reference_records: int
    window_records: int
    readings: list[Reading]
    psi: dict[str, float]
    severities: dict[str, str]


@dataclass(slots=True)
class Traffic:
    """Sums over the records of each model, as arrays that grow with the models.

    Axis 0 is the model. latency: shape (M, buckets + 1), counts by bucket.
    """

    models: tuple[str, ...] = ()
    requests: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    latency: NDArray[np.float64] = field(
        default_factory=lambda: np.zeros((0, len(LATENCY_BUCKETS) + 1))
    )
    latency_sum: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    tokens: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    cost: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def add(self, batch: Batch) -> None:
        """Add the records of a batch."""
        models = max(len(batch.models), len(self.models))
        if models > len(self.models):
            for name in ("requests", "latency", "latency_sum", "tokens", "cost"):
                old = getattr(self, name)
                setattr(
                    self, name, np.concatenate((old, np.zeros((models - len(old), *old.shape[1:]))))
                )
            self.models = batch.models
        codes = batch.codes.astype(np.intp)
        latency = batch.row("latency_ms") / 1000
        known = ~np.isnan(latency)
        bucket = np.searchsorted(LATENCY_BUCKETS, latency[known], side="left")
        width = len(LATENCY_BUCKETS) + 1
        self.requests += _counts(codes * 2 + (batch.row("error") > 0), (models, 2))
        self.latency += _counts(codes[known] * width + bucket, (models, width))
        self.latency_sum += _sums(codes, latency, models)
        self.tokens[:, 0] += _sums(codes, batch.row("input_tokens"), models)
        self.tokens[:, 1] += _sums(codes, batch.row("output_tokens"), models)
        self.cost += _sums(codes, batch.row("cost_usd"), models)


def _counts(index: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.float64]:
    return np.bincount(index, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _sums(codes: NDArray[np.intp], values: NDArray[np.float64], models: int) -> NDArray[np.float64]:
    """Sums by model; missing values and (a counter must not fall) negative ones add nothing."""
    weights = np.nan_to_num(np.maximum(values, 0.0))
    return np.bincount(codes, weights=weights, minlength=models).astype(np.float64)


@dataclass(slots=True)
class Notices:
    """What became of notifications, by target; label sets are made at the start.

    sent: messages delivered. retried: attempts, by reason. failed: messages given up, by reason.
    suppressed: events that nobody is told of, by reason. waiting: events not dealt with yet.
    """

    sent: Counter[str] = field(default_factory=Counter)
    retried: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    suppressed: Counter[tuple[str, str]] = field(default_factory=Counter)
    waiting: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Metrics:
    """The numbers that the roles keep; `lock` guards what changes as a whole.

    psi_thresholds: by severity, from which PSI on a significant change is an alarm.
    """

    psi_thresholds: Mapping[str, float] = field(default_factory=dict)
    consumed: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    scores_dropped: int = 0
    segments_dropped: int = 0
    chunks_rejected: int = 0
    watched: Counter[str] = field(default_factory=Counter)
    rebalances: Counter[str] = field(default_factory=Counter)
    transactions_aborted: int = 0
    checkpoints_failed: int = 0
    checkpoints_unusable: int = 0
    checkpoint_seconds: float | None = None
    checkpoint_bytes: int = 0
    last_checkpoint: float | None = None
    lag: dict[tuple[str, int], int] = field(default_factory=dict)
    newest_event_time: float | None = None
    drift_events: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    notices: Notices = field(default_factory=Notices)
    traffic: Traffic = field(default_factory=Traffic)
    models: dict[int, list[ModelState]] = field(default_factory=dict)
    """By feature partition, what its watches say; replaced as a whole."""
    health: Health = field(default_factory=Health)
    started: float = field(default_factory=time.time)
    """Epoch seconds."""
    audits: Sequence[Audited] = ()
    """What the self-audit says of each model; replaced as a whole."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ingested(
        self,
        batches: Iterable[Batch],
        consumed: Mapping[str, int],
        rejected: Mapping[str, int],
    ) -> None:
        """Count what a committed transaction held."""
        with self.lock:
            self.consumed.update(consumed)
            self.rejected.update(rejected)
            newest = []
            for batch in batches:
                if len(batch.codes):
                    self.traffic.add(batch)
                    newest.append(float(batch.times.max()))
            # of this transaction alone: one record from the future must not hide the lag for ever
            self.newest_event_time = max(newest, default=self.newest_event_time)

    def checkpoint(self, seconds: float, size: int) -> None:
        """A checkpoint of `size` bytes was committed after so many seconds."""
        self.checkpoint_seconds = seconds
        self.checkpoint_bytes += size
        self.last_checkpoint = time.time()

    def drift(self, event: DriftEvent) -> None:
        """Count an event of an alarm that opened or grew.

        One that resolves counts nothing and is still entered: where the alarm was restored from a
        checkpoint, this process has no other record that there was one, and it must end as a zero.
        """
        key = event.model, event.feature, event.detector, event.severity
        with self.lock:
            self.drift_events[key] += event.change != "resolved"


class MetricsCollector(Collector):
    """Renders `Metrics` at a scrape; `clock` says the time of day."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Nothing ahead of time: registering must not scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, the ones that matter most first: the last are cut where series run out."""
        with self._metrics.lock:
            states = [state for part in list(self._metrics.models.values()) for state in part]
            families, dropped = _within(
                MAX_SERIES - PROCESS_SERIES - 1,
                chain(
                    self._daemon(),
                    self._notices(),
                    self._alarms(states),
                    _audits(self._metrics.audits),
                    self._traffic(),
                    _windows(states),
                    [_latency(self._metrics.traffic, self._rows())],
                    _readings(states),
                ),
            )
        yield from families
        yield _gauge("metric_series_dropped", "Series past the bound", [], {(): float(dropped)})

    def _daemon(self) -> Iterator[Metric]:
        m = self._metrics
        yield _gauge("build_info", "Version", ["version"], {(__version__,): 1.0})
        yield _gauge("start_time_seconds", "When the process began", [], {(): m.started})
        yield from _roles(m.health)
        yield _counter("records_consumed", "Messages read", ["topic"], _keyed(m.consumed))
        # every reason from the start: what first appears as a one has not risen, for Prometheus
        rejected = _keyed(dict.fromkeys(map(str, Refusal), 0) | m.rejected)
        yield _counter("records_rejected", "Messages refused", ["reason"], rejected)
        yield _counter("records_watched", "Records seen by detect", ["model"], _keyed(m.watched))
        yield _count("rebalances", "Partition changes", sum(m.rebalances.values()))
        yield _count("scores_dropped", "Scores beyond the bound", m.scores_dropped)
        yield _count("segments_dropped", "Records of segments past the bound", m.segments_dropped)
        yield _count("chunks_rejected", "Feature chunks that could not be read", m.chunks_rejected)
        yield _count("transactions_aborted", "Transactions rolled back", m.transactions_aborted)
        yield _count("checkpoints_failed", "Checkpoints rolled back", m.checkpoints_failed)
        yield _count("checkpoints_unusable", "Not restored at assignment", m.checkpoints_unusable)
        yield _count("checkpoint_bytes", "Written to the state topic", m.checkpoint_bytes)
        if m.checkpoint_seconds is not None and m.last_checkpoint is not None:
            took, at = {(): m.checkpoint_seconds}, {(): m.last_checkpoint}
            yield _gauge("checkpoint_seconds", "What the last checkpoint took", [], took)
            yield _gauge("last_checkpoint_timestamp_seconds", "When it was committed", [], at)
        lag = {(topic, str(partition)): float(n) for (topic, partition), n in dict(m.lag).items()}
        yield _gauge("consumer_lag_records", "Messages not yet read", ["topic", "partition"], lag)
        if m.newest_event_time is not None:
            age = max(0.0, self._clock() - m.newest_event_time)
            yield _gauge("event_time_lag_seconds", "Age of the newest record", [], {(): age})

    def _alarms(self, states: Sequence[ModelState]) -> Iterator[Metric]:
        least = _keyed(self._metrics.psi_thresholds)
        yield _gauge("drift_psi_threshold", "What PSI must reach", ["severity"], least)
        events = self._metrics.drift_events
        # an alarm that has ended stays as a zero: a series that just vanishes looks like an outage
        active = {(model, feature, severity): 0.0 for model, feature, _, severity in events}
        active |= {
            (s.model, f, severity): 1.0 for s in states for f, severity in s.severities.items()
        }
        yield _gauge("drift_active", "Whether an alarm is open", [*STREAM, "severity"], active)
        found = {key: float(count) for key, count in events.items()}
        labels = [*STREAM, "detector", "severity"]
        yield _counter("drift_events", "Alarms opened or become critical", labels, found)

    def _notices(self) -> Iterator[Metric]:
        n, by = self._metrics.notices, ["target", "reason"]
        yield _counter("notifications_sent", "Messages delivered", ["target"], _keyed(n.sent))
        yield _counter("notifications_retried", "Attempts that failed", by, _floats(n.retried))
        yield _counter("notifications_failed", "Messages given up", by, _floats(n.failed))
        yield _counter("notifications_suppressed", "Events not told", by, _floats(n.suppressed))
        waiting = _keyed(n.waiting)
        yield _gauge("notifications_waiting", "Events not dealt with yet", ["target"], waiting)

    def _rows(self) -> list[tuple[int, str]]:
        """The models that have records."""
        t = self._metrics.traffic
        return [(i, model) for i, model in enumerate(t.models) if t.requests[i].sum() > 0]

    def _traffic(self) -> Iterator[Metric]:
        t, rows = self._metrics.traffic, self._rows()
        requests = _by_column(rows, t.requests, ("ok", "error"))
        yield _counter("inference_requests", "Inferences logged", ["model", "status"], requests)
        tokens = _by_column(rows, t.tokens, ("input", "output"))
        yield _counter("inference_tokens", "Tokens logged", ["model", "direction"], tokens)
        cost = {(model,): float(t.cost[i]) for i, model in rows}
        yield _counter("inference_cost_usd", "Cost logged, in US dollars", ["model"], cost)


def _roles(health: Health) -> Iterator[Metric]:
    ages, waiting = health.ages(), set(health.waiting)
    ages_by_role = {(role,): age for role, age in ages.items()}
    yield _gauge("heartbeat_age_seconds", "Since a role's loop turned", ["role"], ages_by_role)
    ready = {(role,): float(role not in waiting) for role in ages}
    yield _gauge("role_ready", "Whether a role has joined and restored", ["role"], ready)


def _audits(audits: Sequence[Audited]) -> Iterator[Metric]:
    """The promise and what the self-audit measures; no rate while nothing has been audited."""
    per_day = "false_pages_{}_per_day"
    promised = {(a.model,): a.promised for a in audits}
    yield _gauge(per_day.format("promised"), "Allowed when nothing changed", ["model"], promised)
    measured = {(a.model,): a.measured for a in audits if a.measured is not None}
    yield _gauge(per_day.format("measured"), "Found by the self-audit", ["model"], measured)
    records = {(a.model,): float(a.records) for a in audits}
    yield _gauge("false_pages_audited_records", "Replayed by the self-audit", ["model"], records)


def _windows(states: Sequence[ModelState]) -> Iterator[Metric]:
    records = {(s.model,): float(s.window_records) for s in states}
    yield _gauge("window_records", "Records in the current window", ["model"], records)
    accepted = {(s.model,): float(s.reference_records) for s in states}
    yield _gauge("reference_records", "Records of the reference", ["model"], accepted)
    psi = {(s.model, feature): value for s in states for feature, value in s.psi.items()}
    yield _gauge("drift_psi", "Population stability index", STREAM, _known(psi))


def _readings(states: Iterable[ModelState]) -> Iterator[Metric]:
    """Statistics and thresholds; no verdict, no sample."""
    known = {
        (state.model, reading.feature, reading.detector): reading
        for state in states
        for reading in state.readings
        if not math.isnan(reading.statistic)
    }
    labels = [*STREAM, "detector"]
    statistics = {key: reading.statistic for key, reading in known.items()}
    yield _gauge("drift_statistic", "The detector's statistic", labels, statistics)
    thresholds = {key: reading.threshold for key, reading in known.items()}
    yield _gauge("drift_threshold", "What the statistic must reach", labels, _known(thresholds))


def registry(metrics: Metrics) -> CollectorRegistry:
    """A registry of its own for these metrics and, where the system tells, those of the process."""
    own = CollectorRegistry(auto_describe=False)
    own.register(MetricsCollector(metrics))
    ProcessCollector(registry=own)
    return own


Series = Mapping[Any, float]
"""Label values, a tuple of strings as long as the labels, -> value."""


def _keyed(counts: Mapping[str, float]) -> Series:
    # of a copy, made at one go: the roles count on while this is rendered
    return {(key,): float(count) for key, count in dict(counts).items()}


def _floats(counts: Mapping[tuple[str, str], int]) -> Series:
    return {key: float(count) for key, count in dict(counts).items()}


def _known(values: Series) -> Series:
    return {key: value for key, value in values.items() if not math.isnan(value)}


def _by_column(
    rows: Iterable[tuple[int, str]], table: NDArray[np.float64], columns: Sequence[str]
) -> Series:
    """A table of shape (M, len(columns)) as series of (model, column)."""
    return {
        (model, column): float(table[i, j]) for i, model in rows for j, column in enumerate(columns)
    }


def _gauge(name: str, text: str, labels: Sequence[str], values: Series) -> Metric:
    family = GaugeMetricFamily(f"plumbline_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], values: Series) -> Metric:
    family = CounterMetricFamily(f"plumbline_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _count(name: str, text: str, value: int) -> Metric:
    return _counter(name, text, [], {(): float(value)})


def _latency(traffic: Traffic, rows: Iterable[tuple[int, str]]) -> Metric:
    family = HistogramMetricFamily(
        "plumbline_inference_latency_seconds", "Latency logged", labels=("model",)
    )
    names = [*(repr(bound) for bound in LATENCY_BUCKETS), "+Inf"]
    for i, model in rows:
        upto = np.cumsum(traffic.latency[i]).tolist()
        buckets = list(zip(names, upto, strict=True))
        family.add_metric((model,), buckets, sum_value=float(traffic.latency_sum[i]))
    return family


def _within(room: int, families: Iterable[Metric]) -> tuple[list[Metric], int]:
    """The families cut off after `room` samples, and how many samples were left out.

    A histogram is cut between label sets: half of its buckets would be a lie.
    """
    kept, dropped = [], 0
    for family in families:
        whole = HISTOGRAM_SAMPLES if isinstance(family, HistogramMetricFamily) else 1
        cut = min(room // whole * whole, len(family.samples))
        dropped += len(family.samples) - cut
        room -= cut
        family.samples = family.samples[:cut]
        kept.append(family)
    return kept, dropped
