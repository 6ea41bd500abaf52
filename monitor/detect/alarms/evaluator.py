"""From strides to alarm transitions; live traffic and the self-audit share this code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from detectors import registry
from detectors.arrays import Bools, Floats
from detectors.baseline import Baseline
from detectors.detector import Detector
from detectors.e_detector import EDetector
from detectors.kinds import Kind
from detectors.window import Window, Windows
from monitor.config.schema import Config
from monitor.detect.alarms import budget
from monitor.detect.alarms.alarm import Alarm, AlarmPolicy
from monitor.detect.alarms.change_size import ChangeMeter, ChangeSize
from monitor.detect.alarms.episode import MEMORY_WINDOWS, Episodes
from monitor.detect.alarms.lasting_size import LastingSize
from monitor.detect.alarms.materiality import Materiality, RateLimits
from monitor.detect.alarms.window_sizes import WindowSizes
from monitor.events.types import Severity, Transition, pages


@dataclass(frozen=True, slots=True)
class Reading:
    """Statistic, threshold and p-value of one detector on one stream; NaN where undefined."""

    feature: str
    detector: str
    statistic: float
    threshold: float
    p_value: float


@dataclass(frozen=True, slots=True)
class AlarmTransition:
    """An alarm opens, escalates, shows a new settled size ("updated") or resolves.

    index: index of the stride among those evaluated together. record: records of the stream up to
    the end of the stride. window: the window at that time. alarm: the alarm after the transition;
    the code that builds the event sets its id and its detector (`AlarmEvaluator.best_reading`).
    found_by: detectors that found a change in the stream. first_page: whether the alarm reaches a
    severity that pages, for the first time. found: all streams in which an alarming detector found
    a change at that time. lasting: size of the change over the records of its episode.
    """

    change: Transition
    stream: int
    index: int
    record: int
    window: Windows
    alarm: Alarm
    found_by: tuple[str, ...]
    size: ChangeSize
    first_page: bool = False
    found: frozenset[int] = frozenset()
    lasting: LastingSize | None = None


def incident_of_stream(baseline: Baseline) -> dict[int, str]:
    """Return the incident of each stream whose alarms do not page alone; by default none.

    A swap of a model moves many markers of its style. They are one incident, and those of prompts
    another one: the first alarm pages, and later ones are `info` while it is open.
    """
    return {
        index: stream.name.partition(".")[0]
        for index, stream in enumerate(baseline.streams)
        if stream.kind is Kind.CONDITIONAL
    }


class AlarmEvaluator:
    """Window, detectors and open alarms of one baseline.

    levels: significance level by detector, in the order in which the detectors run.
    change_psi: PSI (see `ChangeSize`) by stream in the newest stride, for streams with a detected
    change or an open alarm.
    """

    def __init__(self, baseline: Baseline, config: Config, levels: Mapping[str, float]) -> None:
        windows, alarms = config.windows, config.alarms
        self.baseline = baseline
        self.window = Window(baseline, windows.records, windows.stride)
        self.levels = levels
        self.detectors: list[Detector] = registry.create(levels, baseline, self.window)
        level = min(levels.values(), default=0.0)
        self.meter = ChangeMeter(baseline, self.window, level, self.e_detector)
        self.alarming = frozenset[str](budget.alarming_detectors(config))
        self.policy = AlarmPolicy(
            alarms.min_psi, alarms.critical_psi, resolve_after=windows.records
        )
        self.alarms: dict[int, Alarm] = {}
        materiality = Materiality(baseline, RateLimits.of(alarms))
        self.episodes = Episodes(materiality, windows.records)
        self.change_psi: dict[int, float] = {}
        self.incidents = incident_of_stream(baseline)

    @property
    def e_detector(self) -> EDetector | None:
        """The e-detector, if it is among the detectors."""
        return next((d for d in self.detectors if isinstance(d, EDetector)), None)

    def restart(self, detector: Detector) -> None:
        """Replace one of the detectors by a new one without state."""
        name = detector.name
        (new,) = registry.create({name: self.levels[name]}, self.baseline, self.window)
        self.detectors[self.detectors.index(detector)] = new
        self.meter.e_detector = self.e_detector

    def evaluate(
        self, values: Floats, categories: NDArray[np.uint8], seen: int
    ) -> Iterator[AlarmTransition]:
        """Yield the alarm transitions of whole strides (see `Window.extend`).

        The iterator must be exhausted. seen: records of the stream before these strides.
        """
        windows, detected = self.detect(values, categories)
        return self.transitions(windows, detected, seen)

    def detect(self, values: Floats, categories: NDArray[np.uint8]) -> tuple[Windows, list[Bools]]:
        """Return the windows that end with these strides, and the findings of each detector."""
        windows = self.window.extend(values, categories)
        return windows, [detector.update(windows) for detector in self.detectors]

    def transitions(
        self, windows: Windows, detected: Sequence[Bools], seen: int
    ) -> Iterator[AlarmTransition]:
        """Yield the alarm transitions that follow from the findings of `detect`.

        Strides without findings are skipped while no stream has an alarm or an episode.
        """
        eventful, sizes = self._any_alarming(detected), WindowSizes(self.meter, windows)
        for index in range(len(windows)):
            if self.alarms or self.episodes.by_stream or eventful[index]:
                found_by = self._found_by([masks[index] for masks in detected])
                record = seen + (index + 1) * windows.stride
                yield from self._stride_transitions(sizes, index, record, found_by)
            elif self.change_psi:
                self.change_psi = {}

    def _any_alarming(self, detected: Sequence[Bools]) -> Bools:
        """Return for each stride whether an alarming detector found a change, shape (m,)."""
        alarming = [
            masks
            for detector, masks in zip(self.detectors, detected, strict=True)
            if detector.name in self.alarming
        ]
        return np.asarray(np.logical_or.reduce([masks.any(axis=1) for masks in alarming]))

    def _stride_transitions(
        self, sizes: WindowSizes, index: int, record: int, found_by: Mapping[int, tuple[str, ...]]
    ) -> Iterator[AlarmTransition]:
        """Yield the transitions of one stride. found_by: detectors with a finding, by stream."""
        window = sizes.windows.at(index)
        if window.stride_number < self.meter.least:
            return
        whole, change_psi = sizes.whole(window, index), dict[int, float]()
        changed = frozenset(s for s, by in found_by.items() if not self.alarming.isdisjoint(by))
        if self.episodes.by_stream:
            self.episodes.advance(sizes.newest(index))
        for stream in self._in_order(found_by, whole):
            names = found_by.get(stream, ())
            alarm, significant = self.alarms.get(stream), not self.alarming.isdisjoint(names)
            level_start = self._level_start(alarm, window, record)
            is_whole = sizes.is_whole(stream, names, level_start, window, index)
            size = whole if is_whole else self.meter.measure(stream, names, whole, level_start)
            psi = change_psi[stream] = float(size.psi[stream])
            if alarm is not None or significant:
                self._add(stream, record, size, significant=significant)
            found = self._severity(stream, psi, record) if significant else None
            change = self._transition(stream, found, record)
            settles = change is None and self._settles(alarm, stream, record)
            ends = settles or change == "resolved"
            lasting = self._lasting(alarm, stream, record) if ends else None
            if is_whole and (settles or change is not None):
                size = self.meter.measure(stream, names, whole, level_start)  # with the bet
            made = partial(
                AlarmTransition,
                stream=stream,
                index=index,
                record=record,
                window=window,
                found_by=names,
                found=changed,
                lasting=lasting,
            )
            if settles and alarm is not None:
                size = replace(whole, leading_bet=size.leading_bet)
                yield made(change="updated", alarm=alarm, size=size)
            if change is not None:
                first_page = found is not None and not (alarm and pages(alarm.severity))
                alarm = self._apply(change, stream, found, record)
                first_page = first_page and pages(alarm.severity)
                if change == "resolved":
                    self.meter.set_quiet(stream, window.stride_number)
                yield made(change=change, alarm=alarm, size=size, first_page=first_page)
        self.change_psi = change_psi  # a new dict: other threads may iterate over the old one

    def _level_start(self, alarm: Alarm | None, window: Windows, record: int) -> int | None:
        """Return the number of strides before the present level of an alarm, if it is known."""
        if alarm is None or not alarm.incident.first:
            return None
        return window.stride_number - -(-(record - alarm.incident.first + 1) // window.stride)

    def _settles(self, alarm: Alarm | None, stream: int, record: int) -> bool:
        """Return whether the size of an open alarm is settled with the window.

        Quantiles are those of windows, which must hold no record from after the change. Shares are
        those of the episode, and the windows of a rare rate seldom hold.
        """
        if alarm is None or not alarm.settles(record, self.window.records):
            return False
        episode = self.episodes.by_stream.get(stream)
        if episode is None or self.baseline.streams[stream].kind is not Kind.NUMERIC:
            return episode is not None
        return episode.quiet == 0 and alarm.last_found >= record

    def _add(self, stream: int, record: int, size: ChangeSize, *, significant: bool) -> None:
        """Add the size of a change to its alarm and episode. significant: whether it was found."""
        alarm, sample = self.alarms.get(stream), size.sample
        if alarm is not None and self.policy.holds(significant, float(size.psi[stream])):
            alarm.last_found = record
        if alarm is not None and size.since is not None:
            strides = sample.stride_number - size.since
            alarm.add_step(record - strides * sample.stride + 1)
        if stream not in self.episodes.by_stream:
            counts = self.baseline.fine_counts(sample.cell_counts[:1])[0, stream]
            self.episodes.begin(stream, record, counts, has_alarm=alarm is not None)

    def _lasting(self, alarm: Alarm | None, stream: int, record: int) -> LastingSize | None:
        """Return the size of an alarm's change over the records of its episode.

        None if the episode remembers records from before a later step.
        """
        episode = self.episodes.by_stream.get(stream)
        if alarm is None or episode is None:
            return None
        begun = max(alarm.incident.first, alarm.incident.step)
        if begun > episode.start and record - begun < MEMORY_WINDOWS * self.window.records:
            return None
        return LastingSize.of(self.baseline.streams[stream], episode.changed)

    def _severity(self, stream: int, psi: float, record: int) -> Severity | None:
        """Return the severity of a significant change; None if it is too early to report it."""
        alarm = self.alarms.get(stream)
        paged = alarm is not None and pages(alarm.severity)
        found = self.policy.severity(
            psi,
            alarm,
            rate=not paged and self.episodes.is_rate_material(stream),
            settled=self.episodes.is_settled(stream, record),
        )
        return "info" if found is not None and self._is_part(stream) else found

    def _is_part(self, stream: int) -> bool:
        """Return whether the alarm of another stream pages for the incident of this one."""
        own = self.incidents.get(stream)
        return own is not None and any(
            other != stream and self.incidents[other] == own and pages(alarm.severity)
            for other, alarm in self.alarms.items()
        )

    def _in_order(self, found_by: Mapping[int, tuple[str, ...]], whole: ChangeSize) -> list[int]:
        """Return the streams to evaluate: in the order of the baseline, the larger changes first
        where they may begin an incident, because the first one pages for it."""
        streams = sorted({*found_by, *self.alarms, *self.episodes.by_stream})
        begins = [stream for stream in found_by if not self._is_part(stream)]
        if not self.incidents or len(begins) < 2:
            return streams
        sizes = {s: self.meter.measure(s, found_by[s], whole, None).psi[s] for s in begins}
        return sorted(streams, key=lambda stream: -float(sizes.get(stream, 0.0)))

    def _transition(self, stream: int, found: Severity | None, record: int) -> Transition | None:
        """Return the transition of a stream's alarm; end the episode of a change not reported."""
        alarm, episodes = self.alarms.get(stream), self.episodes
        over = stream in episodes.by_stream and episodes.is_over(stream)
        change = self.policy.transition(alarm, found, over, record)
        if alarm is None and change is None and over:
            del episodes.by_stream[stream]
        return change

    def best_reading(self, transition: AlarmTransition) -> Reading:
        """Return the reading of the alarming detector with the smallest p-value.

        Without a finding, return that of the detector that opened the alarm.
        """
        alarming = tuple(name for name in transition.found_by if name in self.alarming)
        names = alarming or (transition.alarm.detector,)
        chosen = [detector for detector in self.detectors if detector.name in names]
        feature = self.baseline.streams[transition.stream].name
        readings = [r for r in self.readings(transition.window, chosen) if r.feature == feature]
        return min(readings, key=lambda r: 2.0 if np.isnan(r.p_value) else r.p_value)

    def _apply(self, change: Transition, stream: int, found: Severity | None, record: int) -> Alarm:
        """Apply a transition and return the stream's alarm after it."""
        if change == "resolved" or found is None:
            del self.episodes.by_stream[stream]
            return self.alarms.pop(stream)
        before = self.alarms.get(stream, Alarm("", "", found, record))
        # a new object: earlier transitions keep the alarm as it was
        after = replace(before, severity=found, last_found=record)
        self.alarms[stream] = after
        return after

    def _found_by(self, detected: Sequence[Bools]) -> dict[int, tuple[str, ...]]:
        """Return by stream the detectors that found a change. detected: masks, shape (streams,)."""
        found_by: dict[int, tuple[str, ...]] = {}
        for detector, mask in zip(self.detectors, detected, strict=True):
            for stream in detector.streams[mask].tolist():
                found_by[stream] = (*found_by.get(stream, ()), detector.name)
        return found_by

    def psi(self, window: Windows) -> Floats:
        """Return the PSI of every stream in the first window, shape (S,)."""
        return self.meter.drift(window).psi

    def readings(
        self, window: Windows, detectors: Sequence[Detector] | None = None
    ) -> list[Reading]:
        """Return the readings of the first window on all streams, by default of all detectors."""
        names = [stream.name for stream in self.baseline.streams]
        found = []
        for detector in self.detectors if detectors is None else detectors:
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
