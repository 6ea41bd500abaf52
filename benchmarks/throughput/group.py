"""Access to the daemon's consumer group: hold its partitions, and read its committed offsets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, TopicPartition

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import consumer_settings

HOLD_SECONDS = 180.0


class HoldError(Exception):
    """The dummy members were not assigned one partition each."""


@contextmanager
def holding(config: KafkaConfig, topic: str, partitions: int) -> Iterator[Callable[[], None]]:
    """Hold the log with one member of ingest's group per partition; yield a function that leaves.

    Sticky assignment leaves each member its partition when the daemon joins. A thread polls all
    members, because a rebalance waits for each of them.
    """
    settings = consumer_settings(config, "ingest") | {
        "fetch.max.bytes": 1_000_000,
        "queued.max.messages.kbytes": 1_000,
        "heartbeat.interval.ms": 100,
    }
    members = [Consumer(settings) for _ in range(partitions)]
    leaving = threading.Event()

    def pause(consumer: Consumer, assigned: list[TopicPartition]) -> None:
        consumer.incremental_assign(assigned)
        consumer.pause(assigned)

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
        _wait_for_assignment(members)
        yield release
    finally:
        release()


def _wait_for_assignment(members: list[Consumer]) -> None:
    deadline = time.monotonic() + HOLD_SECONDS
    while any(len(member.assignment()) != 1 for member in members):
        time.sleep(0.02)
        if time.monotonic() > deadline:
            raise HoldError(f"the partitions of the log were not assigned in {HOLD_SECONDS:g} s")


@contextmanager
def committed(config: KafkaConfig, topic: str, partitions: int) -> Iterator[Callable[[], int]]:
    """Yield a function that reads from the broker how many records ingest has committed."""
    settings = consumer_settings(config, "ingest")
    # With read_committed, the query would wait for the end of the open transaction.
    observer = Consumer(settings | {"isolation.level": "read_uncommitted"})
    places = [TopicPartition(topic, number) for number in range(partitions)]
    try:
        yield lambda: sum(max(0, place.offset) for place in observer.committed(places, 60))
    finally:
        observer.close()
