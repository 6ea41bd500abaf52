"""All watches of one process: models, segments, references, and their bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from monitor import reference
from monitor.columns import Columns
from monitor.config import LimitsConfig
from monitor.drift import DriftMonitor
from monitor.features import OTHER
from tests.monitor import made
from tests.monitor.made import WARMUP, WINDOW

BY_ROUTE = made.config(segments=("metadata.route",))


def slow_within(columns: Columns, route: str) -> Columns:
    """The same records, those of one route ten times slower."""
    column = next(c for c in columns.categories if c.name == "metadata.route")
    chosen = column.codes == column.vocabulary.index(route)
    return made.with_values(columns, "latency_ms", np.where(chosen, 10.0, 1.0) * columns.values[0])


DRIFTED = made.joined(
    made.stream(3 * WARMUP, seed=1),
    slow_within(made.stream(600, seed=2), "api"),
    made.stream(600, seed=3),
)


def test_model_drifts_on_its_own() -> None:
    """One model's drift is no other's."""
    monitor = DriftMonitor(made.config(), {})
    for model, factor in (("a", 5.0), ("b", 1.0)):
        slow = made.stream(WINDOW, seed=2, factor=factor)
        monitor.process(made.stream(WARMUP + WINDOW, seed=1, model=model))
        found = monitor.process(replace(slow, model=model))
        assert {event.model for event in found} == ({"a"} if model == "a" else set())
    assert monitor.records == {"a": WARMUP + 2 * WINDOW, "b": WARMUP + 2 * WINDOW}


def test_other_is_counted_and_not_watched() -> None:
    """The model that stands for many is a mixture: whatever it does is no drift."""
    monitor = DriftMonitor(BY_ROUTE, {})
    drifting = made.joined(made.stream(WARMUP + WINDOW), made.stream(WINDOW, factor=10.0))
    assert monitor.process(replace(drifting, model=OTHER)) == []
    assert monitor.records == {OTHER: len(drifting)}
    assert monitor.watches == {}


def test_models_are_bounded() -> None:
    """Models past the bound count as other; those known before go on."""
    monitor = DriftMonitor(made.config(limits=LimitsConfig(models=2)), {})
    for model in ("a", OTHER, "b", "c", "d", "a"):
        monitor.process(made.stream(10, model=model))
    assert monitor.records == {"a": 20, "b": 10, OTHER: 30}
    assert [model for model, _ in monitor.watches] == ["a", "b"]


def test_segment_alarms_on_its_own() -> None:
    """A drift within one route is found there, and the other route is quiet."""
    monitor = DriftMonitor(BY_ROUTE, {})
    found = monitor.process(DRIFTED)
    where = {event.segment for event in found if event.feature == "latency_ms"}
    assert where == {"", "metadata.route=api"}
    assert set(monitor.watches) == {
        ("m", ""),
        ("m", "metadata.route=web"),
        ("m", "metadata.route=api"),
    }
    ids = [event.id for event in found]
    assert len(ids) == len(set(ids))


def test_segment_is_told_by_its_own_records() -> None:
    """What a segment's event counts are the segment's records, and its position the log's."""
    found = [e for e in DriftMonitor(BY_ROUTE, {}).process(DRIFTED) if e.segment]
    column = next(c for c in DRIFTED.categories if c.name == "metadata.route")
    places = np.flatnonzero(column.codes == column.vocabulary.index("api")) + 1
    assert found
    for event in found:
        assert event.position == places[event.record - 1]


@made.SLOW_PROPERTY
@given(made.cuttings(len(DRIFTED)))
def test_nothing_depends_on_chunks(marks: list[int]) -> None:
    """However the log is cut, whole model and segments find the same and end in the same state."""
    whole, pieces = DriftMonitor(BY_ROUTE, {}), DriftMonitor(BY_ROUTE, {})
    expected = whole.process(DRIFTED)
    found = [event for chunk in made.cut(DRIFTED, marks) for event in pieces.process(chunk)]
    assert sorted(found, key=lambda e: e.id) == sorted(expected, key=lambda e: e.id)
    assert found
    assert pieces.records == whole.records
    for key, watch in whole.watches.items():
        assert made.state(pieces.watches[key]) == made.state(watch)


@made.SLOW_PROPERTY
@given(made.cuttings(1000))
def test_segments_past_the_bound_are_counted(marks: list[int]) -> None:
    """As many segments of a key as the bound says are watched; records of others are counted."""
    settings = made.config(segments=("metadata.route",), limits=LimitsConfig(segments=1))
    monitor = DriftMonitor(settings, {})
    stream = made.stream(1000)
    for chunk in made.cut(stream, marks):
        monitor.process(chunk)
    [segment] = [segment for _, segment in monitor.watches if segment]
    column = next(c for c in stream.categories if c.name == "metadata.route")
    kept = column.vocabulary.index(segment.removeprefix("metadata.route="))
    assert monitor.watches["m", segment].seen == (column.codes == kept).sum()
    assert monitor.segments_dropped == (column.codes != kept).sum()


def test_each_segment_key_has_its_own_bound() -> None:
    """One key's many values take no room from another key's."""
    settings = made.config(
        segments=("metadata.route", "finish_reason"), limits=LimitsConfig(segments=2)
    )
    monitor = DriftMonitor(settings, {})
    monitor.process(made.stream(100))
    assert len(monitor.watches) == 1 + 2 + 2
    assert monitor.segments_dropped == 0


def test_record_without_a_value_is_in_no_segment() -> None:
    """Missing is not a segment, and is not one that was dropped."""
    columns = made.with_categories(made.stream(10), "metadata.route", [None] * 10)
    monitor = DriftMonitor(BY_ROUTE, {})
    monitor.process(columns)
    assert list(monitor.watches) == [("m", "")]
    assert monitor.segments_dropped == 0


def test_reference_spares_the_warm_up() -> None:
    """A model with a reference is watched from its first record; others warm up."""
    profile = reference.build(
        [made.stream(WARMUP, seed=1)], segment="", window=WINDOW, categories=100
    )
    monitor = DriftMonitor(made.config(), {("m", ""): profile})
    found = monitor.process(made.stream(WINDOW, seed=2, factor=5.0))
    assert [(e.feature, e.record, e.reference_id) for e in found] == [
        ("latency_ms", WINDOW, profile.id)
    ]
    assert monitor.process(made.stream(WINDOW, seed=2, factor=5.0, model="n")) == []
    assert monitor.watches["n", ""].profile is None


def test_segments_share_the_pace_of_their_model() -> None:
    """The level of a segment is that of the whole model: together they keep one budget."""
    monitor = DriftMonitor(BY_ROUTE, {})
    monitor.process(made.stream(5 * WARMUP))
    whole, *segments = (watch.levels for watch in monitor.watches.values())
    assert len(segments) == 2
    for levels in segments:
        assert levels == pytest.approx(whole)
