"""Topic, partition, offset and errors of consumed messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from monitor.kafka.errors import with_group

TopicPartitionKey = tuple[str, int]
"""A topic and the number of one of its partitions."""


def topic_partition(message: Message) -> TopicPartitionKey:
    """Return the topic and partition of a consumed message."""
    topic, partition = message.topic(), message.partition()
    assert topic is not None  # None only before a message is produced
    assert partition is not None
    return topic, partition


def partition_names(partitions: Sequence[TopicPartition]) -> list[str]:
    """Return the topic and number of each partition, for the log."""
    return [f"{p.topic}[{p.partition}]" for p in partitions]


def message_offset(message: Message) -> int:
    """Return the offset of a consumed message."""
    offset = message.offset()
    assert offset is not None
    return offset


def topic_partitions(messages: Sequence[Message]) -> tuple[list[TopicPartitionKey], list[int]]:
    """Return the partitions and the offsets of a batch of consumed messages.

    Faster than `topic_partition` and `message_offset` for each message.
    """
    topics = [message.topic() for message in messages]
    partitions = [message.partition() for message in messages]
    offsets = [message.offset() for message in messages]
    keys = list(zip(topics, partitions, strict=True))
    return cast(list[TopicPartitionKey], keys), cast(list[int], offsets)


def is_end(message: Message) -> bool:
    """Return whether a consumer reports the end of a partition instead of a message."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def consumer_error(message: Message, group: str) -> str | None:
    """Return the text of the error that a consumer received.

    Returns None if it received a message or the end of a partition.

    group: the consumer's group, which is part of the text if the group is the problem.

    Raises KafkaException if the error is fatal for the client.
    """
    error = message.error()
    if error is None or is_end(message):
        return None
    if error.fatal():
        raise KafkaException(error)
    text, topic = with_group(error, group).str(), message.topic()
    return f"{topic}: {text}" if topic else text
