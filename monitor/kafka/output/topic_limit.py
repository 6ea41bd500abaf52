"""The largest message that a topic accepts, learned from what its broker refuses.

After a refusal because of the size the next messages are smaller. After any other refusal, for
example because the right to write is missing, they are dropped for a while: reading goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog
from confluent_kafka import KafkaError, Message

from monitor.kafka.errors import UNKNOWN_TOPIC

log = structlog.get_logger(__name__)

RETRY_SECONDS = 600.0
"""Time after which one size more is tried again."""
DROP_SECONDS = 60.0
"""Time after which the smallest size is tried again; messages are dropped meanwhile."""
DEFAULT_LIMIT = 900_000
"""A size below the default limit of a broker."""
SMALL_LIMIT = 60_000

_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_REFUSED: Final = (
    _TOO_LARGE
    | UNKNOWN_TOPIC
    | {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)
"""Errors of the topic or of its settings; a delivery that fails otherwise is repeated."""

OnDelivery = Callable[[KafkaError | None, Message], None]


class TopicLimit:
    """The size of the next messages to a topic, or that they are dropped.

    event: what is logged when a message is refused. sizes: the sizes to try, the largest first.
    may_write: returns whether the topic can be written, before it is tried again.
    clock: monotonic time in seconds.
    """

    def __init__(
        self,
        topic: str,
        event: str,
        sizes: Sequence[int],
        may_write: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.topic = topic
        self.dropping = False
        self._event = event
        self._sizes = sizes
        self._level = 0
        self._generation = 0  # incremented with each change of the two
        self._retry_at = 0.0
        self._may_write = may_write
        self._clock = clock

    @property
    def size(self) -> int:
        """Maximum size of the next messages in bytes."""
        return self._sizes[self._level]

    @property
    def smallest(self) -> bool:
        """Whether there is no smaller size."""
        return self._level == len(self._sizes) - 1

    @property
    def alone(self) -> bool:
        """Whether each message must be sent alone: the topic's limit applies to a batch."""
        return self.size < DEFAULT_LIMIT

    def refresh(self) -> None:
        """Try again what was refused, if it is time. Call it before each message."""
        if self._clock() < self._retry_at:
            return
        self._generation += 1
        if not self.dropping:
            self._level = max(0, self._level - 1)
            self._retry_at = self._clock() + RETRY_SECONDS
        elif self._may_write():
            self.dropping = False
            self._retry_at = self._clock() + RETRY_SECONDS
        else:
            self._retry_at = self._clock() + DROP_SECONDS

    def refused(self, error: KafkaError) -> None:
        """Reduce the next messages; drop them after an error that does not depend on size."""
        if error.code() in _TOO_LARGE and not self.smallest:
            self._level += 1
        else:
            self.dropping = True
        self._generation += 1
        seconds = DROP_SECONDS if self.dropping else RETRY_SECONDS
        self._retry_at = self._clock() + seconds
        log.error(
            self._event,
            topic=self.topic,
            error=error.str(),
            next_messages="dropped" if self.dropping else f"at most {self.size} bytes",
            retry_seconds=seconds,
        )

    def on_delivery(self) -> OnDelivery:
        """Return the delivery callback of the next message."""
        return partial(self._on_delivery, self._generation)

    def _on_delivery(self, generation: int, error: KafkaError | None, message: Message) -> None:
        """Reduce the next messages if one of this generation was refused.

        The broker refuses all that were sent before the first refusal returned: they count as one.
        """
        del message
        if error is not None and error.code() in _REFUSED and generation == self._generation:
            self.refused(error)
