"""From a budget of false pages to a level."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.calibration import SMALLEST_LEVEL, level_per_evaluation
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
