"""Accepting traffic as the new reference of a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from monitor.config.schema import Config
from monitor.config.sections.detection import LimitsConfig
from monitor.detect.checkpoint import acceptance, watch_state
from monitor.detect.checkpoint.acceptance import AcceptanceError, NewestRecords, accept
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference import builder
from monitor.detect.reference.profile import Profile
from monitor.ingest.chunks import columns
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.chunks.segments import WHOLE
from tests.monitor import synthetic
from tests.monitor.synthetic import SLOW_PROPERTY, WARMUP, cuttings

NORMAL = synthetic.stream(WARMUP + 400, seed=1)
CHANGED = synthetic.stream(WARMUP + 130, seed=2, factor=3.0, stops=0.4)
LATER = synthetic.stream(3_000, seed=3, factor=3.0, stops=0.4)


def drifted(settings: Config | None = None, *parts: Columns) -> DriftMonitor:
    """Return a monitor whose model has open alarms."""
    monitor = DriftMonitor(settings or synthetic.config(), {})
    for part in parts or (NORMAL, CHANGED):
        monitor.process(part)
    return monitor


def profile_of(records: Columns) -> Profile:
    """Return the reference of records."""
    limits = synthetic.config().limits
    return builder.build(
        [records],
        segment=WHOLE,
        window=synthetic.WINDOW,
        categories=limits.categories,
        scores=limits.scores,
    )


def test_a_model_is_watched_as_with_that_reference() -> None:
    """After the acceptance everything is as in a watch that was given the reference."""
    monitor = drifted()
    watch = monitor.log.watches["m", WHOLE]
    seen = watch.seen
    accept(monitor.log, "m", None, [CHANGED])
    other = synthetic.watcher()
    other.adopt(profile_of(CHANGED), seen)
    assert synthetic.state(watch) == synthetic.state(other)
    assert monitor.process(LATER) == other.feed(LATER) == []
    assert synthetic.state(watch) == synthetic.state(other)
    drift = synthetic.stream(1_000, seed=4)
    assert monitor.process(drift) == other.feed(drift) != []


def test_open_alarms_end_with_the_reason() -> None:
    """Each open alarm has one `resolved` event that names the period of the new reference."""
    monitor = drifted()
    alarms = {alarm.id for alarm in monitor.log.watches["m", WHOLE].alarms.values()}
    assert len(alarms) >= 2
    accepted = accept(monitor.log, "m", None, [CHANGED])
    assert {event.alarm for event in accepted.events} == alarms
    assert {event.change for event in accepted.events} == {"resolved"}
    for event in accepted.events:
        assert event.reason.startswith(f"{len(CHANGED):,} records from 2023-11-14 ")
        assert event.reason.endswith(" UTC were accepted as the new reference")
    assert not monitor.log.watches["m", WHOLE].alarms


def test_a_warm_up_ends_with_the_accepted_reference() -> None:
    """A model that warms up, or was never met, is watched at once."""
    for parts in ([NORMAL.take(slice(0, 300))], [NORMAL.take(slice(0, 0))]):
        monitor = drifted(None, *parts)
        assert accept(monitor.log, "m", None, [CHANGED]).events == []
        assert monitor.log.warming_up() == {}
        assert monitor.process(LATER) == []


@pytest.mark.parametrize("records", [1, synthetic.WINDOW, 10 * synthetic.WINDOW - 1])
def test_too_few_records_are_refused(records: int) -> None:
    """Less than ten windows change nothing, and the error has both numbers."""
    monitor = drifted()
    before = synthetic.state(monitor.log.watches["m", WHOLE])
    with pytest.raises(AcceptanceError, match=f"{records:,} records .* 2,000 are required"):
        accept(monitor.log, "m", None, [CHANGED.take(slice(0, records))])
    assert synthetic.state(monitor.log.watches["m", WHOLE]) == before
    accept(monitor.log, "m", None, [CHANGED.take(slice(0, 2_000))])


def test_a_model_beyond_the_limit_is_refused() -> None:
    """A model that is not watched cannot get a reference."""
    monitor = drifted(synthetic.config(limits=LimitsConfig(models=1)))
    with pytest.raises(AcceptanceError, match=r"limits\.models"):
        accept(monitor.log, "another", None, [CHANGED])


def segmented(records: Columns, *, small: int) -> Columns:
    """Return records of two routes; `small` of them are of the second one."""
    routes = ["a"] * (len(records) - small) + ["b"] * small
    return synthetic.with_categories(records, "metadata.route", routes)


def test_segments_with_enough_records_are_accepted_too() -> None:
    """The others keep their reference and their alarms; a segment can be accepted alone."""
    both = synthetic.config(segments=("metadata.route",))
    normal, changed = (
        segmented(synthetic.stream(5_000, seed=seed, factor=factor), small=2_500)
        for seed, factor in ((1, 1.0), (3, 3.0))
    )
    monitor = drifted(both, normal, changed)
    routes = [("m", "metadata.route=a"), ("m", "metadata.route=b")]
    assert all(monitor.log.watches[key].alarms for key in [("m", WHOLE), *routes])
    few = changed.take(slice(0, 3_000))  # 2,500 of the first and 500 of the second
    accepted = accept(monitor.log, "m", None, [few])
    assert (accepted.segments, accepted.kept) == (1, 1)
    assert not monitor.log.watches["m", WHOLE].alarms
    assert not monitor.log.watches[routes[0]].alarms
    assert monitor.log.watches[routes[1]].alarms
    whole = monitor.log.watches["m", WHOLE].profile
    alone = accept(monitor.log, "m", "metadata.route=b", [changed])
    assert {event.segment for event in alone.events} == {"metadata.route=b"}
    assert monitor.log.watches["m", WHOLE].profile is whole


@pytest.mark.parametrize("configured", [None, profile_of(NORMAL)])
def test_a_restart_keeps_it_until_another_is_configured(configured: Profile | None) -> None:
    """An accepted reference is newer than the configured one, but not than a later one."""
    references = {} if configured is None else {("m", WHOLE): configured}
    monitor = DriftMonitor(synthetic.config(), references)
    monitor.process(NORMAL)
    accepted = accept(monitor.log, "m", None, [CHANGED]).profile
    later = profile_of(LATER)
    watch = monitor.log.watches["m", WHOLE]
    for _ in range(2):  # restart twice: the second one must still know it
        saved = {item.name: item.encode() for item in watch_state.items(watch)}
        watch = monitor.log.new_watch("m", WHOLE)
        watch_state.restore(watch, saved, configured)
        assert watch.profile is not None
        assert watch.profile.id == accepted.id
    saved = {item.name: item.encode() for item in watch_state.items(watch)}
    watch = monitor.log.new_watch("m", WHOLE)
    watch_state.restore(watch, saved, later)
    assert watch.profile is later
    assert watch.accepted_over is None


def test_a_segment_keeps_its_levels_when_the_model_is_accepted() -> None:
    """A restart does not change the levels of a segment whose model has another record rate."""
    both = synthetic.config(segments=("metadata.route",))
    monitor = drifted(both, segmented(synthetic.stream(5_000, seed=1), small=2_500))
    segment = monitor.log.watches["m", "metadata.route=b"]
    before = segment.tracks[0].levels
    faster = replace(CHANGED, times=CHANGED.times[0] + np.arange(len(CHANGED)) / 500)
    accept(monitor.log, "m", None, [segmented(faster, small=0)])
    saved = {item.name: item.encode() for item in watch_state.items(segment)}
    restored = monitor.log.new_watch("m", "metadata.route=b")
    watch_state.restore(restored, saved, None)
    assert restored.tracks[0].levels == segment.tracks[0].levels == before
    model = monitor.log.watches["m", WHOLE]
    assert model.rate == pytest.approx(500, rel=0.1)
    assert model.tracks[0].levels != before


@SLOW_PROPERTY
@given(marks=cuttings(len(CHANGED)))
def test_the_newest_records_are_kept(marks: list[int]) -> None:
    """Any chunks give the newest records, and memory holds no chunk without one of them."""
    newest = NewestRecords(500)
    chunks = list(synthetic.cut(CHANGED, marks))
    for offset, chunk in enumerate(chunks):
        newest.add(offset, chunk)
    kept = columns.join(newest.pieces())
    assert np.array_equal(kept.times, CHANGED.times[-500:])
    assert newest.seen == len(CHANGED)
    assert newest.records < 500 + len(chunks[newest.first_offset])
    assert newest.next_offset == len(chunks)


@pytest.mark.parametrize("time", [-1.0, 1e300, 253_402_300_800.0, float("nan")])
def test_wrong_event_times_are_not_shown(time: float) -> None:
    """A period with a time that is an error in the log is left out of the reason."""
    assert acceptance.text_of_period(time, 1.0) == ""
    assert acceptance.text_of_period(0.0, 61.0) == " from 1970-01-01 00:00:00 to 00:01:01 UTC"
