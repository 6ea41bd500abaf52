"""How much is measured: the forms of the benchmark, and what slow contestants can afford."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.detectors import streams
from benchmarks.detectors.peers import CONTESTANTS, Contestant

RATES = (1.0, 10.0)
"""False alarms in a million records to which everybody is tuned."""

TRIAL = 100_000
"""Live records of a null trial, which has a reference of its own: its noise is part of the rate."""

SHORTEST = 10_000
SLOW = 50.0
"""Microseconds a record from which on a contestant gets no more than it can do in `seconds`."""

RACE_TIMES = 5
"""So many times the seconds go into each tuning and each change: comparisons rest on them."""

PIECE_SECONDS = 60.0
"""About how long a task may take, so that little is lost when a run is interrupted."""

Task = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    records: of each null stream. tuning: of each stream tuned on. seeds: trials of each change.
    afters: live records before the change. seconds: what a slow contestant may take for each null
    stream, RACE_TIMES as much for each tuning and change; it gets fewer records and seeds then, and
    the tables say how many.
    """

    form: str
    records: int
    tuning: int
    seeds: int
    afters: tuple[int, ...]
    seconds: float

    def null_trials(self, name: str, features: int) -> tuple[int, int]:
        """How many null trials of how many records a contestant gets."""
        return _trials(CONTESTANTS[name], features, self.records, self.seconds)

    def tuning_trials(self, name: str) -> tuple[int, int]:
        """The same for a stream that it is tuned on."""
        return _trials(CONTESTANTS[name], 1, self.tuning, RACE_TIMES * self.seconds)

    def seeds_of(self, name: str, records: int) -> int:
        """How many trials of `records` records: what is affordable, at least four."""
        peer = CONTESTANTS[name]
        if not is_slow(peer):
            return self.seeds
        affordable = int(RACE_TIMES * self.seconds * 1e6 / (peer.cost * records))
        return min(self.seeds, max(4, affordable))


def is_slow(peer: Contestant) -> bool:
    """Whether it cannot be run on everything."""
    return peer.cost >= SLOW


def _trials(peer: Contestant, features: int, wanted: int, seconds: float) -> tuple[int, int]:
    affordable = seconds * 1e6 / (peer.cost * features)
    records = int(max(SHORTEST, affordable)) if is_slow(peer) else wanted
    records = min(wanted, records)
    trial = min(TRIAL, records // 1000 * 1000)
    return records // trial, trial


PLANS = {
    "smoke": Plan("smoke", 200_000, 400_000, 8, (5000,), 3),
    "quick": Plan("quick", 1_000_000, 10_000_000, 100, (5000,), 10),
    "full": Plan("full", 10_000_000, 10_000_000, 200, (5000, 100_000), 100),
}


def pieces(name: str, trials: int, records: int) -> list[list[int]]:
    """[first, count] of pieces of `trials` trials that take some PIECE_SECONDS each."""
    seconds = CONTESTANTS[name].cost * (records + streams.REFERENCE) / 1e6
    size = max(1, min(trials, int(PIECE_SECONDS / seconds)))
    return [[first, min(size, trials - first)] for first in range(0, trials, size)]
