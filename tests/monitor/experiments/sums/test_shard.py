"""The sums of a shard: independent of order and restarts, closed by minutes of event time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.experiments.exposures.columns import Exposures
from monitor.experiments.sums.layout import layout_of
from monitor.experiments.sums.shard import Shard
from monitor.experiments.sums.state import (
    ShardError,
    decode_partial,
    decode_shard,
    encode_closed,
    encode_rest,
)
from monitor.records import Source
from tests.monitor.experiments.any_exposures import (
    ARMS,
    DESIGN,
    NOW,
    START,
    any_exposures,
    steady,
    unit_of,
)

LAYOUT = layout_of(DESIGN)
DAY = 86_400.0


def run(parts: Sequence[Exposures]) -> Shard:
    """Return a shard that has seen exposures."""
    shard = Shard(LAYOUT)
    for part in parts:
        shard.add(part, NOW)
    return shard


def restarted(shard: Shard) -> Shard:
    """Return the shard after a restart."""
    closed, rest = encode_closed(shard, "p1"), encode_rest(shard, "p1")
    found = decode_shard(closed, rest, "p1", LAYOUT)
    assert found is not None
    return found


def exact(shard: Shard) -> list[bytes]:
    """Return the sums that must not depend on the order, after all looks."""
    shard.close_until(np.inf)
    closed = shard.closed
    arrays = closed.means.n, closed.histograms, closed.requests, closed.weekdays
    numbers = closed.disagreements, closed.other_variants
    return [closed.means.x.encode(), *(each.tobytes() for each in arrays), repr(numbers).encode()]


@settings(max_examples=30, deadline=None)
@given(st.lists(any_exposures(), max_size=6), st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_the_order(parts: list[Exposures], random: object) -> None:
    """Any order and any division of exposures give the same sums, bit for bit."""
    expected = exact(run(parts))
    pieces = [part.take(slice(i, i + 1)) for part in parts for i in range(len(part))]
    random.shuffle(pieces)  # type: ignore[attr-defined]  # hypothesis types it as object
    assert exact(run(pieces)) == expected


@settings(max_examples=30, deadline=None)
@given(st.lists(any_exposures(), min_size=1, max_size=6), st.data())
def test_a_restart_changes_nothing(parts: list[Exposures], data: st.DataObject) -> None:
    """With restarts at any places, the state is the same as without, bit for bit."""
    cuts = data.draw(st.sets(st.integers(0, len(parts) - 1)))
    shard, other = Shard(LAYOUT), Shard(LAYOUT)
    for index, part in enumerate(parts):
        shard.add(part, NOW)
        if index in cuts:
            other = restarted(other)
        other.add(part, NOW)
    assert encode_closed(other, "p1") == encode_closed(shard, "p1")
    assert encode_rest(other, "p1") == encode_rest(shard, "p1")


def test_the_sums_are_those_of_the_values() -> None:
    """Sums and counts by arm are those of a plain computation; buckets are leading bits."""
    exposures = steady(2_000)
    shard = run([exposures])
    shard.close_until(np.inf)
    sums = shard.closed.means.x.floats().reshape(len(LAYOUT.means), 2, 64)
    counts = shard.closed.means.n.reshape(sums.shape)
    latency, score = exposures.values
    terms = {
        "latency_ms": np.log(latency),
        "latency_ms.zero": np.zeros(2_000),
        "latency_ms.capped": np.minimum(latency, 500),
        "score.a": score,
    }
    buckets = exposures.units >> np.uint64(54) & np.uint64(63)
    for index, mean in enumerate(LAYOUT.means):
        for arm in range(2):
            chosen = exposures.variants == arm
            if mean.name not in terms:
                assert counts[index, arm].sum() == 0
                continue
            assert sums[index, arm].sum() == pytest.approx(terms[mean.name][chosen].sum())
            expected = np.bincount(buckets[chosen].astype(int), minlength=64)
            assert counts[index, arm].tolist() == expected.tolist()
    histogram = shard.closed.histograms[0].sum(axis=1)
    median = 1.02 ** (np.searchsorted(histogram[0].cumsum(), histogram[0].sum() / 2) - 0.5)
    assert median == pytest.approx(np.median(latency[exposures.variants == 0]), rel=0.02)


def test_looks_are_closed_by_the_watermark() -> None:
    """A minute is closed when the watermark is a minute past its end, and not before."""
    shard = Shard(LAYOUT)
    exposures = steady(3_000)
    for start in range(0, 3_000, 50):
        part = exposures.take(slice(start, start + 50))
        shard.add(part, NOW)
        assert part.times[-1] - 130 <= shard.time <= part.times[-1] - 60
        assert shard.closed.requests.sum() == (exposures.times < shard.time).sum()
        assert len(shard.open) <= 3
    assert shard.closed.late == 0
    assert shard.clock.first == pytest.approx(START, abs=10)


def test_late_exposures_enter_the_next_look() -> None:
    """An exposure of a closed minute is counted as late and is in the next sums."""
    exposures = steady(3_000)
    shard = run([exposures])
    before, time = shard.closed.requests.sum(), shard.time
    shard.add(exposures.take(slice(0, 10)), NOW)
    assert (shard.closed.requests.sum(), shard.time) == (before, time)
    shard.close_until(time + 60)
    assert shard.closed.late == 10
    assert shard.closed.requests.sum() == (exposures.times < time + 60).sum() + 10


@pytest.mark.parametrize("wrong", [0.0, START + 300 * DAY, START + 3 * DAY, START + 7_200, 1e10])
def test_single_wrong_times_do_not_move_the_looks(wrong: float) -> None:
    """A unit with a wrong clock, however many requests it has, moves neither looks nor start."""
    exposures = steady(3_000)
    hostile = np.arange(3_000) % 3 == 1
    exposures.units[hostile] = unit_of(10_000)
    exposures.times[hostile] = wrong
    shard = Shard(LAYOUT)
    for start in range(0, 3_000, 40):
        shard.add(exposures.take(slice(start, start + 40)), NOW)
    assert START + 400 <= shard.time <= START + 600
    assert shard.clock.first == pytest.approx(START, abs=60)
    shard.close_until(np.inf)
    assert shard.closed.requests.sum() == 3_000
    assert shard.time <= START + 720


def test_a_wrong_beginning_is_corrected() -> None:
    """If the first times were wrong, the looks go back to those of the other units."""
    shard = Shard(LAYOUT)
    shard.add(steady(4, start=START + 5 * DAY, seed=1), NOW)
    assert shard.time > START + 4 * DAY
    exposures = steady(3_000)
    for start in range(0, 3_000, 50):
        shard.add(exposures.take(slice(start, start + 50)), NOW)
    assert START + 400 <= shard.time <= START + 600
    shard.close_until(np.inf)
    assert shard.closed.requests.sum() == 3_004


def test_times_after_the_present_close_nothing() -> None:
    """Times that no record can have yet are no votes, however many units have them."""
    shard = run([steady(500, start=NOW + DAY)])
    assert shard.time <= 0
    shard.add(steady(500), NOW)
    assert START <= shard.time <= START + 600


def test_exposures_of_judges_are_no_requests() -> None:
    """Scores of a judge enter sums of their own, and neither users nor requests."""
    log = steady(500)
    scores = replace(log, features=("judge.q",), values=np.ones((1, 500)))
    judged = replace(scores, source=Source.JUDGE).take(slice(0, 100))
    shard = run([log, judged])
    shard.close_until(np.inf)
    names = [mean.name for mean in LAYOUT.means]
    counts = shard.closed.means.n.reshape(len(names), -1).sum(axis=1)
    assert counts[names.index("judge.q")] == 100
    assert shard.closed.requests.sum() == counts[names.index("score.a")] == 500
    assert shard.closed.late == 0


def test_units_are_counted_once_in_the_arm_of_their_first_exposure() -> None:
    """Users are units; those in several arms are counted once, however often they change."""
    exposures = steady(3_000, units=100)
    shard = run([exposures])
    for _ in range(2):
        moved = exposures.take(exposures.units == exposures.units[0])
        shard.add(replace(moved, variants=(1 - moved.variants).astype(np.int16)), NOW)
        shard.add(moved, NOW)
    shard.close_until(np.inf)
    assert shard.closed.users.tolist() == [50, 50]
    assert shard.closed.in_several_arms == 1


def test_variants_are_matched_by_name() -> None:
    """Exposures of a program with the variants in another order are counted right."""
    exposures = steady(600)
    swapped = replace(
        exposures,
        arms=("gone", *ARMS[::-1]),
        variants=(2 - exposures.variants).astype(np.int16),
    )
    swapped.variants[0] = 0
    shard, expected = run([swapped]), run([exposures])
    shard.close_until(np.inf)
    expected.close_until(np.inf)
    assert shard.closed.other_variants == 1
    assert abs(shard.closed.requests - expected.closed.requests).sum() == 1


def test_nothing_counts_before_the_begin_but_the_pre_period() -> None:
    """Exposures before the begin are left out; those of the pre-period have sums of their own."""
    begin, before = START + 300, (START + 60, START + 180)
    shard = Shard(replace(LAYOUT, begin=begin, before=before))
    exposures = steady(3_000)
    shard.add(exposures, NOW)
    shard.close_until(np.inf)
    times = exposures.times
    assert shard.closed.requests.sum() == (times >= begin).sum()
    counts = shard.closed.before.n.reshape(len(LAYOUT.means), -1).sum(axis=1)
    assert counts[0] == ((times >= before[0]) & (times < before[1])).sum()


def test_the_first_time_is_that_of_exposures_that_count() -> None:
    """Exposures before the begin do not start the time of the experiment, in any batches."""
    exposures, begin = steady(3_000), START + 300
    for size in (30, 3_000):
        shard = Shard(replace(LAYOUT, begin=begin))
        for start in range(0, 3_000, size):
            shard.add(exposures.take(slice(start, start + size)), NOW)
            if shard.clock.watermark < begin:
                assert (shard.clock.first, shard.clock.settled) == (0.0, False)
        assert shard.clock.first == pytest.approx(begin, abs=10)
        assert shard.clock.settled


def test_sums_are_kept_when_metrics_and_arms_change() -> None:
    """A new metric begins at zero, a new arm too; the others keep their sums."""
    shard = run([steady(500)])
    shard.close_until(np.inf)
    means = (*LAYOUT.means[::-1], replace(LAYOUT.means[0], name="new"))
    layout = replace(LAYOUT, arms=("treatment", "new", "control"), means=means)
    found = decode_shard(encode_closed(shard, "p1"), encode_rest(shard, "p1"), "p1", layout)
    assert found is not None
    old = shard.closed.means.n.reshape(len(LAYOUT.means), 2, 64)
    new = found.closed.means.n.reshape(len(means), 3, 64)
    assert (new[:-1, [2, 0]] == old[::-1]).all()
    assert new[-1].sum() == new[:, 1].sum() == 0
    assert found.closed.users.tolist() == [*shard.closed.users[::-1][:1], 0, shard.closed.users[0]]
    x = found.closed.means.x.floats().reshape(new.shape)
    assert (x[:-1, [2, 0]] == shard.closed.means.x.floats().reshape(old.shape)[::-1]).all()


def test_another_phase_begins_anew() -> None:
    """State of another phase is not used."""
    shard = run([steady(500)])
    closed, rest = encode_closed(shard, "p1"), encode_rest(shard, "p1")
    assert decode_shard(closed, rest, "p2", LAYOUT) is None


SMALL = run([steady(30)])
SMALL_STATE = encode_closed(SMALL, "p1"), encode_rest(SMALL, "p1")
changes = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1), changes, st.integers(0, 400))
def test_damaged_state_raises_one_error(
    part: int, changed: list[tuple[int, int]], missing: int
) -> None:
    """State with changed or missing bytes is read or raises ShardError, and nothing else."""
    parts = [bytearray(each) for each in SMALL_STATE]
    for place, value in changed:
        parts[part][place] = value
    closed, rest = map(bytes, parts)
    with suppress(ShardError):
        decode_partial(closed)
    with suppress(ShardError):
        decode_shard(closed, rest, "p1", LAYOUT)
    with pytest.raises(ShardError):
        decode_shard(SMALL_STATE[0], SMALL_STATE[1][:missing], "p1", LAYOUT)
