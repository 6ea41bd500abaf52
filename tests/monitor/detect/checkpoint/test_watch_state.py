"""The state of a watch: episodes of changes that are rare, small or not reported yet."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.config.sections.detection import AlarmsConfig
from monitor.detect.checkpoint import watch_state
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.columns import Columns
from tests.monitor import synthetic
from tests.monitor.synthetic import WARMUP

PHASES = ((0.05, WARMUP + 1_000), (0.12, 3_000), (0.05, 3_000))
"""Rates of errors, each with a number of records."""


def rare_errors() -> Columns:
    """Return traffic whose errors double for some time."""
    rng = np.random.default_rng(4)
    errors = np.concatenate([rng.random(records) < rate for rate, records in PHASES])
    columns = synthetic.stream(len(errors), seed=4)
    return synthetic.with_values(columns, "error", errors.astype(float))


def restarted(watch: Watch) -> Watch:
    """Return a new watch with the state of another one."""
    saved = {item.name: item.encode() for item in watch_state.items(watch)}
    new = synthetic.watcher(watch.config)
    watch_state.restore(new, saved, None)
    return new


@pytest.mark.parametrize("min_rate_factor", [1.5, 20.0])
def test_restart_after_every_chunk_changes_no_event(min_rate_factor: float) -> None:
    """The events are those of an undisturbed run, also while an episode has no alarm yet."""
    config = synthetic.config(
        alarms=AlarmsConfig(min_rate_factor=min_rate_factor, min_psi=0.5, critical_psi=0.5)
    )
    traffic = rare_errors()
    undisturbed = synthetic.watcher(config).feed(traffic)
    watch, events, unreported = synthetic.watcher(config), list[DriftEvent](), 0
    for chunk in synthetic.cut(traffic, range(0, len(traffic), 170)):
        events += watch.feed(chunk)
        watch = restarted(watch)
        if watch.profile is not None:
            unreported += len(watch.main.evaluator.episodes.by_stream) > len(watch.alarms)
    assert events == undisturbed
    severity = "warning" if min_rate_factor == 1.5 else "info"
    assert [(e.change, e.severity) for e in events if e.feature == "error"] == [
        ("opened", severity),
        ("resolved", severity),
    ]
    assert unreported > 0 or severity == "warning"  # a warning opens at once


def test_episodes_of_another_shape_start_anew() -> None:
    """Damaged counts cost the episodes, and neither windows nor alarms."""
    watch = synthetic.watcher()
    watch.feed(synthetic.stream(WARMUP + 400, seed=1))
    episodes = watch.main.evaluator.episodes
    episodes.begin(0, watch.records, np.ones(2), has_alarm=False)
    after = restarted(watch)
    assert not after.main.evaluator.episodes.by_stream
    assert after.main.window.snapshot() == watch.main.window.snapshot()
    assert after.alarms == watch.alarms
