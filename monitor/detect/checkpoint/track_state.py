"""Convert the state of a track to a part of a checkpoint, and restore it.

The window and each detector have versions of their own: `Window.state_version` and
`Detector.state_version`. A part whose version or shape differs starts anew; open alarms are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from detectors.window import Window
from monitor.detect.alarms.alarm import Alarm, Incident
from monitor.detect.alarms.episode import Episode
from monitor.detect.explain.explainer import ExplainerState
from monitor.detect.tracks.track import Track
from monitor.events.types import ChangePoint, Severity
from monitor.ingest.chunks.chunk import ChunkError

WINDOW, EXPLAINER, EPISODES = "window", "explainer", "episodes"
"""Names among the versions and the restarted parts, beside those of the detectors."""
FIRST_VERSION = 1
"""Version of every part in checkpoints that contain no versions."""

UNREADABLE = (KeyError, ValueError, TypeError, msgspec.MsgspecError, ChunkError)
"""Errors that a part of another version or shape raises."""


class _Alarm(msgspec.Struct, array_like=True):
    """stream: index at the checkpoint. feature: name of the stream; "" in early checkpoints."""

    stream: int
    id: str
    detector: str
    severity: Severity
    last_found: int
    since: ChangePoint | None = None
    feature: str = ""


class _Episode(msgspec.Struct, array_like=True):
    """An episode of a stream. changed, pending, log_ratios: as floats."""

    stream: int
    start: int
    changed: bytes
    pending: bytes
    quiet: float
    log_ratios: bytes
    evidence: float
    fresh: float


class TrackState(msgspec.Struct, omit_defaults=True):
    """Windows, detectors and alarms of a track. Early checkpoints lack the fields with a default.

    memory: state of the explainer. episodes: of open alarms, and of changes that are not reported
    yet. quiet: as in `ChangeMeter`. incidents: of the alarms, by stream.
    records: values of a sparse feature evaluated so far.
    versions: of the states of the window and the detectors, by name.
    """

    window: dict[str, bytes | int]
    fill: int
    values: bytes
    categories: bytes
    detectors: dict[str, bytes]
    alarms: list[_Alarm]
    memory: ExplainerState = ExplainerState()
    episodes: list[_Episode] = []
    quiet: dict[int, int] = {}
    incidents: dict[int, Incident] = {}
    records: int | UnsetType = UNSET
    versions: dict[str, int] = {}

    def open_alarms(self, features: Sequence[str]) -> dict[int, Alarm]:
        """Return the open alarms by index of their feature in `features`.

        Those of a feature that is not among them are left out.
        """
        found = {}
        for saved in self.alarms:
            if saved.feature in features:
                stream = features.index(saved.feature)
            elif not saved.feature and saved.stream < len(features):
                stream = saved.stream
            else:
                continue
            incident = self.incidents.get(saved.stream, Incident())
            found[stream] = Alarm(
                saved.id, saved.detector, saved.severity, saved.last_found, saved.since, incident
            )
        return found


def track_state(track: Track) -> TrackState:
    """Return the state of a track."""
    buffer, streams = track.buffer, track.group.baseline.streams
    return TrackState(
        window=track.window.snapshot(),
        fill=buffer.fill,
        values=buffer.values.tobytes(),
        categories=buffer.categories.tobytes(),
        detectors={detector.name: detector.snapshot() for detector in track.detectors},
        alarms=[
            _Alarm(i, a.id, a.detector, a.severity, a.last_found, a.since, streams[i].name)
            for i, a in track.alarms.items()
        ],
        memory=track.explainer.snapshot(),
        episodes=[_encode_episode(*each) for each in track.evaluator.episodes.by_stream.items()],
        quiet=track.evaluator.meter.quiet,
        incidents={
            stream: alarm.incident
            for stream, alarm in track.alarms.items()
            if alarm.incident != Incident()
        },
        records=track.records if track.group.feature else UNSET,
        versions={detector.name: detector.state_version for detector in track.detectors}
        | {WINDOW: Window.state_version},
    )


def restore(track: Track, saved: TrackState, number: int) -> list[str]:
    """Restore a new track; return the names of the parts that start anew.

    number: records of the model up to the track's newest full stride.
    """
    features = [stream.name for stream in track.group.baseline.streams]
    track.alarms.update(saved.open_alarms(features))
    if saved.records is not UNSET:
        track.records = saved.records
    restarted = [] if _restore_episodes(track, saved.episodes) else [EPISODES]
    if not _restore_window(track, saved):
        # the other parts refer to strides of the window by number: they start anew with it
        return [*restarted, WINDOW, *(detector.name for detector in track.detectors)]
    track.evaluator.meter.quiet.update(saved.quiet)
    if not _restore_explainer(track, saved.memory, number):
        restarted.append(EXPLAINER)
    return [*restarted, *_restore_detectors(track, saved)]


def _restore_window(track: Track, saved: TrackState) -> bool:
    """Restore the window and the incomplete stride; return False if they start anew."""
    if saved.versions.get(WINDOW, FIRST_VERSION) != Window.state_version:
        return False
    buffer = track.buffer
    try:
        values = np.frombuffer(saved.values).reshape(buffer.values.shape)
        categories = np.frombuffer(saved.categories, np.uint8).reshape(buffer.categories.shape)
        track.window.restore(saved.window)
    except UNREADABLE:
        return False
    buffer.values[...], buffer.categories[...] = values, categories
    buffer.fill = saved.fill
    return True


def _restore_explainer(track: Track, saved: ExplainerState, number: int) -> bool:
    """Restore event times and examples; return False if they start anew."""
    strides = track.window.strides
    try:
        track.explainer.restore(saved, strides, number)
    except UNREADABLE:
        track.explainer.restore(ExplainerState(), strides, number)
        return False
    return True


def _restore_detectors(track: Track, saved: TrackState) -> list[str]:
    """Restore the detectors; return the names of those that start anew."""
    restarted = []
    for detector in list(track.detectors):
        try:
            same = saved.versions.get(detector.name, FIRST_VERSION) == detector.state_version
            restored = same and detector.name in saved.detectors
            if restored:
                detector.restore(saved.detectors[detector.name])
        except UNREADABLE:
            restored = False
        if not restored:
            track.evaluator.restart(detector)
            restarted.append(detector.name)
    return restarted


def _restore_episodes(track: Track, saved: Iterable[_Episode]) -> bool:
    """Restore the episodes; return False if they start anew."""
    width = track.group.baseline.fine_width
    try:
        episodes: Mapping[int, Episode] = {e.stream: _episode(e, width) for e in saved}
    except UNREADABLE:
        return False
    track.evaluator.episodes.by_stream.update(episodes)
    return True


def _encode_episode(stream: int, episode: Episode) -> _Episode:
    return _Episode(
        stream,
        episode.start,
        episode.changed.tobytes(),
        episode.pending.tobytes(),
        episode.quiet,
        episode.log_ratios.tobytes(),
        episode.evidence,
        episode.fresh,
    )


def _episode(saved: _Episode, width: int) -> Episode:
    changed, pending = (
        np.frombuffer(counts).reshape(width).copy() for counts in (saved.changed, saved.pending)
    )
    ratios = np.frombuffer(saved.log_ratios).copy()
    return Episode(saved.start, changed, pending, saved.quiet, ratios, saved.evidence, saved.fresh)
