"""Convert the state of a watch to checkpoint items, and restore it from them.

A part of a track's state whose version or shape differs starts anew (`track_state`); the reference
and open alarms are kept. If a setting has changed, windows and detectors start anew, and each open
alarm ends with an event.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from detectors.baseline import Baseline
from monitor.config.sections.detection import WindowsConfig
from monitor.detect.checkpoint import saved_settings, track_state
from monitor.detect.checkpoint.state_topic import Item, StateError
from monitor.detect.checkpoint.track_state import TrackState
from monitor.detect.reference.profile import Profile, ProfileError
from monitor.detect.tracks.closed_alarms import OTHER_REFERENCE, SavedAlarms
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.chunk import ChunkError, decode_chunk, encode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.records import Source

HEAD, REFERENCE, WARMUP = "head", "reference", "warmup"


class _Sampled(msgspec.Struct, array_like=True):
    """What only a watch of sampled records has.

    before: see `Watch`. epoch, other, run: see `Epochs`; of a whole model.
    """

    before: int
    epoch: str | None = None
    other: str = ""
    run: int = 0


class _Head(msgspec.Struct):
    """The state of a watch without its reference.

    records: evaluated, or collected for the reference. windows: of the track of all records; None
    during a warm-up. sparse: by sparse feature; unset without any, and in checkpoints of versions
    that watched those in the windows of all records.
    settings: see `saved_settings`. fingerprint: of the settings, in checkpoints of version 2.
    accepted_over, rate: see `Watch`.
    sampled: unset for the log, and in checkpoints of versions that restarted no warm-up.
    """

    records: int
    windows: TrackState | None
    fingerprint: str = ""
    settings: dict[str, Any] = {}
    sparse: dict[str, TrackState] | UnsetType = UNSET
    accepted_over: str | None = None
    rate: float | None = None
    sampled: _Sampled | UnsetType = UNSET


@dataclass(slots=True)
class Restored:
    """The result of `restore`.

    tokens: token of each saved item that needs no rewriting, by name.
    events: of the alarms that have ended. restarted: parts that start anew, by name.
    """

    tokens: dict[str, Hashable] = field(default_factory=dict)
    events: list[DriftEvent] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)


def head_token(watch: Watch) -> Hashable:
    """Return a token that changes with every change of the watch."""
    # a profile is immutable and can be its own token; its id would cost hashing it
    epochs = watch.epochs
    return watch.profile, watch.seen, watch.before, epochs.current, epochs.other, epochs.run


def items(watch: Watch) -> list[Item]:
    """Return the items of a watch."""
    head = Item(HEAD, head_token(watch), lambda: _encode_head(watch))
    if watch.profile is not None:
        return [head, Item(REFERENCE, watch.profile, watch.profile.encode)]
    return [head, *_warmup_items(watch.warmup.pieces, watch.before)]


def restore(watch: Watch, saved: Mapping[str, bytes], configured: Profile | None) -> Restored:
    """Restore a new watch from saved items.

    configured: the configured reference. If it differs from the saved one, or from the one that an
    accepted one has replaced, the watch starts with it and empty windows. If the
    settings of windows, detectors, alarms or segments have changed, the watch keeps the saved
    reference and starts with empty windows. Both end open alarms.
    Raises StateError if the items cannot be read.
    """
    try:
        head = msgspec.msgpack.decode(saved[HEAD], type=_Head)
        profile = Profile.decode(saved[REFERENCE]) if REFERENCE in saved else None
        restored, watch.accepted_over = Restored(), head.accepted_over
        _restore_sampled(watch, head)
        if configured is not None and configured.id not in _current(profile, head):
            watch.accepted_over = None
            if profile is not None:
                restored.events += _closed(watch, head, profile, OTHER_REFERENCE)
            watch.adopt(configured, head.records)
        elif profile is None:
            restored.tokens = _restore_warmup(watch, saved)
        else:
            _restore_evaluation(watch, head, profile, restored)
    except (KeyError, ValueError, msgspec.MsgspecError, ProfileError, ChunkError) as error:
        raise StateError(f"the state of {watch.model} cannot be read: {error!r}") from None
    return restored


def _current(profile: Profile | None, head: _Head) -> tuple[str | None, ...]:
    """Return the ids of configured references with which the saved one remains in use."""
    return (profile.id, head.accepted_over) if profile is not None else ()


def _encode_head(watch: Watch) -> bytes:
    return msgspec.msgpack.encode(_head(watch))


def _head(watch: Watch) -> _Head:
    head = _Head(watch.records, None, settings=saved_settings.current_settings(watch.settings))
    head.accepted_over, head.rate = watch.accepted_over, watch.rate
    if watch.source is not Source.LOG:
        epochs = watch.epochs
        head.sampled = _Sampled(watch.before, epochs.current, epochs.other, epochs.run)
    if watch.profile is not None:
        head.windows = track_state.track_state(watch.main)
        if watch.main.group.flags:
            head.sparse = {t.group.feature: track_state.track_state(t) for t in watch.tracks[1:]}
    return head


def _restore_sampled(watch: Watch, head: _Head) -> None:
    """Restore what only a watch of sampled records has."""
    if head.sampled is not UNSET:
        saved, epochs = head.sampled, watch.epochs
        watch.before = saved.before
        epochs.current, epochs.other, epochs.run = saved.epoch, saved.other, saved.run


# --- windows, detectors and alarms ----------------------------------------------------------------


def _restore_evaluation(watch: Watch, head: _Head, profile: Profile, restored: Restored) -> None:
    """Restore a watch with a reference, as far as settings and versions are the same."""
    watch.rate = head.rate
    watch.adopt(profile, head.records)
    restored.tokens[REFERENCE] = profile
    if head.windows is None:
        return
    reason = saved_settings.reason_for_restart(head.settings, head.fingerprint, watch.settings)
    if reason:
        restored.events += _closed(watch, head, profile, reason)
    elif head.sparse is UNSET and watch.main.group.flags:
        _distribute_alarms(watch, head.windows)
    else:
        restored.restarted = _restore_tracks(watch, head)
        if not restored.restarted:
            restored.tokens[HEAD] = head_token(watch)


def _restore_tracks(watch: Watch, head: _Head) -> list[str]:
    """Restore the tracks; return the names of the parts that start anew."""
    restarted = []
    for track in watch.tracks:
        saved = _saved_track(head, track.group.feature)
        if saved is not None:
            restarted += track_state.restore(track, saved, head.records)
    return restarted


def _saved_track(head: _Head, feature: str) -> TrackState | None:
    """Return the state of the track of a sparse feature, or of all records without one."""
    if not feature:
        return head.windows
    return None if head.sparse is UNSET else head.sparse.get(feature)


def _distribute_alarms(watch: Watch, saved: TrackState) -> None:
    """Restore the alarms of windows of all streams of the reference to the tracks of their streams.

    The alarm of a sparse feature counts records of its track, which start now.
    """
    assert watch.profile is not None
    features = [stream.name for stream in watch.profile.baseline.streams]
    alarms = {features[stream]: alarm for stream, alarm in saved.open_alarms(features).items()}
    for track in watch.tracks:
        for index, stream in enumerate(track.group.baseline.streams):
            if stream.name in alarms:
                alarm = alarms[stream.name]
                last_found = 0 if track.group.feature else alarm.last_found
                track.alarms[index] = replace(alarm, last_found=last_found)


def _closed(watch: Watch, head: _Head, profile: Profile, reason: str) -> Iterator[DriftEvent]:
    """Yield the events of the alarms that end for a reason."""
    if head.windows is None:
        return
    times = np.frombuffer(head.windows.memory.times)
    windows = saved_settings.window_settings(head.settings, watch.config.windows)
    for baseline, own, saved in _saved_groups(profile, windows, head):
        yield from SavedAlarms(
            source=watch.source,
            profile=profile,
            baseline=baseline,
            alarms=saved.open_alarms([stream.name for stream in baseline.streams]),
            records=head.records,
            time=float(times[-1]) if len(times) else profile.last_time,
            window=saved.window,
            windows=own,
        ).closed(reason)


def _saved_groups(
    profile: Profile, windows: WindowsConfig, head: _Head
) -> Iterator[tuple[Baseline, WindowsConfig, TrackState]]:
    """Yield baseline, windows and state of each saved track.

    windows: settings at the checkpoint.
    """
    groups = profile.groups(windows)
    if head.windows is not None and head.sparse is UNSET and groups[0].flags:
        yield profile.baseline, windows, head.windows
        return
    for group in groups:
        saved = _saved_track(head, group.feature)
        if saved is not None:
            yield group.baseline, group.windows, saved


# --- warm-up --------------------------------------------------------------------------------------


def _warmup_items(pieces: list[Columns], first: int) -> Iterator[Item]:
    """Yield an item for each piece. Its token is the range of its records.

    first: records received before the warm-up, whose items have the same names.
    """
    for number, piece in enumerate(pieces):
        token = first, first + len(piece)
        yield Item(f"{WARMUP}-{number:06d}", token, partial(_encode_piece, piece))
        first = token[1]


def _encode_piece(piece: Columns) -> bytes:
    return msgspec.msgpack.encode([encode_chunk(piece)])


def _restore_warmup(watch: Watch, saved: Mapping[str, bytes]) -> dict[str, Hashable]:
    """Restore the collected records; return the tokens of the saved items by name."""
    tokens: dict[str, Hashable] = {}
    for name, content in sorted(saved.items()):
        if name.startswith(WARMUP):
            first = watch.seen
            for chunk in msgspec.msgpack.decode(content, type=list[bytes]):
                watch.warmup.add(decode_chunk(chunk))
            tokens[name] = first, watch.seen
    return tokens | {HEAD: head_token(watch)}
