"""A golden shift is reported when the judge has changed, and not by chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from judges.trust.golden import LEAST_ITEMS, shift

RNG = np.random.default_rng(5)


def scores(values: np.ndarray) -> dict[str, float]:
    """Return scores by item."""
    return {str(i): float(value) for i, value in enumerate(values)}


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    """The same numbers as scipy's."""
    one, two = RNG.normal(3, 1, 40), RNG.normal(3.2, 1, 40)
    found = shift(scores(one), scores(two))
    assert found is not None
    expected = stats.ttest_rel(two, one).confidence_interval(0.999)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))


def test_chance_rarely_looks_like_a_change() -> None:
    """Repeated calls of an unchanged judge: about one run in a thousand."""
    truth = RNG.integers(0, 6, 50).astype(float)
    runs = 3_000
    moved = 0
    for _ in range(runs):
        one, two = (np.clip(truth + RNG.choice([-1, 0, 0, 0, 1], 50), 0, 5) for _ in range(2))
        found = shift(scores(one), scores(two))
        assert found is not None
        moved += found.moved
    assert moved <= stats.binom.ppf(0.999, runs, 0.001) + 3  # ordinal scores are not normal


def test_a_kinder_judge_is_found() -> None:
    """Half a point on 50 items is found, with its sign."""
    truth = RNG.integers(1, 5, 50).astype(float)
    kinder = truth + (RNG.random(50) < 0.5)
    found = shift(scores(truth), scores(kinder))
    assert found is not None
    assert found.moved
    assert found.mean > 0.2


def test_the_deviation_is_that_of_a_repeated_call() -> None:
    """The difference of two calls has twice the variance of one."""
    one, two = RNG.normal(0, 0.4, 2_000), RNG.normal(0, 0.4, 2_000)
    found = shift(scores(one), scores(two))
    assert found is not None
    assert found.deviation == pytest.approx(0.4, rel=0.06)


def test_unscored_items_are_left_out() -> None:
    """An item without a score in one of the runs is not zero."""
    baseline = {str(i): 4.0 for i in range(30)}
    newest = {str(i): 4.0 for i in range(15)}
    found = shift(baseline, newest)
    assert found is not None
    assert (found.items, found.mean) == (15, 0.0)
    assert shift(baseline, {str(i): 4.0 for i in range(LEAST_ITEMS - 1)}) is None
