"""Publishing: every model in its turn, in little of the time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from monitor.checkpoint import Partition
from monitor.drift import DriftMonitor
from monitor.metrics import Metrics
from monitor.publishing import ROUND_SECONDS, SHARE, STEP_SECONDS, Publisher
from monitor.watch import Watch
from tests.monitor import made

WORK = 0.4 * STEP_SECONDS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the work on one model moves on, and nothing else does."""
    now = [100.0]
    readings: Callable[[Watch], object] = Watch.readings

    def slow(watch: Watch) -> object:
        now[0] += WORK
        return readings(watch)

    monkeypatch.setattr(Watch, "readings", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def partition(*models: str) -> Partition:
    """A partition that has seen ten records of each model, and segments of them."""
    monitor = DriftMonitor(made.config(segments=("metadata.route",)), {})
    for model in models:
        monitor.process(made.stream(10, model=model))
    return Partition(monitor, 0)


def published(metrics: Metrics) -> dict[int, dict[str, int]]:
    """By partition, each model with the records that it is said to have."""
    return {n: {s.model: s.records for s in states} for n, states in metrics.models.items()}


def test_a_round_is_gone_in_steps(clock: list[float]) -> None:
    """A step stops at its time, is followed by a pause that leaves SHARE of the time for it, and a
    partition is published when all of its models have had their turn.
    """
    publisher, partitions = Publisher(Metrics()), {0: partition("a", "b"), 3: partition("c", "d")}
    assert not publisher.step(partitions)
    assert published(publisher.metrics) == {0: {"a": 10, "b": 10}}
    assert clock[0] == pytest.approx(100.0 + 3 * WORK)
    assert publisher.due == pytest.approx(100.0 + 3 * WORK / SHARE)
    clock[0] = publisher.due
    assert publisher.step(partitions)
    assert published(publisher.metrics)[3] == {"c": 10, "d": 10}


def test_rounds_keep_their_distance(clock: list[float]) -> None:
    """What takes little time is done every ROUND_SECONDS, and models that stand still cost none."""
    publisher, partitions = Publisher(Metrics()), {0: partition("a", "b")}
    assert publisher.step(partitions)
    assert publisher.due == pytest.approx(100.0 + ROUND_SECONDS)
    partitions[0].monitor.process(made.stream(5, model="b"))
    before = clock[0]
    assert publisher.step(partitions)
    assert clock[0] == pytest.approx(before + WORK)
    assert published(publisher.metrics) == {0: {"a": 10, "b": 15}}


def test_what_is_given_away_is_withdrawn(clock: list[float]) -> None:
    """Amid a round too, and it does not come back."""
    publisher, partitions = Publisher(Metrics()), {0: partition("a", "b"), 3: partition("c", "d")}
    assert not publisher.step(partitions)
    del partitions[3]
    publisher.forget([3])
    assert publisher.due == 0.0
    assert publisher.step(partitions)
    assert published(publisher.metrics) == {0: {"a": 10, "b": 10}}
    publisher.forget([0])
    assert published(publisher.metrics) == {}
