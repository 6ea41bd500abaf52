"""Write the events of judges to the events topic.

They are written outside of the role's transactions: a role that may not write this topic must go on
judging. An event whose delivery fails is written again. The state of samples partition 0 keeps an
event until it is delivered, so that the next process writes it if this one ends before; ids are the
same in all processes, so that one that is written twice is sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.findings.judges import JudgeEvent, encode_judge
from monitor.events.wording.judges import judge_sentence
from monitor.kafka.clients import producer_settings
from monitor.kafka.topics import Topics
from monitor.roles.names import JUDGE as ROLE

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 5.0
MAX_FAILED = 100
"""Events that are kept to be written again; the oldest are dropped."""


class JudgeEvents:
    """Writes events. The producer is made with the first one."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._topic = Topics(config.prefix).events
        self._producer: Producer | None = None
        self._delivered: list[str] = []
        self._failed: dict[str, JudgeEvent] = {}

    def write(self, events: Iterable[JudgeEvent]) -> None:
        """Log events and hand them to the producer, with those that were not delivered before."""
        again, self._failed = self._failed, {}
        for event in events:
            if event.id not in again:
                level = log.info if event.change == "recovered" else log.warning
                level("judge event", text=judge_sentence(event), id=event.id, change=event.change)
                again[event.id] = event
        for event in again.values():
            self._produce(event)

    def _produce(self, event: JudgeEvent) -> None:
        if self._producer is None:
            settings = producer_settings(self._config, ROLE, transactional=False)
            self._producer = Producer(settings)
        try:
            key = event.judge.encode("utf-8", "surrogatepass")
            self._producer.produce(
                self._topic, encode_judge(event), key, on_delivery=self._on_delivery(event)
            )
        except (BufferError, KafkaException) as error:
            self._keep(event, str(error))

    def _keep(self, event: JudgeEvent, error: str) -> None:
        """Keep an event that was not written for the next `write`."""
        log.warning("judge event not written, tried again", id=event.id, error=error)
        self._failed[event.id] = event
        if len(self._failed) > MAX_FAILED:
            del self._failed[next(iter(self._failed))]

    def take_delivered(self) -> list[str]:
        """Return the ids of events that were delivered since the last call."""
        if self._producer is not None:
            self._producer.poll(0)
        delivered, self._delivered = self._delivered, []
        return delivered

    def close(self) -> None:
        """Wait a little for events that were not delivered yet."""
        if self._producer is not None:
            self._producer.flush(CLOSE_SECONDS)

    def _on_delivery(self, event: JudgeEvent) -> Callable[[KafkaError | None, Message], None]:
        def on_delivery(error: KafkaError | None, _: Message) -> None:
            if error is None:
                self._delivered.append(event.id)
            else:
                self._keep(event, error.str())

        return on_delivery
