"""Bounds against references of scipy and simulations of their coverage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from replay.gate.decision.bounds import Estimate, change, difference, mean, quantile

ALPHA = 0.05


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 20), (20, 20), (480, 500)])
def test_shares_have_exact_bounds(k: int, n: int) -> None:
    """The bounds are those of scipy's exact interval at twice the level."""
    found = mean(np.repeat([1.0, 0.0], [k, n - k]), ALPHA)
    expected = stats.binomtest(k, n).proportion_ci(1 - 2 * ALPHA, method="exact")
    if 0 < k < n:
        assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))
    elif k == 0:
        assert (found.lower, found.upper) == pytest.approx((0.0, 1 - ALPHA ** (1 / n)))
    else:
        assert (found.lower, found.upper) == pytest.approx((ALPHA ** (1 / n), 1.0))


def test_means_have_the_bounds_of_the_t_test() -> None:
    """The bounds are those of scipy's one-sided t tests."""
    values = np.random.default_rng(1).gamma(2.0, 3.0, 40)
    found = mean(values, ALPHA)
    low = stats.ttest_1samp(values, 0, alternative="greater").confidence_interval(1 - ALPHA).low
    high = stats.ttest_1samp(values, 0, alternative="less").confidence_interval(1 - ALPHA).high
    assert (found.lower, found.upper) == pytest.approx((low, high))
    assert mean(np.array([0.5]), ALPHA) == Estimate(0.5, -math.inf, math.inf, 1)


@pytest.mark.parametrize(("n", "share"), [(20, 0.5), (200, 0.95), (59, 0.95)])
def test_quantiles_have_the_bounds_of_scipy(n: int, share: float) -> None:
    """The bounds are those of scipy's quantile test, and hold with at least the confidence."""
    random = np.random.default_rng(n)
    values = random.exponential(size=n)
    found = quantile(values, share, ALPHA)
    expected: list[float] = []
    quantile_test: Any = stats.quantile_test
    for alternative, end in (("greater", "low"), ("less", "high")):
        test = quantile_test(values, q=0.0, p=share, alternative=alternative)
        expected.append(getattr(test.confidence_interval(1 - ALPHA), end))
    assert (found.lower, found.upper) == pytest.approx(tuple(expected))
    truth = -math.log1p(-share)
    draws = [quantile(random.exponential(size=n), share, ALPHA) for _ in range(400)]
    assert np.mean([d.lower > truth for d in draws]) < ALPHA + 0.03
    assert np.mean([d.upper < truth for d in draws]) < ALPHA + 0.03


def test_too_few_values_have_no_bound() -> None:
    """Below 59 values nothing bounds p95 from above at .05."""
    found = quantile(np.arange(58.0), 0.95, ALPHA)
    assert found.upper == math.inf
    assert found.lower < found.value
    assert quantile(np.arange(59.0), 0.95, ALPHA).upper == 58.0


def test_a_difference_of_means_is_that_of_welch() -> None:
    """For two means the bounds are close to Welch's."""
    random = np.random.default_rng(3)
    a, b = random.normal(1.0, 1.0, 200), random.normal(0.8, 2.0, 300)
    found = difference(mean(a, ALPHA), mean(b, ALPHA))
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(1 - 2 * ALPHA)
    assert (found.lower, found.upper) == pytest.approx((welch.low, welch.high), abs=0.005)


def test_a_change_of_p95_holds_its_level() -> None:
    """In simulations each bound of the ratio of two p95 is wrong in at most 5 %."""
    random = np.random.default_rng(4)
    wrong = np.zeros(2)
    for _ in range(400):
        a, b = random.lognormal(0.2, 0.5, 150), random.lognormal(0.0, 0.5, 150)
        found = change(quantile(a, 0.95, ALPHA), quantile(b, 0.95, ALPHA))
        assert found is not None
        truth = math.expm1(0.2)
        wrong += (found.lower > truth, found.upper < truth)
    assert (wrong / 400 < ALPHA + 0.03).all()


def test_a_change_from_zero_does_not_exist() -> None:
    """There is no ratio to a baseline of zero, and infinite bounds stay infinite."""
    one = Estimate(1.0, 0.5, math.inf, 10)
    assert change(one, Estimate(0.0, 0.0, 1.0, 10)) is None
    found = change(one, Estimate(1.0, -1.0, 2.0, 10))
    assert found is not None
    assert found.lower == pytest.approx(math.expm1(-math.log(2) * 2**0.5))
    assert found.upper == math.inf
