"""The watch over the streams of one group: windows, detectors, alarms, events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from detectors.parts import Parts
from detectors.psi import missing_psi
from detectors.trends import Trend, trend
from monitor.config.schema import Config
from monitor.detect.alarms.alarm import Alarm
from monitor.detect.alarms.evaluator import AlarmEvaluator, AlarmTransition, Reading
from monitor.detect.alarms.lasting_size import LastingSize
from monitor.detect.explain import incident
from monitor.detect.explain.distribution import Observer, distribution
from monitor.detect.explain.event_summaries import event_summaries, margin, stated_summaries
from monitor.detect.explain.explainer import Explainer
from monitor.detect.explain.incident import Extent
from monitor.detect.reference.groups import StreamGroup
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.summary import finite_or_none, shown_kind
from monitor.detect.tracks.feature_values import FeatureValue, FeatureValues
from monitor.detect.tracks.strides import StrideBuffer, Strides
from monitor.events.codec import event_id
from monitor.events.drift_types import MISSING_PREFIX, drift_type
from monitor.events.types import DriftEvent, Severity, Summary
from monitor.ingest.chunks.columns import Columns
from monitor.records import Source


@dataclass(frozen=True, slots=True)
class Subject:
    """What the events of a track are about: a source of a model or segment, and its reference.

    observer: called with each event and the whole distribution of its stream.
    """

    model: str
    segment: str
    source: Source
    profile: Profile
    observer: Observer | None = None


class Track:
    """Detects drift in the streams of one group, whose records must arrive in order.

    It evaluates the window after every full stride of the group's records. In events, records are
    numbered among those of the model.

    levels: level by detector. records: records of the group evaluated.
    """

    def __init__(
        self, subject: Subject, group: StreamGroup, config: Config, levels: Mapping[str, float]
    ) -> None:
        own = group.config(config)
        self.subject = subject
        self.group = group
        self.levels = levels
        self.records = 0
        self.buffer = StrideBuffer(group.baseline, own.windows.stride)
        self.evaluator = AlarmEvaluator(group.baseline, own, levels)
        self.window, self.detectors = self.evaluator.window, self.evaluator.detectors
        self._values = FeatureValues(group.baseline)
        spacing = own.windows.stride / group.share
        self.explainer = Explainer(
            group.baseline, config.alarms.min_psi, spacing, own.windows.stride
        )

    @property
    def alarms(self) -> dict[int, Alarm]:
        """Open alarms by stream."""
        return self.evaluator.alarms

    @property
    def seen(self) -> int:
        """Records of the group received, including those that wait for a full stride."""
        return self.records + self.buffer.fill

    def feed(self, columns: Columns, numbers: NDArray[np.int64]) -> list[DriftEvent]:
        """Return the events of the next records of the model.

        numbers: shape (n,), number of each record among those of the model.
        """
        own, chosen = self.group.select(columns)
        numbers = numbers[chosen]
        if not len(own):
            return []
        self.explainer.examples.add(own, numbers)
        before = self.window.strides * self.window.stride + self.buffer.fill
        self.explainer.new_categories.add(own, before)
        events: list[DriftEvent] = []
        for strides in self.buffer.strides(own, numbers):
            events += self._evaluate(strides)
        if self.window.strides:
            self.explainer.examples.trim(self._number(self.window.records, None) + 1)
            self.explainer.new_categories.trim(self.window.strides, len(self.window.counts))
        return events

    def _evaluate(self, strides: Strides) -> list[DriftEvent]:
        """Return the events of the alarm transitions of these strides."""
        windows, detected = self.evaluator.detect(strides.values, strides.categories)
        self.explainer.add_strides(strides.times, strides.numbers, self.window.strides)
        events = list[DriftEvent]()
        for each in self.evaluator.transitions(windows, detected, self.records):
            event = self._event(each, strides)
            extent = self._extent(each, event)
            if incident.report(each.alarm, event, extent, self.window.records):
                events.append(event)
                self._observe(event, each)
        self.records += len(strides) * self.window.stride
        return events

    def _observe(self, event: DriftEvent, transition: AlarmTransition) -> None:
        """Call the observer, if there is one."""
        if self.subject.observer is not None:
            self.subject.observer(event, distribution(self.explainer.parts(transition)))

    def _number(self, records: int, transition: AlarmTransition | None) -> int:
        """Return the number of the last record before the newest `records` of the group.

        transition: at whose stride they end; by default the newest stride.
        """
        newest = transition.window.stride_number if transition else self.window.strides
        return self.explainer.number(newest - records // self.window.stride, newest)

    def _event(self, transition: AlarmTransition, strides: Strides) -> DriftEvent:
        """Build the event of a transition."""
        best, alarm = self.evaluator.best_reading(transition), transition.alarm
        subject, at = self.subject, transition.index
        record, time = int(strides.numbers[at]), float(strides.times[at])
        identity = event_id(
            model=subject.model,
            segment=subject.segment,
            feature=best.feature,
            detector=best.detector,
            record=record,
            time=time,
            source=subject.source,
        )
        parts = self.explainer.parts(transition)
        reference, current, moves = self._summaries(transition, parts, record)
        stream, drift = transition.stream, transition.size.drift
        values, missing = float(drift.values[stream]), float(drift.missing[stream])
        if best.feature.startswith(MISSING_PREFIX):
            values, missing = 0.0, values
        elif self.group.feature:
            missing = _missing_psi(reference, current)
        return DriftEvent(
            id=identity,
            alarm=identity if transition.change == "opened" else alarm.id,
            change=transition.change,
            model=subject.model,
            segment=subject.segment,
            feature=best.feature,
            detector=best.detector,
            found_by=transition.found_by,
            severity=alarm.severity,
            escalated_from=_severity_before(transition),
            position=int(strides.positions[at]),
            record=record,
            time=time,
            statistic=finite_or_none(best.statistic),
            threshold=finite_or_none(best.threshold),
            p_value=finite_or_none(best.p_value),
            psi=float(drift.psi[stream]),
            psi_values=values,
            psi_missing=missing,
            reference_id=subject.profile.id,
            reference=reference,
            current=current,
            kind=shown_kind(self.group.baseline.streams[stream]),
            explanation=self.explainer.explain(transition, parts, reference, current, moves),
            source=subject.source,
        )

    def _summaries(
        self, transition: AlarmTransition, parts: Parts, record: int
    ) -> tuple[Summary, Summary, dict[str, float]]:
        """Return the summaries of reference and measured records, with the shares missing.

        The third value is that of `stated_summaries`; a resolved alarm states no move.
        """
        stream, sample = transition.stream, transition.size.sample
        reference, current, moves = stated_summaries(self.group.baseline, stream, sample, parts)
        if transition.change == "resolved":
            reference, current = event_summaries(self.group.baseline, stream, sample, parts)
        if self.group.feature:
            among = record - self._number(sample.records, transition)
            missing = 1 - sample.records / max(sample.records, among)
            reference = structs.replace(reference, missing=1 - self.group.share)
            current = structs.replace(current, missing=missing)
        return reference, current, moves

    def _extent(self, transition: AlarmTransition, event: DriftEvent) -> Extent:
        """Return on how many records of the group an event rests."""
        since, newest = event.explanation.since, transition.window.stride_number
        strides = self.explainer.strides_since(since.record, newest) if since else 0
        baseline, stream, sample = self.group.baseline, transition.stream, transition.size.sample

        def of(name: str) -> float | None:
            counts = baseline.fine_counts(sample.cell_counts[:1])[0, stream]
            share = LastingSize.of(baseline.streams[stream], counts).share(name)
            return share[1] if share else margin(baseline, stream, sample, name)

        return Extent(
            record=transition.record,
            since=strides * self.window.stride,
            measured=sample.records,
            inflation=baseline.streams[stream].inflation,
            margin=of,
            lasting=transition.lasting,
        )

    def readings(self) -> list[Reading]:
        """Return the readings of all detectors on all streams."""
        return self.evaluator.readings(self.window.current())

    def values(self) -> list[FeatureValue]:
        """Return statistics of each feature in reference and window; none until it is full."""
        return self._values.of(self.window)

    def psi(self) -> dict[str, float]:
        """Return the PSI by feature, as the alarms measure it.

        Until the window is full, only features with a detected change or an open alarm have one.
        """
        change_psi, streams = self.evaluator.change_psi, self.group.baseline.streams
        if not self.window.full:
            return {streams[index].name: psi for index, psi in change_psi.items()}
        whole = enumerate(self.evaluator.psi(self.window.current()).tolist())
        return {streams[i].name: max(psi, change_psi.get(i, 0.0)) for i, psi in whole}

    def trends(self) -> dict[str, Trend]:
        """Return the trend of each quality feature whose window has enough values."""
        rows = zip(self.group.baseline.numeric, self.window.values, strict=True)
        found = {s.name: trend(s, row) for s, row in rows if _is_quality(s.name)}
        return {name: each for name, each in found.items() if each is not None}

    def open_alarms(self) -> dict[str, Alarm]:
        """Return the open alarms by feature."""
        streams = self.group.baseline.streams
        return {streams[index].name: alarm for index, alarm in self.alarms.items()}


def _missing_psi(reference: Summary, current: Summary) -> float:
    """Return PSI of having a value or not, by the missing shares of two summaries."""
    before, after = (s.n / max(1e-9, 1 - s.missing) for s in (reference, current))
    return float(missing_psi(before * reference.missing, before, after * current.missing, after))


def _is_quality(feature: str) -> bool:
    """Return whether a feature judges quality, so that larger values are better."""
    return drift_type(feature) == "concept" and not feature.startswith(MISSING_PREFIX)


def _severity_before(transition: AlarmTransition) -> Severity | None:
    """Return the severity before an escalation: `info` if the alarm pages for the first time."""
    if transition.change != "escalated":
        return None
    return "info" if transition.first_page else "warning"
