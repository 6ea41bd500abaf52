"""Checks of the state topic (partitions, cleanup policy), and whether it or the feature topic was
made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.admin import TopicState, cleanup_policy, topic_states
from monitor.kafka.topics import Topics
from monitor.roles.names import DETECT as ROLE

log = structlog.get_logger(__name__)

CHECK_SECONDS = 20.0
"""Time between two checks; each is one request to the broker."""


class StateTopicChecks:
    """Checks the state topic at the start of a session and while it runs.

    Feature partition N has its state in partition N of the state topic. waiting: assigned feature
    partitions without one; they are paused until the state topic has enough partitions.
    features_id: of the feature topic when it was last described; empty if it is not known.
    clock: monotonic time in seconds.
    """

    def __init__(self, config: KafkaConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.waiting: set[int] = set()
        self.features_id = ""
        self._topics = Topics(config.prefix)
        self._state: TopicState | None = None
        self._clock = clock
        self._due = 0.0

    def start(self) -> None:
        """Query the topics; log what is wrong with them, with the command that corrects it."""
        self.waiting.clear()
        self._due = self._clock() + CHECK_SECONDS
        found = self._describe()
        self._state = found.get(self._topics.state)
        features = found.get(self._topics.features)
        if self._state is not None and features is not None:
            self._compare(self._state.partitions, features.partitions)
        policy = cleanup_policy(self.config, self._topics.state, ROLE)
        if policy is not None and policy != "compact":
            log.error(
                "the state topic is not compacted: retention deletes references",
                topic=self._topics.state,
                cleanup_policy=policy,
                command=self._command(
                    "configs",
                    "--entity-type topics --entity-name",
                    "--add-config cleanup.policy=compact",
                ),
            )

    def without_state(self, partitions: list[int]) -> list[int]:
        """Return those of the feature partitions that have no partition in the state topic.

        Describes both topics: they may have grown, or been made again.
        """
        self._state = self._describe().get(self._topics.state, self._state)
        if self._state is None:
            return []
        count = self._state.partitions
        missing = [number for number in partitions if number >= count]
        if missing:
            self._compare(count, max(missing) + 1)
        self.waiting.update(missing)
        return missing

    def check(self) -> tuple[bool, bool]:
        """Return whether the topic was made again, and whether no partition must wait any more.

        Both are False between two checks, and if the broker does not respond.
        """
        if self._clock() < self._due:
            return False, False
        self._due = self._clock() + CHECK_SECONDS
        state = self._describe().get(self._topics.state)
        if state is None:
            return False, False
        before, self._state = self._state, state
        again = before is not None and before.id != state.id
        if again:
            log.error("the state topic was made again, writing all state", topic=self._topics.state)
        grown = bool(self.waiting) and max(self.waiting) < state.partitions
        if self.waiting and not grown:
            self._compare(state.partitions, max(self.waiting) + 1)
        return again, grown

    def _describe(self) -> dict[str, TopicState]:
        found = topic_states(self.config, [self._topics.state, self._topics.features], ROLE)
        if self._topics.features in found:
            self.features_id = found[self._topics.features].id
        return found

    def _compare(self, state: int, features: int) -> None:
        if state == features:
            return
        fields = {
            "topic": self._topics.state,
            "partitions": state,
            "features_topic": self._topics.features,
            "features_partitions": features,
        }
        if state > features:
            log.warning("the state topic has more partitions than the feature topic", **fields)
            return
        command = self._command("topics", "--topic", f"--partitions {features}")
        log.error(
            "the state topic has fewer partitions than the feature topic: the others wait",
            **fields,
            command=command,
        )

    def _command(self, tool: str, topic_option: str, change: str) -> str:
        return (
            f"kafka-{tool}.sh --bootstrap-server {self.config.bootstrap_servers} --alter"
            f" {topic_option} {self._topics.state} {change}"
        )
