"""Runs of a watch over synthetic streams, shared by the tests of watches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.columns import Columns
from tests.monitor import synthetic
from tests.monitor.synthetic import WARMUP, WINDOW

DRIFTED = synthetic.joined(
    synthetic.stream(WARMUP + 400, seed=1),
    synthetic.stream(200, seed=2, factor=1.3, stops=0.8),
    synthetic.stream(300, seed=3, factor=3.0, stops=0.5),
    synthetic.stream(700, seed=4),
)
"""A reference, quiet traffic, a drift of latency and finish reason, a larger one, quiet traffic."""


def feed(watch: Watch, chunks: Iterable[Columns]) -> list[DriftEvent]:
    """Return all events of the chunks."""
    return [event for chunk in chunks for event in watch.feed(chunk)]


def events_of(columns: Columns) -> list[DriftEvent]:
    """Return all events of a stream that a new watch reads in one chunk."""
    return feed(synthetic.watcher(), [columns])


def detectors_only(*detectors: str, **alarms: Any) -> Config:
    """Return a configuration with these detectors, none of them advisory by default."""
    chosen = AlarmsConfig(**({"advisory": ()} | alarms))
    return synthetic.config(alarms=chosen).model_copy(update={"detectors": detectors})


def changes_of(events: Sequence[DriftEvent], feature: str) -> list[str]:
    """Return the alarm transitions of one feature."""
    return [event.change for event in events if event.feature == feature]


def quiet_then(later: Columns) -> Columns:
    """Return quiet traffic followed by `later`, whose vocabularies may differ."""
    quiet = synthetic.stream(WARMUP + WINDOW, seed=1)
    joined = synthetic.joined(quiet, synthetic.stream(len(later)))
    values = np.concatenate((quiet.values, later.values), axis=1)
    joined = replace(joined, values=values, categories=())
    for column in quiet.categories:
        texts = [*quiet.texts(column.name), *later.texts(column.name)]
        joined = synthetic.with_categories(joined, column.name, texts)
    return joined


def quiet_then_categories(columns: Columns, name: str, values: Sequence[str | None]) -> Columns:
    """Return quiet traffic followed by `columns` with other values of one category."""
    return quiet_then(synthetic.with_categories(columns, name, values))


WATCH = synthetic.watcher()
"""A watch that has read DRIFTED in one chunk."""
EVENTS = feed(WATCH, [DRIFTED])
"""The events of DRIFTED."""
