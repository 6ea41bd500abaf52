"""Drift of style: a swap is one page that names its markers; another mix of prompts is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.config.schema import Config
from monitor.detect.monitor import OTHER_MARKERS, DriftMonitor
from monitor.detect.reference.profile import Profile
from monitor.detect.watch import Watch
from monitor.events.codec import decode_event, encode_event
from monitor.events.types import DriftEvent, pages
from monitor.events.wording.drift import sentence
from monitor.ingest.chunks.chunk import decode_chunk, encode_chunk
from monitor.records import Source
from tests.monitor.detect.checkpoint.restarts import restarted
from tests.monitor.style import REFERENCE, WINDOW, answers

SWAPPED = {"style.bold": 0.01, "style.unfortunately": 0.1, "style.opens_sure": 0.7}
BEFORE = REFERENCE + 2 * WINDOW


def paging(events: list[DriftEvent]) -> list[DriftEvent]:
    """Return the events by which an alarm begins to page."""
    return [e for e in events if pages(e.severity) and e.change in {"opened", "escalated"}]


def watch_of(monitor: DriftMonitor) -> Watch:
    """Return the only watch of style."""
    (watch,) = monitor.of(Source.STYLE).whole()
    return watch


@pytest.fixture(scope="module")
def swap() -> list[DriftEvent]:
    """Return the events of a swap."""
    monitor = DriftMonitor(Config(), {})
    assert monitor.process(answers(BEFORE, seed=1)) == []
    return monitor.process(answers(1_500, seed=2, first=BEFORE, rates=SWAPPED))


def test_a_swap_is_one_page(swap: list[DriftEvent]) -> None:
    """Of several markers that move together one opens an alarm that pages."""
    opened = [event for event in paging(swap) if event.change == "opened"]
    assert [event.feature for event in opened] == ["style.bold"]
    assert opened[0].record - BEFORE <= 1_000
    assert {e.feature for e in swap if e.severity == "info"} <= {*SWAPPED}
    assert opened[0].source is Source.STYLE
    assert opened[0].drift_type == "prediction"
    assert opened[0].kind == "binary"


def test_the_event_names_the_markers(swap: list[DriftEvent]) -> None:
    """The sentence has the markers before and after; the examples are among the new answers."""
    event = paging(swap)[0]
    markers = {each.marker: each for each in event.explanation.markers}
    assert event.explanation.markers[0].marker == "bold"
    assert {"bold", "opens sure"} <= markers.keys() <= {"bold", "opens sure", "'unfortunately'"}
    assert markers["bold"].before == pytest.approx(0.55, abs=0.03)
    assert markers["bold"].after == pytest.approx(0.01, abs=0.03)
    text = sentence(event)
    assert text.startswith("style of chat-large has changed (critical): bold 5")
    assert "of answers, opens sure" in text
    assert "sampled answers ago" in text
    assert event.explanation.examples
    assert all(int(each[1:]) > BEFORE for each in event.explanation.examples)
    assert decode_event(encode_event(event)) == event


def test_another_mix_of_prompts_is_data_drift() -> None:
    """Requests for code from 20 to 60 % page as prompts and not as answers."""
    monitor = DriftMonitor(Config(), {})
    monitor.process(answers(BEFORE, seed=3))
    events = paging(monitor.process(answers(3_000, seed=4, first=BEFORE, code=0.6)))
    assert {event.feature for event in events} == {"prompt.code"}
    assert {event.drift_type for event in events} == {"data"}
    assert "prompt.code of chat-large has drifted" in sentence(events[0])


def test_a_swap_is_found_within_another_mix() -> None:
    """A swap at the time of another mix of prompts pages too."""
    monitor = DriftMonitor(Config(), {})
    monitor.process(answers(BEFORE, seed=5))
    after = answers(1_000, seed=6, first=BEFORE, code=0.6, rates=SWAPPED)
    features = {event.feature for event in paging(monitor.process(after))}
    assert {"prompt.code", "style.bold"} <= features


def test_nothing_is_found_without_a_change() -> None:
    """Over 20,000 answers of the same style there is no event."""
    monitor = DriftMonitor(Config(), {})
    assert monitor.process(answers(REFERENCE + 20_000, seed=7)) == []


def test_a_change_below_min_psi_is_info() -> None:
    """A small change that is certain is seen and does not page."""
    monitor = DriftMonitor(Config(), {})
    monitor.process(answers(BEFORE, seed=8))
    after = answers(8_000, seed=9, first=BEFORE, rates={"style.opens_sure": 0.29})
    events = monitor.process(after)
    assert {event.feature for event in events} == {"style.opens_sure"}
    assert paging(events) == []


@pytest.mark.parametrize("size", [77, 1_000])
def test_events_do_not_depend_on_chunks(swap: list[DriftEvent], size: int) -> None:
    """The same answers in chunks of any size, as written to Kafka, give the same events."""
    monitor, found = DriftMonitor(Config(), {}), list[DriftEvent]()
    for columns in (answers(BEFORE, seed=1), answers(1_500, seed=2, first=BEFORE, rates=SWAPPED)):
        for start in range(0, len(columns), size):
            part = columns.take(slice(start, start + size))
            found += monitor.process(decode_chunk(encode_chunk(part)))
    assert found == swap


def test_a_profile_of_style_is_stored() -> None:
    """A reference with strata is the same after encoding, and refuses invalid splits."""
    monitor = DriftMonitor(Config(), {})
    monitor.process(answers(REFERENCE, seed=1))
    profile = watch_of(monitor).profile
    assert profile is not None
    again = Profile.decode(profile.encode())
    assert again.id == profile.id
    by_name = {stream.name: stream for stream in again.baseline.conditional}
    assert [split.feature for split in by_name["style.code_block"].splits] == ["prompt.code"]
    assert by_name["style.bold"].splits == ()
    assert by_name["prompt.code"].splits == ()


def test_other_sources_keep_their_budget() -> None:
    """Style changes no share of the budget of the log, and restarts none of its windows."""
    monitor = DriftMonitor(Config(), {})
    assert monitor.log.settings.share == 1.0
    assert monitor.of(Source.STYLE).settings.share == pytest.approx(0.05)


def test_a_restart_changes_nothing(swap: list[DriftEvent]) -> None:
    """With a checkpoint after every few chunks the events are the same."""
    monitor, found = DriftMonitor(Config(), {}), list[DriftEvent]()
    for columns in (answers(BEFORE, seed=1), answers(1_500, seed=2, first=BEFORE, rates=SWAPPED)):
        for start in range(0, len(columns), 450):
            found += monitor.process(columns.take(slice(start, start + 450)))
            monitor = restarted(monitor, Config())
    assert found == swap


def test_answers_that_are_all_alike_have_nothing_to_watch() -> None:
    """A model whose answers and prompts never differ has a reference without streams."""
    alike = answers(REFERENCE + 3_000, seed=1)
    alike.values[:] = 1.0
    monitor = DriftMonitor(Config(), {})
    assert monitor.process(alike) == []
    watch = watch_of(monitor)
    assert watch.profile is not None
    assert (watch.readings(), watch.values(), watch.psi()) == ([], [], {})
    assert restarted(monitor, Config()).process(answers(100, seed=2, first=len(alike))) == []


def test_other_markers_begin_a_new_reference(swap: list[DriftEvent]) -> None:
    """After an upgrade with other markers the alarm ends, and a new reference is collected."""
    monitor = DriftMonitor(Config(), {})
    monitor.process(answers(BEFORE, seed=1))
    monitor.process(answers(1_500, seed=2, first=BEFORE, rates=SWAPPED))
    assert watch_of(monitor).alarms
    later = replace(answers(2_000, seed=3, first=BEFORE + 1_500), epoch="another")
    events = monitor.process(later)
    assert {event.change for event in events} == {"resolved"}
    assert {event.reason for event in events} == {OTHER_MARKERS}
    assert watch_of(monitor).profile is None
