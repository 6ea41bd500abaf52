"""Questions to a broker that has no answer yet."""

from __future__ import annotations

from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from monitor import kafka

PLACE = TopicPartition("state", 0)


class Reluctant:
    """A consumer whose broker gives these errors before it answers."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        """The next error, or (2, 7)."""
        del place, timeout
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return 2, 7


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    monkeypatch.setattr(kafka, "_PAUSE_SECONDS", 0.0)


def ask(*codes: int) -> tuple[tuple[int, int], int]:
    """The answer, and after how many attempts."""
    beats: list[None] = []
    consumer = cast(Consumer, Reluctant(*codes))
    return kafka.watermarks(consumer, PLACE, lambda: beats.append(None)), len(beats)


def test_a_topic_that_was_just_made_is_asked_for_again() -> None:
    """Neither a broker that is away nor one that does not know the topic yet ends a role."""
    codes = KafkaError._TRANSPORT, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART
    assert ask(*codes) == ((2, 7), 4)


def test_a_topic_that_stays_unknown_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while it is missing, and that is said; a broker that is away is still waited for."""
    monkeypatch.setattr(kafka, "_KNOWN_SECONDS", 0.0)
    with pytest.raises(KafkaException):
        ask(KafkaError._UNKNOWN_PARTITION)
    assert ask(KafkaError._TRANSPORT) == ((2, 7), 2)


def test_what_asking_again_does_not_mend_is_an_error() -> None:
    """Who may not read the topic will not be allowed to by asking."""
    with pytest.raises(KafkaException):
        ask(KafkaError.TOPIC_AUTHORIZATION_FAILED)
