"""Queries to a broker that does not respond at first."""

from __future__ import annotations

from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from monitor.kafka import offsets
from monitor.kafka.offsets import watermarks

PARTITION = TopicPartition("state", 0)


class FailingConsumer:
    """A consumer whose queries fail with these errors before they succeed."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        """Raise the next error, or return (2, 7)."""
        del partition, timeout
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return 2, 7


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the pause between attempts."""
    monkeypatch.setattr(offsets, "_RETRY_SECONDS", 0.0)


def query(*codes: int) -> tuple[tuple[int, int], int]:
    """Return the watermarks and the number of attempts."""
    beats: list[None] = []
    consumer = cast(Consumer, FailingConsumer(*codes))
    return watermarks(consumer, PARTITION, lambda: beats.append(None)), len(beats)


def test_transient_errors_are_retried() -> None:
    """The broker may be unreachable, or not have the metadata of a new topic yet."""
    codes = KafkaError._TRANSPORT, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART
    assert query(*codes) == ((2, 7), 4)


def test_a_topic_that_stays_unknown_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown topic is retried for a limited time, an unreachable broker without a limit."""
    monkeypatch.setattr(offsets, "_UNKNOWN_TOPIC_SECONDS", 0.0)
    with pytest.raises(KafkaException):
        query(KafkaError._UNKNOWN_PARTITION)
    assert query(KafkaError._TRANSPORT) == ((2, 7), 2)


def test_other_errors_are_raised() -> None:
    """A missing permission is not retried."""
    with pytest.raises(KafkaException):
        query(KafkaError.TOPIC_AUTHORIZATION_FAILED)
