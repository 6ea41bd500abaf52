"""Send the events of the outbox to Kafka, at least once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.roles.replay_actions import is_action
from replay.store import Store, outbox

log = structlog.get_logger(__name__)

FLUSH_SECONDS: Final = 10.0
MOST: Final = 200
"""Events that are sent at once."""
READ: Final = 5_000
"""Rows that are read: actions that wait for their target must not hide events."""
KEEP_SECONDS: Final = 30 * 86_400.0
"""Time for which sent rows are kept: an event that is found again is not sent again."""


def send_events(store: Store, producer: Producer, topic: str, clock: Callable[[], float]) -> int:
    """Produce the events that were not sent, and mark those that Kafka has acknowledged.

    Returns their number. An event that was produced and not marked is sent again, with the same
    id. Raises the errors of the store.
    """
    with store.read() as connection:
        rows = [row for row in outbox.pending(connection, READ) if not is_action(row)][:MOST]
    if not rows:
        return 0
    sent: list[int] = []

    def delivered(number: int, error: KafkaError | None, _: Message) -> None:
        if error is None:
            sent.append(number)
        else:
            log.warning("replay event not sent, retrying", error=error.str())

    for row in rows:
        try:
            producer.produce(
                topic,
                row.payload,
                row.key.encode("utf-8", "surrogatepass"),
                on_delivery=partial(delivered, row.id),
            )
        except (BufferError, KafkaException) as error:
            log.warning("replay event not sent, retrying", error=str(error))
            break
    producer.flush(FLUSH_SECONDS)
    if sent:
        with store.write() as connection:
            outbox.mark_sent(connection, sent, clock())
            outbox.prune(connection, clock() - KEEP_SECONDS)
    return len(sent)
