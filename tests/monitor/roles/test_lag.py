"""Lag and expired messages of assigned partitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from monitor.kafka.offsets import unread
from monitor.roles.lag import MEASURE_SECONDS, LagMeter

KEY = ("logs", 0)


@dataclass
class Broker:
    """The offsets of the only partition, as a consumer of it sees them."""

    low: int = -1001
    high: int = -1001
    first: int = 0
    kept: int = -1001
    error: int | None = None
    asked: list[Any] = field(default_factory=list)

    def get_watermark_offsets(self, *_: object, cached: bool) -> tuple[int, int]:
        """Return what the last fetch response contained."""
        assert cached
        return self.low, self.high

    def committed(self, places: list[TopicPartition], _: float) -> list[TopicPartition]:
        """Return the committed offset."""
        return self._answer(places, self.kept)

    def offsets_for_times(self, places: list[TopicPartition], _: float) -> list[TopicPartition]:
        """Return the first or the last offset."""
        return self._answer(places, self.high if places[0].offset == OFFSET_END else self.first)

    def _answer(self, places: list[TopicPartition], offset: int) -> list[TopicPartition]:
        self.asked.append(places)
        if self.error is not None:
            raise KafkaException(KafkaError(self.error))
        return [TopicPartition(p.topic, p.partition, offset) for p in places]


class End:
    """The report that a consumer has reached the end of the partition."""

    def __init__(self, offset: int) -> None:
        self.number = offset

    def topic(self) -> str:
        """Return the topic."""
        return KEY[0]

    def partition(self) -> int:
        """Return the partition."""
        return KEY[1]

    def offset(self) -> int:
        """Return the offset of the end."""
        return self.number


def end(meter: LagMeter, offset: int, read_to: int | None = None) -> None:
    """Report the end of the partition."""
    meter.reached_end(cast(Message, End(offset)), read_to)


def lag(meter: LagMeter, broker: Broker) -> int | None:
    """Return the lag of the partition; None if it is not known."""
    return meter.lag(cast(Consumer, broker)).get(KEY)


def meter_at(offset: int | None) -> LagMeter:
    """Return a meter of the assigned partition."""
    meter = LagMeter()
    meter.assign(KEY, offset)
    return meter


def test_lag_is_the_end_less_the_position() -> None:
    """It is unknown until the first fetch response."""
    meter, broker = meter_at(100), Broker()
    assert lag(meter, broker) is None
    broker.high = 130
    assert lag(meter, broker) == 30
    meter.read(KEY, 100, 120, 20)
    assert lag(meter, broker) == 10
    meter.drop([KEY])
    assert meter.lag(cast(Consumer, broker)) == {}


def test_lag_is_0_behind_transaction_markers() -> None:
    """The consumer reports the end behind a marker, which it never returns."""
    meter, broker = meter_at(100), Broker(high=121)
    meter.read(KEY, 100, 120, 20)
    end(meter, 121)
    assert lag(meter, broker) == 0
    broker.high = 131
    assert lag(meter, broker) == 10
    meter.read(KEY, 121, 130, 9)
    assert lag(meter, broker) == 1
    end(meter, 131)
    assert lag(meter, broker) == 0


@pytest.mark.parametrize("kept", [100, -1001])
def test_lag_behind_an_open_transaction(kept: int) -> None:
    """The consumer reports the start of the transaction as the end, also after a restart."""
    meter, broker = meter_at(None), Broker(high=5101, kept=kept)
    meter.check_assigned(cast(Consumer, broker))
    end(meter, 100)
    assert lag(meter, broker) == 5001


def test_records_of_an_open_transaction_of_ours_are_lag() -> None:
    """The end is valid once the messages before it are committed; a rollback makes it invalid."""
    meter, broker = meter_at(100), Broker(high=121)
    end(meter, 121, read_to=120)
    assert lag(meter, broker) == 21
    meter.read(KEY, 100, 120, 20)
    assert lag(meter, broker) == 0


def test_a_process_that_has_read_nothing() -> None:
    """Lag counts from the committed offset, or else from the first one that is known."""
    meter, broker = meter_at(None), Broker(low=10, high=50)
    assert lag(meter, broker) == 40
    broker.kept = 20
    meter.check_assigned(cast(Consumer, broker))
    assert lag(meter, broker) == 30


def test_a_topic_that_was_made_again() -> None:
    """Offsets begin at 0 again; the lag is not negative, and nothing counts as expired."""
    meter, broker = meter_at(100), Broker(high=3)
    assert lag(meter, broker) == 0
    meter.read(KEY, 0, 2, 2)
    assert lag(meter, broker) == 1
    assert meter.expired(cast(Consumer, broker)) == {}


@pytest.mark.parametrize(
    ("start", "stop", "count", "first", "expired"),
    [
        (100, 120, 20, 100, 0),  # no gap
        (101, 121, 20, 100, 0),  # a marker
        (300, 320, 20, 300, 200),  # reading resumed at the first offset
        (300, 320, 18, 300, 202),  # the same, with two markers
        (300, 320, 20, 100, 0),  # a large aborted transaction
    ],
)
def test_messages_before_the_first_offset_have_expired(
    start: int, stop: int, count: int, first: int, expired: int
) -> None:
    """Gaps after the first offset are markers and aborted messages. Each gap is counted once."""
    meter, broker = meter_at(100), Broker(first=first)
    meter.read(KEY, start, stop, count)
    assert meter.expired(cast(Consumer, broker)).total() == expired
    assert meter.expired(cast(Consumer, broker)).total() == 0


def test_the_first_offset_is_read_only_for_gaps_and_read_again_after_an_error() -> None:
    """Without a gap no request is made."""
    meter, broker = meter_at(100), Broker(first=150)
    meter.read(KEY, 100, 120, 20)
    meter.expired(cast(Consumer, broker))
    assert broker.asked == []
    meter.read(KEY, 150, 160, 10)
    broker.error = KafkaError._TRANSPORT
    assert meter.expired(cast(Consumer, broker)).total() == 0
    broker.error = None
    assert meter.expired(cast(Consumer, broker)) == {"logs": 30}


def test_messages_that_expired_before_the_assignment() -> None:
    """They lie between the committed and the first offset."""
    meter, broker = meter_at(None), Broker(first=150, kept=100, error=KafkaError._TRANSPORT)
    assert meter.check_assigned(cast(Consumer, broker)).total() == 0
    assert meter.unchecked == {KEY}
    broker.error = None
    assert meter.check_assigned(cast(Consumer, broker)) == {"logs": 50}
    assert meter.unchecked == set()
    assert meter.check_assigned(cast(Consumer, broker)).total() == 0


def test_it_measures_every_few_seconds() -> None:
    """The interval is independent of the traffic."""
    now = [0.0]
    meter = LagMeter(lambda: now[0])
    assert (meter.due(), meter.due()) == (True, False)
    now[0] += MEASURE_SECONDS
    assert (meter.due(), meter.due()) == (True, False)


@pytest.mark.parametrize(("first", "high", "lag"), [(0, 0, 0), (0, 700, 700), (40, 700, 660)])
def test_partitions_that_wait_have_a_lag(first: int, high: int, lag: int) -> None:
    """All messages of a partition that is not read are its lag."""
    broker = cast(Consumer, Broker(first=first, high=high))
    assert unread(broker, [KEY]) == {KEY: lag}
    other = ("logs", 7)
    assert unread(broker, [KEY, other]) == {KEY: lag, other: lag}


@pytest.mark.parametrize("error", [KafkaError._TIMED_OUT, KafkaError._TRANSPORT])
def test_the_lag_of_a_partition_that_waits_is_unknown_without_a_broker(error: int) -> None:
    """There is no value then, and no request if no partition waits."""
    broker = Broker(high=5, error=error)
    assert unread(cast(Consumer, broker), [KEY]) == {}
    asked = len(broker.asked)
    assert unread(cast(Consumer, broker), []) == {}
    assert len(broker.asked) == asked
