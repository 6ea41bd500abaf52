"""The daemon's consumer group from outside: keeping its log away, and asking how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, TopicPartition

from monitor import kafka
from monitor.config import KafkaConfig

HOLD_SECONDS = 90.0


class HoldError(Exception):
    """The partitions could not be kept from the daemon."""


@contextmanager
def holding(config: KafkaConfig, topic: str, partitions: int) -> Iterator[Callable[[], None]]:
    """Members of ingest's group, one a partition, that keep the log away until they are released.

    Sticky assignment leaves each its one partition when the daemon joins. A thread polls them all
    the while, for a rebalance waits for every member.
    """
    settings = kafka.consumer_settings(config, "ingest") | {
        "fetch.max.bytes": 1_000_000,
        "queued.max.messages.kbytes": 1_000,
        "heartbeat.interval.ms": 100,
    }
    members = [Consumer(settings) for _ in range(partitions)]
    leaving = threading.Event()

    def pause(consumer: Consumer, given: list[TopicPartition]) -> None:
        consumer.incremental_assign(given)
        consumer.pause(given)

    def poll() -> None:
        while not leaving.is_set():
            for member in members:
                member.poll(0.01)

    poller = threading.Thread(target=poll, daemon=True)

    def release() -> None:
        if leaving.is_set():
            return
        leaving.set()
        poller.join()
        closers = [threading.Thread(target=member.close) for member in members]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()

    for member in members:
        member.subscribe([topic], on_assign=pause)
    poller.start()
    try:
        deadline = time.monotonic() + HOLD_SECONDS
        while any(len(member.assignment()) != 1 for member in members):
            time.sleep(0.02)
            if time.monotonic() > deadline:
                raise HoldError("the partitions of the log could not be held")
        yield release
    finally:
        release()


@contextmanager
def committed(config: KafkaConfig, topic: str, partitions: int) -> Iterator[Callable[[], int]]:
    """How many records ingest has committed; asked of the broker."""
    settings = kafka.consumer_settings(config, "ingest")
    # a reader of committed offsets would wait for the transaction that is open
    observer = Consumer(settings | {"isolation.level": "read_uncommitted"})
    places = [TopicPartition(topic, number) for number in range(partitions)]
    try:
        yield lambda: sum(max(0, place.offset) for place in observer.committed(places, 30))
    finally:
        observer.close()
