"""Dead letters of any message, within the limits of the topic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, Message, Producer
from hypothesis import given
from hypothesis import strategies as st

from monitor.kafka.messages import log_message
from monitor.kafka.output.dead_letters import STUB_LIMIT, DeadLetter, DeadLetters
from monitor.kafka.output.topic_limit import (
    DEFAULT_LIMIT,
    DROP_SECONDS,
    RETRY_SECONDS,
    SMALL_LIMIT,
)
from monitor.records import RejectedRecord, RejectReason

LARGEST = 8 << 20
REJECTED = RejectedRecord(RejectReason.NOT_JSON, "at byte 1")
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)


@dataclass
class Received:
    """A consumed message; headers may be an error that reading them raises."""

    content: bytes | None = b"no record"
    name: bytes | None = b"key"
    pairs: Any = field(default_factory=lambda: [("trace", b"1")])

    def topic(self) -> str:
        """Return the topic."""
        return "logs"

    def partition(self) -> int:
        """Return the partition."""
        return 3

    def offset(self) -> int:
        """Return the offset."""
        return 12

    def key(self) -> bytes | None:
        """Return the key."""
        return self.name

    def value(self) -> bytes | None:
        """Return the value."""
        return self.content

    def headers(self) -> Any:
        """Return the headers, or raise the error of unreadable ones."""
        if isinstance(self.pairs, Exception):
            raise self.pairs
        return self.pairs

    def set_headers(self, pairs: Any) -> None:
        """Replace the headers."""
        self.pairs = pairs


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def build(letters: DeadLetters, received: Received, rejected: RejectedRecord = REJECTED) -> Any:
    """Return the dead letter and the outcome."""
    return letters.build(cast(Message, received), rejected)


def report(letter: DeadLetter | None, error: KafkaError | None) -> None:
    """Report the delivery of a dead letter, if there is one."""
    if letter is not None:
        letter.on_delivery(error, cast(Message, None))


def size(letter: DeadLetter) -> int:
    """Return the bytes of key, value and headers."""
    headers = sum(len(name.encode()) + len(value or b"") for name, value in letter.headers)
    return len(letter.key or b"") + len(letter.value or b"") + headers


def test_a_message_that_fits_is_kept_whole() -> None:
    """Key, value and headers are those of the message, before the reason and the source."""
    letter, outcome = build(DeadLetters("dlq", LARGEST), Received())
    assert outcome is None
    assert (letter.key, letter.value) == (b"key", b"no record")
    assert letter.headers == [
        ("trace", b"1"),
        ("plumbline.reason", b"not_json"),
        ("plumbline.detail", b"at byte 1"),
        ("plumbline.topic", b"logs"),
        ("plumbline.partition", b"3"),
        ("plumbline.offset", b"12"),
    ]


@pytest.mark.parametrize(
    "error",
    [
        UnicodeDecodeError("utf-8", b"tr\xe4ce", 2, 3, "invalid continuation byte"),
        SystemError("<method 'headers'> returned a result with an exception set"),
    ],
)
def test_unreadable_headers_are_left_out_and_marked(error: Exception) -> None:
    """One name that is not UTF-8 makes all headers of a message unreadable."""
    received = Received(pairs=error)
    assert log_message(cast(Message, received)).headers == {}  # the decoder reads them first
    letter, outcome = build(DeadLetters("dlq", LARGEST), received)
    assert outcome == "truncated"
    assert letter.value == b"no record"
    assert ("plumbline.headers_dropped", b"not UTF-8") in letter.headers


def test_a_rejected_dead_letter_has_each_of_our_headers_once() -> None:
    """A dead letter that was written to the log again does not keep its former reason."""
    first, _ = build(DeadLetters("dlq", LARGEST), Received())
    second, outcome = build(DeadLetters("dlq", LARGEST), Received(pairs=first.headers))
    assert outcome is None
    assert second[:3] == first[:3]


def test_a_detail_that_is_not_utf8_is_escaped() -> None:
    """A lone surrogate in a detail does not stop the role; a long detail is cut."""
    rejected = RejectedRecord(RejectReason.WRONG_TYPE, "\ud800" + "x" * 5000)
    letter, _ = build(DeadLetters("dlq", LARGEST), Received(), rejected)
    (detail,) = (value for name, value in letter.headers if name == "plumbline.detail")
    assert detail.startswith(b"\\ud800xx")
    assert len(detail) == 1000


@pytest.mark.parametrize(
    "received",
    [
        Received(content=b"x" * LARGEST, pairs=[("baggage", b"h" * 100_000)]),
        Received(content=b"x" * LARGEST, name=b"k" * 100_000),
        Received(content=b"x" * (9 << 20), name=b"k" * (9 << 20), pairs=[("a", b"h" * (9 << 20))]),
        Received(content=None, name=None, pairs=[("", None)] * 1_000_000),
        Received(content=b"", pairs=[("ä" * 9000, "ö" * 9000)] * 600),
    ],
    ids=["headers", "key", "all", "many headers", "texts"],
)
@pytest.mark.parametrize("refusals", [0, 1, 2, 3])
def test_the_client_accepts_every_dead_letter(received: Received, refusals: int) -> None:
    """The size of a dead letter, as librdkafka computes it, is within the limit."""
    letters = DeadLetters("dlq", LARGEST)
    for _ in range(refusals):
        letters.refused(TOO_LARGE)
    limit = (LARGEST, DEFAULT_LIMIT, SMALL_LIMIT, STUB_LIMIT)[refusals]
    letter, outcome = build(letters, received)
    assert outcome == ("stub" if refusals == 3 else "truncated")
    assert size(letter) < limit
    client = Producer({"bootstrap.servers": "127.0.0.1:1", "message.max.bytes": max(limit, 1000)})
    client.produce("dlq", letter.value, letter.key, headers=letter.headers)
    client.purge()


@given(
    key=st.none() | st.binary(max_size=3000),
    value=st.none() | st.binary(max_size=3000),
    headers=st.lists(st.tuples(st.text(max_size=400), st.none() | st.binary(max_size=400))),
    extra=st.integers(1, 4000),
)
def test_any_message_fits_into_any_limit(
    key: bytes | None, value: bytes | None, headers: list[Any], extra: int
) -> None:
    """Within the limit everything is kept; beyond it the beginning of each part is."""
    limit = STUB_LIMIT + extra
    letter, outcome = build(DeadLetters("dlq", limit), Received(value, key, headers))
    assert size(letter) <= limit
    assert (letter.key is None, letter.value is None) == (key is None, value is None)
    assert (key or b"").startswith(letter.key or b"")
    assert (value or b"").startswith(letter.value or b"")
    if outcome is None:
        assert (letter.key, letter.value) == (key, value)


def test_refusals_reduce_a_dead_letter_until_it_is_dropped() -> None:
    """Each size is tried once; after a time one size more is tried again."""
    clock = Clock()
    letters = DeadLetters("dlq", LARGEST, clock=clock)
    large = Received(content=b"x" * (10 << 20))
    lengths, outcomes = list[int](), []
    for _ in range(5):
        sent = [build(letters, large) for _ in range(3)]
        letter, outcome = sent[0]
        lengths.append(len(letter.value or b"") if letter else 0)
        outcomes.append(outcome)
        for each, _ in sent:  # all that were sent before the first refusal count as one
            report(each, TOO_LARGE)
    assert outcomes == ["truncated", "truncated", "truncated", "stub", "dropped"]
    assert LARGEST > lengths[0] > DEFAULT_LIMIT > lengths[1] > SMALL_LIMIT > lengths[2] > 0
    clock.now += DROP_SECONDS
    assert build(letters, large)[1] == "stub"
    clock.now += RETRY_SECONDS
    assert len(build(letters, large)[0].value) == lengths[2]


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.INVALID_RECORD,  # a compacted topic accepts no message without a key
        KafkaError.POLICY_VIOLATION,
    ],
)
def test_dead_letters_are_dropped_while_the_topic_refuses_all(code: int) -> None:
    """They are written whole again as soon as the topic can be written."""
    clock, writable = Clock(), [False]
    letters = DeadLetters("dlq", LARGEST, lambda: writable[0], clock)
    report(build(letters, Received())[0], KafkaError(code))
    assert build(letters, Received()) == (None, "dropped")
    clock.now += DROP_SECONDS
    assert build(letters, Received()) == (None, "dropped")
    writable[0] = True
    assert build(letters, Received()) == (None, "dropped")
    clock.now += DROP_SECONDS
    assert build(letters, Received())[1] is None


@pytest.mark.parametrize("code", [KafkaError._PURGE_QUEUE, KafkaError._MSG_TIMED_OUT])
def test_other_failures_change_nothing(code: int) -> None:
    """A delivery that fails with its transaction or its connection is repeated unchanged."""
    letters = DeadLetters("dlq", LARGEST)
    report(build(letters, Received())[0], KafkaError(code))
    report(build(letters, Received())[0], None)
    assert build(letters, Received())[1] is None
    assert not letters.alone
