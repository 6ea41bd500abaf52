"""Checkpoints with several sources of a model."""

from __future__ import annotations

import msgspec
import pytest

from monitor.config.schema import Config
from monitor.config.sections.detection import WarmupReference, WindowsConfig
from monitor.config.sections.judging.section import JudgeWindows
from monitor.detect.checkpoint import acceptance, partition_state, state_topic
from monitor.detect.checkpoint.acceptance import AcceptanceError
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.checkpoint.state_topic import LOG_VERSION, MANIFEST, SOURCES_VERSION
from monitor.detect.monitor import DriftMonitor
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.columns import Columns
from monitor.records import Source
from tests.monitor import judged, synthetic
from tests.monitor.detect.checkpoint.test_partition_state import Topic, feed, save

CONFIG = judged.config().model_copy(
    update={
        "windows": WindowsConfig(records=200, stride=20),
        "reference": WarmupReference(records=2_000),
    }
)
LOG = synthetic.joined(synthetic.stream(2_500, seed=1), synthetic.stream(500, seed=2, factor=2.0))
JUDGED = [
    judged.samples(2_500, seed=3),
    judged.samples(500, seed=4, first=2_500, quality=judged.WORSE),
]


def chunks() -> list[Columns]:
    """Return chunks of both sources of one model, one after the other in turn."""
    log = list(synthetic.cut(LOG, range(0, len(LOG), 300)))
    judge = [part for each in JUDGED for part in synthetic.cut(each, range(0, len(each), 250))]
    return [chunk for pair in zip(log, judge, strict=False) for chunk in pair] + judge[len(log) :]


def fresh(config: Config = CONFIG) -> Partition:
    """Return a partition that has read nothing."""
    return Partition(DriftMonitor(config, {}), 0)


def restored(topic: Topic, config: Config = CONFIG) -> Partition:
    """Return the partition as a new process restores it."""
    partition = partition_state.restore(topic.newest, config, {})
    assert partition is not None
    return partition


def saved(parts: list[Columns]) -> Topic:
    """Return the topic after a checkpoint of these chunks."""
    partition, topic = fresh(), Topic()
    feed(partition, parts)
    save(partition, topic)
    return topic


def version(topic: Topic) -> int:
    """Return the version of the manifest."""
    found: int = msgspec.msgpack.decode(topic.newest[MANIFEST])["version"]
    return found


@pytest.mark.parametrize("every", [1, 3, 7])
def test_checkpoints_anywhere_change_nothing(every: int) -> None:
    """With a checkpoint and a restart after every few chunks, the events are the same.

    The topic has only the keys that the last checkpoint uses.
    """
    undisturbed = feed(fresh(), chunks())
    assert {event.source for event in undisturbed} == {Source.LOG, Source.JUDGE}
    partition, topic, events = fresh(), Topic(), list[DriftEvent]()
    for number, chunk in enumerate(chunks(), 1):
        events += feed(partition, [chunk])
        if number % every == 0:
            save(partition, topic)
            partition = restored(topic)
            assert partition.offset == number
            assert not partition.restarted
    assert events == undisturbed
    save(partition, topic)
    manifest = state_topic.read_manifest(topic.newest)
    assert manifest is not None
    assert topic.newest.keys() == state_topic.keys(manifest)
    assert restored(topic).monitor.records() == partition.monitor.records()


def test_an_unchanged_source_is_not_written_again() -> None:
    """New records of the log rewrite the items of the log only."""
    partition, topic = fresh(), Topic()
    feed(partition, chunks())
    save(partition, topic)
    feed(partition, [synthetic.stream(20, seed=9)])
    written = {key for key, _ in partition.messages()}
    assert MANIFEST in written
    assert not any(b"judge" in key for key in written)


def test_a_checkpoint_of_the_log_is_the_same_as_before() -> None:
    """Its version, its keys and the lists of its items do not name a source."""
    topic = saved([LOG])
    assert version(topic) == LOG_VERSION
    lists = [value for key, value in topic.newest.items() if key.startswith(b"watch ")]
    assert [len(msgspec.msgpack.decode(value)) for value in lists] == [4]
    keys = [key for key in topic.newest if key.startswith(b"[")]
    assert {len(msgspec.json.decode(key)) for key in keys} == {4}
    settings = msgspec.msgpack.decode(topic.newest[b'["m","","head",0]'])["settings"]
    assert "windows.records" in settings


def test_a_checkpoint_of_several_sources_has_a_version_of_its_own() -> None:
    """An older program rejects it instead of taking judged samples for records."""
    both = saved(chunks())
    assert version(both) == SOURCES_VERSION > LOG_VERSION
    log = saved([chunk for chunk in chunks() if chunk.source is Source.LOG])
    of_log = log.newest.keys() - {MANIFEST}
    assert of_log <= both.newest.keys()
    assert all(b'"judge"' in key for key in both.newest.keys() - of_log - {MANIFEST})


def test_a_changed_setting_of_judges_restarts_their_windows_only() -> None:
    """Open alarms of judged features end with the key of their section as the reason."""
    topic = saved(chunks())
    judges = CONFIG.judges.model_copy(update={"windows": JudgeWindows(records=100, stride=20)})
    partition = restored(topic, CONFIG.model_copy(update={"judges": judges}))
    ended = partition.monitor.take_pending()
    assert {event.source for event in ended} == {Source.JUDGE}
    assert {event.change for event in ended} == {"resolved"}
    assert {event.reason for event in ended} == {
        "judges.windows.records has changed from 200 to 100"
    }
    assert partition.monitor.log.watches["m", ""].alarms


def test_a_source_that_is_configured_later_changes_the_share_of_the_log() -> None:
    """The alarms of the log end with this reason: their levels are other ones."""
    without = CONFIG.model_copy(update={"judges": Config().judges})
    partition, topic = fresh(without), Topic()
    feed(partition, [LOG])
    save(partition, topic)
    assert not restored(topic, without).monitor.pending
    ended = restored(topic, CONFIG).monitor.take_pending()
    assert {event.reason for event in ended} == {
        "the share of the false-page budget has changed from 1.0 to 0.8"
    }


def test_a_reference_is_accepted_for_one_source() -> None:
    """The alarms of judged features end; those of the log, and its reference, stay."""
    partition = fresh()
    feed(partition, chunks())
    monitor = partition.monitor
    log, judge = monitor.log.watches["m", ""], monitor.of(Source.JUDGE).watches["m", ""]
    before = log.profile, set(log.alarms)
    assert all(before)
    assert judge.alarms
    newer = judged.samples(2_000, seed=5, first=3_000, quality=judged.WORSE)
    accepted = acceptance.accept(monitor.of(Source.JUDGE), "m", None, [newer])
    assert {event.source for event in accepted.events} == {Source.JUDGE}
    assert all(event.reason.startswith("2,000 judged samples from ") for event in accepted.events)
    assert not judge.alarms
    assert judge.profile is accepted.profile
    assert (log.profile, set(log.alarms)) == before
    with pytest.raises(AcceptanceError, match=r"2,000 are required, 10 times judges\.windows"):
        acceptance.accept(monitor.of(Source.JUDGE), "m", None, [newer.take(slice(0, 1_999))])
