"""Query watermarks, committed offsets and offsets by time.

A query with a `beat` is retried while the broker is unreachable. The `beat` is called before each
attempt; an exception that it raises ends the query. Other errors are raised as KafkaException. A
query without a `beat` is one attempt: its callers measure, and will measure again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaException,
    TopicPartition,
)

from monitor.kafka.clients import RESPONSE_SECONDS
from monitor.kafka.errors import TRANSIENT, UNKNOWN_TOPIC
from monitor.kafka.messages import TopicPartitionKey

log = structlog.get_logger(__name__)
T = TypeVar("T")

_UNKNOWN_TOPIC_SECONDS = 30.0
"""Time after which an unknown topic is an error: its metadata has reached every broker by then."""
_RETRY_SECONDS = 0.2
QUERY_SECONDS = 1.0
"""Timeout of a query without a `beat` that is repeated with the next measurement."""


def watermarks(
    consumer: Consumer, topic_partition: TopicPartition, beat: Callable[[], None]
) -> tuple[int, int]:
    """Return the first offset of a partition and the offset after its last message."""
    return _query(
        lambda: consumer.get_watermark_offsets(topic_partition, RESPONSE_SECONDS),
        topic_partition.topic,
        beat,
    )


def committed_metadata(
    consumer: Consumer, topic: str, beat: Callable[[], None]
) -> dict[int, tuple[int, str]]:
    """Return the offsets that the consumer's group has committed, with their metadata.

    Partitions without a committed offset are absent. Metadata is "" if there is none.
    """

    def query() -> list[TopicPartition]:
        partitions = consumer.list_topics(topic, timeout=RESPONSE_SECONDS).topics[topic].partitions
        return consumer.committed([TopicPartition(topic, n) for n in partitions], RESPONSE_SECONDS)

    found = _query(query, topic, beat)
    return {p.partition: (p.offset, p.metadata or "") for p in found if p.offset >= 0}


def offset_since(
    consumer: Consumer, topic_partition: TopicPartition, time: float, beat: Callable[[], None]
) -> int:
    """Return the offset of the first message of a partition written at or after `time`.

    time: seconds since the epoch. Returns the end of the partition if there is no such message.
    """
    at = TopicPartition(topic_partition.topic, topic_partition.partition, int(time * 1000))
    (found,) = _query(
        lambda: consumer.offsets_for_times([at], RESPONSE_SECONDS), topic_partition.topic, beat
    )
    return found.offset if found.offset >= 0 else watermarks(consumer, topic_partition, beat)[1]


def first_offsets(
    consumer: Consumer, keys: Iterable[TopicPartitionKey], seconds: float
) -> Mapping[TopicPartitionKey, int]:
    """Return the first offset of each partition, with one request to each broker.

    seconds: timeout. Raises KafkaException if the broker does not respond.
    """
    return _limits(consumer, keys, OFFSET_BEGINNING, seconds)


def unread(consumer: Consumer, keys: Collection[TopicPartitionKey]) -> dict[TopicPartitionKey, int]:
    """Return the number of messages of partitions of which none has been read.

    The consumer does not fetch them, so that it has no watermarks: two requests to each broker.
    Partitions are absent if the broker does not respond.
    """
    if not keys:
        return {}
    try:
        first = _limits(consumer, keys, OFFSET_BEGINNING, QUERY_SECONDS)
        end = _limits(consumer, keys, OFFSET_END, QUERY_SECONDS)
    except KafkaException:  # repeated at the next measurement
        return {}
    return {key: max(0, end[key] - first[key]) for key in keys if key in first and key in end}


def _limits(
    consumer: Consumer, keys: Iterable[TopicPartitionKey], which: int, seconds: float
) -> dict[TopicPartitionKey, int]:
    at = [TopicPartition(*key, which) for key in keys]
    found = consumer.offsets_for_times(at, seconds)
    return {(p.topic, p.partition): p.offset for p in found if p.error is None and p.offset >= 0}


def committed_offsets(
    consumer: Consumer, keys: Iterable[TopicPartitionKey], seconds: float
) -> Mapping[TopicPartitionKey, int]:
    """Return the committed offsets of the consumer's group; without those that do not exist.

    seconds: timeout. Raises KafkaException if the broker does not respond.
    """
    found = consumer.committed([TopicPartition(*key) for key in keys], seconds)
    return {(p.topic, p.partition): p.offset for p in found if p.error is None and p.offset >= 0}


def _query(query: Callable[[], T], topic: str, beat: Callable[[], None]) -> T:
    """Run a query until the broker responds and its metadata contains the topic."""
    unknown_until = time.monotonic() + _UNKNOWN_TOPIC_SECONDS
    while True:
        beat()
        try:
            return query()
        except KafkaException as error:
            code = error.args[0].code()
            created = code in UNKNOWN_TOPIC and time.monotonic() < unknown_until
            if code not in TRANSIENT and not created:
                raise
            text = error.args[0].str()
            log.warning("offset query failed, retrying", topic=topic, error=text)
            time.sleep(_RETRY_SECONDS)
