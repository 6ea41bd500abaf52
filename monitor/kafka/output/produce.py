"""Produce messages to a queue that may be full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import Producer

_POLL_SECONDS = 0.1


def produce(producer: Producer, beat: Callable[[], None], *message: Any, **options: Any) -> None:
    """Produce a message; wait while the producer's queue is full.

    beat: called at least every second while it is full.
    """
    while True:
        try:
            producer.produce(*message, **options)
            return
        except BufferError:
            producer.poll(_POLL_SECONDS)
            beat()
