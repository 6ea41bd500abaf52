"""Runs of successive messages of one partition."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import cast

from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from monitor.kafka.messages import Run, runs


@dataclass(frozen=True)
class Consumed:
    """A message of a topic."""

    place: tuple[str, int]
    number: int

    def topic(self) -> str:
        """Return the topic."""
        return self.place[0]

    def partition(self) -> int:
        """Return the partition."""
        return self.place[1]

    def offset(self) -> int:
        """Return the offset."""
        return self.number


places = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 2))


@given(st.lists(places, min_size=1, max_size=30), st.integers(0, 2**62))
def test_runs_are_those_of_equal_partitions(read: list[tuple[str, int]], first: int) -> None:
    """Each run has the first and the last offset of successive messages of one partition."""
    messages = [Consumed(place, first + i) for i, place in enumerate(read)]
    found, offsets = runs(cast(list[Message], messages))
    assert offsets.tolist() == [each.number for each in messages]
    expected = []
    for place, group in groupby(messages, lambda each: each.place):
        own = [each.number for each in group]
        expected.append(Run(place, len(own), own[0], own[-1]))
    assert found == expected
