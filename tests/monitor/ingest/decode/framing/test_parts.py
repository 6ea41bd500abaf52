"""Calls in several messages are joined once, within bounds, also if messages are read again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.decode.framing import parts as module
from monitor.ingest.decode.framing.parts import FINISHED_CALL, SETTLE_SECONDS, PartJoiner
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.message import CallPart, Skipped
from tests.monitor.ingest.decode.payloads import fuzz

REQUEST, RESPONSE = "request", "response"
FIELDS: dict[str, dict[str, object]] = {
    REQUEST: {"prompt": "p", "request_id": "r"},
    RESPONSE: {"response": "a", "model": None},
}
Joined = list[Inference | Skipped]


def part(call: str, role: str, time: float | None = 0.0, **more: object) -> CallPart:
    """Half of a call."""
    made = CallPart(call, role, (REQUEST, RESPONSE), FIELDS[role], time=time)
    return replace(made, **more)  # type: ignore[arg-type]  # fields of the part


def added(joiner: PartJoiner, sequence: Sequence[CallPart]) -> Joined:
    """What the parts make."""
    return [made for each in sequence for made in joiner.add(each)]


def lost(made: Joined) -> Counter[str]:
    """The kinds of what was skipped."""
    return Counter(each.kind for each in made if isinstance(each, Skipped))


@pytest.mark.parametrize("roles", [(REQUEST, RESPONSE), (RESPONSE, REQUEST)])
def test_halves_are_joined_in_any_order(roles: tuple[str, str]) -> None:
    """The record has the fields of both halves, whichever comes first."""
    (made,) = added(PartJoiner(), [part("c", role) for role in roles])
    assert made == Inference(request_id="r", prompt="p", response="a")


def test_repeated_parts_make_no_second_record() -> None:
    """Parts that are delivered again are skipped once the call is joined."""
    joiner = PartJoiner()
    halves = [part("c", REQUEST), part("c", REQUEST), part("c", RESPONSE)]
    made = added(joiner, [*halves, *halves])
    assert len(made) == 4
    assert made[1:] == [FINISHED_CALL] * 3
    assert joiner.pending == 0


def test_parts_of_other_calls_are_not_joined() -> None:
    """A request and the response of another call are no record, and are lost at the end."""
    joiner = PartJoiner()
    assert added(joiner, [part("a", REQUEST), part("b", RESPONSE)]) == []
    assert lost(list(joiner.rest())) == {"lost_request": 1, "lost_response": 1}
    assert (joiner.pending, joiner.pending_bytes) == (0, 0)


def test_parts_wait_for_a_limited_time() -> None:
    """A half whose other half does not come within the time is lost, and counted by its role."""
    joiner = PartJoiner(100.0)
    assert added(joiner, [part("late", REQUEST, 0.0)]) == []
    assert added(joiner, [part(f"soon {n}", REQUEST, 90.0) for n in range(20)]) == []
    made = added(joiner, [part(f"soon {n}", RESPONSE, 110.0) for n in range(20)])
    assert lost(made) == {"lost_request": 1}
    assert len(made) == 21
    assert added(joiner, [part("late", RESPONSE, 110.0)]) == []


@pytest.mark.parametrize("wrong", [1e12, -1e12])
def test_a_single_wrong_time_expires_nothing(wrong: float) -> None:
    """A part with an absurd time loses no other call, and is lost itself in the end."""
    joiner = PartJoiner(100.0)
    calls = [part(f"{n}", REQUEST, float(n)) for n in range(20)]
    assert added(joiner, [*calls[:10], part("wrong", REQUEST, wrong), *calls[10:]]) == []
    answered = added(joiner, [part(f"{n}", RESPONSE, 20.0) for n in range(20)])
    assert len(answered) == 20
    assert not lost(answered)
    last = added(joiner, [part(f"last {n}", REQUEST, 200.0) for n in range(20)])
    assert lost(last) == {"lost_request": 1}


def test_the_number_of_calls_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the oldest calls are lost."""
    monkeypatch.setattr(module, "MAX_CALLS", 10)
    joiner = PartJoiner()
    made = added(joiner, [part(f"{n}", REQUEST) for n in range(25)])
    assert lost(made) == {"lost_request": 15}
    assert joiner.pending == 10
    assert len(added(joiner, [part(f"{n}", RESPONSE) for n in range(15, 25)])) == 10


def test_the_size_of_the_parts_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large parts displace each other before they fill the memory."""
    monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    joiner = PartJoiner()
    for number in range(200):
        added(joiner, [part(f"{number}", REQUEST, size=20_000)])
        assert joiner.pending_bytes <= 100_000
    assert joiner.pending == 4


def test_the_number_of_parts_of_a_call_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call with endless parts keeps the first ones; the others are lost."""
    monkeypatch.setattr(module, "MAX_PARTS", 10)
    joiner = PartJoiner()
    made = added(joiner, [part("c", REQUEST, number=number) for number in range(15)])
    assert lost(made) == {"lost_request": 5}


def test_the_memory_of_finished_calls_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that were joined are forgotten in the end."""
    monkeypatch.setattr(module, "MAX_FINISHED", 2)
    joiner = PartJoiner()
    for name in "abc":
        added(joiner, [part(name, REQUEST), part(name, RESPONSE)])
    assert added(joiner, [part("c", REQUEST)]) == [FINISHED_CALL]
    assert added(joiner, [part("a", REQUEST)]) == []


def test_a_part_that_suffices_does_not_wait_for_long() -> None:
    """A part that makes a record alone does so after a minute, and further parts are skipped."""

    def finish(parts: Sequence[CallPart], final: bool) -> Inference | None:
        return Inference(request_id="alone") if final else None

    joiner = PartJoiner()
    assert added(joiner, [part("c", REQUEST, 0.0, alone=True, finish=finish)]) == []
    later = [part(f"{n}", REQUEST, SETTLE_SECONDS + 1) for n in range(20)]
    assert added(joiner, later) == [Inference(request_id="alone")]
    assert added(joiner, [part("c", RESPONSE, SETTLE_SECONDS + 1)]) == [FINISHED_CALL]


def test_parts_without_a_time_wait_for_the_others() -> None:
    """Only the other limits hold for a log without times."""
    joiner = PartJoiner(1.0)
    assert added(joiner, [part(f"{n}", REQUEST, None) for n in range(100)]) == []
    assert joiner.pending == 100


calls = st.lists(
    st.tuples(
        st.integers(0, 6), st.sampled_from((REQUEST, RESPONSE)), st.integers(0, 60), st.booleans()
    ),
    max_size=60,
)


@fuzz
@given(sequence=calls, seed=st.integers(0, 10**6))
def test_rollbacks_change_nothing(sequence: list[tuple[int, str, int, bool]], seed: int) -> None:
    """With transactions that are rolled back and read again, everything is made exactly once."""
    parts = [
        part(f"{call}", role, float(10 * step + time), alone=alone)
        for step, (call, role, time, alone) in enumerate(sequence)
    ]
    expected = added(joiner := PartJoiner(100.0), parts) + list(joiner.rest())
    chance = random.Random(seed)
    made: Joined = []
    joiner, position = PartJoiner(100.0, undoable=True), 0
    while position < len(parts):
        end = chance.randint(position + 1, len(parts))
        new = added(joiner, parts[position:end])
        if chance.random() < 0.4:
            joiner.roll_back()
        else:
            joiner.commit()
            made += new
            position = end
    assert made + list(joiner.rest()) == expected
    assert (joiner.pending, joiner.pending_bytes) == (0, 0)


def test_nothing_is_kept_for_rollbacks_that_never_come() -> None:
    """Without transactions, as for files, the list of changes stays empty."""
    joiner = PartJoiner()
    added(joiner, [part(f"{n}", REQUEST) for n in range(100)])
    assert joiner._undo == []


def test_the_size_is_that_before_a_rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback restores calls that a limit had dropped, with their size and order."""
    monkeypatch.setattr(module, "MAX_CALLS", 5)
    joiner = PartJoiner(undoable=True)
    added(joiner, [part(f"{n}", REQUEST, size=n) for n in range(5)])
    joiner.commit()
    before = joiner.pending_bytes
    first = added(joiner, [part(f"new {n}", REQUEST) for n in range(4)])
    joiner.roll_back()
    assert (joiner.pending, joiner.pending_bytes) == (5, before)
    assert added(joiner, [part(f"new {n}", REQUEST) for n in range(4)]) == first
    assert lost(list(joiner.rest())) == {"lost_request": 5}
