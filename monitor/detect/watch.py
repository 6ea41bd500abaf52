"""The watch over one source of a model or segment: warm-up, then one track per stream group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detectors.trends import Trend
from monitor.config.schema import Config
from monitor.detect.alarms import budget
from monitor.detect.alarms.alarm import Alarm
from monitor.detect.alarms.evaluator import Reading
from monitor.detect.explain.distribution import Observer
from monitor.detect.reference import builder
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.sources import SourceSettings
from monitor.detect.reference.warmup import Epochs, Warmup, enough_scored
from monitor.detect.tracks.closed_alarms import SavedAlarms
from monitor.detect.tracks.feature_values import FeatureValue
from monitor.detect.tracks.track import Subject, Track
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.chunks.segments import WHOLE
from monitor.ingest.fields.limits import Dropped
from monitor.records import Source

ModelRate = Callable[[], float | None]
"""Return the records per second of the whole model; None before its reference exists."""


class Watch:
    """Detects drift in one source of a model or segment, whose columns must arrive in order.

    Without a reference, the watch collects records for one (warm-up). With a reference, a track
    evaluates the streams of all records after every full stride, and one more track those of each
    sparse feature. The events depend on the records and their order only, not on chunk borders or
    the wall clock.

    tracks: none during the warm-up; the first one is that of all records.
    dropped: names that the limits cut off when the reference was built.
    config: the configuration, with the windows of the source.
    rate: records per second of the model, from which the levels follow. A segment keeps it until it
    has another reference, also if the reference of the model changes.
    observer: called with each event and the whole distribution of its stream; set it before the
    first record.
    before: records received before the warm-up; not 0 if another one has preceded it.
    epochs: which records of the model are watched; used in the watch of a whole model only.
    accepted_over: id of the configured reference that an accepted one has replaced, "" if none was
    configured; None if the reference was not accepted by a command.
    """

    def __init__(
        self,
        model: str,
        segment: str,
        settings: SourceSettings,
        model_rate: ModelRate,
        dropped: Dropped | None = None,
    ) -> None:
        self.dropped = dropped or Dropped()
        self.model = model
        self.segment = segment
        self.settings = settings
        self.config: Config = settings.config
        self.model_rate = model_rate
        self.profile: Profile | None = None
        self.rate: float | None = None
        self.accepted_over: str | None = None
        self.tracks: tuple[Track, ...] = ()
        self.warmup = Warmup(settings.warmup_records)
        self.before = 0
        self.epochs = Epochs(self.config.windows.records)
        self.observer: Observer | None = None

    def adopt(self, profile: Profile, records: int = 0) -> None:
        """End the warm-up: compare the following records with `profile`.

        records: records of the model so far.
        """
        groups = profile.groups(self.config.windows)
        model_rate = self.model_rate() if self.segment != WHOLE else None
        self.rate = self.rate or model_rate or profile.records_per_second
        levels = budget.group_levels(self.config, groups, self.rate, self.settings.share)
        subject = Subject(self.model, self.segment, self.source, profile, self.observer)
        self.tracks = tuple(
            Track(subject, group, self.config, own)
            for group, own in zip(groups, levels, strict=True)
        )
        self.tracks[0].records = records
        # set last: other threads read the tracks once there is a profile, and the warm-up before
        self.profile = profile
        self.warmup = Warmup(0)

    def accept(self, profile: Profile, configured: str) -> None:
        """Replace the reference and start with empty windows, without open alarms.

        configured: id of the configured reference; "" if there is none.
        """
        self.rate = None
        self.adopt(profile, self.seen)
        self.accepted_over = configured

    def restart(self) -> None:
        """Begin another warm-up, without a reference and without open alarms."""
        self.before = self.seen
        self.warmup = Warmup(self.settings.warmup_records)
        self.profile = self.rate = self.accepted_over = None
        self.tracks = ()

    def closing_events(self, reason: str) -> list[DriftEvent]:
        """Return the events that end the open alarms for a reason, before they are dropped."""
        profile = self.profile
        if profile is None:
            return []
        times = self.main.explainer.times
        return [
            event
            for track in self.tracks
            for event in SavedAlarms(
                source=self.source,
                profile=profile,
                baseline=track.group.baseline,
                alarms=track.alarms,
                records=self.records,
                time=times[-1] if times else profile.last_time,
                window=track.window.snapshot(),
                windows=track.group.windows,
            ).closed(reason)
        ]

    def feed(self, columns: Columns) -> list[DriftEvent]:
        """Return the events of the next records, in the order of their records."""
        rest = columns if self.profile else self._warm_up(columns)
        if rest is None:
            return []
        numbers = np.arange(self.seen + 1, self.seen + 1 + len(rest))
        events = [event for track in self.tracks for event in track.feed(rest, numbers)]
        # tracks advance apart: without the order, events would depend on chunk borders
        return sorted(events, key=lambda event: event.record) if len(self.tracks) > 1 else events

    def _warm_up(self, columns: Columns) -> Columns | None:
        """Collect records for the reference; return those beyond it once it is complete.

        A reference of samples without scores would leave the model unwatched: the warm-up then
        begins again.
        """
        rest = self.warmup.add(columns)
        while rest is not None and not self._suffices():
            self.restart()
            rest = self.warmup.add(rest)
        if rest is not None:
            profile = builder.build(
                self.warmup.pieces,
                segment=self.segment,
                window=self.config.windows.records,
                categories=self.config.limits.categories,
                scores=self.config.limits.scores,
                dropped=self.dropped,
            )
            self.adopt(profile, self.seen)
        return rest

    def _suffices(self) -> bool:
        """Return whether the collected records can be a reference. Those of the log always can."""
        return self.source is Source.LOG or enough_scored(self.warmup.pieces)

    @property
    def source(self) -> Source:
        """The source of the records."""
        return self.settings.source

    @property
    def main(self) -> Track:
        """The track of all records. Only after the warm-up."""
        return self.tracks[0]

    @property
    def records(self) -> int:
        """Records evaluated, or collected during the warm-up."""
        return self.tracks[0].records if self.profile else self.warmup.collected

    @property
    def seen(self) -> int:
        """Records received, including those that wait for a full stride."""
        return self.tracks[0].seen if self.profile else self.before + self.warmup.collected

    @property
    def alarms(self) -> dict[str, Alarm]:
        """Open alarms by feature."""
        return {name: a for track in self.tracks for name, a in track.open_alarms().items()}

    def window_records(self) -> int:
        """Return the records in the current window; 0 during the warm-up."""
        if self.profile is None:
            return 0
        windows = self.config.windows
        return min(self.main.window.strides * windows.stride, windows.records)

    def readings(self) -> list[Reading]:
        """Return the readings of all detectors on all streams; none during the warm-up."""
        return [reading for track in self.tracks for reading in track.readings()]

    def values(self) -> list[FeatureValue]:
        """Return statistics of each feature in reference and window, those with a full window."""
        return [value for track in self.tracks for value in track.values()]

    def psi(self) -> dict[str, float]:
        """Return the PSI by feature; those with a full window only."""
        return {name: psi for track in self.tracks for name, psi in track.psi().items()}

    def trends(self) -> dict[str, Trend]:
        """Return the trend of each quality feature whose window has enough values."""
        return {name: trend for track in self.tracks for name, trend in track.trends().items()}

    def severities(self) -> dict[str, str]:
        """Return the severity of the open alarm by feature."""
        return {name: alarm.severity for name, alarm in self.alarms.items()}
