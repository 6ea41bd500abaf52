"""Model names, and production of messages with a full queue handled."""

from __future__ import annotations

from confluent_kafka import Producer


def model_name(number: int) -> str:
    """Return the name of a model by number; all names have the same length."""
    return f"model-{number:03d}"


def send(
    producer: Producer, topic: str, value: bytes, key: bytes | None = None, partition: int = -1
) -> None:
    """Produce one message; wait while the producer's queue is full.

    partition: -1 selects the partition by the key.
    """
    while True:
        try:
            producer.produce(topic, value, key, partition)
        except BufferError:
            producer.poll(0.1)
        else:
            return
