"""Base class of the roles: wait for the broker, run sessions, stop."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from monitor.config.schema import Config
from monitor.kafka.admin import ensure_topics, unwritable_topics, wait_for_broker
from monitor.kafka.errors import RejoinError, StuckError, UnusableProducerError
from monitor.kafka.messages import consumer_error, is_end
from monitor.kafka.topics import Topics
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health

log = structlog.get_logger(__name__)

CHECK_SECONDS = 30.0
"""Minimum time between two queries of rights because of rolled-back transactions."""
POLL_SECONDS = 0.1
"""Time to wait for a message."""
REPLACE_SECONDS = 5.0
"""Pause before clients are replaced whose transaction could not be aborted."""


class Role(ABC):
    """A loop over Kafka messages, in a thread of its own.

    stop: waits the given number of seconds and returns whether the daemon stops.
    deadline: monotonic time after which retries give up.
    """

    name: ClassVar[str]
    inputs: Sequence[str] = ()
    """Topics that the role reads and Plumbline does not create."""
    outputs: Sequence[str] = ()
    """Topics that the role writes."""

    def __init__(
        self, config: Config, metrics: Metrics, health: Health, stop: Callable[[float], bool]
    ) -> None:
        self.config = config
        self.metrics = metrics
        self.health = health
        self.stop = stop
        self.topics = Topics(config.kafka.prefix)
        self.deadline = math.inf
        self.rights_due = 0.0

    @property
    def group(self) -> str:
        """The consumer group of the role."""
        return f"{self.config.kafka.prefix}-{self.name}"

    def run(self) -> None:
        """Wait for the broker, create missing topics, then run sessions until the daemon stops."""
        existing = wait_for_broker(self.config.kafka, self._wait, self.name)
        if existing is None:
            return
        ensure_topics(
            self.config.kafka,
            existing,
            self.name,
            sampled=self.config.sampled,
            judged=self.config.judges.enabled,
            experiments=bool(self.config.experiments),
            joins_seconds=self.config.joins_seconds,
        )
        for topic in self.inputs:
            if topic not in existing:
                log.warning("waiting for a topic to read", topic=topic)
        self._report_unwritable()
        while not self.stop(0):
            try:
                self._session()
            except StuckError:
                log.warning("kafka client did not respond, replacing it", role=self.name)
            except RejoinError as error:
                log.info("joining the group again", role=self.name, reason=str(error))
            except UnusableProducerError as error:
                log.warning("producer unusable, replacing it", role=self.name, error=str(error))
                self._report_unwritable(error.cause)
                self._wait(REPLACE_SECONDS)

    def _check_rights(self, cause: KafkaError) -> None:
        """Log missing rights after a rolled-back transaction, at most every CHECK_SECONDS."""
        if time.monotonic() >= self.rights_due:
            self.rights_due = time.monotonic() + CHECK_SECONDS
            self._report_unwritable(cause)

    def _unwritable(self) -> set[str] | None:
        """Return the topics that the role may not write; None if the broker does not report it."""
        return unwritable_topics(self.config.kafka, self.outputs, self.name)

    def _report_unwritable(self, cause: KafkaError | None = None) -> set[str]:
        """Log the topics that the role may not write; return them.

        cause: the error of a transaction. After an authorization error all topics that the role
            writes are suspected if the broker does not report rights.
        """
        unwritable = self._unwritable()
        if unwritable is None:
            denied = cause is not None and cause.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
            unwritable = set(self.outputs) if denied else set()
        for topic in sorted(unwritable):
            text = "the right to write a topic is missing"
            log.error(text, role=self.name, topic=topic, operation="Write")
        return unwritable

    @abstractmethod
    def _session(self) -> None:
        """Create clients and process messages with them until the daemon stops."""

    def _wait(self, seconds: float) -> bool:
        """Send a heartbeat, wait, and return whether to give up."""
        self.health.beat(self.name)
        return self.stop(seconds) or time.monotonic() > self.deadline

    def _available(self, consumer: Consumer, ends: Callable[[Message], None]) -> Iterator[Message]:
        """Yield the messages that are available; wait only for the first.

        One at a time: a rebalance inside `poll` may revoke partitions, or assign them again at an
        earlier offset. A batch might already contain their messages. After an error nothing is
        read until the next call.

        ends: called with the end of a partition.
        """
        seconds = POLL_SECONDS
        while (message := consumer.poll(seconds)) is not None:
            seconds = 0.0
            error = consumer_error(message, self.group)
            if error is not None:
                log.warning("read failed, retrying", role=self.name, error=error)
                return
            if is_end(message):
                ends(message)
            else:
                yield message

    def _check_running(self) -> None:
        """Send a heartbeat; raise KafkaException if the daemon stops, to end a long restore."""
        if self._wait(0):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "stopping", retriable=True))

    def _leave(self, close: Callable[[], None]) -> None:
        """Close the consumer of a session.

        A rebalance in progress is served first. Its callback may raise as in the loop, because the
        daemon stops.
        """
        try:
            close()
        except KafkaException as error:
            if not self._stopped_by(error):
                raise

    def _stopped_by(self, error: Exception) -> bool:
        """Return whether an error only ends the session of a daemon that stops."""
        retriable = isinstance(error, KafkaException) and error.args[0].retriable()
        return retriable and self.stop(0)
