"""Dead letters: rejected messages with the reason in their headers, within the topic's limits.

Key, headers and value of a rejected message are arbitrary bytes. A dead letter that would be larger
than the topic accepts is truncated. After each refusal of the broker the next dead letters are
smaller: first truncated further, then stubs with the reason and the source only. If even a stub is
refused, for example because the right to write is missing, dead letters are dropped and counted,
and reading goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from confluent_kafka import KafkaError, Message

from monitor.kafka.messages import Headers, message_offset, read_headers, topic_partition
from monitor.kafka.output.topic_limit import (
    DEFAULT_LIMIT,
    SMALL_LIMIT,
    OnDelivery,
    TopicLimit,
)
from monitor.records import RejectedRecord

MAX_DETAIL_BYTES = 1_000
FRAMING_BYTES = 1024
"""Bytes of a batch with one message beyond its key, headers and value, with a margin."""
HEADER_BYTES = 10
"""Maximum length of the two length fields of a header."""
OWN_HEADERS_BYTES = 2048
"""Upper bound of the headers that Plumbline adds."""
STUB_LIMIT = FRAMING_BYTES + OWN_HEADERS_BYTES

Outcome = Literal["truncated", "stub", "dropped"]


class DeadLetter(NamedTuple):
    """A rejected message to be produced to the dead-letter topic, with its delivery callback."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    on_delivery: OnDelivery


class DeadLetters:
    """Builds the dead letters of an ingest member, and reduces them when the broker refuses them.

    largest: `message.max.bytes` of the producer.
    may_write: returns whether the topic can be written, before dead letters are tried again.
    clock: monotonic time in seconds.
    """

    def __init__(
        self,
        topic: str,
        largest: int,
        may_write: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        smaller = (limit for limit in (DEFAULT_LIMIT, SMALL_LIMIT) if limit < largest)
        sizes = [largest, *smaller, STUB_LIMIT]
        self._limit = TopicLimit(topic, "dead letter refused", sizes, may_write, clock)

    def build(
        self, message: Message, rejected: RejectedRecord
    ) -> tuple[DeadLetter | None, Outcome | None]:
        """Return the dead letter of a rejected message, and what is missing of the message.

        The dead letter is None if dead letters are being dropped. The outcome is None if the dead
        letter contains the whole message.
        """
        limit = self._limit
        limit.refresh()
        if limit.dropping:
            return None, "dropped"
        own = _own_headers(message, rejected)
        if limit.smallest:
            own.append(("plumbline.stub", b"true"))
            return DeadLetter(None, None, own, limit.on_delivery()), "stub"
        key, value, headers, whole = _within(message, own, limit.size)
        letter = DeadLetter(key, value, headers, limit.on_delivery())
        return letter, None if whole else "truncated"

    @property
    def topic(self) -> str:
        """The dead-letter topic."""
        return self._limit.topic

    @property
    def alone(self) -> bool:
        """Whether each dead letter must be sent alone: the topic's limit applies to a batch."""
        return self._limit.alone

    def refused(self, error: KafkaError) -> None:
        """Reduce the next dead letters; drop them after an error that does not depend on size."""
        self._limit.refused(error)


def _own_headers(message: Message, rejected: RejectedRecord) -> Headers:
    topic, partition = topic_partition(message)
    detail = rejected.detail.encode(errors="backslashreplace")[:MAX_DETAIL_BYTES]
    return [
        ("plumbline.reason", rejected.reason.encode()),
        ("plumbline.detail", detail),
        ("plumbline.topic", topic.encode()),
        ("plumbline.partition", str(partition).encode()),
        ("plumbline.offset", str(message_offset(message)).encode()),
    ]


def _within(
    message: Message, own: Headers, limit: int
) -> tuple[bytes | None, bytes | None, Headers, bool]:
    """Return key, value and headers, truncated to `limit` bytes, and whether they are complete.

    A message that is too large keeps at most a quarter of the limit for its key and a quarter for
    its headers.
    """
    key, value = message.key(), message.value()
    headers, readable = _headers(message)
    if not readable:
        own.append(("plumbline.headers_dropped", b"not UTF-8"))
    free = limit - FRAMING_BYTES - OWN_HEADERS_BYTES
    if _size(key) + _size(value) + sum(map(_header_size, headers)) <= free:
        return key, value, [*headers, *own], readable
    if key is not None and len(key) > free // 4:
        own.append(("plumbline.key_truncated_from", str(len(key)).encode()))
        key = key[: free // 4]
    kept = _first(headers, free // 4)
    if len(kept) < len(headers):
        dropped = str(len(headers) - len(kept)).encode()
        own.append(("plumbline.headers_dropped", dropped))
    left = free - _size(key) - sum(map(_header_size, kept))
    if value is not None and len(value) > left:
        own.append(("plumbline.truncated_from", str(len(value)).encode()))
        value = value[:left]
    return key, value, [*kept, *own], False


def _headers(message: Message) -> tuple[Headers, bool]:
    """Return the headers of a message, and whether they are readable.

    Headers with Plumbline's names are left out, as of a dead letter that was
    written to the log again: the new ones replace them.
    """
    headers = read_headers(message)
    if headers is None:
        return [], False
    return [(name, value) for name, value in headers if not name.startswith("plumbline.")], True


def _first(headers: Headers, size: int) -> Headers:
    """Return the headers, in order, that fit into `size` bytes."""
    kept = []
    for header in headers:
        size -= _header_size(header)
        if size < 0:
            break
        kept.append(header)
    return kept


def _header_size(header: tuple[str, str | bytes | None]) -> int:
    name, value = header
    return HEADER_BYTES + len(name.encode()) + _size(value)


def _size(content: str | bytes | None) -> int:
    if isinstance(content, str):
        return len(content.encode())
    return len(content) if content is not None else 0
