"""Tests of what all roles share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

import monitor.roles
from monitor.config.schema import Config
from monitor.roles.role import POLL_SECONDS, Role
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health


class Leaving(Role):
    """A role whose consumer is closed while a rebalance calls back."""

    name = "leaving"

    def __init__(self, error: KafkaError, *, stops: bool) -> None:
        super().__init__(Config(), Metrics(), Health(), lambda _: stops)
        self.error = error

    def close(self) -> None:
        """Raise what the callback raised."""
        raise KafkaException(self.error)

    def _session(self) -> None:
        self._leave(self.close)


RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "stopping", retriable=True)
FATAL = KafkaError(KafkaError._FENCED, "fenced", fatal=True)


def session(error: KafkaError, *, stops: bool) -> None:
    """Run a session that ends with this error."""
    Leaving(error, stops=stops)._session()


def test_a_restore_that_is_given_up_while_the_role_leaves_is_no_error() -> None:
    """A partition that is assigned during the end is not restored."""
    session(RETRIABLE, stops=True)


@pytest.mark.parametrize(("error", "stops"), [(RETRIABLE, False), (FATAL, True), (FATAL, False)])
def test_other_errors_while_a_role_leaves_are_raised(error: KafkaError, stops: bool) -> None:
    """Only what the stop itself causes is no error."""
    with pytest.raises(KafkaException):
        session(error, stops=stops)


def test_every_role_leaves_in_this_way() -> None:
    """No role closes the consumer of its session itself."""
    files = Path(*monitor.roles.__path__).glob("*.py")
    found = [file.name for file in files if "self.consumer.close()" in file.read_text()]
    assert found == ["notify.py"]  # a consumer for each target, which the role leaves


@dataclass
class Polled:
    """A message, or what a consumer reports instead of one."""

    reported: KafkaError | None = None

    def error(self) -> KafkaError | None:
        """Return what is reported."""
        return self.reported

    def topic(self) -> str:
        """Return the topic."""
        return "logs"


@dataclass
class Polls:
    """A consumer with these messages. waits: the time that each call might wait."""

    left: list[Polled]
    waits: list[float] = field(default_factory=list)

    def poll(self, seconds: float) -> Polled | None:
        """Return the next message."""
        self.waits.append(seconds)
        return self.left.pop(0) if self.left else None


END = Polled(KafkaError(KafkaError._PARTITION_EOF))


def available(consumer: Polls) -> tuple[list[Polled], list[Polled]]:
    """Return the messages that a role reads, and the ends of partitions."""
    ends: list[Message] = []
    role = Leaving(RETRIABLE, stops=False)
    found = list(role._available(cast(Consumer, consumer), ends.append))
    return cast(list[Polled], found), cast(list[Polled], ends)


def test_only_the_first_message_is_waited_for() -> None:
    """Messages are read until there is none; the ends of partitions are reported."""
    first, second = Polled(), Polled()
    consumer = Polls([first, END, second])
    assert available(consumer) == ([first, second], [END])
    assert consumer.waits == [POLL_SECONDS, 0.0, 0.0, 0.0]


def test_reading_stops_at_an_error() -> None:
    """The loop of a role goes on, with its heartbeat, however many errors a client reports."""
    failed = Polled(KafkaError(KafkaError._TRANSPORT))
    consumer = Polls([Polled(), failed, Polled()])
    assert len(available(consumer)[0]) == 1
    assert len(available(consumer)[0]) == 1
    with pytest.raises(KafkaException):  # such a client cannot go on
        available(Polls([Polled(FATAL)]))
