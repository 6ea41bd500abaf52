"""The client library's embedded broker: good for a first look, gone with the process.

It keeps about 5 MB a partition and forgets the rest without a word, so what feeds it must not run
far ahead of what reads it.
"""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Producer


class EmbeddedBroker:
    """An in-process mock of a Kafka broker on a free loopback port."""

    def __init__(self) -> None:
        settings: dict[str, str | int] = {
            "bootstrap.servers": "embedded",
            "test.mock.num.brokers": 1,
            "log_level": 0,
        }
        # the broker lives as long as the client that asked for it
        self._owner = Producer(settings)
        brokers = self._owner.list_topics(timeout=10).brokers.values()
        self.bootstrap_servers = ",".join(f"{b.host}:{b.port}" for b in brokers)

    def create(self, topics: Iterable[str]) -> None:
        """Make topics, of four partitions each: it does not take orders, only notice of use."""
        for topic in topics:
            self._owner.list_topics(topic, timeout=10)
