"""Classes of librdkafka errors."""

from __future__ import annotations

from confluent_kafka import KafkaError

TRANSIENT = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._DESTROY_BROKER,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
    }
)
"""Errors of a broker that is down or starting. `KafkaError.retriable` covers transactions only."""
UNKNOWN_TOPIC = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""Errors for a topic that was just created, until every broker has its metadata."""


def with_group(error: KafkaError, group: str) -> KafkaError:
    """Return the error with the name of the group if a right on the group is missing."""
    return _with_name(error, KafkaError.GROUP_AUTHORIZATION_FAILED, f"group {group}")


def with_topic(error: KafkaError, topic: str) -> KafkaError:
    """Return the error with the name of the topic if a right on the topic is missing."""
    return _with_name(error, KafkaError.TOPIC_AUTHORIZATION_FAILED, f"topic {topic}")


def with_transactional_id(error: KafkaError, name: str) -> KafkaError:
    """Return the error with the transactional id if a right on it is missing."""
    code = KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    return _with_name(error, code, f"transactional id {name}")


def _with_name(error: KafkaError, code: int, name: str) -> KafkaError:
    """Return an error of this code with a name in its text, which librdkafka often leaves out."""
    if error.code() != code:
        return error
    flags = error.fatal(), error.retriable(), error.txn_requires_abort()
    return KafkaError(code, f"{name}: {error.str()}", *flags)


class StuckError(Exception):
    """A call of the client library did not return in time; its producer cannot be used further."""


class UnusableProducerError(Exception):
    """A transaction could not be aborted; its producer cannot be used further.

    cause: the error of the transaction.
    """

    def __init__(self, cause: KafkaError) -> None:
        super().__init__(cause.str())
        self.cause = cause


class RejoinError(Exception):
    """The role must join its consumer group again, with new clients."""


def is_fenced(error: KafkaError) -> bool:
    """Return whether another producer with the same transactional id has replaced this one."""
    return error.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED)


def is_abortable(error: KafkaError) -> bool:
    """Return whether the transaction can be aborted and the producer used further."""
    # After a failed delivery, `produce` reports only an invalid state.
    return not error.fatal() and (error.txn_requires_abort() or error.code() == KafkaError._STATE)
