"""The watch over one model (or one segment of it): warm-up, windows, detectors, alarms, events."""

from __future__ import annotations

from collections.abc import Callable

from detectors import registry
from detectors.base import Floats
from monitor import budget, reference, summary
from monitor.alarm_path import AlarmPath, Reading, Turn
from monitor.alarms import Alarm
from monitor.columns import Columns
from monitor.config import REFERENCE_WINDOWS, Config, WarmupReference
from monitor.events import DriftEvent, Summary, event_id
from monitor.explainer import Explainer
from monitor.explanation import Explanation
from monitor.reference import Profile, known
from monitor.warmup import Warmup
from monitor.windows import StrideBuffer, Strides

Pace = Callable[[], float | None]
"""Records per second of the whole model; None before that is known."""


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
        self.records = 0
        self.profile: Profile | None = None
        self.warmup = Warmup(_warmup_records(config))

    def adopt(self, profile: Profile) -> None:
        """Compare with `profile` from now on."""
        windows, baseline = self.config.windows, profile.baseline
        self.warmup = Warmup(0)
        streams = registry.streams_watched(self.config.detectors, baseline)
        pace = self.pace() or profile.records_per_second
        self.levels = budget.levels(self.config, streams, pace)
        self.buffer = StrideBuffer(baseline, windows.stride)
        self.path = AlarmPath(baseline, self.config, self.levels)
        self.window, self.detectors = self.path.window, self.path.detectors
        self.explainer = Explainer(baseline, self.config.alarms.min_psi)
        self.profile = profile  # last: from here on other threads may look at the rest

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
        """The events of the strides' changes of alarms."""
        windows, found = self.path.found(strides.values, strides.categories)
        self.explainer.extend(strides.times, self.window.strides)
        events = [
            self._event(turn, int(strides.positions[turn.at]), float(strides.times[turn.at]))
            for turn in self.path.turns(windows, found, self.records)
        ]
        self.records += len(strides) * self.window.stride
        return events

    def _event(self, turn: Turn, position: int, time: float) -> DriftEvent:
        """The event of a change of an alarm, which gives a new alarm its id and its detector.

        position, time: of the last record of its stride.
        """
        assert self.profile is not None
        best, alarm = self.path.best(turn), turn.alarm
        identity = event_id(
            model=self.model,
            segment=self.segment,
            feature=best.feature,
            detector=best.detector,
            record=turn.record,
            time=time,
        )
        sides = summary.sides(self.window.baseline, turn.stream, turn.extent.sample)
        explanation = self._explanation(turn, sides)
        if turn.change == "opened":
            alarm.id, alarm.since = identity, explanation.since
        if turn.change != "resolved":
            alarm.detector = best.detector
        return DriftEvent(
            id=identity,
            alarm=alarm.id,
            change=turn.change,
            model=self.model,
            segment=self.segment,
            feature=best.feature,
            detector=best.detector,
            found_by=turn.finders,
            severity=alarm.severity,
            position=position,
            record=turn.record,
            time=time,
            statistic=known(best.statistic),
            threshold=known(best.threshold),
            p_value=known(best.p_value),
            psi=float(turn.extent.psi[turn.stream]),
            reference_id=self.profile.id,
            reference=sides[0],
            current=sides[1],
            kind=self.window.baseline.streams[turn.stream].kind.value,
            explanation=explanation,
        )

    def _explanation(self, turn: Turn, sides: tuple[Summary, Summary]) -> Explanation:
        if turn.change == "resolved":
            return Explanation(since=turn.alarm.since)
        return self.explainer.explain(turn, sides)

    @property
    def alarms(self) -> dict[int, Alarm]:
        """Open alarms by stream."""
        return self.path.alarms if self.profile else {}

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
        return self.path.readings(self.window.current())

    def psi(self) -> dict[str, float]:
        """PSI by feature, of what is found as alarms measure it; nothing while the window fills."""
        if self.profile is None or not self.window.full:
            return {}
        sizes, whole = self.path.sizes, self.path.psi(self.window.current()).tolist()
        streams = enumerate(zip(self.window.baseline.streams, whole, strict=True))
        return {stream.name: max(psi, sizes.get(i, 0.0)) for i, (stream, psi) in streams}

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
