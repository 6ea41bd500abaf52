"""Conversion of a false-page budget to levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.calibration import MIN_LEVEL, allocate_levels, level_per_evaluation
from tests.detectors.harness import PROPERTY


def test_level_of_one_page_in_thirty_days() -> None:
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
    """Level times evaluations is the budget, or less if the level is capped."""
    level = level_per_evaluation(
        false_pages=false_pages, per_days=days, records_per_second=rate, stride=stride, tests=tests
    )
    evaluations = days * 86_400 * rate / stride * tests
    if MIN_LEVEL < level < 0.5:
        assert level * max(evaluations, tests) == pytest.approx(false_pages)
    assert level * evaluations <= false_pages * (1 + 1e-9)


def test_a_level_is_at_most_one_half() -> None:
    """A large budget for little traffic does not alarm at every evaluation."""
    generous = level_per_evaluation(
        false_pages=1000, per_days=1, records_per_second=1e-6, stride=100, tests=1
    )
    assert generous == 0.5


def test_a_level_has_a_floor() -> None:
    """Extreme traffic does not push the level below the accuracy of the tails."""
    tiny = level_per_evaluation(
        false_pages=1e-9, per_days=365, records_per_second=1e9, stride=1, tests=1000
    )
    assert tiny == MIN_LEVEL


def test_no_traffic_and_no_tests_count_as_one_evaluation() -> None:
    """Zero traffic or zero tests do not divide by zero."""
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
    """Over detectors and streams they sum to the total; the floor may raise them."""
    levels = allocate_levels(total, streams, weights)
    assert set(levels) == set(streams)
    assert all(MIN_LEVEL <= level <= 0.5 for level in levels.values())
    lifted = {name for name, level in levels.items() if level == MIN_LEVEL}
    spent = sum(levels[name] * count for name, count in streams.items() if name not in lifted)
    assert spent <= total * (1 + 1e-9)
    if any(streams.values()) and not lifted:
        assert spent == pytest.approx(total)


@PROPERTY
@given(st.floats(1e-9, 0.5), watched, chosen)
def test_weights_are_proportions(
    total: float, streams: dict[str, int], weights: dict[str, float]
) -> None:
    """A detector's share, over all its streams, is proportional to its weight, 1 by default."""
    levels = allocate_levels(total, streams, weights)
    per_weight = [
        levels[name] * count / weights.get(name, 1.0)
        for name, count in streams.items()
        if count and levels[name] > MIN_LEVEL
    ]
    assert per_weight == pytest.approx(per_weight[:1] * len(per_weight))


@PROPERTY
@given(st.floats(1e-9, 0.5), watched, chosen)
def test_a_detector_without_streams_uses_no_share(
    total: float, streams: dict[str, int], weights: dict[str, float]
) -> None:
    """The other detectors have the same levels as without it, whatever its weight."""
    levels = allocate_levels(total, streams, weights)
    alone = allocate_levels(
        total, {name: count for name, count in streams.items() if count}, weights
    )
    assert {name: level for name, level in levels.items() if streams[name]} == alone


def test_a_budget_is_split_by_weight_and_streams() -> None:
    """A detector with six times the weight of six others has half, spread over its streams."""
    streams = dict.fromkeys(("psi", "ks", "zscore", "chi2", "adwin", "page_hinkley"), 4)
    levels = allocate_levels(1e-3, streams | {"e_detector": 5}, {"e_detector": 6.0, "magic": 9.0})
    assert levels.pop("e_detector") == pytest.approx(1e-4)
    assert levels == pytest.approx(dict.fromkeys(streams, 1e-3 / 12 / 4))
