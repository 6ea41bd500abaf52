"""The watch over one model (or one segment of it): warm-up, windows, detectors, alarms, events."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from msgspec import structs

from detectors import registry
from detectors.base import Floats
from detectors.streams import CategoricalStream
from detectors.window import Windows
from monitor import budget, reference
from monitor.alarm_path import AlarmPath, Reading, Turn
from monitor.alarms import Alarm
from monitor.columns import Columns
from monitor.config import REFERENCE_WINDOWS, Config, WarmupReference
from monitor.events import DriftEvent, Summary, event_id
from monitor.reference import SHARES, Profile, category_shares, known
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
        self.profile = profile  # last: from here on other threads may look at the rest

    def feed(self, columns: Columns) -> list[DriftEvent]:
        """What is found in the next records."""
        events: list[DriftEvent] = []
        rest = columns if self.profile else self._warm_up(columns)
        if rest is not None:
            for strides in self.buffer.strides(rest):
                events += self._evaluate(strides)
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
        events = [
            self._event(turn, int(strides.positions[turn.at]), float(strides.times[turn.at]))
            for turn in self.path.turns(windows, found, self.records)
        ]
        self.records += len(strides) * self.window.stride
        return events

    def _event(self, turn: Turn, position: int, time: float) -> DriftEvent:
        """The event of a change of an alarm, which gives a new alarm its id and its detector."""
        assert self.profile is not None
        best, alarm = self.path.best(turn), turn.alarm
        before, after = self._summaries(turn.stream, turn.window)
        identity = event_id(
            model=self.model,
            segment=self.segment,
            feature=best.feature,
            detector=best.detector,
            record=turn.record,
            time=time,
        )
        if turn.change == "opened":
            alarm.id = identity
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
            psi=float(turn.psi[turn.stream]),
            reference_id=self.profile.id,
            reference=before,
            current=after,
            kind=self.window.baseline.streams[turn.stream].kind.value,
        )

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
        """PSI by feature; nothing while the window fills."""
        if self.profile is None or not self.window.full:
            return {}
        names = (stream.name for stream in self.window.baseline.streams)
        return dict(zip(names, self.path.psi(self.window.current()).tolist(), strict=True))

    def severities(self) -> dict[str, str]:
        """Feature -> severity of its open alarm."""
        streams = self.window.baseline.streams if self.profile else ()
        return {streams[index].name: alarm.severity for index, alarm in self.alarms.items()}

    def _summaries(self, index: int, window: Windows) -> tuple[Summary, Summary]:
        """Both sides of an event about the index-th stream."""
        stream = self.window.baseline.streams[index]
        before = reference.summary(self.window.baseline, index)
        if isinstance(stream, CategoricalStream):
            counts = window.cell_counts[0, index, : stream.bins]
            return self._shares(stream, before, counts)
        values = window.values(index)
        present = np.sort(values[~np.isnan(values)])
        missing = 1 - len(present) / len(values)
        if not len(present):
            return before, Summary(n=0, missing=missing)
        finite = present[np.isfinite(present)]
        # divided before it is summed, so that huge values do not overflow
        mean = float((finite / len(finite)).sum()) if len(finite) else np.nan
        p50, p95 = (float(present[math.ceil(q * len(present)) - 1]) for q in (0.5, 0.95))
        return before, Summary(
            n=len(present), missing=missing, mean=known(mean), p50=known(p50), p95=known(p95)
        )

    def _shares(
        self, stream: CategoricalStream, before: Summary, counts: Floats
    ) -> tuple[Summary, Summary]:
        """Both sides for a categorical stream: the categories that moved most, on both the same."""
        then, now = category_shares(stream, stream.bin_counts()), category_shares(stream, counts)
        moved = sorted(now, key=lambda name: -abs(now[name] - then.get(name, 0.0)))[:SHARES]
        missing = int(counts[-1])
        return (
            structs.replace(before, shares={name: then.get(name, 0.0) for name in moved}),
            Summary(
                n=self.window.records - missing,
                missing=missing / self.window.records,
                shares={name: now[name] for name in moved},
            ),
        )


def _warmup_records(config: Config) -> int:
    """Records of a warm-up; the default one for models that a built reference does not know."""
    source = config.reference
    if source.source == "warmup":
        return source.records
    return max(WarmupReference().records, REFERENCE_WINDOWS * config.windows.records)
