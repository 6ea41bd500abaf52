"""The drift monitor: models, segments, references and limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from monitor.config.sections.detection import LimitsConfig
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference import builder
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.fields.limits import OTHER
from tests.monitor import synthetic
from tests.monitor.synthetic import STRIDE, WARMUP, WINDOW

BY_ROUTE = synthetic.config(segments=("metadata.route",))


def slow_within(columns: Columns, route: str) -> Columns:
    """Return the records with a tenfold latency on one route."""
    column = next(c for c in columns.categories if c.name == "metadata.route")
    chosen = column.codes == column.vocabulary.index(route)
    return synthetic.with_values(
        columns, "latency_ms", np.where(chosen, 10.0, 1.0) * columns.values[0]
    )


DRIFTED = synthetic.joined(
    synthetic.stream(3 * WARMUP, seed=1),
    slow_within(synthetic.stream(600, seed=2), "api"),
    synthetic.stream(600, seed=3),
)


def test_drift_of_a_model_is_its_own() -> None:
    """The drift of one model raises no alarm of another."""
    monitor = DriftMonitor(synthetic.config(), {})
    for model, factor in (("a", 5.0), ("b", 1.0)):
        slow = synthetic.stream(WINDOW, seed=2, factor=factor)
        monitor.process(synthetic.stream(WARMUP + WINDOW, seed=1, model=model))
        events = monitor.process(replace(slow, model=model))
        assert {event.model for event in events} == ({"a"} if model == "a" else set())
    assert monitor.log.records == {"a": WARMUP + 2 * WINDOW, "b": WARMUP + 2 * WINDOW}


def test_other_is_counted_but_not_watched() -> None:
    """The model "other" is a mixture of models, and raises no alarm."""
    monitor = DriftMonitor(BY_ROUTE, {})
    drifting = synthetic.joined(
        synthetic.stream(WARMUP + WINDOW), synthetic.stream(WINDOW, factor=10.0)
    )
    assert monitor.process(replace(drifting, model=OTHER)) == []
    assert monitor.log.records == {OTHER: len(drifting)}
    assert monitor.log.watches == {}


def test_models_beyond_the_limit_count_as_other() -> None:
    """The first models are watched, later ones count as "other"."""
    monitor = DriftMonitor(synthetic.config(limits=LimitsConfig(models=2)), {})
    for model in ("a", OTHER, "b", "c", "d", "a"):
        monitor.process(synthetic.stream(10, model=model))
    assert monitor.log.records == {"a": 20, "b": 10, OTHER: 30}
    assert [model for model, _ in monitor.log.watches] == ["a", "b"]


def test_drift_of_a_segment_is_its_own() -> None:
    """A drift on one route raises alarms of the model and the route, not of the other route."""
    monitor = DriftMonitor(BY_ROUTE, {})
    events = monitor.process(DRIFTED)
    segments = {event.segment for event in events if event.feature == "latency_ms"}
    assert segments == {"", "metadata.route=api"}
    assert set(monitor.log.watches) == {
        ("m", ""),
        ("m", "metadata.route=web"),
        ("m", "metadata.route=api"),
    }
    ids = [event.id for event in events]
    assert len(ids) == len(set(ids))


def test_segment_counts_its_own_records() -> None:
    """`record` counts the records of the segment, `position` those of the log."""
    events = [e for e in DriftMonitor(BY_ROUTE, {}).process(DRIFTED) if e.segment]
    column = next(c for c in DRIFTED.categories if c.name == "metadata.route")
    positions = np.flatnonzero(column.codes == column.vocabulary.index("api")) + 1
    assert events
    for event in events:
        assert event.position == positions[event.record - 1]


@synthetic.SLOW_PROPERTY
@given(synthetic.cuttings(len(DRIFTED)))
def test_events_and_state_do_not_depend_on_chunks(marks: list[int]) -> None:
    """Any chunking gives the same events and the same states of model and segments."""
    whole, pieces = DriftMonitor(BY_ROUTE, {}), DriftMonitor(BY_ROUTE, {})
    expected = whole.process(DRIFTED)
    events = [event for chunk in synthetic.cut(DRIFTED, marks) for event in pieces.process(chunk)]
    assert sorted(events, key=lambda e: e.id) == sorted(expected, key=lambda e: e.id)
    assert events
    assert pieces.log.records == whole.log.records
    for key, watch in whole.log.watches.items():
        assert synthetic.state(pieces.log.watches[key]) == synthetic.state(watch)


@synthetic.SLOW_PROPERTY
@given(synthetic.cuttings(1000))
def test_records_of_segments_beyond_the_limit_are_counted(marks: list[int]) -> None:
    """The first segments of a key are watched; records of others count as dropped."""
    settings = synthetic.config(segments=("metadata.route",), limits=LimitsConfig(segments=1))
    monitor = DriftMonitor(settings, {})
    stream = synthetic.stream(1000)
    for chunk in synthetic.cut(stream, marks):
        monitor.process(chunk)
    [segment] = [segment for _, segment in monitor.log.watches if segment]
    column = next(c for c in stream.categories if c.name == "metadata.route")
    kept = column.vocabulary.index(segment.removeprefix("metadata.route="))
    assert monitor.log.watches["m", segment].seen == (column.codes == kept).sum()
    assert monitor.segments_dropped == (column.codes != kept).sum()


def test_limit_on_segments_applies_per_key() -> None:
    """Many values of one key do not reduce the segments of another key."""
    settings = synthetic.config(
        segments=("metadata.route", "finish_reason"), limits=LimitsConfig(segments=2)
    )
    monitor = DriftMonitor(settings, {})
    monitor.process(synthetic.stream(100))
    assert len(monitor.log.watches) == 1 + 2 + 2
    assert monitor.segments_dropped == 0


def test_record_without_a_value_is_in_no_segment() -> None:
    """A missing value is not a segment, and its record is not dropped."""
    columns = synthetic.with_categories(synthetic.stream(10), "metadata.route", [None] * 10)
    monitor = DriftMonitor(BY_ROUTE, {})
    monitor.process(columns)
    assert list(monitor.log.watches) == [("m", "")]
    assert monitor.segments_dropped == 0


def test_model_with_a_reference_needs_no_warm_up() -> None:
    """It is evaluated from its first record on; other models warm up."""
    profile = builder.build(
        [synthetic.stream(WARMUP, seed=1)], segment="", window=WINDOW, categories=100
    )
    monitor = DriftMonitor(synthetic.config(), {("m", ""): profile})
    events = monitor.process(synthetic.stream(WINDOW, seed=2, factor=5.0))
    assert [(e.feature, e.record, e.reference_id) for e in events] == [
        ("latency_ms", 3 * STRIDE, profile.id)
    ]
    assert monitor.process(synthetic.stream(WINDOW, seed=2, factor=5.0, model="n")) == []
    assert monitor.log.watches["n", ""].profile is None


def test_segments_use_the_record_rate_of_their_model() -> None:
    """The levels of a segment are those of the whole model: the segments share one budget."""
    monitor = DriftMonitor(BY_ROUTE, {})
    monitor.process(synthetic.stream(5 * WARMUP))
    whole, *segments = (watch.main.levels for watch in monitor.log.watches.values())
    assert len(segments) == 2
    for levels in segments:
        assert levels == pytest.approx(whole)
