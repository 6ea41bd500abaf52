"""Examples: which request ids go along with the features, and what becomes of them on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import examples, logfiles, reference
from monitor.columns import Columns
from monitor.config import Config
from monitor.demo.traffic import traffic
from monitor.example_ring import MOST, ExampleRing
from monitor.examples import MAX_CHARS, ONE_IN, Examples, all_sound, choose, sound
from monitor.features import join
from monitor.records import Record
from tests.monitor import made

RECORDS = 3_000
DECODE = logfiles.decode_of(Config())
LOG = [DECODE(line) for line in traffic(RECORDS, change_at=RECORDS, seed=5, rate=50.0, start=1.7e9)]


def chunks(sizes: int, *, joined: bool = False) -> list[Columns]:
    """The log as chunks of batches of a size."""
    extractor = logfiles.extractor_of(Config())
    batches = [
        extractor.batch(LOG[at : at + sizes], range(at, min(at + sizes, RECORDS)))
        for at in range(0, RECORDS, sizes)
    ]
    return [part for each in ([join(batches)] if joined else batches) for part in each.by_model()]


def named(parts: list[Columns]) -> dict[str, tuple[str, int]]:
    """Request id -> the model and the position of the record that it is said to be of."""
    return {
        each: (part.model, int(part.positions[place]))
        for part in parts
        for place, each in zip(part.examples.places, part.examples.ids, strict=True)
    }


WHOLE = named(chunks(RECORDS))


def test_examples_are_few_and_true() -> None:
    """About one record in ONE_IN, and each id is that of the record at its place."""
    assert RECORDS / ONE_IN / 1.4 < len(WHOLE) < RECORDS / ONE_IN * 1.4
    for request_id, (model, position) in WHOLE.items():
        assert (LOG[position].request_id, LOG[position].model) == (request_id, model)
    assert {model for model, _ in WHOLE.values()} == {record.model for record in LOG}


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("joined", [False, True])
def test_choice_does_not_depend_on_batches(size: int, joined: bool) -> None:
    """However the log is cut, and put together again, the same records are chosen."""
    assert named(chunks(size, joined=joined)) == WHOLE


def test_choice_hangs_on_no_single_feature() -> None:
    """Records of one second, or all alike but for their time, are told apart all the same."""
    rng = np.random.default_rng(1)
    ids = [f"id-{i}" for i in range(20_000)]
    still = np.full(20_000, 1.7e9)
    tokens = rng.integers(1, 4000, 20_000).astype(float)
    nothing = np.full(20_000, np.nan)
    for times, rows in [(still, (tokens, nothing)), (still + np.arange(20_000), (nothing,) * 2)]:
        share = len(choose(times, rows, ids).ids) / len(ids)
        assert 0.7 / ONE_IN < share < 1.4 / ONE_IN


@pytest.mark.parametrize(
    ("request_id", "fit"),
    [
        ("demo-7-00000042", True),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}/:<b>", True),
        ("x" * MAX_CHARS, True),
        ("x" * (MAX_CHARS + 1), False),
        ("", False),
        ("a\nb", False),
        ("\x1b[2J", False),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", False),
    ],
)
def test_unsound_ids_are_passed_over(request_id: str, fit: bool) -> None:
    """What is empty, long or would steer a terminal is left out, and its neighbours stay."""
    assert sound(request_id) == all_sound(["a", request_id]) == fit
    times = np.full(3, _chosen_time())
    found = choose(times, (), ["a", request_id, "c"])
    assert found.ids == (("a", request_id, "c") if fit else ("a", "c"))
    assert found.places.tolist() == ([0, 1, 2] if fit else [0, 2])


def _chosen_time() -> float:
    """An event time whose records are all chosen."""
    return next(t for t in np.arange(1.7e9, 1.7e9 + 999) if choose(np.array([t]), (), ["x"]).ids)


def test_no_records_no_examples() -> None:
    """A batch in which every message was refused has none."""
    extractor = logfiles.extractor_of(Config())
    assert extractor.batch(list[Record](), []).examples.ids == ()


@given(st.sets(st.integers(0, 19)), st.integers(0, 20), st.integers(0, 20))
def test_part_is_a_take(places: set[int], one: int, other: int) -> None:
    """A part from here to there is what taking these records gives."""
    start, stop = sorted((one, other))
    whole = Examples(np.array(sorted(places), np.int32), tuple(map(str, sorted(places))))
    part, taken = whole.part(start, stop), whole.take(slice(start, stop), 20)
    assert part.places.tolist() == taken.places.tolist()
    assert part.ids == taken.ids == tuple(str(p) for p in sorted(places) if start <= p < stop)


# --- the ring ---------------------------------------------------------------------------------


def known(n: int, every: int) -> Columns:
    """Made records of which every so-manieth has a known id: its number, counted from 1."""
    places = np.arange(0, n, every, dtype=np.int32)
    found = Examples(places, tuple(f"r{place + 1}" for place in places))
    return replace(made.stream(n, seed=9), examples=found)


BASELINE = reference.build(
    [made.stream(2000, seed=1)], segment="", window=200, categories=10
).baseline


def within(ring: ExampleRing, first: int, last: int) -> list[str]:
    """The ids of the examples from the newest on."""
    return [each for piece in ring.within(first, last) for each in reversed(piece.examples.ids)]


@made.SLOW_PROPERTY
@given(made.cuttings(1500), st.sampled_from([1, 3, 40]))
def test_ring_does_not_depend_on_chunks(marks: list[int], every: int) -> None:
    """At every moment it names the newest records that a window holds, and no more than MOST."""
    columns, ring, seen = known(1500, every), ExampleRing(), 0
    for chunk in made.cut(columns, marks):
        ring.add(chunk, seen)
        for moment in range(seen - seen % 100 + 100, seen + len(chunk) + 1, 100):
            numbers = [n for n in range(1, moment + 1) if (n - 1) % every == 0]
            kept = [f"r{n}" for n in numbers[-MOST:] if n > moment - 300]
            assert within(ring, moment - 299, moment) == kept[::-1]
        seen += len(chunk)
        ring.trim(seen - 299)
        assert ring.count == sum(map(len, ring.pieces)) <= MOST
        again = ExampleRing()
        again.restore(ring.snapshot(BASELINE))
        assert within(again, 1, seen) == within(ring, seen - 299, seen)
        ring = again


def test_ring_keeps_features_with_ids() -> None:
    """The values of an example are those of the record that it names."""
    columns, ring = known(500, 7), ExampleRing()
    ring.add(columns, 0)
    for piece in ring.within(100, 300):
        for at, request_id in enumerate(piece.examples.ids):
            number = int(request_id[1:])
            assert piece.positions[at] == number
            expected = columns.values[:, number - 1]
            assert np.array_equal(piece.values[:, at], expected, equal_nan=True)


def test_joining_nothing_is_nothing() -> None:
    """Batches without examples make one without."""
    assert examples.join([(examples.NONE, 5), (examples.NONE, 3)]).ids == ()
