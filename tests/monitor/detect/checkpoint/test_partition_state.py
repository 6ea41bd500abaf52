"""Checkpoints: a monitor that is saved and restored anywhere goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import checkpoint, logfiles, state
from monitor.checkpoint import Partition
from monitor.columns import Columns
from monitor.config import (
    AlarmsConfig,
    Config,
    FeaturesConfig,
    WarmupReference,
    WindowsConfig,
)
from monitor.demo.traffic import INJECTED, traffic
from monitor.drift import DriftMonitor
from monitor.events import DriftEvent
from monitor.reference import Profile
from monitor.state import PART_BYTES, Checkpointer, Item, StateError

RECORDS = 12_000
CONFIG = Config(
    windows=WindowsConfig(records=100, stride=20),
    reference=WarmupReference(records=1_000),
    features=FeaturesConfig(metadata={"route": "categorical"}),
    segments=("metadata.route",),
)


def chunks(size: int = 250) -> list[Columns]:
    """Made traffic with its drift, as the chunks that detect would read."""
    lines = list(traffic(RECORDS, change_at=RECORDS * 2 // 3, seed=3, rate=50.0, start=1.7e9))
    decode, extractor = logfiles.decode_of(CONFIG), logfiles.extractor_of(CONFIG)
    found: list[Columns] = []
    for start in range(0, RECORDS, size):
        records = [decode(line) for line in lines[start : start + size]]
        found += extractor.batch(records, range(start + 1, start + 1 + len(records))).by_model()
    return found


CHUNKS = chunks()


class Topic:
    """A compacted topic: the newest value of every key."""

    def __init__(self) -> None:
        self.newest: dict[bytes, bytes] = {}
        self.written = 0

    def write(self, messages: state.Messages) -> None:
        """Append a checkpoint, as one transaction."""
        for key, value in messages:
            if value is None:
                self.newest.pop(key, None)
            else:
                self.newest[key] = value
                self.written += len(value)


def fresh() -> Partition:
    """A partition that has seen nothing."""
    return Partition(DriftMonitor(CONFIG, {}), 0)


def feed(partition: Partition, parts: list[Columns]) -> list[DriftEvent]:
    """Process chunks; the events found."""
    events = []
    for part in parts:
        partition.offset += 1
        events += partition.monitor.process(part)
    return events


def save(partition: Partition, topic: Topic) -> None:
    """Write a checkpoint."""
    topic.write(partition.messages())
    partition.written()


def restored(topic: Topic, config: Config = CONFIG) -> Partition:
    """What a new process makes of the topic."""
    partition = checkpoint.restore(topic.newest, config, {})
    assert partition is not None
    return partition


UNDISTURBED = feed(fresh(), CHUNKS)


def test_the_undisturbed_run_finds_the_injected_drift() -> None:
    """The other tests compare with a run in which something happens, segments included."""
    assert {event.model for event in UNDISTURBED} == {INJECTED.model}
    assert {event.segment for event in UNDISTURBED} > {""}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, len(CHUNKS)), min_size=1, max_size=6).map(sorted))
def test_restarts_anywhere_change_nothing(stops: list[int]) -> None:
    """Saved and restored after any chunks, all events (ids included) are those undisturbed."""
    topic, partition, events, done = Topic(), fresh(), [], 0
    for stop in stops:
        events += feed(partition, CHUNKS[done:stop])
        save(partition, topic)
        partition, done = restored(topic), stop
        assert partition.offset == stop
    events += feed(partition, CHUNKS[done:])
    assert events == UNDISTURBED
    assert partition.monitor.records == _counts(CHUNKS)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, len(CHUNKS)), st.integers(0, 40))
def test_a_crash_repeats_events_with_the_ids_they_had(saved: int, beyond: int) -> None:
    """What was found after the last checkpoint is found again, and is the same."""
    topic, partition = Topic(), fresh()
    before = feed(partition, CHUNKS[:saved])
    save(partition, topic)
    lost = feed(partition, CHUNKS[saved : saved + beyond])
    again = feed(restored(topic), CHUNKS[saved:])
    assert again[: len(lost)] == lost
    assert before + again == UNDISTURBED


def test_only_what_has_changed_is_written() -> None:
    """A checkpoint without new records is the manifest alone; references are written once."""
    topic, partition = Topic(), fresh()
    feed(partition, CHUNKS)
    save(partition, topic)
    assert [key for key, _ in partition.messages()] == [state.MANIFEST]
    references = {key for key in topic.newest if b'"reference"' in key}
    assert references
    feed(partition, CHUNKS[-1:])
    assert not references & {key for key, _ in partition.messages()}


def test_a_restored_partition_writes_nothing_again() -> None:
    """After a restart the first checkpoint holds only what has changed since."""
    topic, partition = Topic(), fresh()
    feed(partition, CHUNKS)
    save(partition, topic)
    assert [key for key, _ in restored(topic).messages()] == [state.MANIFEST]


def test_a_checkpoint_that_failed_is_written_in_full_the_next_time() -> None:
    """Messages of a transaction that was rolled back are not taken for written."""
    partition = fresh()
    feed(partition, CHUNKS)
    first = partition.messages()
    assert [key for key, _ in partition.messages()] == [key for key, _ in first]


def test_a_warm_up_is_saved_in_pieces_and_deleted_when_done() -> None:
    """Its records are written once each, and do not stay for ever."""
    topic, partition = Topic(), fresh()
    for part in CHUNKS[:6]:
        feed(partition, [part])
        save(partition, topic)
    warming = [key for key in topic.newest if b'"warmup-' in key]
    assert len(warming) > 4
    feed(partition, CHUNKS[6:])
    save(partition, topic)
    assert not [key for key in topic.newest if b'"warmup-' in key]


def _break_digest(newest: dict[bytes, bytes]) -> None:
    key = next(key for key in newest if b'"head"' in key)
    newest[key] = newest[key][:-1] + bytes([newest[key][-1] ^ 1])


def _lose_a_part(newest: dict[bytes, bytes]) -> None:
    del newest[next(key for key in newest if b'"reference"' in key)]


def _age_the_manifest(newest: dict[bytes, bytes]) -> None:
    manifest = state.read_manifest(newest)
    assert manifest is not None
    newest[state.MANIFEST] = msgspec.msgpack.encode(msgspec.structs.replace(manifest, version=99))


def _break_the_manifest(newest: dict[bytes, bytes]) -> None:
    newest[state.MANIFEST] = newest[state.MANIFEST][:-3]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_break_digest, "does not match its digest"),
        (_lose_a_part, "is missing"),
        (_age_the_manifest, "version 99"),
        (_break_the_manifest, "manifest is damaged"),
    ],
)
def test_damage_is_found_and_named(
    damage: Callable[[dict[bytes, bytes]], None], words: str
) -> None:
    """A checkpoint with a broken part is refused as a whole, in words."""
    topic, partition = Topic(), fresh()
    feed(partition, CHUNKS)
    save(partition, topic)
    damage(topic.newest)
    with pytest.raises(StateError, match=words):
        checkpoint.restore(topic.newest, CONFIG, {})


def test_an_empty_topic_has_no_checkpoint() -> None:
    """A state topic that is new, or was compacted away, is no error."""
    assert checkpoint.restore({}, CONFIG, {}) is None


def test_other_alarms_keep_the_reference_and_start_the_windows_anew() -> None:
    """What was learnt stays; what was computed under other rules does not."""
    topic, partition = Topic(), fresh()
    feed(partition, CHUNKS)
    save(partition, topic)
    stricter = CONFIG.model_copy(update={"alarms": AlarmsConfig(false_pages=0.01)})
    watch = restored(topic, stricter).monitor.watches[INJECTED.model, ""]
    before = partition.monitor.watches[INJECTED.model, ""]
    assert watch.profile is not None
    assert before.profile is not None
    assert watch.profile.id == before.profile.id
    assert watch.window_records() == 0
    assert watch.records == before.records


def test_a_newly_configured_reference_replaces_the_saved_one() -> None:
    """A promoted reference counts from the next start on."""
    topic, partition = Topic(), fresh()
    feed(partition, CHUNKS)
    save(partition, topic)
    other = _profile_of(CHUNKS[:8])
    again = checkpoint.restore(topic.newest, CONFIG, {(other.model, ""): other})
    assert again is not None
    watch = again.monitor.watches[other.model, ""]
    assert watch.profile is not None
    assert watch.profile.id == other.id
    topic.write(again.messages())
    again.written()
    assert checkpoint.restore(topic.newest, CONFIG, {(other.model, ""): other}) is not None


def _profile_of(parts: list[Columns]) -> Profile:
    from monitor import reference

    own = [part for part in parts if part.model == INJECTED.model]
    return reference.build(own, segment="", window=100, categories=100)


def _counts(parts: list[Columns]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for part in parts:
        counts[part.model] = counts.get(part.model, 0) + len(part)
    return counts


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2 * PART_BYTES + 7)), max_size=8))
def test_items_of_any_size_come_back_whole(versions: list[tuple[int, int]]) -> None:
    """Growing, shrinking and vanishing items are cut into parts and put together again."""
    topic, writer = Topic(), Checkpointer()
    sizes: dict[str, int] = {}
    for which, size in versions:
        sizes = sizes | {f"item-{which}": size} if size % 5 else {}
        items = [Item(name, n, _bytes(n)) for name, n in sizes.items()]
        messages = writer.messages({("m", ""): items}, offset=1, records={}, segments_dropped=0)
        writer.written()
        assert messages[-1][0] == state.MANIFEST
        assert all(len(value or b"") <= PART_BYTES for _, value in messages)
        topic.write(messages)
        manifest = state.read_manifest(topic.newest)
        assert manifest is not None
        ((_, content),) = state.read_items(manifest, topic.newest)
        assert {name: len(data) for name, data in content.items()} == sizes
        assert len(topic.newest) == 1 + sum(-(-n // PART_BYTES) for n in sizes.values())


def _bytes(size: int) -> Callable[[], bytes]:
    return lambda: bytes(size)
