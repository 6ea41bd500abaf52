"""The publisher covers all models in rounds, with a limited share of the time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.monitor import DriftMonitor
from monitor.detect.watch import Watch
from monitor.records import Source
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.publisher import ROUND_SECONDS, STEP_SECONDS, TIME_SHARE, Publisher
from tests.monitor import judged, synthetic

WORK = 0.4 * STEP_SECONDS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock that only the work on a model advances."""
    now = [100.0]
    readings: Callable[[Watch], object] = Watch.readings

    def slow(watch: Watch) -> object:
        now[0] += WORK
        return readings(watch)

    monkeypatch.setattr(Watch, "readings", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def partition(*models: str) -> Partition:
    """Return a partition with ten records of each model, and segments."""
    monitor = DriftMonitor(synthetic.config(segments=("metadata.route",)), {})
    for model in models:
        monitor.process(synthetic.stream(10, model=model))
    return Partition(monitor, 0)


def published(metrics: Metrics) -> dict[int, dict[str, int]]:
    """Return the published number of records by partition and model."""
    return {n: {s.model: s.records for s in states} for n, states in metrics.models.items()}


def test_a_round_has_several_steps(clock: list[float]) -> None:
    """A step ends after STEP_SECONDS, and the pause after it keeps publishing within TIME_SHARE.
    A partition is published when all of its models are complete.
    """
    publisher, partitions = Publisher(Metrics()), {0: partition("a", "b"), 3: partition("c", "d")}
    assert not publisher.step(partitions)
    assert published(publisher.metrics) == {0: {"a": 10, "b": 10}}
    assert clock[0] == pytest.approx(100.0 + 3 * WORK)
    assert publisher.due == pytest.approx(100.0 + 3 * WORK / TIME_SHARE)
    clock[0] = publisher.due
    assert publisher.step(partitions)
    assert published(publisher.metrics)[3] == {"c": 10, "d": 10}


def test_rounds_start_every_round_seconds(clock: list[float]) -> None:
    """This holds for short rounds; models without new records are not computed again."""
    publisher, partitions = Publisher(Metrics()), {0: partition("a", "b")}
    assert publisher.step(partitions)
    assert publisher.due == pytest.approx(100.0 + ROUND_SECONDS)
    partitions[0].monitor.process(synthetic.stream(5, model="b"))
    before = clock[0]
    assert publisher.step(partitions)
    assert clock[0] == pytest.approx(before + WORK)
    assert published(publisher.metrics) == {0: {"a": 10, "b": 15}}


def test_states_of_revoked_partitions_are_removed(clock: list[float]) -> None:
    """This also holds during a round, and the rest of the round does not publish them again."""
    publisher, partitions = Publisher(Metrics()), {0: partition("a", "b"), 3: partition("c", "d")}
    assert not publisher.step(partitions)
    del partitions[3]
    publisher.drop_partitions([3])
    assert publisher.due == 0.0
    assert publisher.step(partitions)
    assert published(publisher.metrics) == {0: {"a": 10, "b": 10}}
    publisher.drop_partitions([0])
    assert published(publisher.metrics) == {}


def test_each_source_of_a_model_is_published() -> None:
    """A state of its own, with the records that its warm-up still needs."""
    one = partition("m")
    one.monitor.process(judged.samples(30))
    metrics = Metrics()
    publisher = Publisher(metrics)
    while not publisher.step({0: one}):
        pass
    found = {state.source: (state.records, state.warmup) for state in metrics.models[0]}
    assert found == {Source.LOG: (10, 1_990), Source.JUDGE: (30, 1_970)}
