"""Read a topic from its beginning and follow it, without a consumer group."""

from __future__ import annotations

import time
from collections import deque

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import RESPONSE_SECONDS, consumer_settings
from monitor.kafka.errors import TRANSIENT, UNKNOWN_TOPIC
from monitor.kafka.messages import topic_partition

_REFRESH_SECONDS = 30.0
"""Time between two queries for new partitions."""
_MAX_ERRORS = 10


class TopicFollower:
    """Reads every partition of a topic. It commits nothing.

    partitions: partitions that are read. caught_up: whether the end of all of them was reached.
    written: when the last message was written to the topic, in epoch seconds; 0 if that is unknown.
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self.topic = topic
        self.partitions: set[int] = set()
        self.written = 0.0
        settings = consumer_settings(config, "follow")
        # small buffers: the topics that are followed have few messages
        settings |= {"queued.max.messages.kbytes": 4096}
        # errors are reported by the caller, and not by the client as well
        self._errors: deque[KafkaError] = deque(maxlen=_MAX_ERRORS)
        settings |= {"error_cb": self._errors.append, "log_level": 0}
        self._consumer = Consumer(settings)
        self._at_end: set[int] = set()
        self._refresh_due = 0.0

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    @property
    def caught_up(self) -> bool:
        """Whether the topic exists and the end of each partition was reached."""
        return bool(self.partitions) and self.partitions <= self._at_end

    def poll(self, seconds: float) -> bytes | None:
        """Return the value of the next message; None if there is none in time.

        A topic without partitions does not exist yet; the broker is asked again later.
        Raises KafkaException if the topic cannot be read, for example without permission.
        """
        self._refresh()
        message = self._consumer.poll(seconds)
        if message is None:
            return None
        error = message.error()
        if error is None:
            self.written = max(message.timestamp()[1], 0) / 1000
            return message.value() or b""
        if error.code() == KafkaError._PARTITION_EOF:
            self._at_end.add(topic_partition(message)[1])
        elif error.code() not in TRANSIENT | UNKNOWN_TOPIC:
            raise KafkaException(error)
        return None

    def cause(self, error: KafkaException) -> str:
        """Return the text of an error that `poll` raised, with its cause if the client named it."""
        specific = [e.str() for e in self._errors if e.code() != KafkaError._ALL_BROKERS_DOWN]
        return specific[-1] if specific else str(error.args[0].str())

    def _refresh(self) -> None:
        """Add partitions that are new."""
        now = time.monotonic()
        if now < self._refresh_due:
            return
        metadata = self._consumer.list_topics(self.topic, timeout=RESPONSE_SECONDS)
        found = metadata.topics[self.topic]
        if found.error is not None and found.error.code() not in TRANSIENT | UNKNOWN_TOPIC:
            raise KafkaException(found.error)
        new = set(found.partitions) - self.partitions
        if new:
            self.partitions |= new
            self._consumer.incremental_assign(
                [TopicPartition(self.topic, number, OFFSET_BEGINNING) for number in sorted(new)]
            )
        self._refresh_due = now + (_REFRESH_SECONDS if self.partitions else 1.0)
