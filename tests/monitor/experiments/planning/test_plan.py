from __future__ import annotations

from collections.abc import Callable
from math import expm1, log1p
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from monitor.experiments.planning.baseline import (
    Baseline,
    Users,
    log_baseline,
    mean_baseline,
    rate_baseline,
    ratio_baseline,
    variance_of_log,
)
from monitor.experiments.planning.plan import plan


def test_the_fixed_plan_has_its_power() -> None:
    """A mean of 10 with variance 9, effect 5 %, weights 1 to 3: 80 % of z-tests are significant."""
    found = plan(mean_baseline(10, 9), 0.05, weights=(1, 3))
    assert found.weights == (0.25, 0.75)
    error = np.sqrt(9 / found.fixed.users * (1 / 0.25 + 1 / 0.75))
    assert norm.sf(norm.isf(0.025) - 0.5 / error) == pytest.approx(0.8, abs=0.001)


def test_a_rate_has_the_variances_of_both_arms() -> None:
    """(1.96 + .84)^2 (p q / w + p' q' / w') / difference^2, and the days of the traffic."""
    found = plan(rate_baseline(0.1), 0.1, users_per_day=1_000)
    assert found.fixed.users == pytest.approx(7.849 * 2 * (0.09 + 0.0979) / 0.01**2, rel=0.001)
    assert found.fixed.days == found.fixed.users / 1_000
    assert found.fixed.users < found.planned_end.users < found.sequential.users
    assert found.planned_end_expected.users < found.fixed.users < found.expected.users


def test_a_geometric_mean_needs_its_log_variance_only() -> None:
    """The mean does not matter; the effect enters as log(1 + effect)."""
    found = plan(log_baseline(variance_of_log(3, expm1(1.0) * 9)), 0.1)
    assert found.fixed.users == pytest.approx(4 * 7.849 / log1p(0.1) ** 2, rel=0.001)


def test_more_arms_need_more_users_each() -> None:
    """Three arms compare at alpha / 2, and the smallest arm decides."""
    two, three = plan(mean_baseline(1, 1), 0.1), plan(mean_baseline(1, 1), 0.1, weights=(2, 2, 1))
    assert three.alpha == 0.025
    assert three.fixed.users > 2 * two.fixed.users


def test_a_small_plan_waits_for_the_burn_in() -> None:
    """A large effect still needs 100 effective users in the smaller arm."""
    users = Users(requests=3, dispersion=2, correlation=0.5)
    found = plan(mean_baseline(1, 0.01, users), 0.5, weights=(0.9, 0.1))
    assert found.fixed.users < 100
    assert found.burn_in.users == found.sequential.users == found.expected.users == 5_000


def test_the_variance_of_requests_in_users_is_that_of_a_simulation() -> None:
    """Users with unequal requests of correlation .3 have the variance of the formula."""
    rng = np.random.default_rng(1)
    users, runs = 300, 800
    requests = rng.geometric(0.25, (runs, users)).astype(float)
    level = rng.normal(0, 0.3**0.5, (runs, users))
    x = requests * level + rng.normal(0, 0.7**0.5, (runs, users)) * np.sqrt(requests)
    measured = users * np.var(x.sum(axis=1) / requests.sum(axis=1))
    assumed = Users(requests=4, dispersion=0.75**0.5, correlation=0.3).variance(1.0)
    assert measured == pytest.approx(assumed, rel=0.15)


def test_a_ratio_is_planned_from_the_sums_of_users() -> None:
    """The delta method equals the residual variance of users."""
    rng = np.random.default_rng(2)
    n = rng.geometric(0.3, 20_000).astype(float)
    x = n * rng.normal(2, 1, n.size)
    covariance = np.cov(x, n)
    found = ratio_baseline(
        (float(x.mean()), float(n.mean())),
        (float(covariance[0, 0]), float(covariance[1, 1])),
        float(covariance[0, 1]),
    )
    ratio = x.sum() / n.sum()
    assert found.mean == pytest.approx(ratio)
    assert found.variance == pytest.approx(np.var(x - ratio * n) / n.mean() ** 2, rel=0.01)
    assert found.users.dispersion == pytest.approx(n.std() / n.mean(), rel=0.01)


@settings(deadline=None, max_examples=40)  # the first plan integrates
@given(st.floats(0.01, 0.9), st.floats(10, 10_000))
def test_a_smaller_effect_needs_more_users(effect: float, variance: float) -> None:
    """Half the effect needs four times the users of a fixed test."""
    baseline = mean_baseline(5, variance)
    large, small = (plan(baseline, part * effect) for part in (1, 0.5))
    assert small.fixed.users == pytest.approx(4 * large.fixed.users, abs=4)


IMPOSSIBLE: list[tuple[Callable[[], Any], str]] = [
    (lambda: plan(mean_baseline(1, 1), 0), "effect"),
    (lambda: plan(mean_baseline(1, 1), -1), "effect"),
    (lambda: plan(rate_baseline(0.9), 0.2), "rate"),
    (lambda: plan(mean_baseline(1, 1), 0.1, alpha=0), "alpha"),
    (lambda: plan(mean_baseline(1, 1), 0.1, power=1), "power"),
    (lambda: plan(mean_baseline(1, 1), 0.1, weights=(1,)), "two arms"),
    (lambda: plan(mean_baseline(1, 1), 0.1, weights=(1, 0)), "two arms"),
    (lambda: plan(mean_baseline(1, 1), 0.1, users_per_day=0), "users per day"),
    (lambda: mean_baseline(0, 1), "mean"),
    (lambda: mean_baseline(1, float("nan")), "variance"),
    (lambda: rate_baseline(1), "rate"),
    (lambda: ratio_baseline((1, 0), (1, 1), 0), "ratio"),
    (lambda: variance_of_log(0, 1), "geometric"),
    (lambda: Users(requests=0), "requests"),
    (lambda: Users(dispersion=-1), "dispersion"),
    (lambda: Users(correlation=2), "correlation"),
]


@pytest.mark.parametrize(("call", "word"), IMPOSSIBLE)
def test_impossible_arguments_are_refused(call: Callable[[], Baseline], word: str) -> None:
    """The message names what is wrong."""
    with pytest.raises(ValueError, match=word):
        call()
