"""Write the events of judges to the events topic.

They are written outside of the role's transactions: a role that may not write this topic must go on
judging. The state of samples partition 0 keeps an event until it is delivered, so that the next
process writes it if this one ends before; ids are the same in all processes, so that one that is
written twice is sent once.
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


class JudgeEvents:
    """Writes events. The producer is made with the first one."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._topic = Topics(config.prefix).events
        self._producer: Producer | None = None
        self._delivered: list[str] = []

    def write(self, events: Iterable[JudgeEvent]) -> None:
        """Log events and hand them to the producer."""
        for event in events:
            level = log.info if event.change == "recovered" else log.warning
            level("judge event", text=judge_sentence(event), id=event.id, change=event.change)
            if self._producer is None:
                settings = producer_settings(self._config, ROLE, transactional=False)
                self._producer = Producer(settings)
            try:
                key = event.judge.encode("utf-8", "surrogatepass")
                self._producer.produce(
                    self._topic, encode_judge(event), key, on_delivery=self._on_delivery(event.id)
                )
            except (BufferError, KafkaException) as error:
                log.warning("judge event not written", id=event.id, error=str(error))

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

    def _on_delivery(self, identity: str) -> Callable[[KafkaError | None, Message], None]:
        def on_delivery(error: KafkaError | None, _: Message) -> None:
            if error is None:
                self._delivered.append(identity)
            else:
                log.warning("judge event not written", id=identity, error=error.str())

        return on_delivery
