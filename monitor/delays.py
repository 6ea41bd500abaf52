"""How many records it takes to see a shift, simulated through the detectors and alarms as they are.

The reference is resampled (`detectors.resampling`), and from some record on every stream of it is
shifted. Counted is how many records later a detector that raises alarms finds it, and how many
until the alarm opens: a change may be certain and yet too small to matter (`alarms.min_psi`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detectors.base import Bools, Floats
from detectors.baseline import Baseline
from detectors.resampling import Resampling
from detectors.shifts import can_shift, middle, shifted
from monitor import budget
from monitor.alarm_path import AlarmPath
from monitor.config import Config

SHIFTS = (0.2, 0.5, 1.0)
"""Standard deviations, see `detectors.shifts`."""
LIMIT_WINDOWS = 10
"""How long a shift may go unseen."""
PAGE_WINDOWS = 3
"""How long its alarm may take; by then windows full of it have been too small a change twice."""
REPLICAS = 11
LEAST_REPLICAS = 3
STEP = 4
"""Strides at a time."""


@dataclass(frozen=True, slots=True)
class Delay:
    """What becomes of a shift of one stream by `sd` standard deviations.

    before, after: what that is in the feature's own unit, see `detectors.shifts.middle`.
    seen: median of the records until it is found, paged: until its alarm opens; both None where
    that takes more than `limit` records (three windows for a page) more often than not. psi: how
    large it is, as alarms measure it, once a window is full of it.
    """

    sd: float
    before: float
    after: float
    seen: int | None
    paged: int | None
    limit: int
    psi: float


def delays(
    baseline: Baseline, config: Config, levels: Mapping[str, float], values: int
) -> list[list[Delay]]:
    """The delay of each of SHIFTS, by stream; none of a constant stream. Without chance.

    levels: detector -> level. values: to simulate for each shift, one of each stream a record;
    there are fewer replicas of large windows and many streams.
    Raises ValueError where the reference is too short to be resampled.
    """
    simulation = _Simulation(baseline, config, levels, values)
    by_shift = [simulation.run(sd) for sd in SHIFTS]
    rows = zip(baseline.streams, *by_shift, strict=True)
    return [list(row) if can_shift(stream) else [] for stream, *row in rows]


class _Simulation:
    """A window and detectors that start anew with each replica; to make them costs most."""

    def __init__(
        self, baseline: Baseline, config: Config, levels: Mapping[str, float], values: int
    ) -> None:
        window, stride = config.windows.records, config.windows.stride
        self.path = AlarmPath(baseline, config, budget.of_voting(config, levels))
        self.fresh = self.path.window.snapshot(), [d.snapshot() for d in self.path.detectors]
        self.streams, self.window, self.stride = len(baseline.streams), window, stride
        self.values = values
        windows = values // max(1, LEAST_REPLICAS * self.streams * window)
        self.limit = min(LIMIT_WINDOWS, max(PAGE_WINDOWS, windows)) * window
        self.baseline = baseline
        self.constant = np.array([not can_shift(stream) for stream in baseline.streams], bool)

    def run(self, sd: float) -> list[Delay]:
        """The delays of one shift, by stream."""
        runs, spent = list[tuple[Floats, Floats, Floats]](), 0
        while len(runs) < (REPLICAS if spent < self.values else LEAST_REPLICAS):
            seen, paged, psi, records = self._replica(sd, len(runs))
            runs.append((seen, paged, psi))
            spent += records * self.streams
        seen, paged, psi = (np.median(each, axis=0) for each in zip(*runs, strict=True))
        return [
            Delay(
                sd, *middle(stream, sd), self._within(s), self._within(p), self.limit, float(size)
            )
            for stream, s, p, size in zip(self.baseline.streams, seen, paged, psi, strict=True)
        ]

    def _within(self, records: float) -> int | None:
        return None if records > self.limit else int(records)

    def _replica(self, sd: float, number: int) -> tuple[Floats, Floats, Floats, int]:
        """Records until each stream's shift is seen and paged (infinity: not), its PSI; how many
        records that took."""
        self._start_anew()
        source = Resampling(self.baseline, self.window, number)
        rng = np.random.default_rng(number)
        list(self.path.extend(*source.take(self.window), -self.window))
        seen, paged = np.full(self.streams, np.inf), np.full(self.streams, np.inf)
        step, done = STEP * self.stride, 0
        while not self._settled(seen, paged, done):
            windows, found = self.path.found(*shifted(self.baseline, *source.take(step), sd, rng))
            for detector, masks in zip(self.path.detectors, found, strict=True):
                first = self._first(masks) + done
                seen[detector.streams] = np.minimum(seen[detector.streams], first)
            for turn in self.path.turns(windows, found, done):
                if turn.change == "opened":
                    paged[turn.stream] = min(paged[turn.stream], turn.record)
            done += step
        return seen, paged, self.path.psi(self.path.window.current()), self.window + done

    def _settled(self, seen: Floats, paged: Floats, done: int) -> bool:
        """Whether all is known: no stream is waited for that can page no more."""
        told = np.isfinite(paged).all(where=~self.constant) or done >= PAGE_WINDOWS * self.window
        all_seen = bool(np.isfinite(seen).all(where=~self.constant))
        return done >= self.limit or (done >= self.window and all_seen and bool(told))

    def _first(self, masks: Bools) -> Floats:
        """Records up to the first True of each stream, infinity where there is none."""
        return np.where(masks.any(axis=0), (masks.argmax(axis=0) + 1) * self.stride, np.inf)

    def _start_anew(self) -> None:
        window, detectors = self.fresh
        self.path.window.restore(window)
        for detector, state in zip(self.path.detectors, detectors, strict=True):
            detector.restore(state)
        self.path.alarms.clear()
