"""From a budget of false pages to a level."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.calibration import SMALLEST_LEVEL, allocate, level_per_evaluation
from tests.detectors.streams import PROPERTY


def test_one_page_in_thirty_days() -> None:
    """10 records/s in strides of 100 for 30 days are 259,200 evaluations, each of 5 tests."""
    level = level_per_evaluation(
        false_pages=1, per_days=30, records_per_second=10, stride=100, tests=5
    )
    assert level == pytest.approx(1 / (259_200 * 5))


@PROPERTY
@given(
    false_pages=st.floats(1e-3, 10),
    days=st.floats(1, 365),
    rate=st.floats(0.1, 1e4),
    stride=st.integers(1, 10_000),
    tests=st.integers(1, 1000),
)
def test_expected_false_alarms_keep_the_budget(
    false_pages: float, days: float, rate: float, stride: int, tests: int
) -> None:
    """Level times evaluations is the budget, or less where the level is capped."""
    level = level_per_evaluation(
        false_pages=false_pages, per_days=days, records_per_second=rate, stride=stride, tests=tests
    )
    evaluations = days * 86_400 * rate / stride * tests
    if SMALLEST_LEVEL < level < 0.5:
        assert level * max(evaluations, tests) == pytest.approx(false_pages)
    assert level * evaluations <= false_pages * (1 + 1e-9)


def test_a_level_is_at_most_one_half() -> None:
    """A generous budget for next to no traffic does not alarm at every evaluation."""
    generous = level_per_evaluation(
        false_pages=1000, per_days=1, records_per_second=1e-6, stride=100, tests=1
    )
    assert generous == 0.5


def test_a_level_has_a_floor() -> None:
    """Traffic beyond all measure does not push the level below what the tails can bear."""
    tiny = level_per_evaluation(
        false_pages=1e-9, per_days=365, records_per_second=1e9, stride=1, tests=1000
    )
    assert tiny == SMALLEST_LEVEL


def test_no_traffic_and_no_tests_count_as_one_evaluation() -> None:
    """Neither divides by zero."""
    level = level_per_evaluation(
        false_pages=0.1, per_days=30, records_per_second=0, stride=100, tests=0
    )
    assert level == pytest.approx(0.1)


NAMES = ["psi", "ks", "e_detector", "adwin", "chi2"]
watched = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 40), max_size=5)
chosen = st.dictionaries(st.sampled_from(NAMES), st.floats(1e-3, 1e3), max_size=5)


@PROPERTY
@given(st.floats(1e-15, 0.5), watched, chosen)
def test_levels_sum_to_the_total(
    total: float, streams: dict[str, int], weights: dict[str, float]
) -> None:
    """Over detectors and streams they are the total, or more only where the floor lifts them."""
    levels = allocate(total, streams, weights)
    assert set(levels) == set(streams)
    assert all(SMALLEST_LEVEL <= level <= 0.5 for level in levels.values())
    lifted = {name for name, level in levels.items() if level == SMALLEST_LEVEL}
    spent = sum(levels[name] * count for name, count in streams.items() if name not in lifted)
    assert spent <= total * (1 + 1e-9)
    if any(streams.values()) and not lifted:
        assert spent == pytest.approx(total)


@PROPERTY
@given(st.floats(1e-9, 0.5), watched, chosen)
def test_weights_are_proportions(
    total: float, streams: dict[str, int], weights: dict[str, float]
) -> None:
    """What detectors have, over all their streams, is as their weights, 1 if not given."""
    levels = allocate(total, streams, weights)
    per_weight = [
        levels[name] * count / weights.get(name, 1.0)
        for name, count in streams.items()
        if count and levels[name] > SMALLEST_LEVEL
    ]
    assert per_weight == pytest.approx(per_weight[:1] * len(per_weight))


@PROPERTY
@given(st.floats(1e-9, 0.5), watched, chosen)
def test_a_detector_without_streams_takes_nothing(
    total: float, streams: dict[str, int], weights: dict[str, float]
) -> None:
    """The others have what they would have without it, whatever its weight."""
    levels = allocate(total, streams, weights)
    alone = allocate(total, {name: count for name, count in streams.items() if count}, weights)
    assert {name: level for name, level in levels.items() if streams[name]} == alone


def test_a_budget_is_shared_out() -> None:
    """Half for a detector with six times the weight of the other six, spread over its streams."""
    streams = dict.fromkeys(("psi", "ks", "zscore", "chi2", "adwin", "page_hinkley"), 4)
    levels = allocate(1e-3, streams | {"e_detector": 5}, {"e_detector": 6.0, "magic": 9.0})
    assert levels.pop("e_detector") == pytest.approx(1e-4)
    assert levels == pytest.approx(dict.fromkeys(streams, 1e-3 / 12 / 4))
