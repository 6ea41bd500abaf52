"""Partitions of a topic that wait for a partition of the topic of their state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.admin import topic_states
from monitor.roles.state_checks import CHECK_SECONDS

log = structlog.get_logger(__name__)


class WaitingPartitions:
    """Partition N of a topic that a role reads has its state in partition N of a state topic.

    Without one, it can neither be restored nor written. It is paused, and neither the other
    partitions nor the other roles stop. numbers: partitions that wait. topic: that the role reads.
    clock: monotonic seconds.
    """

    def __init__(
        self,
        config: KafkaConfig,
        role: str,
        topic: str,
        state_topic: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.numbers: set[int] = set()
        self._config = config
        self._role = role
        self._topic = topic
        self._state_topic = state_topic
        self._clock = clock
        self._due = 0.0

    def choose(self, partitions: Sequence[int]) -> set[int]:
        """Return those of the partitions that must wait; log how to correct it."""
        self._due = self._clock() + CHECK_SECONDS
        count = self._count()
        if count is None:
            return set()
        waiting = {number for number in partitions if number >= count}
        self.numbers |= waiting
        if waiting:
            self._report(count)
        return waiting

    def has_ended(self) -> bool:
        """Return whether the state topic has grown enough. Asks every CHECK_SECONDS at most."""
        if not self.numbers or self._clock() < self._due:
            return False
        self._due = self._clock() + CHECK_SECONDS
        count = self._count()
        if count is None or count <= max(self.numbers):
            return False
        self.numbers.clear()
        return True

    def _count(self) -> int | None:
        """Return the number of partitions of the state topic; None if it is not known."""
        topic = self._state_topic
        state = topic_states(self._config, [topic], self._role).get(topic)
        return None if state is None else state.partitions

    def _report(self, count: int) -> None:
        topic, needed = self._state_topic, max(self.numbers) + 1
        log.error(
            "the state topic has fewer partitions than the topic that is read: the others wait",
            topic=topic,
            partitions=count,
            read=self._topic,
            needed=needed,
            command=f"kafka-topics.sh --bootstrap-server {self._config.bootstrap_servers} --alter"
            f" --topic {topic} --partitions {needed}",
        )
