"""The watch over one model (or one segment of it): warm-up, windows, detectors, alarms, events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detectors import registry
from detectors.base import Bools, Detector, Floats
from detectors.calibration import allocate, level_per_evaluation
from detectors.psi import population_stability_index
from detectors.window import Window, Windows
from monitor import reference, summary
from monitor.alarms import Alarm, AlarmPolicy
from monitor.columns import Columns
from monitor.config import REFERENCE_WINDOWS, Config, WarmupReference
from monitor.events import Change, DriftEvent, Summary, event_id
from monitor.explainer import Explainer, Moment
from monitor.explanation import Explanation
from monitor.reference import Profile, known
from monitor.warmup import Warmup
from monitor.windows import StrideBuffer, Strides

Pace = Callable[[], float | None]
"""Records per second of the whole model; None before that is known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One detector's numbers on one stream, for those who ask; NaN where there is no verdict."""

    feature: str
    detector: str
    statistic: float
    threshold: float
    p_value: float


class Watch:
    """Takes the columns of one model in order and finds its drift.

    Until there is a reference, records are gathered for it (warm-up); from then on every full
    stride moves the window on and is evaluated. The outcome depends on the records and their order
    and on nothing else.
    """

    def __init__(self, model: str, segment: str, config: Config, pace: Pace) -> None:
        self.model = model
        self.segment = segment
        self.config = config
        self.pace = pace
        self.voting = frozenset[str](config.detectors) - frozenset(config.alarms.advisory)
        self.records = 0
        self.profile: Profile | None = None
        self.alarms: dict[int, Alarm] = {}
        self.policy = AlarmPolicy(
            config.alarms.min_psi, config.alarms.critical_psi, config.windows.records
        )
        self.warmup = Warmup(_warmup_records(config))

    def adopt(self, profile: Profile) -> None:
        """Compare with `profile` from now on."""
        windows, baseline = self.config.windows, profile.baseline
        self.warmup = Warmup(0)
        self.levels = self._levels(profile)
        self.buffer = StrideBuffer(baseline, windows.stride)
        self.window = Window(baseline, windows.records, windows.stride)
        self.detectors: Sequence[Detector] = registry.create(self.levels, baseline, self.window)
        self.explainer = Explainer(baseline, self.detectors, self.config.alarms.min_psi)
        self.profile = profile  # last: from here on other threads may look at the rest

    def _levels(self, profile: Profile) -> dict[str, float]:
        alarms, detectors = self.config.alarms, self.config.detectors
        total = level_per_evaluation(
            false_pages=alarms.false_pages,
            per_days=alarms.per_days,
            records_per_second=self.pace() or profile.records_per_second,
            stride=self.config.windows.stride,
            # the segments of one key together are evaluated as often as the whole model
            tests=1 + len(self.config.segments),
        )
        streams = registry.streams_watched(detectors, profile.baseline)
        voting = {name: count for name, count in streams.items() if name in self.voting}
        levels = allocate(total, voting, {str(name): w for name, w in alarms.weights.items()})
        # what raises no alarm takes nothing from those that do
        return {
            name: levels.get(name, min(0.5, total / max(1, count)))
            for name, count in streams.items()
        }

    def feed(self, columns: Columns) -> list[DriftEvent]:
        """What is found in the next records."""
        events: list[DriftEvent] = []
        rest = columns if self.profile else self._warm_up(columns)
        if rest is not None:
            self.explainer.examples.add(rest, self.seen)
            for strides in self.buffer.strides(rest):
                events += self._evaluate(strides)
            self.explainer.examples.trim(self.records - self.window.records + 1)
        return events

    def _warm_up(self, columns: Columns) -> Columns | None:
        """Gather records until they make a reference; what is beyond it is left to be watched."""
        rest = self.warmup.take(columns)
        self.records = self.warmup.gathered
        if rest is not None:
            profile = reference.build(
                self.warmup.pieces,
                segment=self.segment,
                window=self.config.windows.records,
                categories=self.config.limits.categories,
            )
            self.adopt(profile)
        return rest

    def _evaluate(self, strides: Strides) -> list[DriftEvent]:
        """What the alarms make of the strides; most are passed over at one look."""
        held = self.window.counts
        windows = self.window.extend(strides.values, strides.categories)
        self.explainer.extend(strides.times, self.window.strides)
        found = [detector.update(windows) for detector in self.detectors]
        voting = [m for d, m in zip(self.detectors, found, strict=True) if d.name in self.voting]
        eventful = np.logical_or.reduce([masks.any(axis=1) for masks in voting]) & windows.full
        before, events = self.records, list[DriftEvent]()
        for at in range(len(strides)):
            if self.alarms or eventful[at]:
                self.records = before + (at + 1) * windows.stride
                moment = Moment(
                    windows.at(at),
                    held,
                    windows.newest_counts[: at + 1],
                    self.records,
                    int(strides.positions[at]),
                    float(strides.times[at]),
                )
                finders = self._finders([masks[at] for masks in found])
                events += self._alarmed(moment, finders)
        self.records = before + len(strides) * windows.stride
        return events

    def _alarmed(self, moment: Moment, finders: dict[int, tuple[str, ...]]) -> list[DriftEvent]:
        """The events of one stride. finders: stream -> the detectors that found a change in it."""
        if not moment.window.full[0]:
            return []
        psi = self._psi(moment.window)
        events = []
        for stream in sorted({*finders, *self.alarms}):
            alarm, significant = self.alarms.get(stream), self._significant(finders.get(stream, ()))
            if alarm is not None and self.policy.holds(significant, psi[stream]):
                alarm.last_found = self.records
            material = significant and self.policy.material(psi[stream], alarm)
            change = self.policy.change(alarm, material, psi[stream], self.records)
            if change is not None:
                names = finders.get(stream, ())
                events.append(self._event(change, stream, names, psi, moment))
        return events

    def _significant(self, finders: Sequence[str]) -> bool:
        return not self.voting.isdisjoint(finders)

    def _psi(self, window: Windows) -> Floats:
        """PSI of every stream in the first of the windows, shape (S,)."""
        baseline = self.window.baseline
        return population_stability_index(
            baseline.bin_counts, baseline.records, window.bin_counts[0], window.records
        )

    def _finders(self, found: Sequence[Bools]) -> dict[int, tuple[str, ...]]:
        """Stream -> the detectors that found a change in it."""
        finders: dict[int, tuple[str, ...]] = {}
        for detector, mask in zip(self.detectors, found, strict=True):
            for stream in detector.streams[mask].tolist():
                finders[stream] = (*finders.get(stream, ()), detector.name)
        return finders

    def _event(
        self, change: Change, stream: int, finders: tuple[str, ...], psi: Floats, at: Moment
    ) -> DriftEvent:
        """The event of a change of the stream's alarm, and the change itself. psi: shape (S,)."""
        assert self.profile is not None
        baseline = self.window.baseline
        best = self._speaker(stream, finders, at.window)
        identity = self._identity(best, at)
        sides = summary.sides(baseline, stream, at.window)
        explanation = self._explanation(change, stream, finders, psi, sides, at)
        severity = self.policy.severity(float(psi[stream]))
        opening = Alarm(identity, best.detector, severity, self.records, explanation.since)
        alarm = self._turned(change, stream, opening)
        return DriftEvent(
            id=identity,
            alarm=alarm.id,
            change=change,
            model=self.model,
            segment=self.segment,
            feature=best.feature,
            detector=best.detector,
            found_by=finders,
            severity=alarm.severity,
            position=at.position,
            record=self.records,
            time=at.time,
            statistic=known(best.statistic),
            threshold=known(best.threshold),
            p_value=known(best.p_value),
            psi=float(psi[stream]),
            reference_id=self.profile.id,
            reference=sides[0],
            current=sides[1],
            kind=baseline.streams[stream].kind.value,
            explanation=explanation,
        )

    def _speaker(self, stream: int, finders: tuple[str, ...], window: Windows) -> Reading:
        """The reading that the event tells: of those who found the change, or opened the alarm."""
        alarm = self.alarms.get(stream)
        voting = tuple(name for name in finders if name in self.voting)
        names = voting or ((alarm.detector,) if alarm else ())
        readings = self._readings_of(stream, names, window)
        # the smallest p-value speaks; a detector without one only where it is alone
        return min(readings, key=lambda r: 2.0 if np.isnan(r.p_value) else r.p_value)

    def _identity(self, best: Reading, at: Moment) -> str:
        return event_id(
            model=self.model,
            segment=self.segment,
            feature=best.feature,
            detector=best.detector,
            record=at.record,
            time=at.time,
        )

    def _explanation(
        self,
        change: Change,
        stream: int,
        finders: tuple[str, ...],
        psi: Floats,
        sides: tuple[Summary, Summary],
        at: Moment,
    ) -> Explanation:
        """What the event explains; the end of an alarm has nothing to explain but its beginning."""
        alarm = self.alarms.get(stream)
        since = alarm.since if alarm else None
        if change == "resolved":
            return Explanation(since=since)
        return self.explainer.explain(stream, finders, psi, sides, at, since)

    def _turned(self, change: Change, stream: int, opening: Alarm) -> Alarm:
        """The stream's alarm after a change of it. opening: what it is if it is opened now."""
        before = self.alarms.get(stream)
        if change == "resolved":
            return self.alarms.pop(stream)
        alarm = replace(opening, id=before.id) if before else opening
        self.alarms[stream] = alarm
        return alarm

    def _readings_of(self, stream: int, names: Sequence[str], window: Windows) -> list[Reading]:
        chosen = [detector for detector in self.detectors if detector.name in names]
        feature = self.window.baseline.streams[stream].name
        return [each for each in self._readings(chosen, window) if each.feature == feature]

    @property
    def seen(self) -> int:
        """Records taken in, those that still wait for a full stride included."""
        return self.records + (self.buffer.fill if self.profile else 0)

    def values(self, feature: str) -> tuple[Floats, Floats]:
        """All values of a numeric feature in the reference and in the window, NaN where missing.

        Raises KeyError while warming up, or for a feature that is not watched.
        """
        for row, stream in enumerate(self.window.baseline.numeric if self.profile else ()):
            if stream.name == feature:
                return stream.values(), self.window.values[row].copy()
        raise KeyError(feature)

    def window_records(self) -> int:
        """Records in the current window; none while warming up."""
        windows = self.config.windows
        return (
            0
            if self.profile is None
            else min(self.window.strides * windows.stride, windows.records)
        )

    def readings(self) -> list[Reading]:
        """All detectors' numbers on all streams; none while warming up."""
        if self.profile is None:
            return []
        return self._readings(self.detectors, self.window.current())

    def _readings(self, detectors: Sequence[Detector], window: Windows) -> list[Reading]:
        names = [stream.name for stream in self.window.baseline.streams]
        found = []
        for detector in detectors:
            numbers = detector.readings(window)
            rows = zip(
                detector.streams.tolist(),
                numbers.statistic.tolist(),
                numbers.threshold.tolist(),
                numbers.p_value.tolist(),
                strict=True,
            )
            found += [Reading(names[stream], detector.name, *row) for stream, *row in rows]
        return found

    def psi(self) -> dict[str, float]:
        """PSI by feature; nothing while the window fills."""
        if self.profile is None or not self.window.full:
            return {}
        names = (stream.name for stream in self.window.baseline.streams)
        return dict(zip(names, self._psi(self.window.current()).tolist(), strict=True))

    def severities(self) -> dict[str, str]:
        """Feature -> severity of its open alarm."""
        streams = self.window.baseline.streams if self.profile else ()
        return {streams[index].name: alarm.severity for index, alarm in self.alarms.items()}


def _warmup_records(config: Config) -> int:
    """Records of a warm-up; the default one for models that a built reference does not know."""
    source = config.reference
    if source.source == "warmup":
        return source.records
    return max(WarmupReference().records, REFERENCE_WINDOWS * config.windows.records)
