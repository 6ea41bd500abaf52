"""Looks from the closed sums of shards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monitor.experiments.sums.layout import layout_of
from monitor.experiments.sums.look import BINS, BUCKETS, HISTOGRAM_BUCKETS
from monitor.experiments.sums.merge import look_time, merge
from monitor.experiments.sums.shard import Shard
from monitor.experiments.sums.state import Partial, decode_partial, encode_closed
from monitor.experiments.sums.totals import Totals
from tests.monitor.experiments.any_exposures import DESIGN, NOW, START, steady

LAYOUT = layout_of(DESIGN)


def partial(shard: int, *, seed: int = 0, open_after: float = np.inf) -> Partial:
    """Return the closed sums of a shard with 500 exposures."""
    found = Shard(LAYOUT)
    found.add(steady(500, shard=shard, seed=seed), NOW)
    found.close_until(open_after)
    return decode_partial(encode_closed(found, "p1"))


def test_a_look_has_the_buckets_of_all_shards() -> None:
    """Sums, counts and histograms are those of all exposures, each at its bucket."""
    shards = (0, 5, 15)
    partials = {(shard, 0): partial(shard) for shard in shards}
    time, complete = look_time(partials.values())
    data = merge(DESIGN, LAYOUT, partials, time)
    assert complete
    assert data.time == START + 600
    assert data.requests == tuple(np.sum([p.totals.requests.sum(1) for p in partials.values()], 0))
    assert sum(data.users) == pytest.approx(600, abs=60)
    assert data.first_time == pytest.approx(START, abs=30)
    assert data.weekdays == (frozenset({3}), frozenset({3}))
    units = np.concatenate([steady(500, shard=shard).units for shard in shards])
    arms = np.concatenate([steady(500, shard=shard).variants for shard in shards])
    for arm in range(2):
        buckets = units[arms == arm] >> np.uint64(54)
        expected = np.bincount(buckets.astype(int), minlength=BUCKETS)
        assert data.sums["latency_ms"].n[arm].tolist() == expected.tolist()
        assert data.largest_bucket[arm] == expected.max() / expected.sum()
        histogram = data.histograms["latency_ms.p95"]
        assert histogram.shape == (2, HISTOGRAM_BUCKETS, BINS)
        by_bucket = expected.reshape(HISTOGRAM_BUCKETS, 4).sum(axis=1)
        assert histogram[arm].sum(axis=1).tolist() == by_bucket.tolist()
    assert data.histograms["latency_ms.p50"] is data.histograms["latency_ms.p95"]


def test_partials_of_a_shard_in_two_partitions_add_up() -> None:
    """After a change of the number of partitions, both parts of a shard count."""
    one, two = partial(3), partial(3, seed=1)
    both = merge(DESIGN, LAYOUT, {(3, 0): one, (3, 1): two}, 1.0)
    parts = [merge(DESIGN, LAYOUT, {(3, 0): each}, 1.0) for each in (one, two)]
    for name in both.sums:
        expected = parts[0].sums[name].x + parts[1].sums[name].x
        assert both.sums[name].x == pytest.approx(expected)
    assert both.requests == tuple(np.add(parts[0].requests, parts[1].requests))


def timed(time: float, *, pending: bool) -> Partial:
    """Return empty closed sums at a time."""
    return Partial("p1", time, START, True, pending, Totals(LAYOUT))


def test_the_first_time_is_not_before_the_begin() -> None:
    """Sums of a state from before the begin was configured have an earlier first time."""
    for begin, expected in ((START + 60, START + 60), (START - 60, START)):
        layout = replace(LAYOUT, begin=begin)
        data = merge(DESIGN, layout, {(0, 0): timed(START + 120, pending=False)}, START + 120)
        assert data.first_time == expected


def test_a_look_waits_for_shards_with_later_exposures() -> None:
    """Shards that are behind delay a look only if they have exposures that are not closed."""
    ahead = [timed(START + 120, pending=True)] * 3
    assert look_time([*ahead, timed(START + 60, pending=True)]) == (START + 120, False)
    assert look_time([*ahead, timed(START + 60, pending=False)]) == (START + 120, True)
    assert look_time([]) == (0.0, False)


def test_a_shard_in_the_far_future_does_not_decide() -> None:
    """The time of a look is not that of a shard whose clock is wrong."""
    others = [timed(START + 120, pending=True)] * 3
    assert look_time([*others, timed(START + 1e9, pending=False)]) == (START + 120, True)


def test_a_shard_with_a_wrong_clock_does_not_decide() -> None:
    """While shards have later exposures, a time is that of three shards."""
    others = [timed(START + 120, pending=True)] * 8
    assert look_time([*others, timed(START + 3_600, pending=False)]) == (START + 120, True)
    idle = [timed(START + 120, pending=False)] * 8
    assert look_time([*idle, timed(START + 180, pending=False)]) == (START + 180, True)


def test_a_single_request_is_no_weekday() -> None:
    """A day of the week counts if it has its share of requests."""
    found = partial(1)
    found.totals.weekdays[0, 6] += 1
    data = merge(DESIGN, LAYOUT, {(1, 0): found}, 1.0)
    assert data.weekdays[0] == frozenset({3})


def test_a_partial_of_an_older_layout_is_adapted() -> None:
    """Sums of a design without a metric are used with it."""
    goal = replace(DESIGN.goal, name="new")
    design = replace(DESIGN, secondary=(*DESIGN.secondary, goal))
    data = merge(design, layout_of(design), {(1, 0): partial(1)}, 1.0)
    assert data.sums["new"].n.sum() == 0
    assert data.sums["latency_ms"].n.sum() == 500
