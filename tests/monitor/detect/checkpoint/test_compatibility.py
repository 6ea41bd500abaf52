"""Checkpoints written by version 0.1.0 are restored, and detection continues with the same events.

`data/version_0.1.0.msgpack.gz` was written by version 0.1.0 with the configuration and the chunks
below. It contains the messages of the state topic after SAVED chunks, written in three checkpoints,
and the JSON of the events of all later chunks.
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig, WarmupReference, WindowsConfig
from monitor.detect.checkpoint import partition_state
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.checkpoint.state_topic import LOG_VERSION, MANIFEST, WatchEntry, read_manifest
from monitor.events.codec import encode_event
from monitor.events.types import DriftEvent
from tests.monitor import synthetic
from tests.monitor.detect.checkpoint.traffic import chunks

FILE = Path(__file__).with_name("data") / "version_0.1.0.msgpack.gz"
SAVED = 85
CONFIG = Config(
    windows=WindowsConfig(records=100, stride=20),
    reference=WarmupReference(records=1_000),
    segments=("metadata.route",),
)


class Written(msgspec.Struct):
    """The content of the file. messages: newest value by key. events: of the later chunks."""

    messages: dict[bytes, bytes]
    events: list[bytes]


SAME = ("id", "alarm", "change", "model", "segment", "feature", "severity", "record", "time")
"""Fields of an event that make it the same event."""


@pytest.fixture
def written() -> Written:
    """Return the content of the file."""
    return msgspec.msgpack.decode(gzip.decompress(FILE.read_bytes()), type=Written)


def restore(written: Written) -> Partition:
    """Restore the checkpoint."""
    partition = partition_state.restore(written.messages, CONFIG, {})
    assert partition is not None
    return partition


def assert_equal(found: Any, expected: Any, path: str = "") -> None:
    """Compare JSON values; numbers may differ in the last digits between platforms."""
    if isinstance(expected, float) and isinstance(found, float):
        assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12), path
    elif isinstance(expected, dict):
        assert list(found) == list(expected), path
        for key, value in expected.items():
            assert_equal(found[key], value, f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for index, value in enumerate(expected):
            assert_equal(found[index], value, f"{path}[{index}]")
    else:
        assert found == expected, path


def test_checkpoint_of_version_0_1_0_is_restored(written: Written) -> None:
    """It has open alarms, full windows and unfinished warm-ups, for models and segments."""
    partition = restore(written)
    watches = partition.monitor.log.watches
    assert partition.offset == SAVED
    assert partition.monitor.log.records == {"first": 1600, "second": 1600, "late": 200}
    opened = {key for key, watch in watches.items() if watch.alarms}
    assert opened == {
        (model, segment) for model in ("first", "second") for segment in ("", "metadata.route=web")
    }
    warming_up = {key for key, watch in watches.items() if watch.profile is None}
    assert {("late", ""), ("late", "metadata.route=web"), ("first", "metadata.route=api")} <= (
        warming_up
    )
    assert opened.isdisjoint(warming_up)


def test_later_events_are_those_of_version_0_1_0(written: Written) -> None:
    """The same alarms resolve and open after the checkpoint, at the same records, with their ids.

    Version 0.1.0 wrote no updates. What an event explains may become better from version to
    version.
    """
    partition = restore(written)
    later = [event for chunk in chunks()[SAVED:] for event in partition.monitor.process(chunk)]
    events = [event for event in later if event.change != "updated"]
    assert {(event.model, event.change) for event in events} == {
        ("first", "resolved"),
        ("second", "opened"),
        ("second", "resolved"),
        ("late", "opened"),
        ("late", "resolved"),
    }
    before = [msgspec.json.decode(event) for event in written.events]
    for found, expected in zip(map(fields_of, events), before, strict=True):
        assert_equal({key: found[key] for key in SAME}, {key: expected[key] for key in SAME})


def fields_of(event: DriftEvent) -> dict[str, Any]:
    """Return an event as JSON values."""
    fields: dict[str, Any] = msgspec.json.decode(encode_event(event))
    return fields


def test_restored_checkpoint_needs_little_rewriting(written: Written) -> None:
    """The next checkpoint has lists of items, joined pieces of warm-ups and restarted detectors.

    References are not written again.
    """
    partition = restore(written)
    assert partition.restarted == {"e_detector": 4}
    *changes, (key, _) = partition.messages()
    assert key == MANIFEST
    lists = [key for key, _ in changes if key.startswith(b"watch ")]
    others = [key for key, _ in changes if key not in lists]
    heads = [key for key in others if b'"head"' in key]
    assert len(heads) == 4
    assert all(b'"warmup-' in key for key in others if key not in heads)
    manifest = read_manifest(written.messages)
    assert manifest is not None
    assert len(lists) == len(manifest.watches)


def test_restored_state_is_written_and_restored_unchanged(written: Written) -> None:
    """A checkpoint of the present version has the same state, and references byte by byte."""
    partition = restore(written)
    complete = Partition(partition.monitor, partition.offset).messages()
    messages = {key: value for key, value in complete if value is not None}
    references = {key for key in written.messages if b'"reference"' in key}
    assert references
    assert {key: messages[key] for key in references} == {
        key: written.messages[key] for key in references
    }
    again = partition_state.restore(messages, CONFIG, {})
    assert again is not None
    assert states(again) == states(partition)
    assert again.monitor.log.records == partition.monitor.log.records


def states(partition: Partition) -> dict[tuple[str, str], object]:
    """Return the state of each watch."""
    return {key: synthetic.state(watch) for key, watch in partition.monitor.log.watches.items()}


def test_a_changed_setting_is_noticed_in_a_checkpoint_without_settings(written: Written) -> None:
    """A checkpoint of version 2 has a fingerprint only; open alarms end with a general reason."""
    changed = CONFIG.model_copy(update={"alarms": AlarmsConfig(critical_psi=0.3)})
    partition = partition_state.restore(written.messages, changed, {})
    assert partition is not None
    events = partition.monitor.take_pending()
    assert {event.change for event in events} == {"resolved"}
    assert {(event.model, event.segment) for event in events} == {
        (model, segment) for model in ("first", "second") for segment in ("", "metadata.route=web")
    }
    assert {event.reason for event in events} == {
        "the settings of windows, detectors, alarms or segments have changed"
    }
    assert all(event.psi > CONFIG.alarms.min_psi / 2 for event in events)


def test_version_2_finds_the_version_of_a_later_manifest(written: Written) -> None:
    """A program that reads version 2 decodes the manifest and rejects it by its version."""
    partition = restore(written)
    [*_, (key, value)] = partition.messages()
    assert key == MANIFEST
    assert value is not None
    assert msgspec.msgpack.decode(value, type=ManifestOfVersion2).version == LOG_VERSION > 2


class ManifestOfVersion2(msgspec.Struct, frozen=True):
    """The manifest as version 2 declares it."""

    version: int
    offset: int
    records: dict[str, int]
    segments_dropped: int
    watches: list[WatchEntry]
