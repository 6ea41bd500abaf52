"""Checkpoints: a monitor that is saved and restored at any point continues without a trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.cli.demo.traffic import INJECTED, traffic
from monitor.config.schema import Config
from monitor.config.sections.detection import (
    AlarmsConfig,
    FeaturesConfig,
    WarmupReference,
    WindowsConfig,
)
from monitor.detect.checkpoint import partition_state, state_topic
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.checkpoint.state_topic import (
    PART_BYTES,
    Checkpointer,
    Item,
    StateError,
    WatchKey,
)
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference.profile import Profile
from monitor.events.types import DriftEvent
from monitor.ingest import files
from monitor.ingest.chunks import columns
from monitor.ingest.chunks.chunk import encode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.decode.native.kinds import fields_of
from monitor.records import Source
from tests.long_form import LONG

RECORDS = 12_000
CONFIG = Config(
    windows=WindowsConfig(records=100, stride=20),
    reference=WarmupReference(records=1_000),
    features=FeaturesConfig(metadata={"route": "categorical"}),
    segments=("metadata.route",),
)


def chunks(size: int = 250) -> list[Columns]:
    """Return synthetic traffic with a drift, as the feature chunks that detect reads."""
    lines = list(traffic(RECORDS, change_at=RECORDS * 2 // 3, seed=3, rate=50.0, start=1.7e9))
    decode, extractor = files.native_decoder_for(CONFIG), files.extractor_for(CONFIG)
    found: list[Columns] = []
    for start in range(0, RECORDS, size):
        records = [decode(line) for line in lines[start : start + size]]
        fields = fields_of(records, decode.needed)
        found += extractor.batch(fields, range(start + 1, start + 1 + len(records))).by_model()
    return found


CHUNKS = chunks()


class Topic:
    """A compacted topic: the newest value of every key.

    written: bytes of all values so far, except those of manifests.
    """

    def __init__(self) -> None:
        self.newest: dict[bytes, bytes] = {}
        self.written = 0

    def write(self, messages: state_topic.Messages) -> None:
        """Append a checkpoint, as one transaction."""
        for key, value in messages:
            if value is None:
                self.newest.pop(key, None)
            else:
                self.newest[key] = value
                self.written += len(value) if key != state_topic.MANIFEST else 0


def fresh() -> Partition:
    """Return a partition that has read nothing."""
    return Partition(DriftMonitor(CONFIG, {}), 0)


def feed(partition: Partition, parts: list[Columns]) -> list[DriftEvent]:
    """Process chunks and return the events found."""
    events = []
    for part in parts:
        partition.offset += 1
        events += partition.monitor.process(part)
    return events


def save(partition: Partition, topic: Topic) -> None:
    """Write a checkpoint."""
    topic.write(partition.messages())
    partition.mark_written()


def restored(topic: Topic, config: Config = CONFIG) -> Partition:
    """Return the partition as a new process restores it."""
    partition = partition_state.restore(topic.newest, config, {})
    assert partition is not None
    return partition


UNDISTURBED = feed(fresh(), CHUNKS)


def test_the_undisturbed_run_finds_the_injected_drift() -> None:
    """The run that the other tests compare with has events, those of segments included."""
    assert {event.model for event in UNDISTURBED} == {INJECTED.model}
    assert {event.segment for event in UNDISTURBED} > {""}


@settings(max_examples=40 if LONG else 5)
@given(st.lists(st.integers(0, len(CHUNKS)), min_size=1, max_size=6).map(sorted))
def test_restarts_anywhere_change_nothing(stops: list[int]) -> None:
    """With restarts after any chunks, all events and their ids are those without restarts."""
    topic, partition, events, done = Topic(), fresh(), [], 0
    for stop in stops:
        events += feed(partition, CHUNKS[done:stop])
        save(partition, topic)
        partition, done = restored(topic), stop
        assert partition.offset == stop
    events += feed(partition, CHUNKS[done:])
    assert events == UNDISTURBED
    assert partition.monitor.log.records == _counts(CHUNKS)


@settings(max_examples=30 if LONG else 4)
@given(st.integers(0, len(CHUNKS)), st.integers(0, 40))
def test_a_crash_repeats_events_with_the_ids_they_had(saved: int, beyond: int) -> None:
    """Events after the last checkpoint are found again, with the same ids."""
    topic, partition = Topic(), fresh()
    before = feed(partition, CHUNKS[:saved])
    save(partition, topic)
    lost = feed(partition, CHUNKS[saved : saved + beyond])
    again = feed(restored(topic), CHUNKS[saved:])
    assert again[: len(lost)] == lost
    assert before + again == UNDISTURBED


def test_only_changes_are_written() -> None:
    """A checkpoint without new records is the manifest alone; references are written once."""
    topic, partition = Topic(), fresh()
    feed(partition, CHUNKS)
    save(partition, topic)
    assert [key for key, _ in partition.messages()] == [state_topic.MANIFEST]
    references = {key for key in topic.newest if b'"reference"' in key}
    assert references
    feed(partition, CHUNKS[-1:])
    assert not references & {key for key, _ in partition.messages()}


def test_a_restored_partition_writes_nothing_again() -> None:
    """After a restart, the first checkpoint has only what changed since."""
    topic, partition = Topic(), fresh()
    feed(partition, CHUNKS)
    save(partition, topic)
    assert [key for key, _ in restored(topic).messages()] == [state_topic.MANIFEST]


def test_a_checkpoint_that_failed_is_written_in_full_the_next_time() -> None:
    """Messages of a transaction that was rolled back do not count as written."""
    partition = fresh()
    feed(partition, CHUNKS)
    first = partition.messages()
    assert [key for key, _ in partition.messages()] == [key for key, _ in first]


WARMING = [chunk for chunk in chunks(50) if chunk.positions[-1] <= 1_000]
"""Chunks from which no model has its reference yet."""


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from(("saved", "failed", "restarted"))),
        max_size=12,
    )
)
def test_a_warm_up_is_restored_from_any_sequence_of_checkpoints(
    steps: list[tuple[int, Literal["saved", "failed", "restarted"]]],
) -> None:
    """After any checkpoints, failed checkpoints and restarts, the newest checkpoint has all records
    of the warm-up so far.
    """
    topic, partition, undisturbed, done = Topic(), fresh(), fresh(), 0
    for count, outcome in steps:
        parts, done = WARMING[done : done + count], min(done + count, len(WARMING))
        feed(partition, parts)
        feed(undisturbed, parts)
        if outcome == "failed":
            partition.messages()
            continue
        save(partition, topic)
        assert gathered(restored(topic)) == gathered(undisturbed)
        if outcome == "restarted":
            partition = restored(topic)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_warm_up_is_written_a_bounded_number_of_times(restarts: bool) -> None:
    """With a checkpoint after each chunk, no byte is written more often than a merge tree would."""
    once, often = Topic(), Topic()
    partition = fresh()
    feed(partition, WARMING)
    save(partition, once)
    partition = fresh()
    for chunk in WARMING:
        feed(partition, [chunk])
        save(partition, often)
        if restarts:
            partition = restored(often)
    assert once.written <= often.written <= math.log2(len(WARMING)) * once.written


def test_a_warm_up_is_deleted_when_its_reference_is_built() -> None:
    """The state topic then has no key that does not belong to the newest checkpoint."""
    topic, partition = Topic(), fresh()
    for part in CHUNKS[:6]:
        feed(partition, [part])
        save(partition, topic)
    feed(partition, CHUNKS[6:])
    save(partition, topic)
    manifest = state_topic.read_manifest(topic.newest)
    assert manifest is not None
    assert topic.newest.keys() == state_topic.keys(manifest)
    again = restored(topic)
    assert all(watch.profile is not None for watch in again.monitor.log.watches.values())
    assert not any(gathered(again).values())


def gathered(partition: Partition) -> dict[tuple[str, str], bytes]:
    """Return the records of each warm-up, however they were cut."""
    return {
        key: encode_chunk(columns.join(watch.warmup.pieces)) if watch.profile is None else b""
        for key, watch in partition.monitor.log.watches.items()
    }


def _break_digest(newest: dict[bytes, bytes]) -> None:
    key = next(key for key in newest if b'"head"' in key)
    newest[key] = newest[key][:-1] + bytes([newest[key][-1] ^ 1])


def _lose_a_part(newest: dict[bytes, bytes]) -> None:
    del newest[next(key for key in newest if b'"reference"' in key)]


def _age_the_manifest(newest: dict[bytes, bytes]) -> None:
    manifest = state_topic.read_manifest(newest)
    assert manifest is not None
    newest[state_topic.MANIFEST] = msgspec.msgpack.encode(
        msgspec.structs.replace(manifest, version=99)
    )


def _break_the_manifest(newest: dict[bytes, bytes]) -> None:
    newest[state_topic.MANIFEST] = newest[state_topic.MANIFEST][:-3]


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
    """A checkpoint with a damaged part is rejected as a whole; the error describes the damage."""
    topic, partition = Topic(), fresh()
    feed(partition, CHUNKS)
    save(partition, topic)
    damage(topic.newest)
    with pytest.raises(StateError, match=words):
        partition_state.restore(topic.newest, CONFIG, {})


def test_an_empty_topic_has_no_checkpoint() -> None:
    """An empty state topic is no error."""
    assert partition_state.restore({}, CONFIG, {}) is None


def test_changed_alarm_settings_keep_the_reference_and_reset_the_windows() -> None:
    """With other settings the reference stays, and the windows start empty."""
    topic, partition = Topic(), fresh()
    feed(partition, CHUNKS)
    save(partition, topic)
    stricter = CONFIG.model_copy(update={"alarms": AlarmsConfig(false_pages=0.01)})
    watch = restored(topic, stricter).monitor.log.watches[INJECTED.model, ""]
    before = partition.monitor.log.watches[INJECTED.model, ""]
    assert watch.profile is not None
    assert before.profile is not None
    assert watch.profile.id == before.profile.id
    assert watch.window_records() == 0
    assert watch.records == before.records


def test_a_newly_configured_reference_replaces_the_saved_one() -> None:
    """A promoted reference is used from the next start on."""
    topic, partition = Topic(), fresh()
    feed(partition, CHUNKS)
    save(partition, topic)
    other = _profile_of(CHUNKS[:8])
    again = partition_state.restore(topic.newest, CONFIG, {(other.model, ""): other})
    assert again is not None
    watch = again.monitor.log.watches[other.model, ""]
    assert watch.profile is not None
    assert watch.profile.id == other.id
    topic.write(again.messages())
    again.mark_written()
    assert partition_state.restore(topic.newest, CONFIG, {(other.model, ""): other}) is not None


def _profile_of(parts: list[Columns]) -> Profile:
    from monitor.detect.reference import builder

    own = [part for part in parts if part.model == INJECTED.model]
    return builder.build(own, segment="", window=100, categories=100)


def _counts(parts: list[Columns]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for part in parts:
        counts[part.model] = counts.get(part.model, 0) + len(part)
    return counts


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2 * PART_BYTES + 7)), max_size=8))
def test_items_of_any_size_come_back_whole(versions: list[tuple[int, int]]) -> None:
    """Items that grow, shrink and disappear are cut into parts and joined again."""
    topic, writer = Topic(), Checkpointer()
    sizes: dict[str, int] = {}
    for which, size in versions:
        sizes = sizes | {f"item-{which}": size} if size % 5 else {}
        items = [Item(name, n, _bytes(n)) for name, n in sizes.items()]
        messages = writer.messages(
            {WatchKey("m", ""): items}, offset=1, records={Source.LOG: {}}, segments_dropped=0
        )
        writer.mark_written()
        assert messages[-1][0] == state_topic.MANIFEST
        assert all(len(value or b"") <= PART_BYTES for _, value in messages)
        topic.write(messages)
        manifest = state_topic.read_manifest(topic.newest)
        assert manifest is not None
        ((_, content),) = state_topic.read_items(manifest, topic.newest)
        assert {name: len(data) for name, data in content.items()} == sizes
        assert len(topic.newest) == 2 + sum(-(-n // PART_BYTES) for n in sizes.values())


def _bytes(size: int) -> Callable[[], bytes]:
    return lambda: bytes(size)
