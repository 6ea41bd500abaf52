"""Read a partition of a compacted topic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import consumer_settings
from monitor.kafka.errors import TRANSIENT, with_group, with_topic
from monitor.kafka.messages import message_offset
from monitor.kafka.offsets import watermarks

log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.5


def read_compacted(
    config: KafkaConfig, topic: str, partition: int, beat: Callable[[], None]
) -> dict[bytes, bytes]:
    """Return the newest committed value of every key of a partition, without deleted keys.

    Waits for the end of open transactions, because they may commit newer values. The broker aborts
    the transaction of a dead producer after transaction.timeout.ms.

    beat: called at least every `_POLL_SECONDS`; an exception that it raises ends the read.
    Raises KafkaException if the partition cannot be read.
    """
    settings = consumer_settings(config, "restore")
    try:
        return _read(settings, TopicPartition(topic, partition), beat)
    except KafkaException as error:
        cause = with_topic(with_group(error.args[0], settings["group.id"]), topic)
        raise KafkaException(cause) from None


def _read(
    settings: dict[str, Any], source: TopicPartition, beat: Callable[[], None]
) -> dict[bytes, bytes]:
    end = _uncommitted_end(settings, source, beat)
    # The response to a fetch at the end is delayed by fetch.wait.max.ms: keep it short.
    reader = Consumer(settings | {"fetch.wait.max.ms": 20})
    newest: dict[bytes, bytes] = {}
    try:
        # An explicit offset avoids a delay: the query has already connected to the leader.
        source.offset, _ = watermarks(reader, source, beat)
        reader.assign([source])
        for message in _messages_until(reader, source, end, beat):
            key, value = message.key() or b"", message.value()
            if value is None:
                newest.pop(key, None)
            else:
                newest[key] = value
    finally:
        reader.close()
    return newest


def _messages_until(
    reader: Consumer, source: TopicPartition, end: int, beat: Callable[[], None]
) -> Iterator[Message]:
    """Yield the committed messages of a partition until its offset `end` is reached."""
    waiting = False
    while True:
        beat()
        # `consume` would wait for a full batch at the end of the partition.
        message = reader.poll(_POLL_SECONDS)
        if message is None:
            continue
        error = message.error()
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:
            if message_offset(message) >= end:
                return
            if not waiting:
                where = {"topic": source.topic, "partition": source.partition}
                log.info("waiting for an open transaction", **where)
                waiting = True
        elif error.code() in TRANSIENT:
            log.warning("state read failed, retrying", topic=source.topic, error=error.str())
        else:
            raise KafkaException(error)


def _uncommitted_end(
    settings: dict[str, Any], source: TopicPartition, beat: Callable[[], None]
) -> int:
    """Return the offset after the last message of a partition, open transactions included."""
    consumer = Consumer(settings | {"isolation.level": "read_uncommitted"})
    try:
        return watermarks(consumer, source, beat)[1]
    finally:
        consumer.close()
