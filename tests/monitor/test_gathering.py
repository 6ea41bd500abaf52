"""Gathering: chunks evaluated together give what they give one at a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import columns, gathering
from monitor.checkpoint import Partition
from monitor.columns import Columns
from monitor.config import LimitsConfig
from monitor.drift import DriftMonitor
from monitor.events import DriftEvent
from monitor.gathering import Gathering
from monitor.health import Health
from monitor.metrics import Metrics
from monitor.roles import detect
from monitor.roles.detect import Detect
from tests.monitor import made
from tests.monitor.made import WARMUP, WINDOW

MODELS = ("a", "b", "c")
DRIFTED = made.joined(
    made.stream(WARMUP + WINDOW, seed=1),
    made.stream(WINDOW, seed=2, factor=3.0, stops=0.5),
    made.stream(WINDOW, seed=3),
)
BY_ROUTE = made.config(segments=("metadata.route",))


def traffic(marks: list[int], seed: int) -> list[Columns]:
    """Three models' chunks, each model's in its order, mixed with those of the others."""
    queues = [
        [replace(chunk, model=model) for chunk in made.cut(DRIFTED, [m + i for m in marks])]
        for i, model in enumerate(MODELS)
    ]
    rng = random.Random(seed)
    mixed = []
    while queues := [queue for queue in queues if queue]:
        mixed.append(rng.choice(queues).pop(0))
    return mixed


def gathered(chunks: list[Columns], pause: Callable[[], bool]) -> list[Columns]:
    """What is evaluated, when gathering ends wherever `pause` says so."""
    gathers, found = Gathering(), []
    for chunk in chunks:
        found += gathers.add(chunk)
        if pause():
            found += gathers.take()
    return found + gathers.take()


def outcome(chunks: list[Columns]) -> tuple[dict[str, list[DriftEvent]], object]:
    """The events of each model and segment, and the state of every watch."""
    monitor = DriftMonitor(BY_ROUTE, {})
    events: dict[str, list[DriftEvent]] = {}
    for chunk in chunks:
        for event in monitor.process(chunk):
            events.setdefault(event.model + event.segment, []).append(event)
    states = {key: made.state(watch) for key, watch in monitor.watches.items()}
    return events, (monitor.records, states)


@given(made.cuttings(len(DRIFTED)), st.integers(0, 2**32), st.sampled_from([0.0, 0.05, 0.5]))
@made.SLOW_PROPERTY
def test_gathering_changes_nothing(marks: list[int], seed: int, pauses: float) -> None:
    """Whatever is put together, each model's events and state are those of one chunk at a time."""
    chunks, rng = traffic(marks, seed), random.Random(seed)
    events, state = outcome(chunks)
    assert events.keys() >= set(MODELS)
    together = gathered(chunks, lambda: rng.random() < pauses)
    assert len(together) < len(chunks)
    assert outcome(together) == (events, state)


def test_the_bound_on_models_is_met_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which models are watched, where there are too many, does not depend on gathering."""
    monkeypatch.setattr(gathering, "MOST_RECORDS", 10)
    chunks = [made.stream(n, model=m) for m, n in (("a", 5), ("b", 11), ("c", 1), ("a", 6))]
    monitor = DriftMonitor(made.config(limits=LimitsConfig(models=2)), {})
    for each in gathered(chunks, lambda: False):
        monitor.process(each)
    assert [model for model, _ in monitor.watches] == ["a", "b"]


def test_what_is_put_together_is_bounded() -> None:
    """No more than MOST_RECORDS of a model stand together, but for a chunk that alone is larger,
    and no more categories than codes can say.
    """
    chunks = [made.stream(n) for n in (1999, 3001, 1, 9000, 10)]
    assert [*map(len, gathered(chunks, lambda: False))] == [5000, 1, 9000, 10]
    words = [f"w{i}" for i in range(32_000)]
    wide = [
        made.with_categories(made.stream(2), "finish_reason", words[:2]),
        replace(
            made.stream(1),
            categories=(columns.CategoryColumn("x", tuple(words), np.zeros(1, np.int16)),),
        ),
    ]
    assert [*map(len, gathered(wide, lambda: False))] == [2, 1]


@dataclass
class FakeConsumer:
    """Delivers messages of partition 0; an entry may be something to do within `poll` instead.

    patience: what each call of `poll` was ready to wait.
    """

    entries: list[Any]
    patience: list[float]

    def poll(self, timeout: float) -> Any:
        """The next message."""
        self.patience.append(timeout)
        while self.entries and callable(self.entries[0]):
            self.entries.pop(0)()
        return self.entries.pop(0) if self.entries else None


@dataclass
class FakeMessage:
    """A message as far as detect looks at it."""

    content: bytes
    number: int

    def topic(self) -> str:
        """The one topic."""
        return "features"

    def partition(self) -> int:
        """Its one partition."""
        return 0

    def offset(self) -> int:
        """Its offset."""
        return self.number

    def value(self) -> bytes:
        """The chunk."""
        return self.content

    def error(self) -> None:
        """No error."""
        return


def worker(entries: list[Any]) -> Detect:
    """A detect that has partition 0 and is to be given these messages."""
    role = Detect(made.config(), {}, Metrics(), Health(), lambda _: False)
    role.consumer = cast(Any, FakeConsumer(entries, []))
    role.partitions[0] = Partition(DriftMonitor(role.config, {}), 0)
    return role


def messages(*sizes: int) -> list[Any]:
    """Chunks of so many records of one model."""
    return [FakeMessage(columns.encode(made.stream(n)), i) for i, n in enumerate(sizes)]


def evaluated(role: Detect, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records stand in what is evaluated, filled from now on."""
    found: list[int] = []

    def process(chunk: Columns) -> list[DriftEvent]:
        found.append(len(chunk))
        return []

    monkeypatch.setattr(role.partitions[0].monitor, "process", process)
    return found


def test_what_is_at_hand_is_evaluated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn puts together what is at hand, and waits for nothing more once it has something."""
    role = worker(messages(3, 4, 5))
    found = evaluated(role, monkeypatch)
    role._gather()
    role._evaluate_gathered()
    assert found == [12]
    assert role.partitions[0].offset == 3
    assert role.metrics.watched == {"m": 12}
    assert cast(Any, role.consumer).patience == [detect.POLL_SECONDS, 0, 0, 0]


@pytest.mark.parametrize(("bound", "most"), [("TURN_CHUNKS", 2), ("TURN_BYTES", 1000)])
def test_a_turn_is_bounded(bound: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn takes no more than so many chunks, and stops at so many bytes, before it evaluates."""
    monkeypatch.setattr(detect, bound, most)
    role = worker(messages(20, 20, 20))
    found = evaluated(role, monkeypatch)
    for _ in range(2):
        role._gather()
        role._evaluate_gathered()
    assert found == [40, 20]


def test_a_checkpoint_has_all_that_its_offset_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where partitions are revoked while chunks are gathered, these are evaluated first."""
    role = worker(messages(3, 4))
    found = evaluated(role, monkeypatch)
    monkeypatch.setattr(role, "_flush", lambda: found.append(0))  # not delivered: it ends here
    cast(Any, role.consumer).entries.insert(1, role._checkpoint)
    role._gather()
    role._evaluate_gathered()
    assert found == [3, 0, 4]
