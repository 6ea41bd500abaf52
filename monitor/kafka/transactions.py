"""Transactions: retries, offsets within a transaction, group metadata."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from monitor.kafka.errors import (
    StuckError,
    UnusableProducerError,
    is_fenced,
    with_transactional_id,
)

log = structlog.get_logger(__name__)

GRACE_SECONDS = 2.0
"""Time that a call may take beyond its timeout before it counts as stuck."""


def retry_retriable(operation: Callable[[], None], wait: Callable[[float], bool]) -> None:
    """Repeat an operation until it succeeds or fails with an error that is not retriable.

    wait: waits the given number of seconds and returns whether to give up; the last error is
        then raised.
    """
    while True:
        try:
            return operation()
        except KafkaException as error:
            if not error.args[0].retriable() or wait(0):
                raise
            log.warning("operation failed, retrying", error=error.args[0].str())


def init_transactions(
    producer: Producer,
    settings: Mapping[str, Any],
    seconds: float,
    wait: Callable[[float], bool],
) -> None:
    """Prepare a producer for transactions; end the open one of its predecessor.

    settings: of the producer. seconds: timeout. Raises as `retry_retriable` does.
    """
    try:
        retry_retriable(lambda: producer.init_transactions(seconds), wait)
    except KafkaException as error:
        cause = with_transactional_id(error.args[0], settings["transactional.id"])
        raise KafkaException(cause) from None


def send_offsets(
    producer: Producer,
    offsets: list[TopicPartition],
    group: Any,
    seconds: float,
    wait: Callable[[float], bool],
) -> None:
    """Add consumer offsets to the producer's transaction.

    librdkafka, at least up to version 2.16, ignores the timeout of this call. It waits forever if
    the group coordinator has left the cluster, even for a restart (librdkafka issues 5456 and
    5511). The call therefore runs in its own thread, which is abandoned if it does not return.

    Raises StuckError in that case, and KafkaException as `retry_retriable` does.
    """
    errors: list[BaseException] = []
    returned = threading.Event()

    def call() -> None:
        try:
            producer.send_offsets_to_transaction(offsets, group, seconds)
        except BaseException as error:
            errors.append(error)
        returned.set()

    def attempt() -> None:
        errors.clear()
        returned.clear()
        threading.Thread(target=call, name="send offsets", daemon=True).start()
        if not returned.wait(seconds + GRACE_SECONDS):
            raise StuckError
        if errors:
            raise errors[0]

    retry_retriable(attempt, wait)


def group_metadata(consumer: Consumer) -> object:
    """Return the metadata by which the group coordinator rejects offsets of former members.

    Raises an abortable KafkaException if the consumer is no longer a member. A consumer that was
    removed has no member id, and the broker does not reject offsets that come without one.
    """
    metadata = consumer.consumer_group_metadata()
    if not consumer.memberid():
        raise KafkaException(KafkaError(KafkaError._STATE, "no longer a member of the group"))
    return metadata


def commit_with_offsets(
    producer: Producer,
    consumer: Consumer,
    offsets: list[TopicPartition],
    seconds: float,
    wait: Callable[[float], bool],
) -> None:
    """Add the consumer's offsets to the producer's transaction and commit it.

    seconds: timeout of each of the two calls. Raises as `send_offsets` and `group_metadata` do.
    """
    send_offsets(producer, offsets, group_metadata(consumer), seconds, wait)
    retry_retriable(lambda: producer.commit_transaction(seconds), wait)


def abort(
    producer: Producer, cause: KafkaError | None, seconds: float, wait: Callable[[float], bool]
) -> None:
    """Abort the producer's transaction.

    An abort fails for example if the broker has refused to add a topic to the transaction, because
    the right to write it is missing: the broker then has no transaction to abort.

    cause: the error for which the transaction is aborted.
    Raises UnusableProducerError if the abort fails or does not help, and KafkaException if another
    producer has replaced this one, or if `wait` gives up.
    """
    try:
        retry_retriable(lambda: producer.abort_transaction(seconds), wait)
    except KafkaException as error:
        failure = error.args[0]
        if failure.retriable() or is_fenced(failure):
            raise
        raise UnusableProducerError(cause or failure) from error
    if cause is not None and cause.code() == KafkaError.INVALID_PRODUCER_ID_MAPPING:
        # The broker has forgotten the producer's id (transactional.id.expiration.ms): librdkafka
        # may keep it after the abort, and every transaction would fail.
        raise UnusableProducerError(cause)
