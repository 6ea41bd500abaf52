"""A consumed message as decoders read it."""

from __future__ import annotations

from typing import cast

import pytest
from confluent_kafka import Message

from monitor.kafka.messages import log_message


class Received:
    """A consumed message with headers."""

    def __init__(self) -> None:
        self.values_read = 0

    def value(self) -> bytes:
        """Return the value."""
        self.values_read += 1
        return b"value"

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """Return headers of all types."""
        return [("A", b"1"), ("b", "text"), ("C", None)]

    def topic(self) -> str:
        """Return the topic."""
        return "logs"


@pytest.mark.parametrize(("given", "reads"), [(None, 1), (b"value", 0)])
def test_the_value_is_read_once(given: bytes | None, reads: int) -> None:
    """A value that was read is not copied again, and headers do not replace it."""
    received = Received()
    found = log_message(cast(Message, received), given)
    assert found.value == b"value"
    assert found.headers == {"a": b"1", "b": b"text"}
    assert (found.topic, received.values_read) == ("logs", reads)
