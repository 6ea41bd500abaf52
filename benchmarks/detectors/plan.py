"""The size of the benchmark: its forms, and the shares of slow contestants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.detectors import streams
from benchmarks.detectors.contestants import CONTESTANTS, ContestantInfo

RATES = (1.0, 10.0)
"""False alarms per million records that contestants are tuned to."""

TRIAL = 100_000
"""Live records of a null trial. Each has its own reference, whose noise is part of the rate."""

MIN_RECORDS = 10_000
SLOW_US = 50.0
"""Microseconds per record from which a contestant is slow: its work is limited by `seconds`."""

COMPARISON_FACTOR = 5
"""Multiple of `seconds` for each tuning and each change, on which comparisons depend."""

TASK_SECONDS = 60.0
"""Approximate duration of a task: the work lost when a run is interrupted."""

Task = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Size of a run.

    records: of each null stream. tuning: records of each stream used for tuning. seeds: trials of
    each change. afters: live records before the change. seconds: time of a slow contestant for each
    null stream; COMPARISON_FACTOR times as much for each tuning and change. It then gets fewer
    records and seeds, and the tables show their number.
    """

    form: str
    records: int
    tuning: int
    seeds: int
    afters: tuple[int, ...]
    seconds: float

    def null_trials(self, name: str, features: int) -> tuple[int, int]:
        """Return the number of null trials of a contestant, and the records of each."""
        return _trials(CONTESTANTS[name], features, self.records, self.seconds)

    def tuning_trials(self, name: str) -> tuple[int, int]:
        """Return the number of tuning trials of a contestant, and the records of each."""
        return _trials(CONTESTANTS[name], 1, self.tuning, COMPARISON_FACTOR * self.seconds)

    def change_trials(self, name: str, records: int) -> int:
        """Return the number of change trials of `records` records; at least four."""
        contestant = CONTESTANTS[name]
        if not is_slow(contestant):
            return self.seeds
        affordable = int(COMPARISON_FACTOR * self.seconds * 1e6 / (contestant.cost * records))
        return min(self.seeds, max(4, affordable))


def is_slow(contestant: ContestantInfo) -> bool:
    """Return whether its work is limited by `Plan.seconds`."""
    return contestant.cost >= SLOW_US


def _trials(
    contestant: ContestantInfo, features: int, wanted: int, seconds: float
) -> tuple[int, int]:
    affordable = seconds * 1e6 / (contestant.cost * features)
    records = int(max(MIN_RECORDS, affordable)) if is_slow(contestant) else wanted
    records = min(wanted, records)
    trial = min(TRIAL, records // 1000 * 1000)
    return records // trial, trial


PLANS = {
    "smoke": Plan("smoke", 200_000, 400_000, 8, (5000,), 3),
    "quick": Plan("quick", 1_000_000, 10_000_000, 100, (5000,), 10),
    "full": Plan("full", 10_000_000, 10_000_000, 200, (5000, 100_000), 100),
}


def split_trials(name: str, trials: int, records: int) -> list[list[int]]:
    """Split `trials` trials into tasks of about TASK_SECONDS: [first trial, count] each."""
    seconds = CONTESTANTS[name].cost * (records + streams.REFERENCE) / 1e6
    size = max(1, min(trials, int(TASK_SECONDS / seconds)))
    return [[first, min(size, trials - first)] for first in range(0, trials, size)]
