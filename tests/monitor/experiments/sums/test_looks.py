"""Looks are due when all shards have reached a minute, or after a while."""

from __future__ import annotations

from dataclasses import replace

from monitor.experiments.sums.layout import layout_of
from monitor.experiments.sums.looks import WAIT_SECONDS, Looks
from monitor.experiments.sums.state import Partial
from monitor.experiments.sums.totals import Totals
from tests.monitor.experiments.any_exposures import DESIGN, START

LAYOUT = layout_of(DESIGN)


def partial(minute: int, *, pending: bool = True, phase: str = "p1") -> Partial:
    """Return the closed sums of a shard."""
    return Partial(phase, START + 60 * minute, START, True, pending, Totals(LAYOUT))


def looks(*minutes: int) -> Looks:
    """Return looks at shards that have reached some minutes."""
    found = Looks(DESIGN, LAYOUT)
    for shard, minute in enumerate(minutes):
        found.update(shard, 0, partial(minute))
    return found


def test_a_look_is_due_once_all_shards_have_reached_it() -> None:
    """With the same minute in all shards, the look is due at once, and only once."""
    data = looks(2, 2, 2).due(None, 0.0)
    assert data is not None
    assert data.time == START + 120
    assert looks(2, 2, 2).due(data.time, 0.0) is None
    assert looks(3, 3, 3).due(data.time, 0.0) is not None


def test_a_look_waits_for_shards_but_not_for_long() -> None:
    """Shards that are behind delay a look by a limited time."""
    behind = looks(2, 1, 2)
    assert behind.due(None, 100.0) is None
    assert behind.due(None, 100.0 + WAIT_SECONDS - 1) is None
    assert behind.due(None, 100.0 + WAIT_SECONDS) is not None
    behind.update(1, 0, partial(2))
    assert behind.due(None, 200.0) is not None


def test_shards_that_go_on_do_not_extend_the_wait() -> None:
    """If the others reach further minutes meanwhile, the wait has begun with the first one."""
    behind = looks(2, 1)
    assert behind.due(None, 100.0) is None
    behind.update(0, 0, partial(3))
    data = behind.due(None, 100.0 + WAIT_SECONDS)
    assert data is not None
    assert data.time == START + 180


def test_sums_of_another_phase_are_ignored() -> None:
    """The last sums of an old phase do not enter the looks of a new one."""
    found = Looks(replace(DESIGN, phase="p2"), LAYOUT)
    found.update(0, 0, partial(5))
    assert found.due(None, 0.0) is None
    found.update(0, 0, partial(1, phase="p2"))
    data = found.due(None, 0.0)
    assert data is not None
    assert data.time == START + 60
