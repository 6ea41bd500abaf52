"""Read evaluations and publish human labels, for commands; everything takes a limited time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.errors import UserError
from monitor.events.evaluations import (
    Evaluation,
    EvaluationError,
    decode_evaluation,
    encode_evaluation,
)
from monitor.kafka.clients import producer_settings
from monitor.kafka.readers.values import written_values
from monitor.kafka.topics import Topics

READ_SECONDS = 300.0
"""Maximum time to read the topic to its end."""
SEND_SECONDS = 30.0
"""Maximum time until the broker has a label."""


def evaluations(config: KafkaConfig, seconds: float = READ_SECONDS) -> Iterator[Evaluation]:
    """Yield the evaluations of the topic until its end; messages that are none are skipped.

    Raises UserError if the topic cannot be read, or not in time.
    """
    for evaluation, _ in written_evaluations(config, seconds):
        yield evaluation


def written_evaluations(
    config: KafkaConfig, seconds: float = READ_SECONDS
) -> Iterator[tuple[Evaluation, float]]:
    """Yield evaluations as `evaluations` does, with the time at which each was written."""
    for found in written_values(config, Topics(config.prefix).evaluations, seconds):
        if found is None:
            return
        value, written = found
        try:
            yield decode_evaluation(value), written
        except EvaluationError:
            continue


def publish(config: KafkaConfig, labels: Sequence[Evaluation]) -> None:
    """Write human labels, keyed by request id. Raises UserError unless all are delivered.

    Readers replace an earlier label of the same response, so that publishing again is harmless.
    """
    topic, failures, delivered = Topics(config.prefix).evaluations, list[KafkaError](), 0

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        nonlocal delivered
        if error is None:
            delivered += 1
        else:
            failures.append(error)

    settings = producer_settings(config, "calibrate", transactional=False)
    settings |= {"message.timeout.ms": int(SEND_SECONDS * 1000)}
    # an error is reported below, and not by the client as well
    producer = Producer(settings | {"log_level": 0, "error_cb": lambda _: None})
    try:
        for label in labels:
            _produce(producer, topic, label, on_delivery)
        producer.flush(2 * SEND_SECONDS)
    except KafkaException as error:
        failures.append(error.args[0])
    if delivered < len(labels):
        problem = failures[0].str() if failures else "not delivered in time"
        raise UserError(
            f"{config.bootstrap_servers}: {topic}: {problem}; {delivered} of {len(labels)} labels"
            " were published. Publish again: a later label replaces an earlier one"
        )


def _produce(
    producer: Producer,
    topic: str,
    label: Evaluation,
    on_delivery: Callable[[KafkaError | None, Message], None],
) -> None:
    """Hand a label to the client; wait while its queue is full."""
    value, key = encode_evaluation(label), label.request_id.encode()
    while True:
        try:
            producer.produce(topic, value, key, on_delivery=on_delivery)
        except BufferError:
            producer.poll(0.5)
        else:
            return
