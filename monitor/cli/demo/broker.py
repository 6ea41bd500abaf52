"""An embedded broker: librdkafka's mock cluster, which ends with the process.

It keeps about 5 MB per partition and silently drops older messages, so a producer must not run far
ahead of the consumer.
"""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Producer


class EmbeddedBroker:
    """A mock Kafka broker in this process, on a free loopback port."""

    def __init__(self) -> None:
        settings: dict[str, str | int] = {
            "bootstrap.servers": "embedded",
            "test.mock.num.brokers": 1,
            "log_level": 0,
        }
        # the broker stops when the client that started it is deleted
        self._client = Producer(settings)
        brokers = self._client.list_topics(timeout=10).brokers.values()
        self.bootstrap_servers = ",".join(f"{b.host}:{b.port}" for b in brokers)

    def create(self, topics: Iterable[str]) -> None:
        """Create topics with four partitions each; a metadata request creates a topic."""
        for topic in topics:
            self._client.list_topics(topic, timeout=10)
