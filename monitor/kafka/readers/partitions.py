"""Read partitions of a topic from given offsets on, without a consumer group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import RESPONSE_SECONDS, consumer_settings
from monitor.kafka.errors import TRANSIENT, UNKNOWN_TOPIC
from monitor.kafka.messages import message_offset, topic_partition
from monitor.kafka.offsets import offset_since, watermarks

_RETRY_SECONDS = 0.2


class PartitionReader:
    """Reads partitions of a topic. It commits nothing.

    ends: the offset at which the end of a partition was reached, by partition.
    """

    def __init__(self, config: KafkaConfig, topic: str, beat: Callable[[], None]) -> None:
        self.topic = topic
        self.ends: dict[int, int] = {}
        self._beat = beat
        settings = consumer_settings(config, "restore")
        # The response to a fetch at the end is delayed by fetch.wait.max.ms: keep it short.
        settings |= {"fetch.wait.max.ms": 100}
        self._consumer = Consumer(settings | {"queued.max.messages.kbytes": 16 * 1024})

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    def assign(self, partition: int, offset: int) -> None:
        """Read a partition from an offset on; from its first one if that is later."""
        self.ends.pop(partition, None)
        self._consumer.incremental_assign([TopicPartition(self.topic, partition, offset)])

    def unassign(self, partition: int) -> None:
        """Stop reading a partition."""
        self.ends.pop(partition, None)
        self._consumer.incremental_unassign([TopicPartition(self.topic, partition)])

    def poll(self, seconds: float) -> Message | None:
        """Return the next message; None if there is none in time.

        Raises KafkaException if a partition cannot be read, for example without permission.
        """
        message = self._consumer.poll(seconds)
        if message is None:
            return None
        error = message.error()
        if error is None:
            return message
        if error.code() == KafkaError._PARTITION_EOF:
            self.ends[topic_partition(message)[1]] = message_offset(message)
        elif error.code() not in TRANSIENT | UNKNOWN_TOPIC:
            raise KafkaException(error)
        return None

    def read(self, partition: int, last: int, seconds: float) -> Iterator[Message | None]:
        """Yield the messages of the assigned partition below offset `last`, then None once.

        The iterator ends without None if `seconds` have passed.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._beat()
            message = self.poll(min(0.1, seconds))
            if message is not None and message_offset(message) < last:
                yield message
            if partition in self.ends or (message and message_offset(message) >= last - 1):
                yield None
                return

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset of a partition and the offset after its last message."""
        return watermarks(self._consumer, TopicPartition(topic, partition), self._beat)

    def offset_since(self, partition: int, time: float) -> int:
        """Return the offset of the first message written at or after `time` (epoch seconds)."""
        return offset_since(self._consumer, TopicPartition(self.topic, partition), time, self._beat)

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic; 0 if it does not exist or is not visible."""
        while True:
            self._beat()
            try:
                found = self._consumer.list_topics(topic, timeout=RESPONSE_SECONDS).topics[topic]
            except KafkaException as error:
                if error.args[0].code() not in TRANSIENT:
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                return len(found.partitions)
