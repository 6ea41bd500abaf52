"""Send labels of people to the evaluations topic, at least once: a later one replaces it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.events.evaluations import encode_evaluation
from monitor.web.review import labels

if TYPE_CHECKING:
    from monitor.database.store import Store

log = structlog.get_logger(__name__)

FLUSH_SECONDS: Final = 10.0


def send_labels(
    store: Store, producer: Producer, topic: str, clock: Callable[[], float]
) -> tuple[int, int]:
    """Produce the labels that are due, and mark those that Kafka has acknowledged.

    Returns the numbers of those that were sent and that failed, which are sent again. Raises the
    errors of the store.
    """
    with store.write() as connection:
        due = labels.take_due(connection, clock())
    if not due:
        return 0, 0
    waiting = {each.id: len(each.evaluations) for each in due}
    done = [each.id for each in due if not each.evaluations]

    def delivered(number: int, error: KafkaError | None, _: Message) -> None:
        if error is None:
            waiting[number] -= 1
        else:
            log.warning("label not sent, retrying", error=error.str())

    try:
        for each in due:
            for evaluation in each.evaluations:
                producer.produce(
                    topic,
                    encode_evaluation(evaluation),
                    evaluation.request_id.encode("utf-8", "surrogatepass"),
                    on_delivery=partial(delivered, each.id),
                )
    except (BufferError, KafkaException) as error:
        log.warning("label not sent, retrying", error=str(error))
    producer.flush(FLUSH_SECONDS)
    sent = [number for number, left in waiting.items() if not left]
    with store.write() as connection:
        labels.mark_sent(connection, sent, clock())
    return len(sent) - len(done), len(due) - len(sent)
