"""Counters and gauges of one process, as plain numbers that the roles write.

`exporter` converts them to metric families at a scrape. There is no global state. Labels contain
models, features, topics and reasons, never a prompt, a user or a request. The number of series is
limited, and dropped series are counted.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from detectors.trends import Trend
from monitor.detect.alarms.evaluator import Reading
from monitor.detect.audit.self_audit import AuditResult
from monitor.detect.tracks.feature_values import FeatureValue
from monitor.events.types import DriftEvent
from monitor.ingest.features import Batch
from monitor.ingest.sampling.sampler import SampleCounts
from monitor.notify.counts import DeliveryCounts
from monitor.records import Source
from monitor.telemetry.counters.decoding import DecodingMetrics
from monitor.telemetry.counters.experiments import ExperimentMetrics
from monitor.telemetry.counters.joins import JoinMetrics
from monitor.telemetry.counters.judging import JudgeMetrics
from monitor.telemetry.counters.replay import ReplayMetrics
from monitor.telemetry.counters.traffic import Traffic
from monitor.telemetry.counters.web import WebMetrics
from monitor.telemetry.health import Health

EventLabels = tuple[str, ...]
"""Model, feature, detector and severity."""
MAX_AHEAD_SECONDS = 3600.0
"""Records further ahead of the clock have a wrong time, which would hide the event-time lag."""


@dataclass(frozen=True, slots=True)
class ModelState:
    """State of the watch over one source of a model after `records` records.

    warmup: records that its warm-up still needs. psi, severities, trends: by feature.
    """

    model: str
    records: int
    reference_records: int
    window_records: int
    readings: list[Reading]
    psi: dict[str, float]
    severities: dict[str, str]
    trends: dict[str, Trend] = field(default_factory=dict)
    values: list[FeatureValue] = field(default_factory=list)
    source: Source = Source.LOG
    warmup: int = 0


@dataclass(slots=True)
class Metrics:
    """Numbers that the roles keep; `lock` guards those that change together.

    psi_thresholds: PSI from which a significant change opens an alarm, by severity.
    """

    psi_thresholds: Mapping[str, float] = field(default_factory=dict)
    consumed: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    decoding: DecodingMetrics = field(default_factory=DecodingMetrics)
    dead_letters_incomplete: Counter[str] = field(
        default_factory=lambda: Counter(truncated=0, stub=0, dropped=0)
    )
    samples: SampleCounts = field(default_factory=SampleCounts)
    scores_dropped: int = 0
    segments_dropped: int = 0
    records_ahead: int = 0
    """Records whose time is more than MAX_AHEAD_SECONDS ahead of the clock."""
    chunks_rejected: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    """Commands to detect by outcome."""
    watched: Counter[str] = field(default_factory=Counter)
    """Records of the log that detect has processed, by model."""
    samples_watched: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Records of other sources that detect has processed, by model and source."""
    samples_skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Samples that another judge or rubric than the watched one has scored, by model and source."""
    rebalances: Counter[str] = field(default_factory=Counter)
    transactions_aborted: Counter[str] = field(default_factory=Counter)
    """By role."""
    checkpoints_failed: int = 0
    checkpoints_unusable: int = 0
    checkpoint_seconds: float | None = None
    checkpoint_bytes: int = 0
    last_checkpoint: float | None = None
    """Seconds since the epoch."""
    lag: dict[tuple[str, int], int] = field(default_factory=dict)
    expired: Counter[str] = field(default_factory=Counter)
    """Messages that expired unread, by topic."""
    newest_event_time: float | None = None
    """Seconds since the epoch."""
    drift_events: Counter[EventLabels] = field(default_factory=Counter)
    deliveries: DeliveryCounts = field(default_factory=DeliveryCounts)
    traffic: Traffic = field(default_factory=Traffic)
    models: dict[int, list[ModelState]] = field(default_factory=dict)
    """States of the watches by feature partition; each list is replaced as a whole."""
    health: Health = field(default_factory=Health)
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    started: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    judging: JudgeMetrics | None = None
    """None in a process without the judge role."""
    exposures_without_unit: Counter[str] = field(default_factory=Counter)
    """Records of an experiment that lack its unit and are not exposed, by experiment."""
    join_keys_written: int = 0
    """Ids of records that ingest has written for the join."""
    joins: JoinMetrics | None = None
    """None in a process without the join role."""
    experiments: ExperimentMetrics | None = None
    """None in a process without the experiment role."""
    replay: ReplayMetrics | None = None
    """None in a process without the replay role."""
    web: WebMetrics | None = None
    """None in a process without the web role."""
    children: set[int] = field(default_factory=set)
    """Ids of the processes that this one has started."""
    audits: Sequence[AuditResult] = ()
    """Result of the self-audit for each model; replaced as a whole."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count_transaction(
        self,
        batches: Iterable[Batch],
        consumed: Mapping[str, int],
        rejected: Mapping[str, int],
    ) -> None:
        """Count the content of a committed ingest transaction."""
        with self.lock:
            self.consumed.update(consumed)
            self.rejected.update(rejected)
            newest: list[float] = []
            for batch in batches:
                if len(batch.codes):
                    self.traffic.add(batch)
                    in_time = batch.times[batch.times <= self.clock() + MAX_AHEAD_SECONDS]
                    self.records_ahead += len(batch.times) - len(in_time)
                    newest += in_time.max(keepdims=True).tolist() if len(in_time) else []
            # Of this transaction only: one record from the future must not hide the lag afterwards.
            self.newest_event_time = max(newest, default=self.newest_event_time)

    def count_watched(self, model: str, source: Source, records: int, skipped: int = 0) -> None:
        """Count records that detect has processed. skipped: further ones, of another epoch."""
        with self.lock:
            if source is Source.LOG:
                self.watched[model] += records
            else:
                self.samples_watched[model, source] += records
                self.samples_skipped[model, source] += skipped

    def count_checkpoint(self, seconds: float, size: int) -> None:
        """Count a committed checkpoint of `size` bytes that took `seconds`."""
        self.checkpoint_seconds = seconds
        self.checkpoint_bytes += size
        self.last_checkpoint = time.time()

    def count_events(self, events: Mapping[EventLabels, int]) -> None:
        """Add numbers of alarms that opened or became critical, by labels.

        Other events add 0, so that their series exist: Prometheus sees no increase in a series that
        begins at 1, and `drift_active` of an alarm that was restored must return to 0.
        """
        with self.lock:
            for labels, number in events.items():
                self.drift_events[labels] += number


def event_labels(event: DriftEvent) -> EventLabels:
    """Return the labels of the metric that counts an event."""
    return event.model, event.feature, event.detector, event.severity
