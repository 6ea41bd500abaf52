"""Items from samples: of a time and a model, uniform and accepted, none for a judge."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.config.sections.replay.section import ReplayItemsConfig
from monitor.events.codec import encode_event
from monitor.events.evaluations import Evaluation, encode_evaluation
from monitor.ingest.sampling.codec import encode_sample
from monitor.records import Inclusion, Sample
from monitor.roles import replay_samples
from monitor.roles.replay_samples import SampleReader, Span, accepted_items, drifted_items
from tests.monitor.notify.drift_events import event

ITEMS = ReplayItemsConfig(baseline=30, least=30, drifted=3)
START = 1_790_000_000.0


class Topics:
    """The samples and evaluations topics, in two partitions; each value has a time."""

    def __init__(self) -> None:
        self.values: dict[str, list[tuple[float, bytes]]] = {
            "samples": [],
            "evaluations": [],
            "events": [],
        }
        self.read: list[tuple[str, int, int]] = []
        self.denied = False

    def reader(self, _: object, topic: str, __: object) -> Reader:
        """Return a reader of a topic."""
        return Reader(self, topic.rpartition(".")[2])

    def add(self, number: int, model: str = "chat", uniform: bool = True, **other: Any) -> None:
        """Write a sample; it is number seconds after the start."""
        fields: dict[str, Any] = {
            "prompt": f"what is {number} of {number * 7919}",
            "response": f"it is {number}",
            "reference": f"{number}",
        }
        sample = Sample(
            request_id=f"{model}-{number}",
            timestamp=START + number,
            model=model,
            inclusion=Inclusion(uniform=uniform, probability=0.1),
            **(fields | other),
        )
        self.values["samples"].append((START + number, encode_sample(sample)))

    def judge(self, number: int, passed: bool, model: str = "chat") -> None:
        """Write an evaluation of a sample, a minute later."""
        evaluation = Evaluation(
            name="judge.quality",
            request_id=f"{model}-{number}",
            model=model,
            time=START + number,
            score=5.0 if passed else 1.0,
            passed=passed,
            evaluator="j",
        )
        self.values["evaluations"].append((START + number + 60, encode_evaluation(evaluation)))


class Reader:
    """Reads one of the topics, as `PartitionReader` does."""

    def __init__(self, topics: Topics, topic: str) -> None:
        self._topics, self._topic = topics, topic
        self._first = 0

    def _of(self, number: int) -> list[tuple[float, bytes]]:
        return self._topics.values[self._topic][number::2]

    def partitions(self, _: str) -> int:
        """Return the number of partitions."""
        if self._topics.denied:
            raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        return 2

    def watermarks(self, _: str, number: int) -> tuple[int, int]:
        """Return the first offset and the end."""
        return 0, len(self._of(number))

    def offset_since(self, number: int, time: float) -> int:
        """Return the first offset written at a time."""
        return sum(at < time for at, _ in self._of(number))

    def assign(self, _: int, offset: int) -> None:
        """Read on from an offset."""
        self._first = offset

    def unassign(self, _: int) -> None:
        """Read nothing."""

    def read(self, number: int, last: int, _: float) -> Iterator[Any]:
        """Yield the messages below an offset, then None."""
        self._topics.read.append((self._topic, self._first, last))
        for _, value in self._of(number)[self._first : last]:
            yield SimpleNamespace(value=lambda value=value: value)
        yield None

    def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    """Empty topics."""
    made = Topics()
    monkeypatch.setattr(replay_samples, "PartitionReader", made.reader)
    return made


def reader() -> SampleReader:
    """Return the reader."""
    return SampleReader(KafkaConfig(), lambda: None)


def numbers(found: Any) -> set[int]:
    """Return the numbers of the samples that items are of."""
    return {int(item.provenance.request_id.rpartition("-")[2]) for item in found}


def test_accepted_samples_become_items_by_model(topics: Topics) -> None:
    """A reference, or a judge that accepted the response; not the boosted and disliked ones."""
    topics.add(0)
    topics.add(1, reference=None)
    topics.add(2, reference=None)
    topics.add(3, reference=None)
    topics.add(4, uniform=False)
    topics.add(5, model="other")
    topics.judge(1, passed=True)
    topics.judge(2, passed=False)
    topics.values["samples"].append((START, b"not a sample"))
    topics.values["evaluations"].append((START, b"not an evaluation"))
    found = accepted_items(reader(), Span(), ITEMS)
    assert {model: numbers(of) for model, of in found.items()} == {"chat": {0, 1}, "other": {5}}
    assert all(item.approved and item.scoring != "judge" for item in found["chat"])


def test_a_span_is_read_by_time(topics: Topics) -> None:
    """Messages before the span are not read, and records outside of it are left out."""
    for number in range(40):
        topics.add(number)
    found = accepted_items(reader(), Span(START + 10, START + 19), ITEMS, "chat")
    assert numbers(found["chat"]) == set(range(10, 20))
    assert {first for topic, first, _ in topics.read if topic == "samples"} == {5}


def test_items_are_limited_and_the_same_each_time(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest messages are read, and the choice among them does not depend on their order."""
    monkeypatch.setattr(replay_samples, "MAX_MESSAGES", 35)
    for number in range(80):
        topics.add(number)
    found = accepted_items(reader(), Span(), ITEMS)["chat"]
    assert len(found) == ITEMS.baseline
    assert min(numbers(found)) >= 10
    topics.values["samples"][-70:] = topics.values["samples"][-70:][::-1]
    assert accepted_items(reader(), Span(), ITEMS)["chat"] == found


def test_drifted_items_are_of_the_window(topics: Topics) -> None:
    """At most as many as configured, marked as drifted."""
    for number in range(40):
        topics.add(number)
    found = drifted_items(reader(), Span(START + 30, START + 39), ITEMS, "chat")
    assert len(found) == 3
    assert numbers(found) <= set(range(30, 40))
    assert {item.provenance.window for item in found} == {"drifted"}
    assert drifted_items(reader(), Span(START + 30, None), ITEMS, "unknown") == ()


def test_open_alarms_are_found_in_the_history(topics: Topics) -> None:
    """A process that has just started must not freeze the traffic of an old alarm."""
    one, two, small = event(model="a"), event(model="b"), event(model="c", severity="info")
    closed = event("resolved", two.alarm, model="b")
    for number, each in enumerate((one, two, small, closed)):
        topics.values["events"].append((START + number, encode_event(each)))
    topics.values["events"].append((START, b"no event"))
    assert reader().models_with_alarms() == {"a"}


def test_topics_that_cannot_be_read_give_no_items(topics: Topics) -> None:
    """A missing right is logged, and ends nothing."""
    topics.denied = True
    assert accepted_items(reader(), Span(), ITEMS) == {}
