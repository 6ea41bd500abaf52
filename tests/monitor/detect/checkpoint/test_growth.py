"""The size of a checkpoint follows from what has changed, however slow the warm-ups are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec
import pytest

from monitor.detect.checkpoint import partition_state, state_topic
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.checkpoint.state_topic import MANIFEST, ItemEntry, Manifest, StateError
from monitor.detect.checkpoint.watch_state import HEAD
from monitor.detect.monitor import DriftMonitor
from monitor.ingest.chunks import columns
from monitor.ingest.chunks.chunk import encode_chunk
from monitor.ingest.chunks.columns import Columns
from tests.monitor import synthetic

MANIFEST_BYTES = 300
CONFIG = synthetic.config()
STREAM = synthetic.stream(synthetic.WARMUP - 1, seed=1)


@dataclass
class Topic:
    """The newest value of every key, and the sizes of all messages so far."""

    newest: dict[bytes, bytes] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def save(self, partition: Partition) -> list[bytes]:
        """Write a checkpoint; return its keys."""
        messages = partition.messages()
        partition.mark_written()
        for key, value in messages:
            if value is None:
                self.newest.pop(key, None)
            else:
                self.newest[key] = value
                self.sizes.append(len(value))
        assert messages[-1][0] == MANIFEST
        assert len(self.newest[MANIFEST]) <= MANIFEST_BYTES
        return [key for key, _ in messages]

    def restore(self) -> Partition:
        """Return the partition of the newest checkpoint."""
        partition = partition_state.restore(self.newest, CONFIG, {})
        assert partition is not None
        return partition


def fresh() -> Partition:
    """Return a partition that has read nothing."""
    return Partition(DriftMonitor(CONFIG, {}), 0)


def read(partition: Partition, chunk: Columns) -> None:
    """Process a chunk."""
    partition.offset += 1
    partition.monitor.process(chunk)


def one_at_a_time() -> Iterator[int]:
    """Yield the size of each chunk: one record."""
    return iter([1] * len(STREAM))


def bursts() -> Iterator[int]:
    """Yield single records and, now and then, many."""
    for number in range(200):
        yield 100 if number % 20 == 19 else 1


def falling() -> Iterator[int]:
    """Yield ever smaller chunks, which no rule for equal sizes would join."""
    return iter(range(60, 0, -1))


@pytest.mark.parametrize("sizes", [one_at_a_time, bursts, falling])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_slow_warm_up_keeps_checkpoints_small(sizes: object, restarts: bool) -> None:
    """With a checkpoint after each chunk, items are few and a record is written log(n) times."""
    assert callable(sizes)
    topic, partition, done = Topic(), fresh(), 0
    for size in sizes():
        read(partition, STREAM.take(slice(done, done + size)))
        done += size
        topic.save(partition)
        if restarts and done % 50 == 0:
            partition = topic.restore()
    assert len(topic.newest) <= 3 + math.log2(done) + 1
    bytes_of_records = len(encode_chunk(STREAM.take(slice(0, done))))
    warmup = sum(topic.sizes) - len(topic.sizes) * MANIFEST_BYTES
    assert warmup <= math.log(done, 1.5) * 2 * bytes_of_records + len(topic.sizes) * 1_000
    collected = topic.restore().monitor.log.watches["m", ""].warmup.pieces
    assert encode_chunk(columns.join(collected)) == encode_chunk(STREAM.take(slice(0, done)))


def test_the_pieces_of_version_2_are_joined() -> None:
    """A checkpoint of version 2 with a piece per record becomes one with few pieces."""
    messages, entries = {}, []
    for number in range(1_500):
        piece = encode_chunk(STREAM.take(slice(number, number + 1)))
        content = msgspec.msgpack.encode([piece])
        name = f"warmup-{number:06d}"
        messages[msgspec.json.encode(("m", "", name, 0))] = content
        entries.append(ItemEntry(name, 1, state_topic._digest(content)))
    head = msgspec.msgpack.encode({"fingerprint": "x", "records": 1_500, "windows": None})
    messages[msgspec.json.encode(("m", "", HEAD, 0))] = head
    entries.append(ItemEntry(HEAD, 1, state_topic._digest(head)))
    watch = state_topic.WatchEntry("m", "", entries)
    manifest = Manifest(2, 1_500, {"m": 1_500}, 0, [watch])
    messages[MANIFEST] = msgspec.msgpack.encode(manifest)
    topic = Topic(messages)
    partition = topic.restore()
    read(partition, STREAM.take(slice(1_500, 1_501)))
    topic.save(partition)
    assert len(topic.newest) <= 3 + math.log2(1_500) + 1
    again = topic.restore()
    pieces = again.monitor.log.watches["m", ""].warmup.pieces
    assert encode_chunk(columns.join(pieces)) == encode_chunk(STREAM.take(slice(0, 1_501)))
    assert again.monitor.log.records == {"m": 1_501}


WATCHES = 300


def many() -> Partition:
    """Return a partition with many warm-ups."""
    partition = fresh()
    for number in range(WATCHES):
        read(partition, replace(STREAM.take(slice(0, 3)), model=f"model-{number:040d}"))
    return partition


def test_a_checkpoint_without_changes_is_a_small_manifest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the offset has changed: no item is encoded, and no watch is listed."""
    topic, partition = Topic(), many()
    topic.save(partition)
    monkeypatch.setattr(
        "monitor.detect.checkpoint.watch_state.items", lambda watch: pytest.fail("listed")
    )
    partition.offset += 1
    assert topic.save(partition) == [MANIFEST]
    assert topic.restore().offset == partition.offset


def test_only_the_watch_that_has_changed_is_written() -> None:
    """One of many models has a new record: its items and their list are written."""
    topic, partition = Topic(), many()
    topic.save(partition)
    name = f"model-{7:040d}"
    read(partition, replace(STREAM.take(slice(3, 4)), model=name))
    assert all(name.encode() in key for key in topic.save(partition)[:-1])
    again = topic.restore()
    assert again.monitor.log.records == partition.monitor.log.records
    assert again.monitor.log.records[name] == 4


def test_the_manifest_of_many_watches_is_small() -> None:
    """The largest message is not the manifest, and follows from the largest item."""
    topic = Topic()
    topic.save(many())
    assert max(topic.sizes) < 3_000
    assert len(topic.restore().monitor.log.watches) == WATCHES


def _lose(newest: dict[bytes, bytes], key: bytes) -> None:
    del newest[key]


def _keep_an_old_one(newest: dict[bytes, bytes], key: bytes) -> None:
    newest[key + b"x"] = newest[key]


def _change(newest: dict[bytes, bytes], key: bytes) -> None:
    newest[key] = newest[key][:-1] + bytes([newest[key][-1] ^ 1])


def _swap(newest: dict[bytes, bytes], key: bytes) -> None:
    other = next(each for each in newest if each.startswith(b"watch ") and each != key)
    newest[key], newest[other] = newest[other], newest[key]


@pytest.mark.parametrize("damage", [_lose, _keep_an_old_one, _change, _swap])
def test_lists_that_do_not_belong_to_the_manifest_are_found(damage: object) -> None:
    """A missing, surplus, changed or misplaced list makes the checkpoint unusable."""
    assert callable(damage)
    topic = Topic()
    topic.save(many())
    damage(topic.newest, next(key for key in topic.newest if key.startswith(b"watch ")))
    with pytest.raises(StateError, match="do not match the manifest"):
        topic.restore()


def test_an_aborted_checkpoint_is_written_again() -> None:
    """Count and checksum are those of the messages that are in the topic."""
    topic, partition = Topic(), many()
    partition.messages()  # the transaction is rolled back
    read(partition, replace(STREAM.take(slice(0, 5)), model="late"))
    partition.messages()
    topic.save(partition)
    assert topic.restore().monitor.log.records == partition.monitor.log.records
