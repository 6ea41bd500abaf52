"""`plumbline backtest`: run detectors and experiments over files of records instead of Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from msgspec.structs import replace

from monitor.cli import report
from monitor.config.schema import Config
from monitor.detect.audit import page_costs
from monitor.detect.explain.distribution import Observer
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference import loader
from monitor.events.types import DriftEvent
from monitor.experiments.report.summary import summaries
from monitor.ingest import files
from monitor.ingest.fields import limits
from monitor.kafka.readers.registry.files import schemas_of
from monitor.roles.local_experiments import LocalExperiments


def backtest(
    paths: Sequence[Path],
    config: Config,
    *,
    progress: Callable[[int], None] = lambda _: None,
    on_event: Callable[[DriftEvent], None] = lambda _: None,
    observer: Observer | None = None,
    enveloped: bool = False,
) -> report.Report:
    """Run files of records through decoding, features, windows, detectors and alarms, and
    through the configured experiments.

    progress: called with the number of bytes read since its last call. on_event: called with each
    event as it is found. observer: called with each event and the whole distribution of its
    stream. enveloped: whether each line is a message with its headers. The report lists the events
    in the order of the log.
    A damaged compressed file is read up to its damage.
    Raises OSError if a file cannot be read, UnusableReferenceError if the configured reference
    cannot be loaded, UserError if the schema of a message cannot be read now.
    """
    started = time.perf_counter()
    dropped = limits.Dropped()
    monitor = DriftMonitor(config, loader.load(config, dropped), observer)
    reader = files.reader(config, schemas_of(config))
    reader.enveloped = enveloped
    damaged: dict[str, int] = {}
    reader.damaged = damaged
    experiments = LocalExperiments(config)
    if config.experiments:
        reader.observe = experiments.observe
    events: list[DriftEvent] = []
    for batch in reader.batches(paths, progress):
        for columns in chain(batch.by_model(), reader.style_columns()):
            for event in monitor.process(columns):
                events.append(event)
                on_event(event)
    events.sort(key=lambda event: event.position)
    built = report.build(
        models=monitor.log.records,
        rejections=reader.rejections.by_reason(),
        seconds=time.perf_counter() - started,
        events=events,
        budget=page_costs.compute(monitor, events),
        warming_up=monitor.log.warming_up(),
        dropped=limits.joined([reader.extractor.dropped, monitor.dropped, dropped]),
    )
    found = summaries(experiments.finish())
    skipped = dict(sorted(reader.rejections.skipped.items()))
    return replace(built, experiments=found, skipped=skipped, damaged=damaged)
