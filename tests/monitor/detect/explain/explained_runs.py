"""Synthetic streams with a known change and request ids, and the events of a watch over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitor.config.schema import Config
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.sampling.examples import Examples
from tests.monitor import synthetic
from tests.monitor.synthetic import STRIDE, WARMUP

QUIET = WARMUP + 15 * STRIDE
"""Records before the change."""


def with_ids(columns: Columns, every: int = 3) -> Columns:
    """Return the records with request ids; the id of every third (or so) has its number."""
    places = np.arange(2, len(columns), every, dtype=np.int32)
    ids = tuple(f"req-{number}" for number in columns.positions[places])
    return replace(columns, examples=Examples(places, ids))


def drifting(*, seed: int = 2, quiet: int = QUIET, n: int = 400, **change: float) -> Columns:
    """Return `quiet` records of quiet traffic and `n` records after a change, with ids."""
    before = synthetic.stream(quiet, seed=1)
    return with_ids(synthetic.joined(before, synthetic.stream(n, seed=seed, **change)))  # type: ignore[arg-type]  # floats only


def events_of(columns: Columns, *detectors: str, marks: Sequence[int] = ()) -> list[DriftEvent]:
    """Return the events of a stream with these detectors, by default all."""
    config: Config = synthetic.config()
    if detectors:
        config = config.model_copy(update={"detectors": detectors})
    watch = synthetic.watcher(config)
    return [event for chunk in synthetic.cut(columns, marks) for event in watch.feed(chunk)]


def opened(events: Sequence[DriftEvent], feature: str = "latency_ms") -> DriftEvent:
    """Return the event that opened a feature's alarm."""
    return next(e for e in events if e.feature == feature and e.change == "opened")


def request_number(request_id: str) -> int:
    """Return the number of the record with this id (see `with_ids`)."""
    return int(request_id.removeprefix("req-"))
