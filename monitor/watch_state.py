"""A watch's state as checkpoint items, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from monitor import columns
from monitor.alarms import Alarm
from monitor.columns import ChunkError, Columns
from monitor.config import Config
from monitor.explainer import Memory
from monitor.explanation import Since
from monitor.reference import Profile, ProfileError
from monitor.state import Item, StateError
from monitor.watch import Watch

HEAD, REFERENCE, WARMUP = "head", "reference", "warmup"


class _Alarm(msgspec.Struct, array_like=True):
    stream: int
    id: str
    detector: str
    severity: str
    last_found: int
    since: Since | None = None


class _Windows(msgspec.Struct):
    """Windows, detectors and alarms of a watch that has its reference.

    memory: of the explainer; checkpoints written before there was one do not have it.
    """

    window: dict[str, bytes | int]
    fill: int
    values: bytes
    categories: bytes
    detectors: dict[str, bytes]
    alarms: list[_Alarm]
    memory: Memory = Memory()


class _Head(msgspec.Struct):
    """records: that were evaluated, or gathered for the reference. windows: None in a warm-up."""

    fingerprint: str
    records: int
    windows: _Windows | None


def items(watch: Watch) -> list[Item]:
    """The state of a watch; what its warm-up has gathered since goes into one more item."""
    head = Item(HEAD, (watch.profile is None, watch.seen), lambda: _encode_head(watch))
    if watch.profile is not None:
        # a profile never changes, so that it is its own token; its id would cost a hash of it
        return [head, Item(REFERENCE, watch.profile, watch.profile.encode)]
    return [head, *_warmup_items(watch)]


def restore(watch: Watch, saved: Mapping[str, bytes], configured: Profile | None) -> frozenset[str]:
    """Bring a new watch into a saved state; the names of the items that are as they were saved.

    configured: the reference that the configuration gives it; where it is not the saved one, the
    watch starts anew with it. Where windows, detectors or alarms are configured otherwise than
    they were, the reference is kept and the windows start anew.
    Raises StateError for items that make no watch.
    """
    try:
        head = msgspec.msgpack.decode(saved[HEAD], type=_Head)
        profile = Profile.decode(saved[REFERENCE]) if REFERENCE in saved else None
        if configured is not None and (profile is None or configured.id != profile.id):
            watch.adopt(configured)
            unchanged = frozenset[str]()
        elif profile is None:
            _restore_warmup(watch, saved)
            unchanged = frozenset(saved)
        else:
            watch.adopt(profile)
            unchanged = frozenset({REFERENCE})
            if head.windows is not None and head.fingerprint == fingerprint(watch.config):
                _restore_windows(watch, head.windows)
                unchanged = frozenset(saved)
        watch.records = head.records
        return unchanged
    except (KeyError, ValueError, msgspec.MsgspecError, ProfileError, ChunkError) as error:
        raise StateError(f"the state of {watch.model} cannot be read: {error!r}") from None


def fingerprint(config: Config) -> str:
    """A hash of all that the form and meaning of a watch's state depend on."""
    parts = (config.windows, config.detectors, config.alarms, config.segments)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _encode_head(watch: Watch) -> bytes:
    windows = None if watch.profile is None else _windows(watch)
    return msgspec.msgpack.encode(_Head(fingerprint(watch.config), watch.records, windows))


def _windows(watch: Watch) -> _Windows:
    buffer = watch.buffer
    return _Windows(
        window=watch.window.snapshot(),
        fill=buffer.fill,
        values=buffer.values.tobytes(),
        categories=buffer.categories.tobytes(),
        detectors={detector.name: detector.snapshot() for detector in watch.detectors},
        alarms=[
            _Alarm(stream, alarm.id, alarm.detector, alarm.severity, alarm.last_found, alarm.since)
            for stream, alarm in watch.alarms.items()
        ],
        memory=watch.explainer.snapshot(),
    )


def _restore_windows(watch: Watch, saved: _Windows) -> None:
    buffer = watch.buffer
    watch.window.restore(saved.window)
    buffer.fill = saved.fill
    buffer.values[...] = np.frombuffer(saved.values).reshape(buffer.values.shape)
    categories = np.frombuffer(saved.categories, np.uint8)
    buffer.categories[...] = categories.reshape(buffer.categories.shape)
    for detector in watch.detectors:
        detector.restore(saved.detectors[detector.name])
    watch.alarms.update(
        (
            alarm.stream,
            Alarm(
                alarm.id,
                alarm.detector,
                "critical" if alarm.severity == "critical" else "warning",
                alarm.last_found,
                alarm.since,
            ),
        )
        for alarm in saved.alarms
    )
    watch.explainer.restore(saved.memory)


def _warmup_items(watch: Watch) -> list[Item]:
    def item(number: int, pieces: Sequence[Columns]) -> Item:
        def encode() -> bytes:
            return msgspec.msgpack.encode([columns.encode(piece) for piece in pieces])

        return Item(f"{WARMUP}-{number:06d}", number, encode)

    return [item(number, part) for number, part in enumerate(watch.warmup.parts())]


def _restore_warmup(watch: Watch, saved: Mapping[str, bytes]) -> None:
    parts = [
        [columns.decode(piece) for piece in msgspec.msgpack.decode(content, type=list[bytes])]
        for name, content in sorted(saved.items())
        if name.startswith(WARMUP)
    ]
    watch.warmup.restore(parts)
