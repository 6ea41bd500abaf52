"""Tests of the counter of runs."""

from __future__ import annotations

import pytest

from monitor.roles import replay_counter
from monitor.roles.replay_counter import RunCounter
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import ReplayMetrics
from tests.monitor.notify.replay_events import replayed


@pytest.fixture
def counts() -> ReplayMetrics:
    """Counters without a run."""
    return ReplayMetrics()


@pytest.fixture
def counter(counts: ReplayMetrics) -> RunCounter:
    """A counter that has counted nothing."""
    return RunCounter(Metrics(), counts)


def test_a_run_is_counted_once_however_often_its_event_is_sent(
    counter: RunCounter, counts: ReplayMetrics
) -> None:
    """Other messages are not counted."""
    one, two = replayed(id="a"), replayed("error", id="b", reason="deadline", tasks=())
    counter.count([one, "other_type", one])
    counter.count([one, two])
    assert counts.runs[one.model, "regressed"] == 1
    assert counts.runs[one.model, "error"] == 1
    assert counts.errors["deadline"] == 1


def test_the_ids_are_bounded(
    counter: RunCounter, counts: ReplayMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest ids are remembered."""
    monkeypatch.setattr(replay_counter, "MOST_COUNTED", 3)
    events = [replayed(id=str(number)) for number in range(5)]
    counter.count([*events, *events[2:]])
    assert counts.runs[events[0].model, "regressed"] == 5
    counter.count(events[:1])
    assert counts.runs[events[0].model, "regressed"] == 6


@pytest.mark.parametrize("reason", ["", "r", "dead line"])
def test_an_event_of_a_stranger_adds_no_reason(
    counter: RunCounter, counts: ReplayMetrics, reason: str
) -> None:
    """Reasons that do not exist are counted under one that does."""
    before = set(counts.errors)
    counter.count([replayed("error", reason=reason, tasks=())])
    assert set(counts.errors) == before
    assert counts.errors["failed"] == 1
