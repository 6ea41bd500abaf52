"""Epochs: another judge or rubric begins a new reference, and a rolling upgrade does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.sections.judging.section import JudgeReference, JudgesConfig, JudgeWindows
from monitor.detect.checkpoint import acceptance, partition_state, watch_state
from monitor.detect.checkpoint.acceptance import AcceptanceError
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.coalescer import Coalescer
from monitor.detect.monitor import OTHER_EPOCH, DriftMonitor
from monitor.detect.reference.warmup import Epochs
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.columns import Columns
from monitor.records import Source
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.publisher import Publisher
from tests.monitor import judged, synthetic
from tests.monitor.detect.checkpoint.restarts import restarted
from tests.monitor.detect.checkpoint.test_partition_state import Topic, feed, save
from tests.monitor.judged import LOCAL_JUDGE

WINDOW, REFERENCE = 100, 1_000
CONFIG = judged.config(segments=("metadata.route",)).model_copy(
    update={
        "judges": JudgesConfig(
            **LOCAL_JUDGE,
            rubrics=("tone",),
            windows=JudgeWindows(records=WINDOW, stride=10),
            reference=JudgeReference(records=REFERENCE),
        )
    }
)


def samples(n: int, epoch: str, **options: Any) -> Columns:
    """Return judged samples of an epoch."""
    return replace(judged.samples(n, **options), epoch=epoch)


def unscored(n: int, epoch: str) -> Columns:
    """Return samples of a judge that is down."""
    columns = samples(n, epoch)
    return replace(columns, values=np.full_like(columns.values, np.nan))


def traffic() -> list[Columns]:
    """Return samples with an alarm of the old judge, an upgrade, and an alarm of the new judge."""
    parts: list[tuple[int, str, judged.Quality]] = [
        (1_600, "old", judged.GOOD),
        (400, "old", judged.WORSE),
        *[(40, epoch, judged.GOOD) for epoch in ("new", "old") * 3],
        (WINDOW + REFERENCE + 900, "new", judged.GOOD),
        (300, "new", judged.WORSE),
        (WINDOW + 150, "old", judged.GOOD),
    ]
    chunks, first = [], 0
    for seed, (n, epoch, quality) in enumerate(parts):
        chunks.append(samples(n, epoch, seed=seed, first=first, quality=quality))
        first += n
    return chunks


def of_model(monitor: DriftMonitor) -> Watch:
    """Return the watch of the judged samples of the whole model."""
    return monitor.of(Source.JUDGE).watches["m", ""]


def process(monitor: DriftMonitor, chunks: Sequence[Columns]) -> list[DriftEvent]:
    """Return the events of chunks."""
    return [event for chunk in chunks for event in monitor.process(chunk)]


def test_another_epoch_ends_alarms_and_begins_a_warm_up() -> None:
    """After a window of samples of another judge, alarms of the model and its segments end."""
    monitor, chunks = DriftMonitor(CONFIG, {}), traffic()
    process(monitor, chunks[:8])
    watches = monitor.of(Source.JUDGE).watches
    before = {key: watch.profile for key, watch in watches.items()}
    alarms = {alarm.id for watch in watches.values() for alarm in watch.alarms.values()}
    assert of_model(monitor).alarms
    assert len(before) == 3
    new = chunks[8]
    assert monitor.process(new.take(slice(0, WINDOW - 1))) == []
    assert {key: watch.profile for key, watch in watches.items()} == before
    ended = monitor.process(new.take(slice(WINDOW - 1, WINDOW)))
    assert {(event.change, event.reason) for event in ended} == {("resolved", OTHER_EPOCH)}
    assert {event.alarm for event in ended} == alarms
    assert len({event.id for event in ended}) == len(ended)
    assert not any(watch.profile or watch.alarms or watch.readings() for watch in watches.values())
    assert of_model(monitor).warmup.collected == 0
    monitor.process(new.take(slice(WINDOW, WINDOW + REFERENCE)))
    profile = of_model(monitor).profile
    assert profile is not None
    assert profile.first_time == new.times[WINDOW]
    assert profile.records == REFERENCE


def test_chunks_of_two_epochs_in_turn_keep_the_reference() -> None:
    """In a rolling upgrade the samples of the new judge are skipped, and no alarm opens."""
    monitor = DriftMonitor(CONFIG, {})
    monitor.process(samples(REFERENCE + 500, "old"))
    watch = of_model(monitor)
    profile, seen = watch.profile, watch.seen
    assert profile is not None
    chunks = [
        samples(60, epoch, seed=i, first=1_500 + 60 * i, quality=quality)
        for i in range(100)
        for epoch, quality in [("new", judged.WORSE) if i % 2 else ("old", judged.GOOD)]
    ]
    assert process(monitor, chunks) == []
    assert watch.profile is profile
    assert watch.seen == seen + 50 * 60
    assert monitor.of(Source.JUDGE).skipped == {"m": 50 * 60}


@settings(synthetic.SLOW_PROPERTY, max_examples=8)
@given(
    marks=synthetic.cuttings(sum(map(len, traffic()))),
    stops=st.lists(st.integers(0, 60), max_size=4),
)
def test_events_depend_on_the_samples_only(marks: list[int], stops: list[int]) -> None:
    """Cut anywhere, joined, and with restarts before, at and after the change: the same events."""
    expected = process(DriftMonitor(CONFIG, {}), traffic())
    assert sum(event.reason == OTHER_EPOCH for event in expected) > 1
    monitor, coalescer, events = DriftMonitor(CONFIG, {}), Coalescer(), list[DriftEvent]()
    for number, chunk in enumerate(pieces(marks)):
        events += process(monitor, coalescer.add(chunk))
        if number in stops:
            events += process(monitor, coalescer.take())
            monitor = restarted(monitor, CONFIG)
    events += process(monitor, coalescer.take())
    assert by_order(events) == by_order(expected)


@pytest.mark.parametrize("at", [WINDOW // 2, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + 500])
def test_a_restart_around_the_change_changes_nothing(at: int) -> None:
    """A checkpoint this many samples of the new judge after the first one."""
    chunks = traffic()
    expected = process(DriftMonitor(CONFIG, {}), chunks)
    monitor = DriftMonitor(CONFIG, {})
    events = process(monitor, [*chunks[:8], chunks[8].take(slice(0, at))])
    monitor = restarted(monitor, CONFIG)
    events += process(monitor, [chunks[8].take(slice(at, None)), *chunks[9:]])
    assert by_order(events) == by_order(expected)


def pieces(marks: list[int]) -> list[Columns]:
    """Return the traffic in chunks that end at the marks and where the epoch changes."""
    chunks, first = [], 0
    for part in traffic():
        own = [mark - first for mark in marks if 0 < mark - first < len(part)]
        chunks += list(synthetic.cut(part, own))
        first += len(part)
    return chunks


def by_order(events: Sequence[DriftEvent]) -> list[DriftEvent]:
    """Return events by record: whole model and segments advance apart."""
    return sorted(events, key=lambda event: (event.record, event.id))


def test_checkpoints_without_epochs_continue_with_the_first_one() -> None:
    """The first chunk that names an epoch does not end a reference of an earlier version."""
    monitor = DriftMonitor(CONFIG, {})
    monitor.process(samples(REFERENCE + 300, ""))
    older = {item.name: item.encode() for item in watch_state.items(of_model(monitor))}
    head = msgspec.msgpack.decode(older["head"])
    assert head.pop("sampled")
    older["head"] = msgspec.msgpack.encode(head)
    later = DriftMonitor(CONFIG, {})
    watch = later.of(Source.JUDGE).watch_of("m", "")
    assert watch is not None
    watch_state.restore(watch, older, None)
    profile = watch.profile
    assert profile is not None
    later.process(samples(3 * WINDOW, "one", first=REFERENCE + 300))
    assert watch.profile is profile
    assert watch.epochs.current == "one"


def test_a_third_epoch_is_counted_by_itself() -> None:
    """Samples of two other epochs do not add up; empty chunks count for nothing."""
    epochs = Epochs(100, "one")
    assert [epochs.skip(epoch, 60) for epoch in ("two", "three", "two")] == [60, 60, 60]
    assert epochs.skip("one", 0) == 0
    assert (epochs.current, epochs.skip("two", 60), epochs.current) == ("one", 40, "two")


def test_the_log_is_untouched() -> None:
    """Its events are the same while the epoch of the judge changes."""
    log = synthetic.joined(
        synthetic.stream(synthetic.WARMUP + 500, seed=1),
        synthetic.stream(500, seed=2, factor=2.0),
    )
    config = CONFIG.model_copy(
        update={"windows": synthetic.config().windows, "reference": synthetic.config().reference}
    )
    alone = DriftMonitor(config, {}).process(log)
    assert alone
    both, found = DriftMonitor(config, {}), list[DriftEvent]()
    for chunk, other in zip(synthetic.cut(log, range(0, len(log), 300)), traffic(), strict=False):
        found += both.process(other) + both.process(chunk)
    rest = log.take(slice(300 * min(len(traffic()), -(-len(log) // 300)), None))
    found += both.process(rest)
    assert [event for event in found if event.source is Source.LOG] == alone


def test_metrics_show_the_new_warm_up() -> None:
    """Readings of the old reference disappear; the missing samples count down again."""
    monitor, metrics = DriftMonitor(CONFIG, {}), Metrics()
    publisher = Publisher(metrics)
    partitions = {0: Partition(monitor, 0)}

    def published() -> tuple[int, int, bool, set[str]]:
        publisher.drop_partitions([])
        while not publisher.step(partitions):
            pass
        [state] = metrics.models[0]
        return state.warmup, state.reference_records, bool(state.readings), set(state.severities)

    process(monitor, traffic()[:2])
    warmup, reference, readings, alarms = published()
    assert (warmup, reference, readings) == (0, REFERENCE, True)
    assert alarms
    process(monitor, traffic()[8:9])
    assert published()[0] == 0
    monitor = partitions[0].monitor
    process(monitor, [samples(WINDOW + 30, "third", first=9_000)])
    assert published() == (REFERENCE - 30, 0, False, set())


def test_a_warm_up_without_scores_begins_again() -> None:
    """A judge that is down from the beginning leaves no model unwatched, with restarts or not."""
    chunks = [
        unscored(REFERENCE + 300, "one"),
        samples(REFERENCE - 300, "one", seed=1, first=1_300, unscored=0.0),
        samples(400, "one", seed=2, first=2_000),
        samples(300, "one", seed=3, first=2_400, quality=judged.WORSE),
    ]
    expected = process(DriftMonitor(CONFIG, {}), chunks)
    assert expected
    monitor, events = DriftMonitor(CONFIG, {}), list[DriftEvent]()
    for chunk in chunks:
        for piece in synthetic.cut(chunk, range(0, len(chunk), 170)):
            events += monitor.process(piece)
            monitor = restarted(monitor, CONFIG)
    assert by_order(events) == by_order(expected)
    profile = of_model(monitor).profile
    assert profile is not None
    assert profile.first_time == chunks[0].times[REFERENCE]
    assert min(event.record for event in events) > 2 * REFERENCE


@pytest.mark.parametrize(("scored", "watched"), [(99, False), (100, True)])
def test_a_tenth_of_the_samples_must_have_a_score(scored: int, watched: bool) -> None:
    """The feature that has most values counts."""
    chunk = unscored(REFERENCE, "one")
    chunk.values[2, :scored] = 1.0
    chunk.values[1, 50:60] = 1.0
    monitor = DriftMonitor(CONFIG, {})
    monitor.process(chunk)
    assert (of_model(monitor).profile is not None) is watched


def test_an_accepted_reference_has_samples_of_the_watched_epoch() -> None:
    """A range with samples of two judges gives a reference of one."""
    monitor = DriftMonitor(CONFIG, {})
    watches = monitor.of(Source.JUDGE)
    old, new = samples(1_200, "old"), samples(1_100, "new", first=1_200, quality=judged.WORSE)
    monitor.process(old)
    accepted = acceptance.accept(watches, "m", None, [old, new])
    assert (accepted.profile.records, accepted.profile.first_time) == (1_200, old.times[0])
    monitor.process(new.take(slice(0, WINDOW + 10)))
    accepted = acceptance.accept(watches, "m", None, [old, new])
    assert (accepted.profile.records, accepted.profile.first_time) == (1_100, new.times[0])
    with pytest.raises(AcceptanceError, match="there are 0 records"):
        acceptance.accept(watches, "m", None, [old])
    fresh = DriftMonitor(CONFIG, {})
    acceptance.accept(fresh.of(Source.JUDGE), "m", None, [old, new])
    assert of_model(fresh).epochs.current == "new"


@pytest.mark.parametrize("every", [1, 4, 1_000])
def test_checkpoints_that_write_changes_only(every: int) -> None:
    """A warm-up that begins again has items with the names of the earlier one, and other content.

    A checkpoint after every chunk, and a restart after some of them, change no event.
    """
    parts = [unscored(REFERENCE + 300, "old"), *traffic()]
    expected = process(DriftMonitor(CONFIG, {}), parts)
    chunks = [piece for part in parts for piece in synthetic.cut(part, range(0, len(part), 70))]
    partition, topic, events = Partition(DriftMonitor(CONFIG, {}), 0), Topic(), list[DriftEvent]()
    for number, chunk in enumerate(chunks, 1):
        events += feed(partition, [chunk])
        save(partition, topic)
        if number % every == 0:
            found = partition_state.restore(topic.newest, CONFIG, {})
            assert found is not None
            partition = found
    assert by_order(events) == by_order(expected)
    last = partition_state.restore(topic.newest, CONFIG, {})
    assert last is not None
    assert {
        (watch.segment, watch.seen, watch.profile and watch.profile.id)
        for watch in last.monitor.watches()
    } == {
        (watch.segment, watch.seen, watch.profile and watch.profile.id)
        for watch in partition.monitor.watches()
    }


def test_a_second_warm_up_of_the_same_length_is_written() -> None:
    """Its items have the names and lengths of those of the first one, and are written."""
    partition, topic = Partition(DriftMonitor(CONFIG, {}), 0), Topic()
    first, second = samples(130, "old"), samples(130, "new", seed=1, first=230)
    for part in ([first], [samples(WINDOW, "new", first=130), second]):
        feed(partition, part)
        save(partition, topic)
    found = partition_state.restore(topic.newest, CONFIG, {})
    assert found is not None
    [piece] = of_model(found.monitor).warmup.pieces
    assert piece.positions.tolist() == second.positions.tolist()
    assert piece.epoch == "new"
