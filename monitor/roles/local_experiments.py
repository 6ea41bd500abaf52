"""Experiments in one process, over files of records, in the order of event time.

The exposures are collected and sorted by time. Neither sums nor looks depend on the order of files
and records, on the sizes of batches, on other traffic in the files, or on a clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.config.schema import Config
from monitor.events.findings.experiments import ExperimentEvent
from monitor.experiments.decisions.evaluation import evaluate
from monitor.experiments.decisions.result import Result
from monitor.experiments.decisions.state import State
from monitor.experiments.design import Design, design_of
from monitor.experiments.exposures.extract import (
    BatchExposures,
    ExposureCounts,
    ExposureExtractor,
    join,
)
from monitor.experiments.sums.layout import Layout, layout_of
from monitor.experiments.sums.look import LookData
from monitor.experiments.sums.merge import merge
from monitor.experiments.sums.shard import MINUTE, Shard
from monitor.experiments.sums.state import Partial
from monitor.ingest.features import Batch
from monitor.ingest.fields.fields import Fields

BUFFERED_ROWS: Final = 2_000_000
"""Exposures of all experiments that are kept to be sorted. Beyond them the oldest half is summed:
exposures that follow in the log and are older than that are late."""
LOOKS: Final = 1_000
"""Steps with exposures that have a look each: steps have 1, 2, 4, 8 or more minutes, as few as
possible. A log with more than BUFFERED_ROWS has up to LOOKS / 2 more with each doubling."""
DAY: Final = 86_400.0
WRONG_SHARE: Final = 0.01
"""Share of the units that may have wrong times: a day or more before or after all others."""
LEAST_UNITS: Final = 5
"""Units from which one may have wrong times."""


def configured(config: Config) -> dict[str, tuple[Design, Layout]]:
    """Return design and layout of each configured experiment."""
    found = {}
    for name, each in config.experiments.items():
        design, period = design_of(name, each), each.pre_period
        before = None if period is None else (period.start, period.end)
        found[name] = design, layout_of(design, each.begin, before)
    return found


@dataclass(slots=True)
class LocalExperiment:
    """One experiment.

    limit: exposures that are kept. pending: exposures that are not summed yet; rows: their number.
    step: minutes between looks. bins: numbers of the steps that have had exposures.
    first: time of the first exposure that counts. time: of the last look, the end of what is
    summed; -inf before it. state, data, result: of the last look. events: all events.
    """

    design: Design
    layout: Layout
    limit: int = BUFFERED_ROWS
    shards: dict[int, Shard] = field(default_factory=dict)
    pending: list[BatchExposures] = field(default_factory=list)
    rows: int = 0
    step: int = 1
    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    first: float | None = None
    time: float = -np.inf
    state: State | None = None
    data: LookData | None = None
    result: Result | None = None
    events: list[ExperimentEvent] = field(default_factory=list)

    def add(self, exposures: BatchExposures) -> None:
        """Add exposures. If there are too many, the oldest half is summed."""
        self.pending.append(exposures)
        self.rows += len(exposures.rows)
        if self.rows > self.limit:
            self._sum(self.rows // 2)

    def finish(self, end: float) -> Result:
        """Sum what is pending; return the last look. end: its time if no exposure counts."""
        if self.rows:
            self._sum(self.rows)
        return self._look(end) if self.result is None else self.result

    def _sum(self, rows: int) -> None:
        """Sum the oldest pending exposures, and look at the end of each step."""
        exposures = join(self.pending)
        # The same order for exposures of the same time: a unit is counted in its first arm.
        exposures = exposures.take(
            np.lexsort((exposures.variants, exposures.units, exposures.times))
        )
        self.rows = len(exposures.rows) - rows
        self.pending = [exposures.take(slice(rows, None))] if self.rows else []
        begin = -np.inf if self.layout.begin is None else self.layout.begin
        counted = int(np.searchsorted(exposures.times, begin))
        self._add(exposures.take(slice(0, min(counted, rows))))
        if counted >= rows:
            return
        exposures = exposures.take(slice(counted, None))
        rows -= counted
        low, high = credible_times(exposures.units, exposures.times)
        self.first = low if self.first is None else self.first
        late = min(int(np.searchsorted(exposures.times, self.time)), rows)
        self._add(exposures.take(slice(0, late)), late=True)
        times = np.maximum(np.minimum(exposures.times, high), max(self.first, self.time))
        for start, end, time in self._steps(times[late : rows + 1], rows - late):
            self._add(exposures.take(slice(late + start, late + end)))
            if time is not None:
                self._look(time)

    def _steps(self, times: Floats, rows: int) -> Iterator[tuple[int, int, float | None]]:
        """Yield begin and end of the rows of each step, and the time of its look.

        It is None if later exposures are in the same step. times: ascending, of the rows and of
        the exposure after them if there is one.
        """
        if not rows:
            return
        minutes = (times // MINUTE).astype(np.int64)
        bins = minutes // self.step
        self.bins = np.union1d(self.bins, bins[:rows])
        while len(self.bins) > LOOKS:
            self.step *= 2
            self.bins, bins = np.unique(self.bins // 2), bins // 2
        ends = (np.flatnonzero(np.diff(bins)) + 1).tolist()  # the first row of each next step
        for start, end in zip([0, *ends], [*ends, len(bins)], strict=True):
            if end < len(bins):
                yield start, end, float(bins[start] + 1) * self.step * MINUTE
            elif len(bins) == rows:
                yield start, end, float(minutes[-1] + 1) * MINUTE
            elif start < rows:
                yield start, rows, None

    def _add(self, exposures: BatchExposures, *, late: bool = False) -> None:
        for part in exposures.by_shard():
            shard = self.shards.setdefault(part.shard, Shard(self.layout))
            shard.add_closed(part, late=late)

    def _look(self, time: float) -> Result:
        """Look at the sums."""
        phase, first = self.design.phase, self.first or 0.0
        partials = {
            (number, 0): Partial(phase, time, first, True, False, shard.closed)
            for number, shard in self.shards.items()
        }
        self.data = merge(self.design, self.layout, partials, time)
        outcome = evaluate(self.design, self.data, self.state)
        self.state, self.result, self.time = outcome.state, outcome.result, time
        self.events += outcome.events
        return outcome.result


def credible_times(units: NDArray[np.uint64], times: Floats) -> tuple[float, float]:
    """Return the first and the last time of exposures, without those that must be wrong.

    Wrong are times of up to WRONG_SHARE of the units that are more than a day before or after
    those of all others. units, times: shape (n,), n > 0, in the order of the times.
    """
    first = np.sort(times[np.unique(units, return_index=True)[1]])
    last = np.sort(times[::-1][np.unique(units[::-1], return_index=True)[1]])
    few = max(1, int(WRONG_SHARE * len(first))) if len(first) >= LEAST_UNITS else 0
    before = np.flatnonzero(np.diff(first[: few + 1]) > DAY)
    last = last[-few - 1 :]
    after = np.flatnonzero(np.diff(last) > DAY)
    low = first[before[-1] + 1] if len(before) else first[0]
    high = last[after[0]] if len(after) else last[-1]
    return float(low), float(high)


class LocalExperiments:
    """All configured experiments.

    by_name: experiments. counts: of their exposures. end: time of the newest record.
    """

    def __init__(self, config: Config) -> None:
        limit = BUFFERED_ROWS // max(1, len(config.experiments))
        self.by_name = {
            name: LocalExperiment(design, layout, limit)
            for name, (design, layout) in configured(config).items()
        }
        self.counts = ExposureCounts()
        self.end = 0.0
        self._config = config.experiments
        self._extractor = ExposureExtractor(config.experiments)

    def observe(self, records: Fields, batch: Batch) -> None:
        """Add the records of a batch. batch: their features."""
        self.end = max(self.end, float(batch.times.max(initial=0.0)))
        for exposures in self._extractor.extract(records, batch, self.counts):
            self.by_name[exposures.design.name].add(exposures)

    def finish(self) -> dict[str, Result]:
        """Look at all records; return the results by name."""
        end = (self.end // MINUTE + 1) * MINUTE
        return {
            name: replace(
                each.finish(end),
                unit=self._config[name].unit,
                exposures=self.counts.written[name],
                without_unit=self.counts.no_unit[name],
            )
            for name, each in self.by_name.items()
        }
