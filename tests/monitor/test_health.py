"""Health: a loop that turns is alive, one that has stalled is told by its name."""

from __future__ import annotations

from monitor.health import STALLED_AFTER, Health


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time that was set."""
        return self.now


def test_a_loop_that_turns_is_alive() -> None:
    """However long it runs, a loop that beats in time has not stalled."""
    clock = Clock()
    health = Health(clock)
    health.expect("ingest")
    for _ in range(5):
        clock.now += STALLED_AFTER
        assert health.stalled() == []
        health.beat("ingest")


def test_a_loop_that_stalls_is_named() -> None:
    """The one that has not turned for too long is named, the other is not; a turn heals it."""
    clock = Clock()
    health = Health(clock)
    health.expect("ingest")
    health.expect("detect")
    clock.now += STALLED_AFTER
    health.beat("detect")
    clock.now += 0.001
    assert health.stalled() == ["ingest"]
    ages = health.ages()
    assert ages["ingest"] > STALLED_AFTER > ages["detect"]
    health.beat("ingest")
    assert health.stalled() == []


def test_a_role_that_never_turned_stalls_as_well() -> None:
    """The time counts from the start of the role."""
    clock = Clock()
    health = Health(clock)
    health.expect("ingest")
    clock.now += STALLED_AFTER + 1
    assert health.stalled() == ["ingest"]


def test_a_role_is_ready_once_it_says_so() -> None:
    """A role waits from its start until it has joined; turning alone does not make it ready."""
    health = Health(Clock())
    health.expect("ingest")
    health.expect("detect")
    health.beat("ingest")
    assert health.waiting == {"ingest", "detect"}
    health.ready("ingest")
    health.ready("ingest")
    assert health.waiting == {"detect"}


def test_the_clock_of_the_process_never_runs_backwards() -> None:
    """By default time is monotonic: setting the clock of the machine stalls nobody."""
    health = Health()
    health.expect("ingest")
    assert health.stalled() == []
    assert health.clock() <= health.clock()
    assert health.clock.__name__ == "monotonic"
