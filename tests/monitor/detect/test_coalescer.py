"""Gathering: chunks evaluated together give the same result as chunks evaluated one at a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.sections.detection import LimitsConfig
from monitor.detect import coalescer
from monitor.detect.checkpoint import partition_state
from monitor.detect.coalescer import MAX_RECORDS, Coalescer
from monitor.detect.monitor import DriftMonitor
from monitor.events.types import DriftEvent
from monitor.ingest.chunks import columns
from monitor.ingest.chunks.columns import Columns
from monitor.kafka import transactions
from monitor.records import Source
from monitor.roles import detect
from tests.monitor import judged, synthetic
from tests.monitor.fake_kafka import FakeKafka
from tests.monitor.synthetic import WARMUP, WINDOW

MODELS = ("a", "b", "c")
DRIFTED = synthetic.joined(
    synthetic.stream(WARMUP + WINDOW, seed=1),
    synthetic.stream(WINDOW, seed=2, factor=3.0, stops=0.5),
    synthetic.stream(WINDOW, seed=3),
)
BY_ROUTE = synthetic.config(segments=("metadata.route",))


def traffic(marks: list[int], seed: int) -> list[Columns]:
    """Return the chunks of three models, interleaved; those of each model keep their order."""
    queues = [
        [replace(chunk, model=model) for chunk in synthetic.cut(DRIFTED, [m + i for m in marks])]
        for i, model in enumerate(MODELS)
    ]
    rng = random.Random(seed)
    mixed = []
    while queues := [queue for queue in queues if queue]:
        mixed.append(rng.choice(queues).pop(0))
    return mixed


def gathered(chunks: list[Columns], pause: Callable[[], bool]) -> list[Columns]:
    """Return the joined chunks; after each chunk, `pause` decides whether gathering ends."""
    gathers, found = Coalescer(), []
    for chunk in chunks:
        found += gathers.add(chunk)
        if pause():
            found += gathers.take()
    return found + gathers.take()


def outcome(chunks: list[Columns]) -> tuple[dict[str, list[DriftEvent]], object]:
    """Return the events of each model and segment, and the state of every watch."""
    monitor = DriftMonitor(BY_ROUTE, {})
    events = [event for chunk in chunks for event in monitor.process(chunk)]
    return by_stream(events), state(monitor)


def by_stream(events: list[DriftEvent]) -> dict[str, list[DriftEvent]]:
    """Group events by model and segment, in their order."""
    found: dict[str, list[DriftEvent]] = {}
    for event in events:
        found.setdefault(event.model + event.segment, []).append(event)
    return found


def state(monitor: DriftMonitor) -> object:
    """Return the record counts and the state of every watch."""
    watches = {key: synthetic.state(watch) for key, watch in monitor.log.watches.items()}
    return monitor.log.records, watches


@given(synthetic.cuttings(len(DRIFTED)), st.integers(0, 2**32), st.sampled_from([0.0, 0.05, 0.5]))
@synthetic.SLOW_PROPERTY
def test_gathering_changes_nothing(marks: list[int], seed: int, pauses: float) -> None:
    """However chunks are joined, the events and the state are those of one chunk at a time."""
    chunks, rng = traffic(marks, seed), random.Random(seed)
    events, states = outcome(chunks)
    assert events.keys() >= set(MODELS)
    together = gathered(chunks, lambda: rng.random() < pauses)
    assert len(together) < len(chunks)
    assert outcome(together) == (events, states)


def test_the_bound_on_models_is_met_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """If there are more models than the limit, gathering does not change which are watched."""
    monkeypatch.setattr(coalescer, "MAX_RECORDS", 10)
    sizes = (("a", 1), ("b", 1), ("c", 5), ("d", 1), ("c", 6))
    chunks = [synthetic.stream(n, model=m) for m, n in sizes]
    monitor = DriftMonitor(synthetic.config(limits=LimitsConfig(models=2)), {})
    for each in gathered(chunks, lambda: False):
        monitor.process(each)
    assert [model for model, _ in monitor.log.watches] == ["a", "b"]


def test_joined_chunks_are_bounded() -> None:
    """A joined chunk has at most MAX_RECORDS records, except a chunk that is larger by itself,
    and at most as many categories as there are codes.
    """
    chunks = [synthetic.stream(n) for n in (1999, MAX_RECORDS - 1999, 1, 2 * MAX_RECORDS, 10)]
    assert [*map(len, gathered(chunks, lambda: False))] == [MAX_RECORDS, 1, 2 * MAX_RECORDS, 10]
    words = [f"w{i}" for i in range(32_000)]
    wide = [
        synthetic.with_categories(synthetic.stream(2), "finish_reason", words[:2]),
        replace(
            synthetic.stream(1),
            categories=(columns.CategoryColumn("x", tuple(words), np.zeros(1, np.int16)),),
        ),
    ]
    assert [*map(len, gathered(wide, lambda: False))] == [2, 1]


@given(
    synthetic.cuttings(len(DRIFTED)),
    st.integers(0, 2**32),
    st.sets(st.integers(1, 60), max_size=4),
    st.integers(1, 20),
)
@synthetic.SLOW_PROPERTY
def test_detect_gathers_without_a_trace(
    marks: list[int], seed: int, rebalances: set[int], most: int
) -> None:
    """A detect member finds the events of one chunk at a time, each once, and its last checkpoint
    has their state, wherever its iterations end and its partition is revoked and assigned again.
    """
    chunks = traffic(marks, seed)
    cluster = FakeKafka(chunks, rebalances)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detect, "ITERATION_CHUNKS", most)
        cluster.run(patch, BY_ROUTE)
    restored = partition_state.restore(cluster.state, BY_ROUTE, {})
    assert restored is not None
    assert restored.offset == len(chunks)
    assert (by_stream(cluster.events), state(restored.monitor)) == outcome(chunks)


@pytest.mark.parametrize("failing", [1, 5, 20])
def test_a_failed_evaluation_is_never_checkpointed(
    failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an unexpected error ends the role while it evaluates chunks, the next process evaluates
    them again: it finds all events and has the state of an undisturbed run.
    """
    chunks = traffic(list(range(0, len(DRIFTED), 150)), seed=1)
    cluster = FakeKafka(chunks)
    process, calls = DriftMonitor.process, list[int]()

    def fail_once(self: DriftMonitor, chunk: Columns) -> list[DriftEvent]:
        calls.append(len(chunk))
        if len(calls) == failing:
            raise ZeroDivisionError("injected")
        return process(self, chunk)

    monkeypatch.setattr(detect, "ITERATION_CHUNKS", 7)
    monkeypatch.setattr(DriftMonitor, "process", fail_once)
    with pytest.raises(ZeroDivisionError, match="injected"):
        cluster.run(monkeypatch, BY_ROUTE)
    cluster.run(monkeypatch, BY_ROUTE)
    restored = partition_state.restore(cluster.state, BY_ROUTE, {})
    assert restored is not None
    events = list({event.id: event for event in cluster.events}.values())
    assert (by_stream(events), state(restored.monitor)) == outcome(chunks)


def test_a_client_may_be_stuck_in_a_rebalance(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the checkpoint of a revoked partition is stuck, the member continues with new clients, and
    the time limit of that checkpoint does not apply to later restores.
    """
    monkeypatch.setattr(transactions, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(detect, "COMMIT_SECONDS", 0.01)
    monkeypatch.setattr(detect, "REVOKE_SECONDS", 0.0)
    chunks = traffic(list(range(0, len(DRIFTED), 150)), seed=1)
    cluster = FakeKafka(chunks, rebalances={5, 20}, hangs=1)
    cluster.run(monkeypatch, BY_ROUTE)
    restored = partition_state.restore(cluster.state, BY_ROUTE, {})
    assert restored is not None
    assert cluster.hangs == 0
    assert state(restored.monitor) == outcome(chunks)[1]


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The records in each joined chunk that is evaluated from now on."""
    sizes: list[int] = []
    process = DriftMonitor.process

    def counted(self: DriftMonitor, chunk: Columns) -> list[DriftEvent]:
        sizes.append(len(chunk))
        return process(self, chunk)

    monkeypatch.setattr(DriftMonitor, "process", counted)
    return sizes


def test_available_chunks_are_evaluated_without_a_wait(
    evaluated: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks that are available are evaluated together, before the member waits for another."""
    waits: list[int] = []

    def idle(seconds: float) -> bool:
        waits.append(cluster.metrics.watched.total())
        return True

    cluster = FakeKafka([synthetic.stream(n) for n in (3, 4, 5)], idle=idle)
    cluster.run(monkeypatch, synthetic.config())
    assert waits == [12]
    assert evaluated == [12]


@pytest.mark.parametrize(("bound", "most"), [("ITERATION_CHUNKS", 2), ("ITERATION_BYTES", 1000)])
def test_an_iteration_is_bounded(
    bound: str, most: int, evaluated: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An iteration evaluates what it has after a number of chunks, and after a number of bytes."""
    monkeypatch.setattr(detect, bound, most)
    FakeKafka([synthetic.stream(20)] * 3).run(monkeypatch, synthetic.config())
    assert evaluated == [40, 20]


def test_sources_of_a_model_are_not_joined() -> None:
    """Chunks of two sources come back apart, each joined with those of its own source."""
    gathers = Coalescer()
    parts = [judged.samples(5, first=5 * n, source=source) for n in (0, 1) for source in Source]
    for part in parts:
        assert not gathers.add(part)
    joined = gathers.take()
    assert [(each.source, len(each)) for each in joined] == [(source, 10) for source in Source]
