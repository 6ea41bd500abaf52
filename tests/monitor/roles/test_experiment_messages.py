"""Messages of the state topic of experiments: divided, joined, and robust against other bytes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.roles import experiment_messages
from monitor.roles.experiment_messages import (
    PART_BYTES,
    Assembler,
    Name,
    StateMessage,
    assemble,
    decode,
    encode,
)

CLOSED = Name("closed", "exp", 3, 1)
SMALL, LARGE = b"small", bytes(2 * PART_BYTES + 5)


def test_large_values_are_divided_and_joined() -> None:
    """Each part has a key of its own; together they are the value."""
    messages = list(encode(CLOSED, LARGE, 7))
    assert [key for key, _ in messages] == [
        b"exp/3/closed",
        b"exp/3/closed/1",
        b"exp/3/closed/2",
    ]
    assert max(len(value) for _, value in messages) < PART_BYTES + 100
    found = assemble(dict(messages))
    assert (found[CLOSED].payload, found[CLOSED].sequence) == (LARGE, 7)


def test_parts_of_an_earlier_value_are_ignored() -> None:
    """A shorter value leaves parts of a longer one in the topic."""
    topic = dict(encode(CLOSED, LARGE, 1)) | dict(encode(CLOSED, SMALL, 2))
    assert assemble(topic)[CLOSED].payload == SMALL
    topic |= dict(encode(CLOSED, LARGE[: PART_BYTES + 1], 3))
    assert len(topic) == 3
    assert assemble(topic)[CLOSED].payload == LARGE[: PART_BYTES + 1]


def test_followers_join_values_in_the_order_of_the_topic() -> None:
    """A value is complete with its last part, and replaces the one before."""
    assembler, found = Assembler(), []
    for sequence, payload in enumerate([LARGE, SMALL, LARGE[:-1]]):
        for _, value in encode(CLOSED, payload, sequence):
            message = decode(value)
            assert message is not None
            joined = assembler.add(message)
            if joined is not None:
                found.append(joined.payload)
    assert found == [LARGE, SMALL, LARGE[:-1]]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (Name("decisions", "exp", 0, 1), b"exp/decisions"),
        (Name("result", "exp", 0, 1), b"exp/result"),
        (Name("offset", "", 0, 1), b"offset"),
        (Name("rest", "exp", 15, 1), b"exp/15/rest"),
    ],
)
def test_keys(name: Name, key: bytes) -> None:
    """Every value has a key of its own."""
    assert name.key(0) == key


@given(st.binary(max_size=100))
def test_other_bytes_are_no_messages(value: bytes) -> None:
    """Other bytes are ignored."""
    assert decode(value) is None


@pytest.mark.parametrize("changed", [{"version": 2}, {"part": 1}, {"parts": 10**9}, {"part": -1}])
def test_inconsistent_messages_are_ignored(changed: dict[str, int]) -> None:
    """A message of another version or with impossible parts is none."""
    message = StateMessage(experiment_messages.VERSION, "closed", "exp", 3, 1, 7, 0, 1, SMALL)
    assert decode(msgspec.msgpack.encode(message)) == message
    replaced = msgspec.structs.replace(message, **changed)
    assert decode(msgspec.msgpack.encode(replaced)) is None
