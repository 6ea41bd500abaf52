"""The state of a join: equal to a simple model, whatever the order and the cuts of messages."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.joins import runs, state
from monitor.ingest.joins.messages import Arm, Context, Keys, Values
from monitor.ingest.joins.state import Joined, JoinState

HORIZON, SETTLE, START = 800.0, 30.0, 1_000_000.0
WIDTH = HORIZON / state.SEGMENTS
CONTEXTS = (
    Context("a"),
    Context("b", (("metadata.route", "search"),), (Arm("exp", "p", "treatment"),)),
    Context("b", (), (Arm("exp", "p", None), Arm("other", "q", "control"))),
)


@dataclass(frozen=True)
class Key:
    """A key of the model."""

    id: int
    time: float
    context: int


@dataclass(frozen=True)
class Value:
    """A value of the model."""

    id: int
    name: str
    time: float
    value: float


def keys_of(items: list[Key]) -> Keys:
    """Return keys as a message has them."""
    units = np.array([[k.id ^ arm for arm in range(2)] for k in items], np.uint64).reshape(-1, 2)
    return Keys(
        np.array([k.id for k in items], np.uint64),
        np.array([k.time for k in items], np.float64),
        CONTEXTS,
        np.array([k.context for k in items], np.uint32),
        units,
    )


def values_of(items: list[Value]) -> Values:
    """Return values as a message has them."""
    names = tuple(sorted({v.name for v in items}))
    return Values(
        np.array([v.id for v in items], np.uint64),
        np.array([v.time for v in items], np.float64),
        names,
        np.array([names.index(v.name) for v in items], np.uint32),
        np.array([v.value for v in items], np.float64),
    )


Found = dict[tuple[int, str], tuple[float, float, float, Context, tuple[int, ...]]]


def found(joined: Joined) -> Found:
    """Return what was joined by id and name; each of them occurs once."""
    result: Found = {}
    for i, (name, context) in enumerate(zip(joined.names, joined.contexts, strict=True)):
        pair = int(joined.ids[i]), name
        assert pair not in result
        units = tuple(joined.units[i, : len(context.arms)].tolist())
        numbers = float(joined.times[i]), float(joined.values[i]), float(joined.record_times[i])
        result[pair] = (*numbers, context, units)
    return result


def model(keys: list[Key], values: list[Value]) -> Found:
    """Return what a join of everything finds, computed with dictionaries."""
    newest: dict[tuple[int, str], Value] = {}
    for value in values:
        pair = value.id, value.name
        if pair not in newest or value.time >= newest[pair].time:
            newest[pair] = value
    result: Found = {}
    for pair, value in newest.items():
        fitting = [k for k in keys if k.id == value.id and -WIDTH <= value.time - k.time <= HORIZON]
        if fitting:
            key = min(fitting, key=lambda k: k.time)
            context = CONTEXTS[key.context]
            units = tuple(key.id ^ arm for arm in range(len(context.arms)))
            result[pair] = value.time, value.value, key.time, context, units
    return result


def cut(items: list[Any], randomness: random.Random) -> list[list[Any]]:
    """Return the items in pieces of random sizes."""
    pieces, rest = [], list(items)
    while rest:
        size = randomness.randint(1, 7)
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces


def add(table: JoinState, batch: list[Any], offset: int, written: float) -> None:
    """Add a message of keys or of values."""
    if isinstance(batch[0], Key):
        table.add_keys(keys_of(batch), offset, written)
    else:
        table.add_values(values_of(batch), offset, written)


@st.composite
def traffic(draw: st.DrawFn) -> tuple[list[Key], list[Value]]:
    """Return keys with distinct ids and values for some of them, within one horizon."""
    ids = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30, unique=True))
    times = st.floats(0, HORIZON / 2).map(lambda t: START + t)
    keys = [Key(i, draw(times), draw(st.integers(0, 2))) for i in ids[: len(ids) * 2 // 3 + 1]]
    number = st.floats(-1e9, 1e9)
    make = st.builds(Value, st.sampled_from(ids), st.sampled_from(["", "x", "y"]), times, number)
    values = draw(st.lists(make, max_size=60, unique_by=lambda v: (v.id, v.name, v.time)))
    return keys, values


@given(traffic(), st.randoms(use_true_random=False))
def test_any_order_and_any_cuts_have_the_result_of_the_model(
    given_: tuple[list[Key], list[Value]], randomness: random.Random
) -> None:
    """Keys and values in any order, in messages of any size, are joined as in a dictionary."""
    keys, values = given_
    batches = cut(keys, randomness) + cut(randomness.sample(values, len(values)), randomness)
    randomness.shuffle(batches)
    table = JoinState(HORIZON, SETTLE)
    for offset, batch in enumerate(batches):
        add(table, batch, offset, START + HORIZON + offset)
        assert not len(table.due(START + HORIZON))  # nothing has settled
        table.expire()
    joined = found(table.due(START + HORIZON + len(batches) + SETTLE))
    assert joined == model(keys, values)
    table.mark_sent()
    assert not len(table.due(np.inf))
    assert table.counts["sent"] == len(joined)
    assert table.counts["sent"] + table.counts["replaced"] + unsent(table) == len(values)


def unsent(table: JoinState) -> int:
    """Return the number of values that wait for a key."""
    return sum(state._unsent(segment) for segment in table.values.by_number.values())


@given(traffic(), st.randoms(use_true_random=False), st.booleans())
def test_a_restart_anywhere_repeats_and_loses_nothing(
    given_: tuple[list[Key], list[Value]], randomness: random.Random, commit_fails: bool
) -> None:
    """A state that is read again from its first offset sends the rest of the values, each once."""
    keys, values = given_
    batches = cut(keys, randomness) + cut(values, randomness)
    randomness.shuffle(batches)
    log = [(batch, offset, START + HORIZON + 3 * offset) for offset, batch in enumerate(batches)]
    sent: Counter[tuple[int, str]] = Counter()
    table, read = JoinState(HORIZON, SETTLE), 0
    committed, clock, first = 0, 0.0, 0
    while read < len(log):
        for batch, offset, written in log[read : read + randomness.randint(1, 6)]:
            add(table, batch, offset, written)
            read = offset + 1
        now = log[read - 1][2]
        result = found(table.due(now))
        if not (commit_fails and randomness.random() < 0.3):  # otherwise it is rolled back
            committed, clock = read, now
            first = read if table.first_offset is None else table.first_offset
            table.mark_sent()
            table.expire()
            sent.update(result.keys())
        if randomness.random() < 0.5:  # the process is killed, and another one restores
            table, read = restored(log[first:committed], clock), committed
    sent.update(found(table.due(np.inf)).keys())
    assert set(sent.values()) <= {1}
    assert sent.keys() == model(keys, values).keys()


def restored(log: list[tuple[list[Any], int, float]], clock: float) -> JoinState:
    """Return the state after a part of the log, of which all values before `clock` were sent."""
    table = JoinState(HORIZON, SETTLE)
    for batch, offset, written in log:
        add(table, batch, offset, written)
        table.settle_until(min(clock, written))
    table.settle_until(clock)
    table.expire()
    table.counts.clear()
    return table


def one_key(id_: int = 1, time: float = START) -> Keys:
    """Return the key of one record."""
    return keys_of([Key(id_, time, 0)])


def one_value(id_: int = 1, time: float = START, value: float = 1.0, name: str = "") -> Values:
    """Return one value."""
    return values_of([Value(id_, name, time, value)])


def crowd(start: float, first: int) -> list[Key]:
    """Return as many keys as it takes to move the event time."""
    return [Key(first + i, start + i / 100, 0) for i in range(60)]


@pytest.mark.parametrize(
    ("delay", "matches"),
    [(0.0, True), (HORIZON, True), (HORIZON + 1, False), (-WIDTH, True), (-WIDTH - 1, False)],
)
def test_a_value_belongs_to_a_record_within_the_horizon(delay: float, *, matches: bool) -> None:
    """The time of the feedback may be a horizon after that of the record, and a little before."""
    table = JoinState(HORIZON, SETTLE)
    table.add_keys(one_key(), 0, START)
    table.add_values(one_value(time=START + delay), 1, START)
    assert len(table.due(START + SETTLE)) == matches


def test_a_value_settles_before_it_is_sent_and_is_late_afterwards() -> None:
    """Until it has settled the newest value counts; then a newer one is counted and ignored."""
    table = JoinState(HORIZON, SETTLE)
    table.add_keys(one_key(), 0, START)
    table.add_values(one_value(value=1), 1, START)
    table.add_values(one_value(value=2, time=START + 5), 2, START + 5)
    table.add_values(one_value(value=3, time=START + 4), 3, START + 6)  # older: it changes nothing
    assert not len(table.due(START + SETTLE - 1))
    joined = table.due(START + SETTLE)
    assert (joined.values.tolist(), joined.times.tolist()) == ([2.0], [START + 5])
    assert joined.offsets.tolist() == [1]
    table.mark_sent()
    table.add_values(one_value(value=4, time=START + 9), 4, START + 40)
    assert not len(table.due(np.inf))
    assert table.counts == {"sent": 1, "replaced": 2, "late": 1, "unmatched": 0}


def test_a_result_is_repeated_until_it_is_marked() -> None:
    """After a transaction that was rolled back, the same values are due, and newer ones of them."""
    table = JoinState(HORIZON, SETTLE)
    table.add_keys(one_key(), 0, START)
    table.add_values(one_value(value=1), 1, START)
    first = found(table.due(START + SETTLE))
    assert found(table.due(START + SETTLE)) == first != {}
    table.add_values(one_value(value=2), 2, START + SETTLE)
    assert table.due(START + SETTLE).values.tolist() == [2.0]
    table.mark_sent()
    assert not len(table.due(np.inf))


def test_what_passes_the_horizon_is_dropped_and_counted_once() -> None:
    """Keys and values expire by the event time of the slower input; waiting values are counted."""
    table = JoinState(HORIZON, SETTLE)
    table.add_keys(one_key(), 0, START)
    table.add_values(one_value(2), 1, START)
    table.settle_until(START + SETTLE)
    later = START + 2 * HORIZON
    table.add_keys(keys_of(crowd(later, 1_000)), 2, later)
    table.expire()
    assert len(table.keys) == 61  # the other input has not come so far
    table.add_values(
        values_of([Value(5_000 + k.id, "", k.time, 0) for k in crowd(later, 0)]), 3, later
    )
    assert table.first_offset == 0
    table.expire()
    table.expire()
    assert len(table.keys) == 60
    assert table.counts["unmatched"] == 1
    assert table.first_offset == 2
    table.add_keys(one_key(3), 4, later)  # too old to find anything
    assert len(table.keys) == 60
    table.add_values(one_value(3), 5, later)
    assert table.counts["unmatched"] == 2


def test_an_idle_input_is_not_waited_for() -> None:
    """If one input has sent nothing for an hour of the log, the other alone lets keys expire."""
    table = JoinState(HORIZON, SETTLE)
    table.add_keys(one_key(), 0, START)
    later = START + 4_000
    table.add_keys(keys_of(crowd(later, 1_000)), 1, later)
    table.expire()
    assert len(table.keys) == 60


@pytest.mark.parametrize("wrong", [START - 1e6, START + 1e6, 0.0, 9e9])
def test_a_few_wrong_clocks_drop_nothing(wrong: float) -> None:
    """Ids with a wrong time, and their feedback, do not change what is kept of the others."""
    table = JoinState(HORIZON, SETTLE)
    for side in range(2):
        keys = [Key(i, START + i / 10, 0) for i in range(200)]
        table.add_keys(keys_of([*keys[side::2], Key(10_000 + side, wrong, 0)]), side, START + 50)
    values = [Value(i, "", START + 60, i) for i in range(200)]
    table.add_values(values_of([*values, Value(20_000, "", wrong, 0)]), 2, START + 60)
    table.expire()
    assert len(table.due(START + 60 + SETTLE)) == 200


def test_values_of_one_id_settle_apart() -> None:
    """A key that wakes a waiting value does not send another value of the id before its time."""
    table = JoinState(HORIZON, SETTLE)
    table.add_values(one_value(name="x"), 0, START)
    assert not len(table.due(START + SETTLE))
    table.add_values(one_value(name="y"), 1, START + 40)
    table.add_keys(one_key(), 2, START + 41)
    assert table.due(START + 42).names == ["x"]
    table.mark_sent()
    assert table.due(START + 40 + SETTLE).names == ["y"]


def test_large_tables_are_in_files_and_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs beyond a size are in files without a name, with the same result, in few bytes an id."""
    n = 40_000
    results = []
    for rows in (runs.FILE_ROWS, 1_000):
        monkeypatch.setattr("monitor.ingest.joins.segments.FILE_ROWS", rows)
        table = JoinState(HORIZON, SETTLE, tmp_path)
        ids = np.random.default_rng(1).permutation(n).astype(np.uint64) << np.uint64(40)
        units = (ids ^ np.uint64(7))[:, None]
        times = START + np.arange(n) / n * HORIZON
        for offset, part in enumerate(np.array_split(np.arange(n), 50)):
            codes = np.full(len(part), 0, np.uint32)
            keys = Keys(ids[part], times[part], CONTEXTS[1:2], codes, units[part])
            table.add_keys(keys, offset, START)
        table.add_values(
            values_of(
                [Value(int(i), "", START + HORIZON, float(i >> 40)) for i in ids[::10].tolist()]
            ),
            99,
            START,
        )
        mapped = [run for run in table.keys.runs() if isinstance(run.columns["id"].base, mmap)]
        assert bool(mapped) == (rows == 1_000)
        assert list(tmp_path.iterdir()) == []
        assert table.nbytes / n <= 64
        assert len(list(table.keys.runs())) <= 9 * 17
        results.append(found(table.due(np.inf)))
        table.mark_sent()
        assert not len(table.due(np.inf))
    assert results[0] == results[1]
    assert len(results[0]) == n // 10


def test_the_oldest_segments_are_dropped_beyond_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition keeps a bounded number of keys and of values, and counts what it drops."""
    monkeypatch.setattr(state, "MAX_KEYS", 100)
    monkeypatch.setattr(state, "MAX_VALUES", 100)
    table = JoinState(HORIZON, SETTLE)
    for part in range(4):
        start = START + part * 2 * WIDTH
        table.add_keys(keys_of(crowd(start, 100 * part)), 2 * part, start)
        values = [Value(k.id, "", k.time, 0) for k in crowd(start, 100 * part + 5_000)]
        table.add_values(values_of(values), 2 * part + 1, start)
    assert len(table.keys) == len(table.values) == 60
    assert table.counts["keys_dropped"] == table.counts["dropped"] == 180
