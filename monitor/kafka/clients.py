"""Settings of the Kafka clients, and the log of librdkafka."""

from __future__ import annotations

import math
import os
import socket
import time
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Producer

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.errors import UserError, os_error_reason

log = structlog.get_logger(__name__)

RESPONSE_SECONDS = 5.0
"""Timeout of one request to the broker."""
REPEAT_SECONDS = 60.0
"""Minimum time between two equal messages of librdkafka in the log."""

_MAX_REMEMBERED_MESSAGES = 100


@cache
def _process() -> str:
    """Return a name of this process."""
    return uuid.uuid4().hex


def client_settings(config: KafkaConfig, role: str) -> dict[str, Any]:
    """Return the settings of every client; `kafka.client` overrides defaults, but not the rest."""
    defaults = {
        "client.id": f"{config.prefix}-{role}-{socket.gethostname()}",
        "statistics.interval.ms": 0,
    }
    required = {"bootstrap.servers": config.bootstrap_servers, "logger": _ClientLog()}
    return defaults | config.client_settings() | required


def consumer_settings(config: KafkaConfig, role: str) -> dict[str, Any]:
    """Return the settings of a consumer in the role's group.

    It reads committed records only and does not commit offsets automatically.
    """
    defaults: dict[str, Any] = {
        "auto.offset.reset": "earliest",
        # Enough prefetched data for a busy loop, within bounded memory.
        "queued.max.messages.kbytes": 65_536,
        "fetch.max.bytes": 16 * 1024 * 1024,
        # The default delays a fetch by a second when the queue is full; it then runs empty.
        "fetch.queue.backoff.ms": 5,
        # A restore, or a commit at a revocation, must not exceed the poll interval.
        "max.poll.interval.ms": 600_000,
    }
    required: dict[str, Any] = {
        "group.id": f"{config.prefix}-{role}",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # The end of a partition is reported, for the lag: see monitor.roles.lag.
        "enable.partition.eof": True,
    }
    if config.group_protocol == "consumer":
        # The broker sets the assignor and the session timeout.
        required["group.protocol"] = "consumer"
    else:
        defaults["session.timeout.ms"] = 15_000
        required["partition.assignment.strategy"] = "cooperative-sticky"
    if config.instance is not None:
        required["group.instance.id"] = f"{config.instance}-{role}"
    return defaults | client_settings(config, role) | required


def producer_settings(config: KafkaConfig, role: str, *, transactional: bool) -> dict[str, Any]:
    """Return the settings of an idempotent producer.

    A transactional producer is fenced by its consumer group (KIP-447).
    """
    defaults: dict[str, Any] = {
        "linger.ms": 20,
        "compression.type": "lz4",
        "message.max.bytes": 8 * 1024 * 1024,
        "queue.buffering.max.kbytes": 65_536,
    }
    # The default of Java producers, so that a key maps to the same partition for every producer.
    required: dict[str, Any] = {"enable.idempotence": True, "partitioner": "murmur2"}
    if transactional:
        # With a stable name, a restart aborts the open transaction of its predecessor at once.
        # Otherwise the broker aborts it after transaction.timeout.ms.
        name = config.instance or _process()
        required["transactional.id"] = f"{config.prefix}-{role}-{name}"
        defaults["transaction.timeout.ms"] = 20_000
    return defaults | client_settings(config, role) | required


def largest_message(settings: Mapping[str, Any]) -> int:
    """Return the size in bytes of the largest message that a producer accepts."""
    queue = int(settings["queue.buffering.max.kbytes"]) * 1024
    return min(int(settings["message.max.bytes"]), queue // 2)


def reset_offset(settings: Mapping[str, Any]) -> int:
    """Return where a consumer starts in a partition without an offset: its beginning or end."""
    latest = settings["auto.offset.reset"] in ("latest", "largest", "end")
    return OFFSET_END if latest else OFFSET_BEGINNING


def check_client_settings(config: KafkaConfig, *, secrets: bool = True) -> None:
    """Create and close the clients that the roles use, to validate their settings at the start.

    secrets: whether the secrets of the configuration are the real ones; without them the settings
    of security are checked for their names and types only.
    Raises UserError with all files that cannot be read and the first setting that librdkafka
    rejects, one a line.
    """
    overrides = {"log_level": 0} | ({} if secrets else {"security.protocol": "plaintext"})
    consumer = consumer_settings(config, "check") | overrides
    producer = producer_settings(config, "check", transactional=True) | overrides
    for settings in (consumer, producer):
        # Without servers they do not connect: no role has rights to the group of the check.
        del settings["bootstrap.servers"]
    files = dict[str, str]()
    if "ssl" in str(consumer.get("security.protocol", "")).lower():
        files = _unreadable(config)
        for settings in (consumer, producer):
            for key in [key for key in settings if files and key.endswith(".location")]:
                del settings[key]  # the rest is checked as well
    problems = [f"kafka.client.{key}: {problem}" for key, problem in files.items()]
    try:
        Consumer(consumer).close()
        Producer(producer)
    except KafkaException as error:
        problems.append(f"kafka.client: {error.args[0].str()}")
    if problems:
        raise UserError("\n".join(problems))


def _unreadable(config: KafkaConfig) -> dict[str, str]:
    """Return why files of the client cannot be read, by setting; librdkafka names none."""
    found = dict[str, str]()
    for key, value in config.client_settings().items():
        if key.endswith(".location") and value != "probe":  # searches the usual places
            try:
                os.stat(str(value))
            except OSError as error:
                found[key] = f"cannot read {value!r}: {os_error_reason(error)}"
    return found


class _ClientLog:
    """Logger for librdkafka, which calls `log(level, format, *args)`.

    librdkafka repeats the same message for every connection and attempt; it is logged once per
    REPEAT_SECONDS.
    """

    def __init__(self) -> None:
        self.logged_at: dict[str, float] = {}

    def log(self, level: int, text: str, *args: object) -> None:
        detail = text % args if args else text
        if "will be ignored by this" in detail:  # every client receives the settings of all kinds
            return
        message, now = detail.partition(" (after ")[0], time.monotonic()
        if now - self.logged_at.get(message, -math.inf) < REPEAT_SECONDS:
            return
        if len(self.logged_at) >= _MAX_REMEMBERED_MESSAGES:
            self.logged_at.clear()
        self.logged_at[message] = now
        log.log(level, "kafka client", detail=detail)
