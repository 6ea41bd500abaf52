"""Restores of checkpoints whose feature topic was made again."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from confluent_kafka import Consumer

from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.checkpoint.state_topic import MANIFEST
from monitor.detect.monitor import DriftMonitor
from monitor.roles import detect_restore
from monitor.roles.detect_restore import Restorer
from monitor.telemetry.counters.metrics import Metrics
from tests.monitor import synthetic
from tests.monitor.synthetic import WARMUP

OFFSET = 50


def saved(features_id: str) -> dict[bytes, bytes]:
    """Return the checkpoint of a partition with a reference, at the offset OFFSET."""
    monitor = DriftMonitor(synthetic.config(), {})
    monitor.process(synthetic.stream(WARMUP + 200, seed=1))
    partition = Partition(monitor, OFFSET, features_id=features_id)
    return {key: value for key, value in partition.messages() if value is not None}


def restore(
    messages: dict[bytes, bytes],
    ends: tuple[int, int],
    features_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Partition, int]:
    """Restore from these messages; return the partition and the number of unusable checkpoints."""
    monkeypatch.setattr(detect_restore, "read_compacted", lambda *_: messages)
    monkeypatch.setattr(detect_restore, "watermarks", lambda *_: ends)
    metrics = Metrics()
    restorer = Restorer(synthetic.config(), {}, metrics, lambda: None)
    partition = restorer.restore(cast(Consumer, None), 0, features_id)
    return partition, metrics.checkpoints_unusable


@pytest.mark.parametrize("ends", [(0, 0), (0, 20), (0, 500), (7, 9)])
def test_another_feature_topic_is_read_from_its_start(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is kept, however many chunks the new topic has, and is written again."""
    partition, unusable = restore(saved("one"), ends, "two", monkeypatch)
    assert unusable == 0
    assert partition.offset == ends[0]
    assert all(watch.profile is not None for watch in partition.monitor.log.watches.values())
    assert partition.monitor.log.watches
    assert partition.changed
    assert partition.features_id == "two"
    again, unusable = restore(_written(partition), ends, "two", monkeypatch)
    assert (again.offset, unusable) == (ends[0], 0)


@pytest.mark.parametrize(
    ("before", "now"), [("one", "one"), ("", "one"), ("one", ""), ("", "")], ids=str
)
def test_the_same_topic_or_one_without_an_id(
    before: str, now: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading resumes at the offset of the checkpoint; it is unusable if this does not exist."""
    partition, unusable = restore(saved(before), (0, 500), now, monkeypatch)
    assert (partition.offset, unusable) == (OFFSET, 0)
    assert partition.features_id == (now or before)
    partition, unusable = restore(saved(before), (0, 20), now, monkeypatch)
    assert (partition.offset, unusable) == (0, 1)
    assert not partition.monitor.log.watches
    assert partition.features_id == now


def test_a_checkpoint_of_an_older_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest without the id of the topic is read."""
    messages = saved("one")
    manifest: dict[str, Any] = msgspec.msgpack.decode(messages[MANIFEST])
    del manifest["features"]
    messages[MANIFEST] = msgspec.msgpack.encode(manifest)
    partition, unusable = restore(messages, (0, 500), "one", monkeypatch)
    assert (partition.offset, unusable) == (OFFSET, 0)


def _written(partition: Partition) -> dict[bytes, bytes]:
    partition.mark_unwritten()
    return {key: value for key, value in partition.messages() if value is not None}
