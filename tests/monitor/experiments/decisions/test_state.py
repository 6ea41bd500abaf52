"""State and result survive their bytes; any other bytes are one kind of error."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.experiments.decisions.result import (
    Criteria,
    Decision,
    Phase,
    Point,
    ResultError,
    decode_result,
)
from monitor.experiments.decisions.state import (
    Epoch,
    SrmState,
    State,
    StateError,
    Track,
    decode_state,
    encode_state,
)

PURE = settings(max_examples=40, deadline=None, derandomize=True, database=None)
NAME = st.text(max_size=8)
NUMBER = st.floats(allow_nan=False)
MAYBE = st.none() | NUMBER
COUNTS = st.dictionaries(NAME, st.integers(0, 2**50), max_size=3)
CRITERIA = st.builds(
    Criteria,
    goal=NAME,
    direction=st.sampled_from(["higher", "lower"]),
    alpha=NUMBER,
    level=NUMBER,
    mde=NUMBER,
    min_users=st.integers(0, 10**9),
    min_hours=NUMBER,
    planned_users=st.none() | st.integers(0, 10**9),
)
DECISION = st.builds(
    Decision,
    variant=NAME,
    verdict=st.sampled_from(["better", "worse", "no_difference"]),
    rule=st.sampled_from(["sequence", "planned_end"]),
    time=NUMBER,
    criteria=CRITERIA,
    effect=MAYBE,
    lower=MAYBE,
    users=COUNTS,
)
POINT = st.builds(Point, NUMBER, st.integers(0, 2**50), MAYBE, MAYBE, MAYBE, MAYBE)
TRACK = st.builds(
    Track,
    tau=MAYBE,
    p_value=NUMBER,
    log_evidence=MAYBE,
    harm=MAYBE,
    points=st.lists(POINT, max_size=3).map(tuple),
)
STATE = st.builds(
    State,
    experiment=NAME,
    phase=NAME,
    time=NUMBER,
    first_time=MAYBE,
    criteria=CRITERIA,
    srm=st.builds(
        SrmState,
        epoch=st.builds(Epoch, expected=st.dictionaries(NAME, NUMBER, max_size=3), start=COUNTS),
        closed=NUMBER,
        epochs=st.integers(1, 100),
        warned=st.booleans(),
    ),
    started=st.dictionaries(NAME, NUMBER, max_size=3),
    users=COUNTS,
    tracks=st.dictionaries(NAME, st.dictionaries(NAME, TRACK, max_size=2), max_size=2),
    decisions=st.dictionaries(NAME, DECISION, max_size=2),
    final=st.frozensets(NAME, max_size=3),
    archive=st.lists(
        st.builds(
            Phase,
            phase=NAME,
            first_time=MAYBE,
            time=NUMBER,
            users=COUNTS,
            decisions=st.lists(DECISION, max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    event_ids=st.lists(NAME, max_size=3).map(tuple),
)


@PURE
@given(state=STATE)
def test_a_state_survives_its_bytes(state: State) -> None:
    """Decoding gives an equal state, and equal states have equal bytes."""
    content = encode_state(state)
    assert decode_state(content) == state
    assert encode_state(decode_state(content)) == content


@PURE
@given(content=st.binary(max_size=80))
def test_other_bytes_are_no_state_and_no_result(content: bytes) -> None:
    """Damage raises the errors of the codecs only."""
    with pytest.raises(StateError):
        decode_state(content)
    with pytest.raises(ResultError):
        decode_result(content)


@PURE
@given(state=STATE, cut=st.integers(0, 10_000))
def test_a_truncated_state_is_no_state(state: State, cut: int) -> None:
    """A part of the bytes is never taken for a state."""
    content = encode_state(state)
    with pytest.raises(StateError):
        decode_state(content[: cut % len(content)])


def test_another_version_is_refused_by_name() -> None:
    """A state of a newer program is not read as one of this version."""
    with pytest.raises(StateError, match="version 9"):
        decode_state(msgspec.msgpack.encode({"version": 9}))
    with pytest.raises(ResultError, match="not a result"):
        decode_result(b"{}")
