"""Read all values of a topic, for commands: in limited time and without a consumer group."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from confluent_kafka import KafkaException

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.errors import UserError
from monitor.kafka.readers.follower import TopicFollower

POLL_SECONDS = 0.5


def topic_values(config: KafkaConfig, topic: str, seconds: float) -> Iterator[bytes | None]:
    """Yield the value of every message of a topic as `written_values` does."""
    for found in written_values(config, topic, seconds):
        yield None if found is None else found[0]


def written_values(
    config: KafkaConfig, topic: str, seconds: float
) -> Iterator[tuple[bytes, float] | None]:
    """Yield value and time of every message of a topic, None at its end, then new ones.

    The time is that at which it was written to the topic, in epoch seconds.

    seconds: maximum time until the end of the topic is reached.
    Raises UserError if the topic cannot be read, or not in time.
    """
    deadline, at_end = time.monotonic() + seconds, False
    with closing(TopicFollower(config, topic)) as follower:
        try:
            while True:
                value = follower.poll(POLL_SECONDS)
                if value is not None:
                    yield value, follower.written
                elif follower.caught_up and not at_end:
                    at_end = True
                    yield None
                if not at_end and time.monotonic() > deadline:
                    problem = "not read in time" if follower.partitions else "no such topic"
                    raise UserError(f"{config.bootstrap_servers}: {topic}: {problem}")
        except KafkaException as error:
            text = f"{config.bootstrap_servers}: {topic}: {follower.cause(error)}"
            raise UserError(text) from None
