"""Messages of the joins topic: equal after encoding, and errors by name for other bytes."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.joins.contexts import MAX_CONTEXTS, Contexts
from monitor.ingest.joins.hashes import id_hashes
from monitor.ingest.joins.messages import Arm, Context, JoinError, Keys, Values, decode, encode

CONTEXTS = (Context("m"), Context("n", (("a", "b"),), (Arm("e", "p", None), Arm("f", "q", "v"))))
KEYS = Keys(
    np.array([1, 2**64 - 1], np.uint64),
    np.array([0.0, 1e9]),
    CONTEXTS,
    np.array([1, 0], np.uint32),
    np.array([[5, 6], [0, 0]], np.uint64),
)
VALUES = Values(
    np.array([3], np.uint64),
    np.array([7.5]),
    ("", "helpful"),
    np.array([1], np.uint32),
    np.array([-1e15]),
)


def test_messages_are_equal_after_encoding() -> None:
    """All columns of keys and values survive."""
    keys, values = decode(encode(KEYS)), decode(encode(VALUES))
    assert isinstance(keys, Keys)
    assert isinstance(values, Values)
    assert keys.contexts == KEYS.contexts
    assert values.names == VALUES.names
    for name in ("ids", "times", "codes", "units"):
        assert (getattr(keys, name) == getattr(KEYS, name)).all()
    for name in ("ids", "times", "codes", "values"):
        assert (getattr(values, name) == getattr(VALUES, name)).all()


def test_a_part_has_the_contexts_that_it_uses() -> None:
    """Taking rows drops contexts, names and units that none of them has."""
    part = KEYS.take(np.array([1]))
    assert (part.contexts, part.codes.tolist()) == (CONTEXTS[:1], [0])
    assert part.units.shape == (1, 0)
    assert isinstance(decode(encode(part)), Keys)
    assert VALUES.take(np.array([0])).names == ("helpful",)


@given(st.binary())
def test_other_bytes_are_no_message(payload: bytes) -> None:
    """Whatever is in the topic, the only error is JoinError."""
    with pytest.raises(JoinError):
        decode(payload)


@given(st.integers(0, 7), st.binary(max_size=40) | st.integers() | st.lists(st.text()))
def test_a_damaged_field_is_rejected_or_harmless(place: int, value: object) -> None:
    """A message with another value in one field is rejected, or consistent."""
    for batch in (KEYS, VALUES):
        fields = msgspec.msgpack.decode(encode(batch))
        fields[place] = value
        try:
            found = decode(msgspec.msgpack.encode(fields))
        except (JoinError, OverflowError):  # OverflowError: of the encoder of the test
            continue
        assert len(found.times) == len(found.codes) == len(found)
        found.take(np.arange(len(found)))


def test_contexts_beyond_the_limit_lose_their_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of segment keys are not bounded by anything else; models and variants are kept."""
    assert MAX_CONTEXTS > 10_000
    monkeypatch.setattr("monitor.ingest.joins.contexts.MAX_CONTEXTS", 3)
    contexts = Contexts()
    codes = contexts.codes([Context("m", (("user", str(i)),)) for i in range(50)])
    assert len(set(codes.tolist())) == 4
    assert contexts.of(codes[-1:]) == [Context("m")]


@given(st.lists(st.text(min_size=1), unique=True, max_size=200))
def test_ids_have_hashes_of_their_own(ids: list[str]) -> None:
    """Different ids have different hashes, also long ones and those that end in zeros."""
    ids = [*ids, *(f"{each}\0" for each in ids), *(each * 70 for each in ids)]
    distinct = set(ids)
    assert len(set(id_hashes(ids).tolist())) == len(distinct)
    assert id_hashes(ids[:1]).tolist() == id_hashes(ids).tolist()[:1]
