"""Put messages on a topic as they are, for trials, load tests and backfill."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.errors import UserError
from monitor.kafka.clients import producer_settings
from monitor.kafka.output.produce import produce

ROLE = "feed"
"""Part of the client id."""
CONNECT_SECONDS = 15.0
DELIVERY_SECONDS = 60.0
"""Time after which a message that was not delivered is an error."""
_POLL_SECONDS = 0.1


class Feeder:
    """Sends messages to a topic, in order and each once, with an idempotent producer.

    sent: number of messages that the broker has. sent_bytes: size of their values.
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._servers = config.bootstrap_servers
        self._topic = topic
        self.sent = 0
        self.sent_bytes = 0
        self._failure: KafkaError | None = None
        self._errors: list[KafkaError] = []
        settings = producer_settings(config, ROLE, transactional=False)
        settings |= {
            "message.timeout.ms": int(DELIVERY_SECONDS * 1000),
            "error_cb": self._errors.append,
            "log_level": 0,  # what ends the command is its error
        }
        try:
            self._producer = Producer(settings)
        except KafkaException as error:
            raise UserError(f"kafka.client: {error.args[0].str()}") from None

    def check_topic(self) -> None:
        """Raise UserError if the broker cannot be reached, or the topic does not exist."""
        try:
            found = self._producer.list_topics(self._topic, timeout=CONNECT_SECONDS)
        except KafkaException as error:
            self._producer.poll(0)
            cause = self._errors[0] if self._errors else error.args[0]
            raise UserError(f"{self._servers}: {cause.str()}") from None
        missing = found.topics[self._topic].error
        if missing is not None:
            raise UserError(f"{self._servers}: topic {self._topic}: {missing.str()}")

    def send(
        self,
        value: bytes,
        key: bytes | None,
        headers: Mapping[str, bytes],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Send a message; wait while the queue is full.

        beat: called at least every second while it is full.
        Raises UserError if this message, or one before it, cannot be delivered.
        """

        def wait() -> None:
            self._check()
            beat()

        self._check()
        try:
            produce(
                self._producer,
                wait,
                self._topic,
                value,
                key,
                headers=list(headers.items()),
                on_delivery=self._delivered,
            )
        except KafkaException as error:
            raise self._undelivered(error.args[0]) from None
        self._producer.poll(0)

    def wait(self, seconds: float) -> None:
        """Handle deliveries for a time. Raises UserError if a message was not delivered."""
        self._producer.poll(seconds)
        self._check()

    def finish(self) -> None:
        """Wait until everything is delivered. Raises UserError if something is not."""
        while len(self._producer):
            self.wait(_POLL_SECONDS)
        self._check()

    def drain(self, seconds: float) -> None:
        """Wait for some seconds until everything is delivered; what then is not may still be."""
        self._producer.flush(seconds)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = self._failure or error
            return
        self.sent += 1
        self.sent_bytes += len(message.value() or b"")

    def _check(self) -> None:
        if self._failure is not None:
            raise self._undelivered(self._failure)

    def _undelivered(self, error: KafkaError) -> UserError:
        return UserError(
            f"{self._servers}: topic {self._topic}: {error.str()}; {self.sent:,} messages were sent"
        )
