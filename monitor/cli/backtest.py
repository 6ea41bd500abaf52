"""`plumbline backtest`: what would have paged, from files of records instead of Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from monitor import costs, logfiles, references, report
from monitor.config import Config
from monitor.drift import DriftMonitor
from monitor.events import DriftEvent


def backtest(
    paths: Sequence[Path],
    config: Config,
    *,
    progress: Callable[[int], None] = lambda _: None,
    on_event: Callable[[DriftEvent], None] = lambda _: None,
) -> report.Report:
    """Run files of records through decoding, features, windows, detectors and alarms.

    The events of the report are in the order of the log.

    progress: is told of the bytes read since it was last. on_event: is given each event.
    Raises OSError where a file cannot be read, UnusableReferenceError where a reference is needed
    that cannot be had.
    """
    started = time.perf_counter()
    monitor = DriftMonitor(config, references.load(config))
    reader = logfiles.reader(config)
    events: list[DriftEvent] = []
    for batch in reader.batches(paths, progress):
        for columns in batch.by_model():
            for event in monitor.process(columns):
                events.append(event)
                on_event(event)
    events.sort(key=lambda event: event.position)
    return report.build(
        models=monitor.records,
        rejections=reader.rejections,
        seconds=time.perf_counter() - started,
        events=events,
        budget=costs.of(monitor, events),
        warming_up=monitor.warming_up(),
    )
