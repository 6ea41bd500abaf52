"""Measure false alarms, delays and cost of a contestant. Runs in both environments."""

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
from benchmarks.detectors.protocol import (
    Contestant,
    JointContestant,
    ScoringContestant,
    count_episodes,
    first_after,
)
from benchmarks.detectors.streams import (
    BINARY,
    CHANGES,
    NUMERIC,
    WITH_MISSING,
    Floats,
    Stream,
    Trial,
)

Ints = NDArray[np.intp]

BATCH_TRIALS = 25
"""Most trials that are read together; each has half a megabyte of live values."""


def can_read(contestant: Contestant, kind: str) -> bool:
    """Return whether a contestant can read a kind of stream, if necessary in two parts."""
    two_parts = kind == WITH_MISSING and {NUMERIC, BINARY} <= contestant.kinds
    return kind in contestant.kinds or two_parts


def readable_parts(contestant: Contestant, trial: Trial) -> list[tuple[Trial, Ints]]:
    """Return the parts of one feature that a contestant reads.

    Each part comes with the number of live records read at each of its values. A contestant that
    cannot read missing values gets two parts, the values that are present and the indicator "is
    missing", because it must not know in advance which of them will change.
    """
    all_positions = np.arange(1, trial.live.shape[1] + 1)
    if trial.kind != WITH_MISSING or WITH_MISSING in contestant.kinds:
        return [(trial, all_positions)]
    return [
        (trial.missing_indicators(), all_positions),
        (trial.without_missing(), np.flatnonzero(~np.isnan(trial.live[0])) + 1),
    ]


def alarms(contestant: Contestant, trial: Trial, knob: float) -> list[Iterable[int]]:
    """Return the alarms on every feature."""
    if isinstance(contestant, JointContestant):
        return list(contestant.alarms_by_feature(trial, knob))
    return [_feature_alarms(contestant, feature, knob) for feature in trial.by_feature()]


def _feature_alarms(contestant: Contestant, feature: Trial, knob: float) -> Iterable[int]:
    def of(part: Trial, positions: Ints) -> Iterator[int]:
        return (int(positions[at - 1]) for at in contestant.alarms(part, knob))

    return heapq.merge(*starmap(of, readable_parts(contestant, feature)))


def batched(contestant: Contestant, trials: Iterable[Trial]) -> Iterator[tuple[Trial, int]]:
    """Yield trials, and the number of trials that each contains.

    A `JointContestant` gets several trials as the features of one. The alarms on each are the same,
    at a fraction of the cost.
    """
    waiting = iter(trials)
    size = BATCH_TRIALS if isinstance(contestant, JointContestant) else 1
    while batch := list(islice(waiting, size)):
        if len(batch) == 1 or len(batch[0].live) > 1:
            yield from ((trial, 1) for trial in batch)
        else:
            yield batch[0].merge(batch[1:]), len(batch)


def scores(contestant: ScoringContestant, feature: Trial) -> Iterable[tuple[int, float]]:
    """Return position and score of all evaluations of one feature."""

    def of(part: Trial, positions: Ints) -> Iterator[tuple[int, float]]:
        return ((int(positions[at - 1]), score) for at, score in contestant.scores(part))

    return heapq.merge(*starmap(of, readable_parts(contestant, feature)))


def score_arrays(contestant: ScoringContestant, feature: Trial) -> tuple[Ints, Floats]:
    """Return positions and scores as two arrays."""
    pairs = list(scores(contestant, feature))
    return np.array([p for p, _ in pairs], np.intp), np.array([score for _, score in pairs])


def alarms_by_knob(
    contestant: Contestant, trial: Trial, knobs: Sequence[float]
) -> Iterator[list[Iterable[int]]]:
    """Yield the alarms on every feature for each knob; scores are computed once."""
    if not isinstance(contestant, ScoringContestant):
        yield from (alarms(contestant, trial, knob) for knob in knobs)
        return
    features = [score_arrays(contestant, feature) for feature in trial.by_feature()]
    for knob in knobs:
        cut = contestant.cut(knob)
        yield [positions[found >= cut].tolist() for positions, found in features]


def false_alarms(
    contestant: Contestant, trials: Iterable[Trial], knobs: Sequence[float]
) -> tuple[int, list[int]]:
    """Return the live records of the trials, and the episodes on them by knob."""
    records, counts = 0, [0] * len(knobs)
    for trial, size in batched(contestant, trials):
        records += trial.live.shape[1] * size
        scaled = [size * knob for knob in knobs]
        for i, found in enumerate(alarms_by_knob(contestant, trial, scaled)):
            counts[i] += sum(map(count_episodes, found))
    return records, counts


def delays(
    contestant: Contestant, trials: Iterable[Trial], knobs: Sequence[float]
) -> list[list[int | None]]:
    """Return the delays in records, by knob and trial; None for a missed change."""
    found: list[list[int | None]] = [[] for _ in knobs]
    for trial, size in batched(contestant, trials):
        assert trial.change is not None
        if isinstance(contestant, ScoringContestant):
            more = [[delay] for delay in _score_delays(contestant, trial, trial.change, knobs)]
        else:
            by_knob = (alarms(contestant, trial, size * knob) for knob in knobs)
            more = [[first_after(a, trial.change, trial.horizon) for a in each] for each in by_knob]
        for kept, new in zip(found, more, strict=True):
            kept.extend(new)
    return found


def _score_delays(
    contestant: ScoringContestant, trial: Trial, change: int, knobs: Sequence[float]
) -> list[int | None]:
    cuts = np.array([contestant.cut(knob) for knob in knobs])
    found: list[int | None] = [None] * len(knobs)
    for position, score in scores(contestant, trial):
        if position > change and score >= cuts.min():
            for i in np.flatnonzero(score >= cuts):
                found[i] = position - change if found[i] is None else found[i]
            if None not in found:
                break
    return found


def episode_counter(
    contestant: Contestant, trials: Iterator[Trial], limit: int
) -> Callable[[float], int]:
    """Return a function from the knob to the number of episodes on the trials.

    Counting stops at `limit`. A `ScoringContestant` reads the trials once; its scores are kept.
    """
    if isinstance(contestant, ScoringContestant):
        kept_scores = [
            score_arrays(contestant, feature) for trial in trials for feature in trial.by_feature()
        ]
        return lambda knob: sum(
            count_episodes(p[s >= contestant.cut(knob)].tolist()) for p, s in kept_scores
        )
    kept = list(batched(contestant, trials))

    def count(knob: float) -> int:
        total = 0
        for trial, size in kept:
            total += sum(map(count_episodes, alarms(contestant, trial, size * knob)))
            if total >= limit:
                break
        return total

    return count


def cost(contestant: Contestant, all_streams: Mapping[str, Stream], records: int) -> dict[str, Any]:
    """Return CPU microseconds per record and feature (median of five), and bytes per feature.

    The setup of the detector and the reading of the reference are excluded.
    """
    stream = all_streams["forty" if isinstance(contestant, JointContestant) else "normal"]
    trial = streams.null_trial(stream, "cost", 0, records)
    seconds = sorted(_seconds_per_record(contestant, trial) for _ in range(5))
    feature = next(trial.by_feature())
    result = {
        "us": 1e6 * seconds[2] / stream.features,
        "features": stream.features,
        "records": records,
        "bytes": len(pickle.dumps(contestant.state(feature), protocol=5)),
    }
    run_report = getattr(contestant, "run_report", None)
    if run_report is None:
        return result
    return result | {"report": _report_cost(run_report, all_streams["forty"])}


def _seconds_per_record(contestant: Contestant, trial: Trial) -> float:
    """Return the CPU time per live record.

    Of a `JointContestant`: all strides after the first. Of others: the difference between all live
    records and a third of them.
    """
    records: int = trial.live.shape[1]
    if not isinstance(contestant, JointContestant):
        part = replace(trial, live=trial.live[:, : records // 3])
        seconds: float = _seconds(contestant, trial) - _seconds(contestant, part)
        return seconds / (records - records // 3)
    strides = contestant.live(trial)
    next(strides)
    started = time.process_time()
    for _ in strides:
        pass
    return (time.process_time() - started) / records


def _seconds(contestant: Contestant, trial: Trial) -> float:
    started = time.process_time()
    for _ in contestant.alarms(trial, contestant.knob.default):
        pass
    return time.process_time() - started


def _report_cost(run_report: Callable[[Trial], None], stream: Stream) -> dict[str, float]:
    """Return the cost of one complete report of a library, for a window of forty features."""
    trial = streams.null_trial(stream, "cost", 0, 2000)
    run_report(trial)  # fills caches and completes imports
    started = time.process_time()
    run_report(trial)
    return {"seconds": time.process_time() - started, "features": stream.features}


def fingerprint() -> int:
    """Return a checksum of values of every stream, to compare two environments."""
    checksum = 0
    for name, stream in streams.STREAMS.items():
        drawn = stream.draw(streams.generator("cost", name, 1), 300)
        checksum = zlib.crc32(np.round(drawn, 9).tobytes(), checksum)
    for name, change in CHANGES.items():
        rng = streams.generator("cost", name, 2)
        checksum = zlib.crc32(np.round(change.alter(rng, np.ones((1, 300))), 9).tobytes(), checksum)
    return checksum
