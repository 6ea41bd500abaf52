"""Errors of the Kafka client name what they are about."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.kafka.errors import is_abortable, with_group, with_topic, with_transactional_id
from monitor.kafka.messages import consumer_error


class Failed:
    """What a consumer gets instead of a message."""

    def __init__(self, error: KafkaError | None, topic: str | None = None) -> None:
        self._error, self._topic = error, topic

    def error(self) -> KafkaError | None:
        """Return the error."""
        return self._error

    def topic(self) -> str | None:
        """Return the topic; None for an error that is not about one."""
        return self._topic


DENIED = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "Group authorization failed.")
UNKNOWN = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "Topic authorization failed.")


@pytest.mark.parametrize(
    ("error", "topic", "text"),
    [
        (DENIED, None, "group p-detect: Group authorization failed."),
        (DENIED, "logs", "logs: group p-detect: Group authorization failed."),
        (UNKNOWN, "logs", "logs: Topic authorization failed."),
        (UNKNOWN, None, "Topic authorization failed."),
    ],
)
def test_a_missing_right_names_its_object(error: KafkaError, topic: str | None, text: str) -> None:
    """The group is named if the right on the group is missing, the topic if there is one."""
    assert consumer_error(Failed(error, topic), "p-detect") == text  # type: ignore[arg-type]  # a stand-in for a message


def test_a_message_is_no_error() -> None:
    """A message has no text; a fatal error is raised."""
    assert consumer_error(Failed(None), "g") is None  # type: ignore[arg-type]  # a stand-in for a message
    with pytest.raises(KafkaException):
        consumer_error(Failed(KafkaError(KafkaError._FATAL, fatal=True)), "g")  # type: ignore[arg-type]  # a stand-in for a message


@pytest.mark.parametrize(
    ("code", "name", "text"),
    [
        (KafkaError.GROUP_AUTHORIZATION_FAILED, with_group, "group x: denied"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, with_topic, "topic x: denied"),
        (
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            with_transactional_id,
            "transactional id x: denied",
        ),
    ],
)
def test_a_name_changes_nothing_else(
    code: int, name: Callable[[KafkaError, str], KafkaError], text: str
) -> None:
    """An error with a name is as fatal, retriable and abortable as it was."""
    for flags in ((False, False, True), (True, False, False), (False, True, False)):
        error = KafkaError(code, "denied", *flags)
        named = name(error, "x")
        assert (named.code(), named.str()) == (code, text)
        assert (named.fatal(), named.retriable(), named.txn_requires_abort()) == flags
        assert is_abortable(named) == is_abortable(error)
        assert name(KafkaError(KafkaError._TIMED_OUT, "late"), "x").str() == "late"


def test_other_errors_are_unchanged() -> None:
    """Only errors of groups get the name of the group; the code stays."""
    assert with_group(UNKNOWN, "g") is UNKNOWN
    assert with_group(DENIED, "g").code() == KafkaError.GROUP_AUTHORIZATION_FAILED
