"""Lag of a consumer, and messages that expired before it read them.

The lag of a partition is its high watermark less the consumer's position. The watermark is the one
of the last fetch response; no request is made. The position is the offset after the last message
that was read (for ingest: committed). At the end of a partition it is the offset that the consumer
reports as the end: transaction markers and aborted messages, which are never returned, lie before
it. A consumer of committed messages reports the start of an open transaction as the end, so that
the messages behind it count as lag.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from monitor.kafka.messages import TopicPartitionKey, message_offset, topic_partition
from monitor.kafka.offsets import QUERY_SECONDS, committed_offsets, first_offsets

log = structlog.get_logger(__name__)

MEASURE_SECONDS = 2.0


@dataclass(slots=True)
class _Position:
    """The position of a consumer in a partition.

    offset: after the last message that was read; None if this is not known.
    checked: whether the committed offset has been read.
    end: offset of the last reported end, and `offset` at that time.
    skipped: offsets without a message since the last check, first and number.
    """

    offset: int | None
    checked: bool
    end: tuple[int, int | None] | None = None
    skipped: list[tuple[int, int]] = field(default_factory=list)

    def start(self, offset: int) -> None:
        """Set the offset from which the partition is read, unless it is known already."""
        if self.offset is not None:
            return
        if self.end is not None:
            self.end = self.end[0], offset
        self.offset = offset

    def reached(self) -> int | None:
        """Return the offset before which there is nothing left to read."""
        if self.end is None or self.end[1] != self.offset:
            return self.offset
        return self.end[0] if self.offset is None else max(self.end[0], self.offset)


class LagMeter:
    """Measures the partitions that are assigned to a consumer.

    clock: monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._positions: dict[TopicPartitionKey, _Position] = {}
        self._clock = clock
        self._due = 0.0

    def assign(self, key: TopicPartitionKey, offset: int | None = None) -> None:
        """Add a partition that is read from `offset`; None if this is not known."""
        self._positions[key] = _Position(offset, checked=offset is not None)

    @property
    def unchecked(self) -> set[TopicPartitionKey]:
        """Assigned partitions whose committed offsets have not been read yet."""
        return {key for key, position in self._positions.items() if not position.checked}

    def drop(self, keys: Iterable[TopicPartitionKey]) -> None:
        """Remove partitions that are no longer assigned."""
        for key in keys:
            self._positions.pop(key, None)

    def read(self, key: TopicPartitionKey, start: int, end: int, count: int) -> None:
        """Record that `count` messages between the offsets `start` and `end` have been read."""
        position = self._positions.get(key)
        if position is None:
            return
        if position.offset is not None and position.offset <= start:
            start = position.offset
        position.offset = end
        if end - start > count and len(position.skipped) < 1_000:
            position.skipped.append((start, end - start - count))

    def reached_end(self, message: Message, read_to: int | None = None) -> None:
        """Record the end of a partition that the consumer has reported.

        read_to: offset after the last message that was read but not recorded yet.
        """
        key = topic_partition(message)
        position = self._positions.get(key)
        if position is not None:
            before = position.offset if read_to is None else read_to
            position.end = message_offset(message), before

    def due(self) -> bool:
        """Return whether it is time to measure, at most every MEASURE_SECONDS."""
        if self._clock() < self._due:
            return False
        self._due = self._clock() + MEASURE_SECONDS
        return True

    def lag(self, consumer: Consumer) -> dict[TopicPartitionKey, int]:
        """Return the messages not yet read, by partition; without those that are not known yet."""
        lag = {}
        for key, position in self._positions.items():
            low, high = consumer.get_watermark_offsets(TopicPartition(*key), cached=True)
            reached = position.reached()
            if reached is None and low >= 0:
                reached = low
            if high >= 0 and reached is not None:
                lag[key] = max(0, high - reached)
        return lag

    def check_assigned(self, consumer: Consumer) -> Counter[str]:
        """Read the committed offsets of partitions that were assigned without an offset.

        Returns the number of messages that expired before them, by topic. Must be called before the
        first commit.
        """
        expired: Counter[str] = Counter()
        keys = self.unchecked
        if not keys:
            return expired
        try:
            offsets = committed_offsets(consumer, keys, QUERY_SECONDS)
            first = first_offsets(consumer, offsets, QUERY_SECONDS) if offsets else {}
        except KafkaException as error:
            log.warning("offset query failed, retrying", error=error.args[0].str())
            return expired
        for key in keys:
            position, offset = self._positions[key], offsets.get(key)
            position.checked = True
            if offset is not None:
                count = count_expired(key, offset, first.get(key, 0))
                expired.update({key[0]: count} if count else {})
                position.start(offset + count)
        return expired

    def expired(self, consumer: Consumer) -> Counter[str]:
        """Return the number of messages that were deleted before they were read, by topic.

        They are among the skipped offsets before the first offset of the partition. Skipped offsets
        after it are transaction markers and aborted messages.
        """
        expired: Counter[str] = Counter()
        skipped = {key: p.skipped for key, p in self._positions.items() if p.skipped}
        if not skipped:
            return expired
        try:
            first = first_offsets(consumer, skipped, QUERY_SECONDS)
        except KafkaException:  # repeated at the next measurement
            return expired
        for key, gaps in skipped.items():
            # Reading resumes at the first offset of that time, which is not larger than now.
            before = sum(size for start, size in gaps if start < first.get(key, 0))
            if before:
                expired[key[0]] += count_expired(key, 0, before)
            self._positions[key].skipped = []
        return expired


def count_expired(key: TopicPartitionKey, offset: int, first: int) -> int:
    """Return and log the number of messages from `offset` that are deleted; `first` exists."""
    count = max(0, first - offset)
    if count:
        log.error("messages expired unread", topic=key[0], partition=key[1], count=count)
    return count
