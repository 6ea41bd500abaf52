"""Kafka: the names of topics and groups, client settings, and waiting for a broker to be there."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # NewTopic is there, not exported
    AdminClient,
    NewTopic,
)

from monitor.config import KafkaConfig

log = structlog.get_logger(__name__)

DAY_MS = 86_400_000
_FOREVER_WAIT = 2.0
"""Seconds between looks for a broker, or a topic, that is not there."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics that Plumbline writes, by what they carry."""

    prefix: str

    @property
    def features(self) -> str:
        """Feature chunks, keyed by model."""
        return f"{self.prefix}.features"

    @property
    def dead_letters(self) -> str:
        """Messages that were no records, byte for byte, and why."""
        return f"{self.prefix}.dlq"

    @property
    def events(self) -> str:
        """Drift events, keyed by model."""
        return f"{self.prefix}.events"

    def settings(self) -> dict[str, dict[str, str]]:
        """Each topic with the settings that it is created with."""
        two_weeks = {"retention.ms": str(14 * DAY_MS), "cleanup.policy": "delete"}
        large = {"max.message.bytes": str(8 * 1024 * 1024)}
        return {
            self.features: two_weeks | large,
            self.dead_letters: two_weeks | large,
            self.events: {"retention.ms": str(90 * DAY_MS), "cleanup.policy": "delete"},
        }


def client_settings(config: KafkaConfig, role: str) -> dict[str, Any]:
    """What all clients share; the user's librdkafka settings come first, ours cannot be undone."""
    ours = {
        "bootstrap.servers": config.bootstrap_servers,
        "client.id": f"{config.prefix}-{role}-{socket.gethostname()}",
        "logger": _ClientLog(),
    }
    return {"statistics.interval.ms": 0} | config.client_settings() | ours


def consumer_settings(config: KafkaConfig, role: str) -> dict[str, Any]:
    """A member of the role's group that reads committed records only and commits by itself."""
    defaults = {
        "auto.offset.reset": "earliest",
        # enough prefetched that a busy loop never waits, little enough to bound memory
        "queued.max.messages.kbytes": 65_536,
        "fetch.max.bytes": 16 * 1024 * 1024,
    }
    ours = {
        "group.id": f"{config.prefix}-{role}",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "partition.assignment.strategy": "cooperative-sticky",
    }
    return defaults | client_settings(config, role) | ours


def producer_settings(config: KafkaConfig, role: str, *, transactional: bool) -> dict[str, Any]:
    """An idempotent producer; a transactional one is fenced by its consumer group (KIP-447)."""
    defaults = {
        "linger.ms": 20,
        "compression.type": "lz4",
        "message.max.bytes": 8 * 1024 * 1024,
        "queue.buffering.max.kbytes": 65_536,
    }
    # murmur2 is what Java producers use: a model's key finds the same partition from anywhere
    ours: dict[str, Any] = {"enable.idempotence": True, "partitioner": "murmur2"}
    if transactional:
        ours["transactional.id"] = f"{config.prefix}-{role}-{uuid.uuid4().hex}"
    return defaults | client_settings(config, role) | ours


Place = tuple[str, int]
"""A topic and a partition of it."""


def place(message: Message) -> Place:
    """Where a message that arrived was read."""
    topic, partition = message.topic(), message.partition()
    assert topic is not None  # only a message that was never delivered has none
    assert partition is not None
    return topic, partition


def offset(message: Message) -> int:
    """The offset of a message that arrived."""
    number = message.offset()
    assert number is not None
    return number


def trouble(message: Message) -> str | None:
    """What a consumer was given instead of a message, in words; None for a message.

    Raises KafkaException where the client says that it cannot go on.
    """
    error = message.error()
    if error is None:
        return None
    if error.fatal():
        raise KafkaException(error)
    return f"{message.topic()}: {error.str()}"


class _ClientLog:
    """What librdkafka logs, as our log; it calls `log(level, format, *args)` of a logger."""

    def log(self, level: int, text: str, *args: object) -> None:
        log.log(level, "kafka client", detail=text % args if args else text)


def wait_for_broker(
    config: KafkaConfig, stop: Callable[[float], bool], role: str
) -> Mapping[str, int] | None:
    """The broker's topics and their partitions, once it answers; None if told to stop before.

    stop: waits so many seconds, and says whether to give up.
    """
    admin = AdminClient(client_settings(config, role))
    said = False
    while True:
        try:
            topics = admin.list_topics(timeout=5).topics
        except KafkaException as error:
            if not said:
                log.warning(
                    "waiting for the broker",
                    bootstrap_servers=config.bootstrap_servers,
                    error=error.args[0].str(),
                )
                said = True
            if stop(_FOREVER_WAIT):
                return None
        else:
            if said:
                log.info("the broker is there")
            return {name: len(topic.partitions) for name, topic in topics.items()}


def ensure_topics(config: KafkaConfig, existing: Mapping[str, int], role: str) -> None:
    """Create the topics of ours that are missing; say what to create where we may not."""
    wanted = Topics(config.prefix).settings()
    missing = {name: settings for name, settings in wanted.items() if name not in existing}
    if not missing:
        return
    admin = AdminClient(client_settings(config, role))
    new = [
        NewTopic(name, num_partitions=config.partitions, replication_factor=-1, config=settings)
        for name, settings in missing.items()
    ]
    for name, future in admin.create_topics(new, request_timeout=10).items():
        try:
            future.result(timeout=15)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                _say_what_to_create(name, config, missing[name], error.args[0].str())
        except TimeoutError:
            _say_what_to_create(name, config, missing[name], "the broker did not answer")
        else:
            log.info("topic created", topic=name, partitions=config.partitions)


def _say_what_to_create(
    name: str, config: KafkaConfig, settings: Mapping[str, str], error: str
) -> None:
    options = " ".join(f"--config {key}={value}" for key, value in settings.items())
    log.warning(
        "cannot create a topic; unless the broker makes it on first use, create it",
        topic=name,
        error=error,
        command=f"kafka-topics.sh --bootstrap-server {config.bootstrap_servers} --create "
        f"--topic {name} --partitions {config.partitions} {options}",
    )
