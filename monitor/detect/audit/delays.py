"""Detection delays of shifts, simulated with the configured detectors and alarms.

The simulation resamples the reference (`detectors.block_bootstrap`) and shifts every stream from
some record on. It counts the records until an alarming detector finds the shift, and until the
alarm opens: a significant shift may be too small to page (`alarms.min_psi`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detectors.arrays import Bools, Floats
from detectors.baseline import Baseline
from detectors.block_bootstrap import BlockBootstrap
from detectors.shifts import can_shift, center_before_and_after, shift_records
from monitor.config.schema import Config
from monitor.detect.alarms import budget
from monitor.detect.alarms.evaluator import AlarmEvaluator

SHIFTS = (0.2, 0.5, 1.0)
"""Simulated shifts, in standard deviations (see `detectors.shifts`)."""
LIMIT_WINDOWS = 10
"""Windows after which an undetected shift is given up."""
PAGE_WINDOWS = 3
"""Windows after which an alarm is given up: two full windows of the shift have not opened it."""
REPLICAS = 11
MIN_REPLICAS = 3
STEP_STRIDES = 4
"""Strides simulated at once."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Detection delay of a shift of one stream by `sd` standard deviations.

    before, after: the shift in the feature's unit (`detectors.shifts.center_before_and_after`).
    seen: median number of records until the shift is detected. paged: the same until its alarm
    opens. Both are None if the median exceeds `limit` records (three windows for `paged`). psi: of
    a window full of the shift, as alarms measure it.
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
    """Return the delays of SHIFTS by stream; an empty list for a constant stream.

    The result is deterministic. levels: level by detector. values: values to simulate per shift,
    over all streams; large windows and many streams get fewer replicas.
    Raises ValueError if the reference is too short to be resampled.
    """
    simulation = _Simulation(baseline, config, levels, values)
    by_shift = [simulation.run(sd) for sd in SHIFTS]
    rows = zip(baseline.streams, *by_shift, strict=True)
    return [list(row) if can_shift(stream) else [] for stream, *row in rows]


class _Simulation:
    """Window and detectors, reset for each replica: creating them is the largest cost."""

    def __init__(
        self, baseline: Baseline, config: Config, levels: Mapping[str, float], values: int
    ) -> None:
        window, stride = config.windows.records, config.windows.stride
        self.evaluator = AlarmEvaluator(baseline, config, budget.select_alarming(config, levels))
        self.initial = (
            self.evaluator.window.snapshot(),
            [detector.snapshot() for detector in self.evaluator.detectors],
        )
        self.streams, self.window, self.stride = len(baseline.streams), window, stride
        self.values = values
        windows = values // max(1, MIN_REPLICAS * self.streams * window)
        self.limit = min(LIMIT_WINDOWS, max(PAGE_WINDOWS, windows)) * window
        self.baseline = baseline
        self.constant = np.array([not can_shift(stream) for stream in baseline.streams], bool)

    def run(self, sd: float) -> list[Delay]:
        """Return the delays of one shift by stream."""
        runs, simulated = list[tuple[Floats, Floats, Floats]](), 0
        while len(runs) < (REPLICAS if simulated < self.values else MIN_REPLICAS):
            detected, paged, psi, records = self._replica(sd, len(runs))
            runs.append((detected, paged, psi))
            simulated += records * self.streams
        detected, paged, psi = (np.median(each, axis=0) for each in zip(*runs, strict=True))
        return [
            Delay(
                sd,
                *center_before_and_after(stream, sd),
                self._within_limit(d),
                self._within_limit(p),
                self.limit,
                float(size),
            )
            for stream, d, p, size in zip(self.baseline.streams, detected, paged, psi, strict=True)
        ]

    def _within_limit(self, records: float) -> int | None:
        return None if records > self.limit else int(records)

    def _replica(self, sd: float, number: int) -> tuple[Floats, Floats, Floats, int]:
        """Return records until detection and page, PSI (each by stream), and simulated records.

        Infinity stands for a shift that is not detected or does not page within the limit.
        """
        self._reset()
        source = BlockBootstrap(self.baseline, self.window, number)
        rng = np.random.default_rng(number)
        list(self.evaluator.evaluate(*source.take(self.window), -self.window))
        detected, paged = np.full(self.streams, np.inf), np.full(self.streams, np.inf)
        step, done = STEP_STRIDES * self.stride, 0
        while not self._is_finished(detected, paged, done):
            windows, findings = self.evaluator.detect(
                *shift_records(self.baseline, *source.take(step), sd, rng)
            )
            for detector, masks in zip(self.evaluator.detectors, findings, strict=True):
                first = self._first(masks) + done
                detected[detector.streams] = np.minimum(detected[detector.streams], first)
            for each in self.evaluator.transitions(windows, findings, done):
                if each.first_page:
                    paged[each.stream] = min(paged[each.stream], each.record)
            done += step
        psi = self.evaluator.psi(self.evaluator.window.current())
        return detected, paged, psi, self.window + done

    def _is_finished(self, detected: Floats, paged: Floats, done: int) -> bool:
        """Return whether the results of all streams are final after `done` records."""
        if done >= self.limit:
            return True
        changing = ~self.constant
        all_detected = bool(np.isfinite(detected).all(where=changing))
        all_paged = bool(np.isfinite(paged).all(where=changing))
        return (
            done >= self.window
            and all_detected
            and (all_paged or done >= PAGE_WINDOWS * self.window)
        )

    def _first(self, masks: Bools) -> Floats:
        """Return the records up to the first True of each stream, or infinity."""
        return np.where(masks.any(axis=0), (masks.argmax(axis=0) + 1) * self.stride, np.inf)

    def _reset(self) -> None:
        window, detectors = self.initial
        self.evaluator.window.restore(window)
        for detector, state in zip(self.evaluator.detectors, detectors, strict=True):
            detector.restore(state)
        self.evaluator.alarms.clear()
        self.evaluator.episodes.by_stream.clear()
        self.evaluator.meter.quiet.clear()
