"""What is measured of a contestant: false alarms, delays, cost. Runs in either environment."""

from __future__ import annotations

import heapq
import pickle
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, starmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detectors import streams
from benchmarks.detectors.protocol import Joint, Peer, Scorer, episodes, first_after
from benchmarks.detectors.streams import (
    BINARY,
    CHANGES,
    GAPPY,
    NUMERIC,
    Floats,
    Stream,
    Trial,
)

Ints = NDArray[np.intp]

TOGETHER = 25
"""Trials at most that are read together; each is half a megabyte of live values."""


def readable(peer: Peer, kind: str) -> bool:
    """Whether it can read such a stream, if need be in two parts."""
    return kind in peer.kinds or (kind == GAPPY and {NUMERIC, BINARY} <= peer.kinds)


def parts(peer: Peer, trial: Trial) -> list[tuple[Trial, Ints]]:
    """What the peer reads of one feature, and after how many live records it has read each value.

    Who cannot read missing values reads the values that there are, and beside them whether each is
    missing: nobody is told beforehand which of the two will change.
    """
    everything = np.arange(1, trial.live.shape[1] + 1)
    if trial.kind != GAPPY or GAPPY in peer.kinds:
        return [(trial, everything)]
    return [
        (trial.gaps(), everything),
        (trial.present(), np.flatnonzero(~np.isnan(trial.live[0])) + 1),
    ]


def alarms(peer: Peer, trial: Trial, knob: float) -> list[Iterable[int]]:
    """The alarms on every feature."""
    if isinstance(peer, Joint):
        return list(peer.alarms_by_feature(trial, knob))
    return [_alarms(peer, row, knob) for row in trial.rows()]


def _alarms(peer: Peer, row: Trial, knob: float) -> Iterable[int]:
    def of(part: Trial, places: Ints) -> Iterator[int]:
        return (int(places[position - 1]) for position in peer.alarms(part, knob))

    return heapq.merge(*starmap(of, parts(peer, row)))


def together(peer: Peer, trials: Iterable[Trial]) -> Iterator[tuple[Trial, int]]:
    """Trials, and how many each stands for.

    Who reads features together is given several trials as the features of one: the alarms on each
    are the same, at a fraction of the cost.
    """
    waiting = iter(trials)
    while some := list(islice(waiting, TOGETHER if isinstance(peer, Joint) else 1)):
        if len(some) == 1 or len(some[0].live) > 1:
            yield from ((trial, 1) for trial in some)
        else:
            yield some[0].beside(some[1:]), len(some)


def scores(peer: Scorer, row: Trial) -> Iterable[tuple[int, float]]:
    """All looks at one feature, and their scores."""

    def of(part: Trial, places: Ints) -> Iterator[tuple[int, float]]:
        return ((int(places[position - 1]), score) for position, score in peer.scores(part))

    return heapq.merge(*starmap(of, parts(peer, row)))


def scored(peer: Scorer, row: Trial) -> tuple[Ints, Floats]:
    """The same as two arrays."""
    pairs = list(scores(peer, row))
    return np.array([p for p, _ in pairs], np.intp), np.array([score for _, score in pairs])


def alarms_by_knob(
    peer: Peer, trial: Trial, knobs: Sequence[float]
) -> Iterator[list[Iterable[int]]]:
    """As `alarms`, for several knobs, each piece of work being done once."""
    if not isinstance(peer, Scorer):
        yield from (alarms(peer, trial, knob) for knob in knobs)
        return
    rows = [scored(peer, row) for row in trial.rows()]
    for knob in knobs:
        cut = peer.cut(knob)
        yield [positions[found >= cut].tolist() for positions, found in rows]


def false_alarms(
    peer: Peer, trials: Iterable[Trial], knobs: Sequence[float]
) -> tuple[int, list[int]]:
    """Live records of the trials, and the episodes on them by knob."""
    records, counts = 0, [0] * len(knobs)
    for trial, count in together(peer, trials):
        records += trial.live.shape[1] * count
        for i, found in enumerate(alarms_by_knob(peer, trial, [count * knob for knob in knobs])):
            counts[i] += sum(map(episodes, found))
    return records, counts


def delays(peer: Peer, trials: Iterable[Trial], knobs: Sequence[float]) -> list[list[int | None]]:
    """Records to the detection, by knob and trial; None where the change was missed."""
    found: list[list[int | None]] = [[] for _ in knobs]
    for trial, count in together(peer, trials):
        assert trial.change is not None
        if isinstance(peer, Scorer):
            more = [[delay] for delay in _delays(peer, trial, trial.change, knobs)]
        else:
            alarmed = (alarms(peer, trial, count * knob) for knob in knobs)
            more = [[first_after(a, trial.change, trial.horizon) for a in each] for each in alarmed]
        for kept, those in zip(found, more, strict=True):
            kept.extend(those)
    return found


def _delays(peer: Scorer, trial: Trial, change: int, knobs: Sequence[float]) -> list[int | None]:
    cuts = np.array([peer.cut(knob) for knob in knobs])
    found: list[int | None] = [None] * len(knobs)
    for position, score in scores(peer, trial):
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
        rows = [scored(peer, row) for trial in trials for row in trial.rows()]
        return lambda knob: sum(episodes(p[s >= peer.cut(knob)].tolist()) for p, s in rows)
    kept = list(together(peer, trials))

    def count(knob: float) -> int:
        total = 0
        for trial, times in kept:
            total += sum(map(episodes, alarms(peer, trial, times * knob)))
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
    records: int = trial.live.shape[1]
    if not isinstance(peer, Joint):
        part = replace(trial, live=trial.live[:, : records // 3])
        seconds: float = _seconds(peer, trial) - _seconds(peer, part)
        return seconds / (records - records // 3)
    strides = peer.live(trial)
    next(strides)
    started = time.process_time()
    for _ in strides:
        pass
    return (time.process_time() - started) / records


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
