"""A new version or other settings keep references; open alarms are kept or end with an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from detectors import bets
from detectors.registry import DETECTORS
from detectors.window import Window
from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig, WindowsConfig
from monitor.detect.checkpoint import partition_state, saved_settings, watch_state
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference import builder
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent
from monitor.events.wording.drift import sentence
from tests.monitor import synthetic
from tests.monitor.synthetic import STRIDE, WARMUP, WINDOW

STATEFUL = ("e_detector", "page_hinkley", "adwin")
CONFIG = synthetic.config()
DRIFT = synthetic.joined(
    synthetic.stream(WARMUP + 400, seed=1),
    synthetic.stream(WINDOW + 7, seed=2, factor=2.0),
)
"""A reference, quiet traffic and a lasting drift of the latency; the last stride has 7 records."""
QUIET = synthetic.stream(3 * WINDOW, seed=3, first=len(DRIFT))


def saved(config: Config = CONFIG) -> tuple[Partition, dict[bytes, bytes]]:
    """Return a partition with open alarms, and its checkpoint."""
    partition = Partition(DriftMonitor(config, {}), 0)
    partition.monitor.process(DRIFT)
    partition.monitor.process(replace(QUIET, model="quiet"))
    partition.offset = 2
    return partition, {key: value for key, value in partition.messages() if value is not None}


PARTITION, MESSAGES = saved()


def restored(config: Config = CONFIG, messages: Mapping[bytes, bytes] = MESSAGES) -> Partition:
    """Return the partition as a new process restores it."""
    partition = partition_state.restore(messages, config, {})
    assert partition is not None
    return partition


def watch_of(partition: Partition) -> Watch:
    """Return the watch with the open alarms."""
    return partition.monitor.log.watches["m", ""]


def assert_reference_is_kept(partition: Partition) -> None:
    """The reference and the position of the stream are those of the checkpoint."""
    before, after = watch_of(PARTITION), watch_of(partition)
    assert before.profile is not None
    assert after.profile is not None
    assert after.profile.id == before.profile.id
    assert after.records == before.records
    assert partition.monitor.log.records == PARTITION.monitor.log.records
    assert partition.offset == PARTITION.offset


def test_the_checkpoint_has_an_open_alarm() -> None:
    """The tests below need it."""
    assert watch_of(PARTITION).alarms
    assert watch_of(PARTITION).main.buffer.fill == 7


@pytest.mark.parametrize("name", STATEFUL)
def test_another_version_restarts_one_detector(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Window, alarms and the other detectors are those of the checkpoint."""
    monkeypatch.setattr(DETECTORS[name], "state_version", DETECTORS[name].state_version + 1)
    partition = restored()
    before, after = watch_of(PARTITION), watch_of(partition)
    assert partition.restarted == {name: 1}
    assert_reference_is_kept(partition)
    assert after.alarms == before.alarms
    assert after.main.window.snapshot() == before.main.window.snapshot()
    assert after.main.buffer.fill == before.main.buffer.fill
    for one, other in zip(after.main.detectors, before.main.detectors, strict=True):
        assert (one.snapshot() == other.snapshot()) == (one.name != name or not one.snapshot())
    assert {reading.detector for reading in after.readings()} == set(CONFIG.detectors)
    assert not any(event.reason for event in partition.monitor.process(QUIET))
    assert not after.alarms


def test_another_shape_without_a_version_restarts_the_detector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fewer bets make saved wealth unusable; this costs neither references nor alarms."""
    monkeypatch.setattr(bets, "SHIFTS", {0.1: 4.0, 0.2: 4.0, 0.5: 1.5})
    partition = restored()
    assert partition.restarted == {"e_detector": 1}
    assert_reference_is_kept(partition)
    assert watch_of(partition).alarms == watch_of(PARTITION).alarms
    partition.monitor.process(QUIET)


@pytest.mark.parametrize("lasts", [True, False])
def test_another_version_of_windows_keeps_alarms(
    lasts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alarm is judged again when the window is full: it lasts, or resolves as usual."""
    monkeypatch.setattr(Window, "state_version", 2)
    partition = restored()
    watch = watch_of(partition)
    assert partition.restarted["window"] == 1
    assert_reference_is_kept(partition)
    assert watch.alarms == watch_of(PARTITION).alarms
    assert watch.window_records() == 0
    more = synthetic.stream(2 * WINDOW, seed=4, first=len(DRIFT), factor=2.0 if lasts else 1.0)
    events = partition.monitor.process(more)
    assert not any(event.reason for event in events)
    assert bool(watch.alarms) is lasts
    assert [event.change for event in events] == ([] if lasts else ["resolved"])


def changed_head(change: Any) -> dict[str, bytes]:
    """Return the items of a watch with a changed head, as `watch_state.restore` reads them."""
    head = msgspec.msgpack.decode(watch_state.items(watch_of(PARTITION))[0].encode())
    change(head)
    return {
        watch_state.HEAD: msgspec.msgpack.encode(head),
        watch_state.REFERENCE: watch_of(PARTITION).profile.encode(),  # type: ignore[union-attr] # it has one
    }


def _damage_detector(head: Any) -> None:
    head["windows"]["detectors"]["adwin"] = b"\xc1"


def _another_river(head: Any) -> None:
    *parts, river = msgspec.msgpack.decode(head["windows"]["detectors"]["adwin"], strict=False)
    assert river
    head["windows"]["detectors"]["adwin"] = msgspec.msgpack.encode((*parts, "0.1.0"))


def _lose_detector(head: Any) -> None:
    del head["windows"]["detectors"]["page_hinkley"]


def _cut_window(head: Any) -> None:
    head["windows"]["window"]["counts"] = head["windows"]["window"]["counts"][:-2]


def _cut_stride(head: Any) -> None:
    head["windows"]["values"] = head["windows"]["values"][:-8]


def _damage_memory(head: Any) -> None:
    head["windows"]["memory"]["examples"] = b"\x00"


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (_damage_detector, ["adwin"]),
        (_another_river, ["adwin"]),
        (_lose_detector, ["page_hinkley"]),
        (_cut_window, ["window", *CONFIG.detectors]),
        (_cut_stride, ["window", *CONFIG.detectors]),
        (_damage_memory, ["explainer"]),
    ],
)
def test_a_part_that_does_not_fit_starts_anew(change: Any, names: list[str]) -> None:
    """Whatever part it is, the reference and the alarms are kept."""
    watch = DriftMonitor(CONFIG, {}).log.new_watch("m", "")
    found = watch_state.restore(watch, changed_head(change), None)
    assert found.restarted == names
    assert watch_state.HEAD not in found.tokens
    assert watch.alarms == watch_of(PARTITION).alarms
    watch.feed(QUIET)
    assert not watch.alarms


def test_an_alarm_belongs_to_a_feature() -> None:
    """A version that orders streams differently finds the alarm by the name of its feature."""

    def renumber(head: Any) -> None:
        windows = head["windows"]
        for alarm in windows["alarms"]:
            alarm[0] += 1
        windows["incidents"] = {i + 1: each for i, each in windows["incidents"].items()}

    watch = DriftMonitor(CONFIG, {}).log.new_watch("m", "")
    watch_state.restore(watch, changed_head(renumber), None)
    assert watch.alarms == watch_of(PARTITION).alarms


# --- settings -------------------------------------------------------------------------------------

ALARMS = CONFIG.alarms
CHANGES: dict[str, dict[str, Any]] = {
    "alarms.critical_psi has changed from 0.25 to 0.3": {
        "alarms": ALARMS.model_copy(update={"critical_psi": 0.3})
    },
    "alarms.weights.ks has changed from 1.0 to 3.0": {
        "alarms": ALARMS.model_copy(update={"weights": {"e_detector": 20.0, "ks": 3.0}})
    },
    f"windows.stride has changed from {STRIDE} to 40": {
        "windows": WindowsConfig(records=WINDOW, stride=40)
    },
    f"windows.records has changed from {WINDOW} to {2 * WINDOW}": {
        "windows": WindowsConfig(records=2 * WINDOW, stride=STRIDE)
    },
    "segments has changed from none to metadata.route": {"segments": ("metadata.route",)},
}


@pytest.mark.parametrize("reason", CHANGES)
def test_a_changed_setting_ends_open_alarms(reason: str) -> None:
    """Each alarm has one `resolved` event that gives the reason, with the size of the drift."""
    changed = CONFIG.model_copy(update=CHANGES[reason])
    partition = restored(changed)
    assert partition.changed  # the checkpoint without these alarms is due
    events = partition.monitor.take_pending()
    before = watch_of(PARTITION).alarms
    assert {event.alarm for event in events} == {alarm.id for alarm in before.values()}
    assert len(events) == len(before)
    for event in events:
        assert (event.change, event.reason, event.feature) == ("resolved", reason, "latency_ms")
        assert event.id != event.alarm
        assert event.psi > ALARMS.min_psi
        assert event.current.p50 > 1.5 * event.reference.p50  # type: ignore[operator] # both are numbers
        assert reason in sentence(event)
    assert_reference_is_kept(partition)
    assert not watch_of(partition).alarms
    assert restored(changed).monitor.take_pending() == events  # after a crash: the same ids
    written = {key: value for key, value in partition.messages() if value is not None}
    assert not restored(changed, MESSAGES | written).monitor.take_pending()


def test_the_next_records_return_the_events() -> None:
    """A caller that only processes records gets them too, once."""
    partition = restored(CONFIG.model_copy(update={"alarms": AlarmsConfig(critical_psi=0.3)}))
    other = replace(QUIET, model="quiet")
    assert [event.change for event in partition.monitor.process(other)] == ["resolved"]
    assert not partition.monitor.process(other)


def test_a_removed_detector_is_named() -> None:
    """Its alarms end with the lists of detectors before and after."""
    fewer = tuple(name for name in CONFIG.detectors if name != "ks")
    [event] = restored(CONFIG.model_copy(update={"detectors": fewer})).monitor.take_pending()
    assert "detectors has changed from" in event.reason
    assert ", ks, " in event.reason.split(" to ")[0]
    assert "ks" not in event.reason.split(" to ")[1].split(" and ")[0]


def test_another_reference_ends_open_alarms() -> None:
    """A promoted reference is used from the next start on; what it replaces says so."""
    other = builder.build([QUIET], segment="", window=WINDOW, categories=100)
    partition = partition_state.restore(MESSAGES, CONFIG, {("m", ""): other})
    assert partition is not None
    [event] = partition.monitor.take_pending()
    assert event.reason == "another reference has been configured"
    assert event.reference_id == watch_of(PARTITION).profile.id  # type: ignore[union-attr] # it has one
    assert watch_of(partition).profile is other


def test_without_an_open_alarm_a_changed_setting_is_silent() -> None:
    """Windows start anew, and nothing is reported."""
    partition = Partition(DriftMonitor(CONFIG, {}), 1)
    partition.monitor.process(DRIFT.take(slice(0, WARMUP + 400)))
    messages = {key: value for key, value in partition.messages() if value is not None}
    changed = restored(CONFIG.model_copy(update={"alarms": AlarmsConfig(min_psi=0.2)}), messages)
    assert not changed.monitor.take_pending()
    assert not changed.changed


WEIGHTS = {"ks": 2.0, "psi": 3.0, "e_detector": 20.0}
SAME: dict[str, dict[str, Any]] = {
    "order of weights": {
        "alarms": AlarmsConfig(weights=dict(reversed(WEIGHTS.items())))  # type: ignore[arg-type] # names
    },
    "a weight of 1": {"alarms": AlarmsConfig(weights=WEIGHTS | {"chi2": 1.0})},  # type: ignore[arg-type] # names
    "order of detectors": {"detectors": CONFIG.detectors[::-1]},
    "order of segments": {"segments": ("finish_reason", "metadata.route")},
}


@pytest.mark.parametrize("name", SAME)
def test_what_means_the_same_changes_nothing(name: str) -> None:
    """Windows continue, and later events are the same."""
    weighted = CONFIG.model_copy(
        update={
            "alarms": AlarmsConfig(weights=WEIGHTS),  # type: ignore[arg-type] # names
            "segments": ("metadata.route", "finish_reason") if "segments" in SAME[name] else (),
        }
    )
    _, messages = saved(weighted)
    same, other = (
        restored(weighted, messages),
        restored(weighted.model_copy(update=SAME[name]), messages),
    )
    assert not other.restarted
    assert not other.monitor.pending
    events = [ids(partition.monitor.process(QUIET)) for partition in (same, other)]
    assert events[0] == events[1]
    assert events[0]


def ids(events: list[DriftEvent]) -> set[str]:
    """Return the ids of events."""
    return {event.id for event in events}


def test_a_setting_that_a_checkpoint_lacks_had_its_default() -> None:
    """A key that a later version adds is no change while it has its default."""
    settings = saved_settings.current_settings(synthetic.of_log(CONFIG))
    older = {key: value for key, value in settings.items() if key != "alarms.min_psi"}
    assert not saved_settings.reason_for_restart(older, "", synthetic.of_log(CONFIG))
    changed = CONFIG.model_copy(update={"alarms": AlarmsConfig(min_psi=0.2)})
    assert saved_settings.reason_for_restart(older, "", synthetic.of_log(changed)) == (
        "alarms.min_psi has changed from 0.1 to 0.2"
    )


def test_many_changes_are_counted() -> None:
    """A reason stays short."""
    changed = Config(
        alarms=AlarmsConfig(false_pages=2, per_days=7, min_psi=0.2, critical_psi=0.5),
        windows=WindowsConfig(records=500, stride=50),
    )
    reason = saved_settings.reason_for_restart(
        saved_settings.current_settings(synthetic.of_log(Config())), "", synthetic.of_log(changed)
    )
    assert reason.count("has changed") == saved_settings.MAX_REPORTED
    assert reason.endswith(" and 3 more settings")
