from __future__ import annotations

import numpy as np
import pytest

from detectors.arrays import Floats
from monitor.experiments.sequential.ratios import contrast, effective_users, spread


def users_of(n: Floats) -> float:
    """Return the effective users of requests by bucket."""
    return float(effective_users(n.sum(axis=-1), spread(n)))


def test_the_variance_is_that_of_the_delta_method() -> None:
    """Two arms with known sums have the variances of the formula."""
    x = np.array([[1.0, 2.0, 6.0], [2.0, 2.0, 5.0]])
    n = np.array([[1.0, 1.0, 2.0], [1.0, 2.0, 1.0]])
    found = contrast(x, n)
    residuals = x - np.array([[9 / 4], [9 / 4]]) * n
    assert found.ratios == pytest.approx([9 / 4, 9 / 4])
    assert found.variances == pytest.approx(3 / 2 * (residuals**2).sum(axis=1) / 16)
    assert found.difference == 0


def test_requests_of_one_user_are_not_independent() -> None:
    """The standard error of heavy users matches their spread over repetitions."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(150):
        requests = np.ceil(rng.pareto(2.0, 2_000)).clip(1, 200)
        levels = rng.normal(5, 1, 2_000)  # of a user, the same in all requests
        arms = rng.integers(2, size=2_000)
        buckets = rng.integers(1_024, size=2_000)
        x, n = np.zeros((2, 2, 1_024))
        np.add.at(x, (arms, buckets), levels * requests)
        np.add.at(n, (arms, buckets), requests)
        compared = contrast(x, n)
        found.append(float(compared.difference / np.sqrt(compared.variance)))
    assert 0.7 < np.std(found) < 1.1


def test_a_small_arm_has_at_least_the_pooled_variance() -> None:
    """An arm that has seen no event has not the variance 0."""
    n = np.ones((2, 1_000))
    n[1, 100:] = 0
    x = np.zeros((2, 1_000))
    x[0, ::50] = 1
    found = contrast(x, n)
    rate = 20 / 1_100
    assert found.variance == pytest.approx(rate * (1 - rate) * (1 / 1_000 + 1 / 100), rel=1e-9)
    assert found.variances.sum() == pytest.approx(float(found.variance))


def test_arms_of_constants_have_the_floor() -> None:
    """All failures against none: the variance is positive."""
    n = np.ones((2, 1_000))
    found = contrast(np.stack([np.zeros(1_000), np.ones(1_000)]), n)
    assert found.variance == pytest.approx(0.25 * 2 / 1_000)
    assert (found.variances > 0).all()


def test_effective_users() -> None:
    """Users with one request count as one each; one heavy user counts as about one."""
    rng = np.random.default_rng(4)
    alike = np.bincount(rng.integers(1_024, size=5_000), minlength=1_024).astype(float)
    assert 4_000 < users_of(alike) <= 5_000
    heavy = alike.copy()
    heavy[7] += 500_000
    assert users_of(heavy) < 1.1
    assert users_of(np.zeros(8)) == 0
    assert users_of(np.full(8, 2.0)) == 16


def test_an_empty_arm_has_no_ratio() -> None:
    """An arm without requests is NaN, not zero."""
    n = np.ones((2, 8))
    n[1] = 0
    found = contrast(n.copy(), n)
    assert np.isnan(found.ratios[1])
    assert np.isnan(found.variance)
    assert found.n_eff == 0


def test_leading_axes_broadcast() -> None:
    """Many pairs at once equal each pair alone."""
    rng = np.random.default_rng(5)
    n = rng.poisson(3, (4, 5, 2, 64)).astype(float)
    x = n * rng.normal(2, 1, n.shape)
    together = contrast(x, n)
    alone = contrast(x[2, 3], n[2, 3])
    for name in ("ratios", "welch", "variances", "variance", "pooled", "pooled_error", "n_eff"):
        assert getattr(together, name)[2, 3] == pytest.approx(getattr(alone, name), rel=1e-12)
