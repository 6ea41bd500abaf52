"""The state of a partition of exposures: checkpoints, restores, and what is not counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.experiments.exposures.columns import encode_exposures
from monitor.experiments.sums.layout import layout_of
from monitor.roles.experiment_messages import assemble
from monitor.roles.experiment_partition import Partition, restore
from tests.monitor.experiments.any_exposures import DESIGN, NOW, START, steady

EXPERIMENTS = {"exp": (DESIGN, layout_of(DESIGN))}


def partition() -> Partition:
    """Return a partition without exposures."""
    return Partition(2, EXPERIMENTS, 100)


def written(part: Partition, topic: dict[bytes, bytes]) -> int:
    """Write a checkpoint to a topic; return the number of its messages."""
    messages = dict(part.messages())
    topic |= messages
    part.mark_written()
    return len(messages)


def add(part: Partition, start: int, stop: int, shard: int = 5) -> None:
    """Add exposures, of which 10 are a message."""
    exposures = steady(600, shard=shard)
    for first in range(start, stop, 10):
        part.add(encode_exposures(exposures.take(slice(first, first + 10))), NOW, float(first))
        part.offset += 1


def test_a_restored_partition_continues_bit_for_bit() -> None:
    """With a restart after a checkpoint, the next checkpoints are the same."""
    topic: dict[bytes, bytes] = {}
    one = partition()
    add(one, 0, 300)
    add(one, 0, 40, shard=6)
    written(one, topic)
    other, unusable = restore(2, EXPERIMENTS, assemble(topic))
    assert other is not None
    assert not unusable
    assert (other.offset, other.shards.keys()) == (one.offset, one.shards.keys())
    assert not other.needs_write or other.offset == one.offset
    for each in (one, other):
        add(each, 300, 600)
    assert dict(one.messages()) == dict(other.messages())


def test_closed_sums_are_written_with_a_look_only() -> None:
    """Exposures of an open minute change the rest of a shard, not its published sums."""
    topic: dict[bytes, bytes] = {}
    part = partition()
    add(part, 0, 330)
    assert written(part, topic) == 3
    add(part, 330, 340)
    assert part.needs_write
    assert not part.has_closed
    assert written(part, topic) == 2
    add(part, 340, 600)
    assert part.has_closed
    assert written(part, topic) == 3
    assert not part.needs_write


def test_a_failed_checkpoint_is_written_again() -> None:
    """Without `mark_written`, the next checkpoint has the same content and more."""
    part = partition()
    add(part, 0, 300)
    lost = dict(part.messages())
    assert dict(part.messages()).keys() == lost.keys()


def test_minutes_of_the_past_are_closed_at_the_end_of_a_partition() -> None:
    """A shard without new exposures closes what is open once the end was reached."""
    part = partition()
    add(part, 0, 600)
    state = part.shards["exp", 5]
    part.close(NOW, state.added + 100)
    assert state.shard.open
    part.at_end = True
    part.close(NOW, state.added + 1)
    assert state.shard.open
    part.close(NOW, state.added + 5)
    assert not state.shard.open
    assert state.shard.time == START + 600


def test_minutes_of_the_present_wait_for_their_end() -> None:
    """With event times of the present, a minute is closed a minute after its end."""
    part = partition()
    add(part, 0, 600)
    part.at_end = True
    part.close(START + 600 + 59, 1e9)
    assert part.shards["exp", 5].shard.time < START + 600
    part.close(START + 600 + 60, 1e9)
    assert part.shards["exp", 5].shard.time == START + 600


@pytest.mark.parametrize(
    ("payload", "reason", "number"),
    [
        (b"hostile", "unreadable", 1),
        (b"", "unreadable", 1),
        (encode_exposures(replace(steady(3), experiment="x")), "unknown_experiment", 3),
        (encode_exposures(replace(steady(3), phase="p2")), "other_phase", 3),
    ],
)
def test_what_does_not_belong_is_counted(payload: bytes, reason: str, number: int) -> None:
    """Messages that cannot be read and exposures of other phases are not in the sums."""
    part = partition()
    part.add(payload, NOW, 0.0)
    assert part.ignored == {reason: number}
    assert not part.shards


def test_a_new_phase_begins_anew_at_the_same_offset() -> None:
    """After a change of the phase, the old sums are not used, and nothing is read again."""
    topic: dict[bytes, bytes] = {}
    part = partition()
    add(part, 0, 300)
    written(part, topic)
    new = {"exp": (replace(DESIGN, phase="p2"), layout_of(DESIGN))}
    found, unusable = restore(2, new, assemble(topic))
    assert found is not None
    assert (found.offset, found.shards, unusable) == (part.offset, {}, [])


def test_damaged_sums_of_a_shard_lose_that_shard_only() -> None:
    """The other shards of the partition are restored, and the damage is named."""
    topic: dict[bytes, bytes] = {}
    part = partition()
    add(part, 0, 300)
    add(part, 0, 300, shard=6)
    written(part, topic)
    del topic[b"exp/5/rest"]
    found, unusable = restore(2, EXPERIMENTS, assemble(topic))
    assert found is not None
    assert found.shards.keys() == {("exp", 6)}
    assert unusable == ["exp, shard 5: a part of the state is missing"]


def test_without_a_checkpoint_nothing_is_restored() -> None:
    """An empty state topic has no partition."""
    assert restore(2, EXPERIMENTS, {}) == (None, [])
