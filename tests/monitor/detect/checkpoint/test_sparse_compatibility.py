"""Checkpoints of versions that watched sparse features in the windows of all records.

`data/sparse_0.1.0.msgpack.gz` has the messages of the state topic that such a version wrote after
SAVED chunks, with open alarms of a feature of all records and of a sparse one.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec

from monitor.detect.checkpoint import partition_state
from monitor.detect.checkpoint.partition_state import Partition
from monitor.events.types import DriftEvent
from tests.monitor.detect.checkpoint.sparse_traffic import CONFIG, SAVED, chunks

FILE = Path(__file__).with_name("data") / "sparse_0.1.0.msgpack.gz"
ALARMS = {"latency_ms": "0d52fa2af35a1b28", "score.taste": "ee8a05025a50d316"}


def restore(messages: dict[bytes, bytes]) -> Partition:
    """Restore a checkpoint."""
    partition = partition_state.restore(messages, CONFIG, {})
    assert partition is not None
    return partition


def written() -> dict[bytes, bytes]:
    """Return the messages of the file."""
    content = gzip.decompress(FILE.read_bytes())
    return msgspec.msgpack.decode(content, type=dict[bytes, bytes])


def test_reference_and_alarms_are_kept() -> None:
    """The watch has the reference, the records and the alarms, of the sparse feature as well."""
    watch = restore(written()).monitor.log.watches["m", ""]
    assert watch.profile is not None
    assert watch.records == 2_100
    assert {name: alarm.id for name, alarm in watch.alarms.items()} == ALARMS
    assert [track.group.feature for track in watch.tracks] == ["", "score.taste"]


def test_alarms_resolve_when_the_change_is_over() -> None:
    """The alarms stay open during the change, in new windows, and resolve once after it."""
    partition = restore(written())
    messages = {key: value for key, value in partition.messages() if value is not None}
    for again in (partition, restore(written() | messages)):
        events = [e for chunk in chunks()[SAVED:] for e in again.monitor.process(chunk)]
        assert resolved(events) == ALARMS
        assert all(event.record > 3_500 for event in events if event.change == "resolved")
        assert {event.change for event in events} <= {"escalated", "resolved"}


def resolved(events: list[DriftEvent]) -> dict[str, str]:
    """Return the alarms that resolve, by feature."""
    return {event.feature: event.alarm for event in events if event.change == "resolved"}
