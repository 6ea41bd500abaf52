"""Experiments in one process, over records in the order of a log: for files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from monitor.config.schema import Config
from monitor.config.sections.experiments.section import ExperimentConfig
from monitor.events.experiments import ExperimentEvent
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
from monitor.experiments.sums.clock import EventClock
from monitor.experiments.sums.layout import Layout, layout_of
from monitor.experiments.sums.look import LookData
from monitor.experiments.sums.looks import Looks
from monitor.experiments.sums.shard import MINUTE, Shard
from monitor.experiments.sums.state import partial_of
from monitor.ingest.features import Batch
from monitor.records import Record

ADDED_ROWS: Final = 4_000
"""Exposures that are added together: one call for each shard costs as much as 1,000 records."""


def configured(config: Config) -> dict[str, tuple[Design, Layout]]:
    """Return design and layout of each configured experiment."""
    return {
        name: (design_of(name, each), _layout(name, each))
        for name, each in config.experiments.items()
    }


def _layout(name: str, config: ExperimentConfig) -> Layout:
    pre_period = config.pre_period
    before = None if pre_period is None else (pre_period.start, pre_period.end)
    return layout_of(design_of(name, config), config.begin, before)


@dataclass(slots=True)
class LocalExperiment:
    """One experiment.

    data, result: of the last look. events: all events. pending: exposures that are not added yet.
    """

    design: Design
    layout: Layout
    shards: dict[int, Shard] = field(default_factory=dict)
    clock: EventClock = field(default_factory=EventClock)
    state: State | None = None
    data: LookData | None = None
    result: Result | None = None
    events: list[ExperimentEvent] = field(default_factory=list)
    pending: list[BatchExposures] = field(default_factory=list)

    def add(self, exposures: BatchExposures, now: float) -> None:
        """Add exposures in the order of the log."""
        self.pending.append(exposures)
        if sum(len(each.rows) for each in self.pending) >= ADDED_ROWS:
            self._add_pending(now)

    def _add_pending(self, now: float) -> None:
        """Add the pending exposures to their shards, and look if a minute has ended."""
        if not self.pending:
            return
        exposures, self.pending = join(self.pending), []
        if self.clock.advance(exposures.units, exposures.times, now):
            for shard in self.shards.values():
                shard.close_until(np.inf)
        for part in exposures.by_shard():
            shard = self.shards.setdefault(part.shard, Shard(self.layout))
            shard.add(part, now, self.clock.watermark)
        self._close(self.clock.watermark - MINUTE)

    def finish(self, now: float) -> None:
        """Add what is pending, close all sums and look at them."""
        self._add_pending(now)
        self._close(np.inf)

    def _close(self, until: float) -> None:
        """Close the minutes of all shards, and look at their sums if there were any."""
        for shard in self.shards.values():
            shard.close_until(until)
        looks = Looks(self.design, self.layout)
        for number, shard in self.shards.items():
            looks.update(number, 0, partial_of(shard, self.design.phase))
        data = looks.due(None if self.state is None else self.state.time, 0.0)
        if data is not None:
            outcome = evaluate(self.design, data, self.state)
            self.state, self.result, self.data = outcome.state, outcome.result, data
            self.events += outcome.events


class LocalExperiments:
    """All configured experiments.

    by_name: experiments. counts: of their exposures. clock: the present, epoch seconds; times after
    it are wrong.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self.by_name = {
            name: LocalExperiment(design, layout)
            for name, (design, layout) in configured(config).items()
        }
        self.counts = ExposureCounts(Counter(), Counter())
        self._extractor = ExposureExtractor(config.experiments)
        self._clock = clock

    def observe(self, records: Sequence[Record], batch: Batch) -> None:
        """Add the records of a batch. batch: their features."""
        for exposures in self._extractor.extract(records, batch, self.counts):
            self.by_name[exposures.design.name].add(exposures, self._clock())

    def finish(self) -> dict[str, Result]:
        """Look at all records; return the results of the experiments that have exposures."""
        for each in self.by_name.values():
            each.finish(self._clock())
        return {name: e.result for name, e in self.by_name.items() if e.result is not None}
