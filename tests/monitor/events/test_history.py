"""The history of the events topic: open alarms, repeated events, bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events import history
from monitor.events.history import EventHistory
from monitor.events.types import DriftEvent
from tests.monitor.events.drift_events import event, numbers


def an_event(number: int, alarm: int, change: str, **other: Any) -> DriftEvent:
    """Return the number-th event of the topic, about an alarm."""
    fields = {"id": f"e{number}", "alarm": f"a{alarm}", "change": change, "time": float(number)}
    return event(numbers(), numbers(), **fields | other)


STEPS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["opened", "escalated", "resolved"])), max_size=40
)


@given(STEPS, st.data())
def test_an_alarm_is_open_until_it_is_resolved(
    steps: list[tuple[int, str]], data: st.DataObject
) -> None:
    """The open alarms are those whose last event is no resolution, also with repeated events."""
    events = [an_event(i, alarm, change) for i, (alarm, change) in enumerate(steps)]
    found = EventHistory()
    for number, each in enumerate(events):
        assert found.add(each)
        for again in data.draw(st.lists(st.integers(0, number), max_size=2)):
            assert not found.add(events[again])
    last = {each.alarm: each for each in events}
    expected = {alarm for alarm, each in last.items() if each.change != "resolved"}
    assert {alarm.event.alarm for alarm in found.open_alarms()} == expected
    assert [each.id for each in found.newest(1000)] == [each.id for each in events]
    opened = [alarm.opened for alarm in found.open_alarms()]
    assert opened == sorted(opened, reverse=True)


def test_an_alarm_keeps_the_time_at_which_it_opened() -> None:
    """Later events of an alarm change its event and not its opening."""
    found = EventHistory()
    found.add(an_event(1, 0, "opened", severity="warning"))
    found.add(an_event(9, 0, "escalated"))
    [alarm] = found.open_alarms()
    assert (alarm.opened, alarm.event.id) == (1.0, "e9")


def test_events_and_alarms_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest events and alarms are dropped; dropped alarms are counted."""
    monkeypatch.setattr(history, "MAX_EVENTS", 50)
    monkeypatch.setattr(history, "MAX_ALARMS", 20)
    found = EventHistory()
    for number in range(100):
        found.add(an_event(number, number, "opened"))
    assert [each.id for each in found.newest(1000)] == [f"e{i}" for i in range(50, 100)]
    assert [alarm.event.alarm for alarm in found.open_alarms()] == [
        f"a{i}" for i in range(99, 79, -1)
    ]
    assert found.alarms_dropped == 80


def test_events_are_chosen_by_model_count_and_time() -> None:
    """The newest events are the last by event time, of one model if it is named."""
    found = EventHistory()
    for number in (3, 1, 2, 5, 4):
        found.add(an_event(number, number, "opened", model=f"m{number % 2}"))
    assert [each.time for each in found.newest(2)] == [4.0, 5.0]
    assert [each.time for each in found.newest(2, model="m1")] == [3.0, 5.0]
    assert sorted(each.time for each in found.since(3.0)) == [3.0, 4.0, 5.0]
