"""Health reports stalled loops and roles that are not ready."""

from __future__ import annotations

from monitor.telemetry.health import STALLED_AFTER, UNREACHABLE_AFTER, Health


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_loop_with_heartbeats_is_not_stalled() -> None:
    """This holds for any running time."""
    clock = Clock()
    health = Health(clock)
    health.register("ingest")
    for _ in range(5):
        clock.now += STALLED_AFTER
        assert health.stalled() == []
        health.beat("ingest")


def test_a_loop_without_heartbeats_is_stalled() -> None:
    """Only its role is reported, until the next heartbeat."""
    clock = Clock()
    health = Health(clock)
    health.register("ingest")
    health.register("detect")
    clock.now += STALLED_AFTER
    health.beat("detect")
    clock.now += 0.001
    assert health.stalled() == ["ingest"]
    ages = health.ages()
    assert ages["ingest"] > STALLED_AFTER > ages["detect"]
    health.beat("ingest")
    assert health.stalled() == []


def test_a_role_without_any_heartbeat_is_stalled() -> None:
    """The time counts from its registration."""
    clock = Clock()
    health = Health(clock)
    health.register("ingest")
    clock.now += STALLED_AFTER + 1
    assert health.stalled() == ["ingest"]


def test_a_role_is_not_ready_until_it_is_marked() -> None:
    """Heartbeats alone do not make a role ready."""
    health = Health(Clock())
    health.register("ingest")
    health.register("detect")
    health.beat("ingest")
    assert health.not_ready == {"ingest", "detect"}
    health.mark_ready("ingest")
    health.mark_ready("ingest")
    assert health.not_ready == {"detect"}


def test_the_default_clock_is_monotonic() -> None:
    """A change of the system time does not make a role stalled."""
    health = Health()
    health.register("ingest")
    assert health.stalled() == []
    assert health.clock() <= health.clock()
    assert health.clock.__name__ == "monotonic"


def test_no_role_is_ready_while_the_broker_is_away() -> None:
    """Before the first response nothing is known; later, each response restores the roles."""
    clock = Clock()
    health = Health(clock)
    health.register("ingest")
    health.register("detect")
    health.mark_ready("detect")
    clock.now += 10 * UNREACHABLE_AFTER
    assert not health.broker_away()
    assert health.unready() == ["ingest"]
    health.broker_responded()
    clock.now += UNREACHABLE_AFTER
    assert health.unready() == ["ingest"]
    clock.now += 0.001
    assert health.unready() == ["detect", "ingest"]
    assert health.broker_away()
    health.broker_responded()
    assert health.unready() == ["ingest"]
