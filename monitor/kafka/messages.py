"""Topic, partition, offset and errors of consumed messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import methodcaller, ne
from typing import Final

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from numpy.typing import NDArray

from monitor.ingest.decode.message import LogMessage
from monitor.kafka.errors import with_group

TopicPartitionKey = tuple[str, int]
"""A topic and the number of one of its partitions."""
Headers = list[tuple[str, str | bytes | None]]

_UNREADABLE: Final = "plumbline.unreadable"
"""Replaces headers that cannot be read, so that reading them again is safe."""
_headers = methodcaller("headers")
"""Returns the headers of a message. See `read_headers` for why it is not called as a method."""


def read_headers(message: Message) -> Headers | None:
    """Return the headers of a consumed message; None if they cannot be read.

    The client library reads all headers of a message or none: one name that is not UTF-8 makes all
    of them unreadable. It then returns a list with null pointers and sets an exception. CPython
    checks this for calls from C, but not for a method call that it has specialised: using the list
    ends the process. A second call for the same message returns the list without an exception,
    hence the headers of such a message are replaced.
    """
    try:
        headers = _headers(message) or []
    except (UnicodeDecodeError, SystemError):  # which of them depends on the C code of the client
        message.set_headers([(_UNREADABLE, b"")])
        return None
    pairs = headers if isinstance(headers, list) else list(headers.items())
    return None if any(name == _UNREADABLE for name, _ in pairs) else pairs


def log_message(message: Message, value: bytes | None = None) -> LogMessage:
    """Return a consumed message as decoders read it. Headers that cannot be read are left out.

    value: of the message, if it was read already: the client library copies it at every call.
    """
    headers = {}
    for name, content in read_headers(message) or ():
        if content is not None:
            headers[name.lower()] = content.encode() if isinstance(content, str) else content
    if value is None:
        value = message.value() or b""
    return LogMessage(value, headers, message.topic() or "")


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


@dataclass(frozen=True, slots=True)
class Run:
    """Successive messages of one partition: `count` of them, and the offsets of first and last."""

    key: TopicPartitionKey
    count: int
    first: int
    last: int


def runs(messages: Sequence[Message]) -> tuple[list[Run], NDArray[np.int64]]:
    """Return the runs of a batch of consumed messages, and the offset of each message, shape (n,).

    Faster than `topic_partition` and `message_offset` for each message.
    """
    n = len(messages)
    offsets = np.fromiter([message.offset() for message in messages], np.int64, n)
    partitions = np.fromiter([message.partition() for message in messages], np.int64, n)
    topics = [message.topic() for message in messages]
    changes = partitions[1:] != partitions[:-1]
    if topics.count(topics[0]) < n:
        changes |= np.fromiter(map(ne, topics[1:], topics), np.bool_, n - 1)
    starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
    found = []
    for start, end in pairwise([*starts, n]):
        key = topic_partition(messages[start])
        found.append(Run(key, end - start, int(offsets[start]), int(offsets[end - 1])))
    return found, offsets


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
