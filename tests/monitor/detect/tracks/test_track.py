"""Sparse features: their values are watched over the records that have one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given

from detectors.arrays import Floats
from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig, WarmupReference
from monitor.detect.checkpoint import partition_state
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.monitor import DriftMonitor
from monitor.events.types import DriftEvent
from monitor.events.wording.drift import sentence
from monitor.ingest.chunks.columns import Columns
from tests.monitor import synthetic

WARMUP = 15_000
SCORE, FLAG = "score.taste", "missing.score.taste"
SETTINGS = Config(reference=WarmupReference(records=WARMUP))

Values = Callable[[np.random.Generator, int], Floats]
Part = tuple[int, float, Values]
"""Records, the share of them that has a score, and the scores."""


def normal(mean: float, sd: float = 0.2) -> Values:
    """Return a generator of normal scores."""
    return lambda rng, n: rng.normal(mean, sd, n)


def thumbs(share: float) -> Values:
    """Return a generator of thumbs, of which a share is up."""
    return lambda rng, n: (rng.random(n) < share).astype(float)


def traffic(parts: Sequence[Part], name: str = SCORE, seed: int = 1) -> Columns:
    """Return traffic in which the parts of the scores follow each other."""
    rng = np.random.default_rng(seed)
    scores = [np.where(rng.random(n) < p, values(rng, n), np.nan) for n, p, values in parts]
    records = synthetic.stream(sum(n for n, _, _ in parts), seed=seed)
    return synthetic.with_feature(records, name, np.concatenate(scores))


def run(columns: Columns, settings: Config = SETTINGS) -> list[DriftEvent]:
    """Return the events of the records."""
    monitor = DriftMonitor(settings, {})
    return [
        e for chunk in synthetic.cut(columns, range(0, 10**6, 997)) for e in monitor.process(chunk)
    ]


def opened(events: Sequence[DriftEvent]) -> dict[str, DriftEvent]:
    """Return the event that opened the first alarm of each feature."""
    return {event.feature: event for event in reversed(events) if event.change == "opened"}


@pytest.mark.parametrize(
    ("share", "before", "after", "values"),
    [
        (0.01, normal(0.8), normal(0.2), 50),
        (0.05, normal(0.8), normal(0.6), 150),
        (0.3, normal(0.8), normal(0.6), 300),
        (0.5, normal(0.8), normal(0.6), 300),
        (0.02, thumbs(0.8), thumbs(0.2), 150),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_drift_of_few_values_is_critical(
    share: float, before: Values, after: Values, values: int, seed: int
) -> None:
    """A change is critical after as many values as if every record had one."""
    start = 25_000
    events = run(traffic([(start, share, before), (15_000, share, after)], seed=seed))
    assert {event.feature for event in events} == {SCORE}
    critical = next(event for event in events if event.severity == "critical")
    assert start < critical.record < start + values / share
    assert critical.psi_missing is not None
    assert critical.psi == critical.psi_values
    assert critical.psi_missing < 0.05
    assert "missing" not in sentence(critical)
    since = critical.explanation.since
    assert since is not None
    assert start - 60 / share < since.record <= critical.record
    assert all(event.change != "resolved" for event in events)


def test_alarm_resolves_after_a_window_of_values() -> None:
    """It resolves when a window of values is as before."""
    parts = [(25_000, 0.02, normal(0.8)), (10_000, 0.02, normal(0.2)), (20_000, 0.02, normal(0.8))]
    changes = [event.change for event in run(traffic(parts)) if event.feature == SCORE]
    kept = [change for change in changes if change not in {"escalated", "updated"}]
    assert kept == ["opened", "resolved"]


def test_values_that_stop_leave_their_alarm_open() -> None:
    """Without values nothing is quiet again; that they are missing is another alarm."""
    parts = [(25_000, 0.1, normal(0.8)), (3_000, 0.1, normal(0.2)), (20_000, 0.0, normal(0.2))]
    events = run(traffic(parts))
    assert set(opened(events)) == {SCORE, FLAG}
    assert all(event.change != "resolved" for event in events)
    text = sentence(opened(events)[FLAG])
    assert text.startswith("score.taste of m has drifted (critical): missing in ")
    assert "-> 100.0% of records" in text


@pytest.mark.parametrize(
    ("before", "after"), [(0.01, 0.05), (0.05, 0.4), (0.6, 0.2), (0.1, 0.0), (0.01, 0.0)]
)
def test_a_change_of_the_sampling_is_one_of_missing_values(before: float, after: float) -> None:
    """More or fewer values of the same distribution are no drift of the values."""
    events = run(traffic([(25_000, before, normal(0.8)), (10_000, after, normal(0.8))]))
    assert set(opened(events)) == {FLAG}
    event = opened(events)[FLAG]
    assert event.psi == event.psi_missing
    assert event.psi_values == 0
    assert event.kind == "binary"


def test_scores_of_different_records_are_told_apart() -> None:
    """Two scores, given to other records at the same rate, drift apart from each other."""
    rng = np.random.default_rng(3)
    n = 45_000
    at = np.arange(n)
    falling = np.where(at < 30_000, 0.8, 0.3)
    columns = synthetic.stream(n)
    for name, offset, mean in (("a", 3, 0.8), ("b", 53, falling)):
        values = np.where(at % 100 == offset, rng.normal(mean, 0.2), np.nan)
        columns = synthetic.with_feature(columns, f"score.{name}", values)
    assert set(opened(run(columns))) == {"score.b"}


def test_dense_features_tell_values_and_missing_values_apart() -> None:
    """An event says which of both has moved."""
    parts = [(20_000, 0.97, normal(0.8)), (3_000, 0.97, normal(0.6))]
    event = opened(run(traffic(parts)))[SCORE]
    assert event.psi_values is not None
    assert event.psi_missing is not None
    assert event.psi == event.psi_values
    assert event.psi > 10 * event.psi_missing
    assert "missing" not in sentence(event)
    parts = [(20_000, 0.97, normal(0.8)), (3_000, 0.6, normal(0.8))]
    event = opened(run(traffic(parts)))[SCORE]
    assert event.psi_values is not None
    assert event.psi == event.psi_missing
    assert event.psi > 4 * event.psi_values
    assert "(critical): missing in 3." in sentence(event)
    assert "median" not in sentence(event)


def test_sparse_features_of_segments_are_watched() -> None:
    """A segment has windows of its own values."""
    settings = Config(reference=WarmupReference(records=WARMUP), segments=("metadata.route",))
    parts = [(40_000, 0.03, normal(0.8)), (15_000, 0.03, normal(0.2))]
    found = {event.segment for event in run(traffic(parts), settings) if event.change == "opened"}
    assert found == {"", "metadata.route=web", "metadata.route=api"}


def test_too_few_values_are_not_watched() -> None:
    """A score of which the reference has a handful is watched for missing values only."""
    parts = [(25_000, 0.004, normal(0.8)), (10_000, 0.004, normal(0.2)), (5_000, 0.5, normal(0.2))]
    assert set(opened(run(traffic(parts)))) == {FLAG}


SHORT = traffic(
    [(4_000, 0.1, normal(0.8)), (2_000, 0.1, normal(0.2)), (3_000, 0.1, normal(0.8))], seed=5
)


def short_events(chunks: Sequence[Columns], restart_after: int = -1) -> list[DriftEvent]:
    """Return the events of chunks, restarted from a checkpoint after one of them."""
    settings = synthetic.config(alarms=AlarmsConfig(false_pages=100))
    monitor, events = DriftMonitor(settings, {}), list[DriftEvent]()
    for number, chunk in enumerate(chunks):
        events += monitor.process(chunk)
        if number == restart_after:
            messages = Partition(monitor, number).messages()
            kept = {key: value for key, value in messages if value is not None}
            restored = partition_state.restore(kept, settings, {})
            assert restored is not None
            before, after = (m.log.watches["m", ""] for m in (monitor, restored.monitor))
            assert synthetic.state(after) == synthetic.state(before)
            monitor = restored.monitor
    return events


EVENTS = short_events([SHORT])


@synthetic.SLOW_PROPERTY
@given(synthetic.cuttings(len(SHORT)))
def test_events_do_not_depend_on_chunks(marks: list[int]) -> None:
    """Any chunking gives the same events in the same order."""
    assert {event.feature for event in EVENTS} >= {SCORE}
    assert short_events(list(synthetic.cut(SHORT, marks))) == EVENTS


@pytest.mark.parametrize("after", [2, 6, 7, 9, 12, 15])
def test_events_do_not_depend_on_a_restart(after: int) -> None:
    """A restart at any time continues with the same windows, alarms and explanations."""
    chunks = list(synthetic.cut(SHORT, range(0, len(SHORT), 487)))
    assert short_events(chunks, after) == EVENTS
