"""Send a command to detect and wait for the answer."""

from __future__ import annotations

import time
from contextlib import closing

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.errors import UserError
from monitor.events.commands import (
    AcceptReference,
    Answer,
    CommandError,
    decode_command,
    encode_command,
)
from monitor.kafka.clients import producer_settings
from monitor.kafka.messages import message_offset
from monitor.kafka.readers.partitions import PartitionReader
from monitor.kafka.topics import Topics

SEND_SECONDS = 30.0
"""Maximum time until the broker has the command."""


class CommandSender:
    """Sends commands to a partition of the command topic; everything takes a limited time."""

    def __init__(self, config: KafkaConfig) -> None:
        self.config = config
        self.topics = Topics(config.prefix)
        self._deadline = time.monotonic() + SEND_SECONDS

    def check_partitions(self) -> None:
        """Raise UserError unless the command topic has as many partitions as the feature topic."""
        features, commands = self.topics.features, self.topics.commands
        with closing(PartitionReader(self.config, commands, self._check_time)) as reader:
            numbers = reader.partitions(features), reader.partitions(commands)
        if not numbers[1]:
            raise UserError(
                f"{self.config.bootstrap_servers}: no topic {commands}: the daemon creates it when"
                " it starts, if it is permitted to"
            )
        if numbers[0] != numbers[1]:
            raise UserError(
                f"{commands} has {numbers[1]} partitions and {features} has {numbers[0]}: give them"
                " the same number with kafka-topics.sh --alter"
            )

    def send(self, command: AcceptReference, partition: int) -> int:
        """Send a command; return its offset. Raises UserError."""
        delivered: list[Message] = []

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                raise KafkaException(error)
            delivered.append(message)

        settings = producer_settings(self.config, "accept", transactional=False)
        producer = Producer(settings | {"message.timeout.ms": int(SEND_SECONDS * 1000)})
        topic = self.topics.commands
        try:
            producer.produce(
                topic,
                encode_command(command),
                command.model.encode(),
                partition,
                on_delivery=on_delivery,
            )
            producer.flush(2 * SEND_SECONDS)
        except KafkaException as error:
            text = f"{self.config.bootstrap_servers}: {topic}: {error.args[0].str()}"
            raise UserError(text) from None
        if not delivered:
            raise UserError(f"{self.config.bootstrap_servers}: {topic}: not delivered in time")
        return message_offset(delivered[0])

    def answer(self, command: AcceptReference, place: tuple[int, int], seconds: float) -> Answer:
        """Wait for the answer to a command.

        place: partition and offset of the command. Raises UserError if there is none in time.
        """
        self._deadline = time.monotonic() + seconds
        partition, offset = place
        try:
            answers = PartitionReader(self.config, self.topics.commands, self._check_time)
            with closing(answers) as reader:
                reader.assign(partition, offset)
                while time.monotonic() < self._deadline:
                    message = reader.poll(0.5)
                    found = _answer(message) if message is not None else None
                    if found is not None and found.command == command.id:
                        return found
        except KafkaException as error:
            text = f"{self.config.bootstrap_servers}: {self.topics.commands}"
            raise UserError(f"{text}: {error.args[0].str()}") from None
        raise UserError(
            f"no answer within {seconds:g} s. The command is in {self.topics.commands}, and detect"
            " applies it when it runs: 'plumbline events' then lists the alarms that have ended"
        )

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise UserError(f"{self.config.bootstrap_servers}: no response from the broker")


def _answer(message: Message) -> Answer | None:
    try:
        content = decode_command(message.value() or b"")
    except CommandError:
        return None
    return content if isinstance(content, Answer) else None
