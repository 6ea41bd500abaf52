"""Events of alarms that end because what they were measured with has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from detectors.baseline import Baseline
from detectors.psi import psi_by_stream
from detectors.window import Window, Windows
from monitor.config.sections.detection import WindowsConfig
from monitor.detect.alarms.alarm import Alarm
from monitor.detect.explain.event_summaries import event_summaries
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.summary import reference_summary, shown_kind
from monitor.events.codec import event_id
from monitor.events.types import DriftEvent, Explanation, Summary
from monitor.records import Source

OTHER_REFERENCE = "another reference has been configured"


@dataclass(frozen=True, slots=True)
class SavedAlarms:
    """The open alarms of a track, now or at a checkpoint, and the window of their measurement.

    source: of the records. baseline: the streams of the track, of the reference `profile`.
    alarms: by stream of the baseline. records: of the model so far. time: event time of the last
    of them. window: snapshot of a window with the settings `windows`.
    """

    source: Source
    profile: Profile
    baseline: Baseline
    alarms: Mapping[int, Alarm]
    records: int
    time: float
    window: Mapping[str, bytes | int]
    windows: WindowsConfig

    def closed(self, reason: str) -> Iterator[DriftEvent]:
        """Yield the `resolved` event of each alarm."""
        window = self._window() if self.alarms else None
        for stream, alarm in self.alarms.items():
            yield self._event(stream, alarm, window, reason)

    def _window(self) -> Windows | None:
        """Return the saved window; None if it was not full or cannot be restored."""
        try:
            window = Window(self.baseline, self.windows.records, self.windows.stride)
            window.restore(self.window)
        except (KeyError, ValueError):
            return None
        return window.current().at(0) if window.full else None

    def _event(self, stream: int, alarm: Alarm, window: Windows | None, reason: str) -> DriftEvent:
        baseline = self.baseline
        feature = baseline.streams[stream]
        if window is None:
            reference, current = reference_summary(baseline, stream), Summary(n=0, missing=0.0)
            psi = 0.0
        else:
            reference, current = event_summaries(baseline, stream, window)
            psi = float(psi_by_stream(baseline, window)[0][stream])
        return DriftEvent(
            id=event_id(
                model=self.profile.model,
                segment=self.profile.segment,
                feature=feature.name,
                detector=alarm.detector,
                record=self.records,
                time=self.time,
                reason=reason,
                source=self.source,
            ),
            alarm=alarm.id,
            change="resolved",
            model=self.profile.model,
            segment=self.profile.segment,
            feature=feature.name,
            detector=alarm.detector,
            found_by=(),
            severity=alarm.severity,
            position=0,
            record=self.records,
            time=self.time,
            statistic=None,
            threshold=None,
            p_value=None,
            psi=psi,
            reference_id=self.profile.id,
            reference=reference,
            current=current,
            kind=shown_kind(feature),
            explanation=Explanation(
                since=alarm.since, final=alarm.incident.settled or alarm.incident.reported
            ),
            reason=reason,
            source=self.source,
        )
