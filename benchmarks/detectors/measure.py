"""What is measured of a contestant: false alarms, delays, cost. Runs in either environment."""

from __future__ import annotations

import pickle
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.detectors import streams
from benchmarks.detectors.protocol import STRIDE, Joint, Peer, Scorer, episodes, first_after
from benchmarks.detectors.streams import BINARY, CHANGES, GAPPY, Stream, Trial


def readable(peer: Peer, kind: str) -> bool:
    """Whether it can read such a stream; of missing values at least that they are missing."""
    return kind in peer.kinds or (kind == GAPPY and BINARY in peer.kinds)


def as_read(peer: Peer, trial: Trial) -> Trial:
    """The trial as the peer can read it.

    Who cannot read missing values is given whether each is missing, which is what a user would do
    to watch that.
    """
    return trial.gaps() if trial.kind == GAPPY and GAPPY not in peer.kinds else trial


def alarms(peer: Peer, trial: Trial, knob: float) -> list[Iterable[int]]:
    """The alarms on every feature."""
    if isinstance(peer, Joint):
        return list(peer.alarms_by_feature(trial, knob))
    return [peer.alarms(row, knob) for row in trial.rows()]


def scored(peer: Scorer, trial: Trial) -> tuple[list[int], list[float]]:
    """All looks at one feature, and their scores."""
    pairs = list(peer.scores(trial))
    return [position for position, _ in pairs], [score for _, score in pairs]


def alarms_by_knob(
    peer: Peer, trial: Trial, knobs: Sequence[float]
) -> Iterator[list[Iterable[int]]]:
    """As `alarms`, for several knobs, each piece of work being done once."""
    if not isinstance(peer, Scorer):
        yield from (alarms(peer, trial, knob) for knob in knobs)
        return
    rows = [tuple(map(np.array, scored(peer, row))) for row in trial.rows()]
    for knob in knobs:
        cut = peer.cut(knob)
        yield [positions[scores >= cut].tolist() for positions, scores in rows]


def false_alarms(
    peer: Peer, trials: Iterable[Trial], knobs: Sequence[float]
) -> tuple[int, list[int]]:
    """Live records of the trials, and the episodes on them by knob."""
    records, counts = 0, [0] * len(knobs)
    for trial in trials:
        records += trial.live.shape[1]
        for i, found in enumerate(alarms_by_knob(peer, as_read(peer, trial), knobs)):
            counts[i] += sum(map(episodes, found))
    return records, counts


def delays(peer: Peer, trials: Iterable[Trial], knobs: Sequence[float]) -> list[list[int | None]]:
    """Records to the detection, by knob and trial; None where the change was missed."""
    found: list[list[int | None]] = [[] for _ in knobs]
    for original in trials:
        trial = as_read(peer, original)
        assert trial.change is not None
        for i, delay in enumerate(_delays(peer, trial, trial.change, knobs)):
            found[i].append(delay)
    return found


def _delays(peer: Peer, trial: Trial, change: int, knobs: Sequence[float]) -> list[int | None]:
    if not isinstance(peer, Scorer):
        return [first_after(alarms(peer, trial, k)[0], change, trial.horizon) for k in knobs]
    cuts = np.array([peer.cut(knob) for knob in knobs])
    found: list[int | None] = [None] * len(knobs)
    for position, score in peer.scores(trial):
        if position > change and score >= cuts.min():
            for i in np.flatnonzero(score >= cuts):
                found[i] = position - change if found[i] is None else found[i]
            if None not in found:
                break
    return found


def counter(peer: Peer, trials: Iterator[Trial], enough: int) -> Callable[[float], int]:
    """Episodes on the trials as a function of the knob; once there are `enough` it stops counting.

    Of a `Scorer` the scores are kept, so that it reads the trials once.
    """
    if isinstance(peer, Scorer):
        rows = [
            tuple(map(np.array, scored(peer, row)))
            for trial in trials
            for row in as_read(peer, trial).rows()
        ]
        return lambda knob: sum(episodes(p[s >= peer.cut(knob)].tolist()) for p, s in rows)
    kept = [as_read(peer, trial) for trial in trials]

    def count(knob: float) -> int:
        total = 0
        for trial in kept:
            total += sum(map(episodes, alarms(peer, trial, knob)))
            if total >= enough:
                break
        return total

    return count


def cost(peer: Peer, all_streams: Mapping[str, Stream], records: int) -> dict[str, Any]:
    """Microseconds of processor time a record and feature, and bytes a feature.

    Making the detector and reading the reference are not in it. The median of five.
    """
    stream = all_streams["forty" if isinstance(peer, Joint) else "normal"]
    trial = streams.null_trial(stream, "cost", 0, records)
    seconds = sorted(_seconds_a_record(peer, trial) for _ in range(5))
    one = next(trial.rows())
    result = {
        "us": 1e6 * seconds[2] / stream.features,
        "features": stream.features,
        "records": records,
        "bytes": len(pickle.dumps(peer.state(one), protocol=5)),
    }
    look = getattr(peer, "look", None)
    return result if look is None else result | {"report": _report(look, all_streams["forty"])}


def _seconds_a_record(peer: Peer, trial: Trial) -> float:
    """From the first stride on, or by the difference between all live records and a third."""
    if not isinstance(peer, Joint):
        records: int = trial.live.shape[1]
        part = replace(trial, live=trial.live[:, : records // 3])
        seconds: float = _seconds(peer, trial) - _seconds(peer, part)
        return seconds / (records - records // 3)
    strides = peer.live(trial)
    next(strides)
    started = time.process_time()
    passed = sum(1 for _ in strides)
    return (time.process_time() - started) / (passed * STRIDE)


def _seconds(peer: Peer, trial: Trial) -> float:
    started = time.process_time()
    for _ in peer.alarms(trial, peer.knob.default):
        pass
    return time.process_time() - started


def _report(look: Callable[[Trial], None], stream: Stream) -> dict[str, float]:
    """What one whole report of a library costs, for a window of forty features."""
    trial = streams.null_trial(stream, "cost", 0, 2000)
    look(trial)  # imports and caches
    started = time.process_time()
    look(trial)
    return {"seconds": time.process_time() - started, "features": stream.features}


def fingerprint() -> int:
    """A checksum of every kind of stream, equal where two environments draw the same values."""
    checksum = 0
    for name, stream in streams.STREAMS.items():
        drawn = stream.draw(streams.generator("cost", name, 1), 300)
        checksum = zlib.crc32(np.round(drawn, 9).tobytes(), checksum)
    for name, change in CHANGES.items():
        rng = streams.generator("cost", name, 2)
        checksum = zlib.crc32(np.round(change.alter(rng, np.ones((1, 300))), 9).tobytes(), checksum)
    return checksum
