from __future__ import annotations

import numpy as np
import pytest

from detectors.arrays import Floats
from monitor.experiments.sequential.cuped import adjusted
from monitor.experiments.sequential.ratios import contrast
from monitor.experiments.sums.look import BUCKETS


def users(rng: np.random.Generator, effect: float = 0.0) -> tuple[Floats, Floats, Floats, Floats]:
    """Return sums of 6,000 users, 30 % of them new, and of their pre-period (correlation .7)."""
    count = 6_000
    arms, buckets = rng.integers(2, size=count), rng.integers(BUCKETS, size=count)
    level = rng.normal(0, 1, count)
    known = rng.random(count) < 0.7
    after = 5 + 0.7**0.5 * level + 0.3**0.5 * rng.normal(0, 1, count) + effect * arms
    before = 5 + 0.7**0.5 * level + 0.3**0.5 * rng.normal(0, 1, count)
    x, n, before_x, before_n = np.zeros((4, 2, BUCKETS))
    np.add.at(x, (arms, buckets), after)
    np.add.at(n, (arms, buckets), 1)
    np.add.at(before_x, (arms[known], buckets[known]), before[known])
    np.add.at(before_n, (arms[known], buckets[known]), 1)
    return x, n, before_x, before_n


def test_the_variance_falls() -> None:
    """The variance is at most .8 of the plain one, and it is that of repetitions."""
    rng = np.random.default_rng(1)
    differences, ratios, z = [], [], []
    for _ in range(80):
        x, n, before_x, before_n = users(rng, effect=0.1)
        plain, found = contrast(x, n), adjusted(x, n, before_x, before_n)
        ratios.append(float(found.variance / plain.variance))
        differences.append(float(found.difference))
        z.append((differences[-1] - 0.1) / float(np.sqrt(found.variance)))
    assert np.mean(ratios) < 0.8
    assert np.mean(differences) == pytest.approx(0.1, abs=0.01)
    assert 0.85 < np.std(z) < 1.15


def test_an_arm_without_a_pre_period_is_not_adjusted() -> None:
    """Without requests before, the contrast is the plain one."""
    x, n, before_x, before_n = users(np.random.default_rng(2))
    before_x[1], before_n[1] = 0, 0
    found, plain = adjusted(x, n, before_x, before_n), contrast(x, n)
    assert found.variance == plain.variance
    assert (found.ratios == plain.ratios).all()


def test_leading_axes_broadcast() -> None:
    """Pairs with and without a pre-period at once equal each alone."""
    rng = np.random.default_rng(3)
    pairs = [users(rng), users(rng)]
    pairs[1][3][:] = 0
    together = adjusted(*(np.stack(each) for each in zip(*pairs, strict=True)))
    for index, pair in enumerate(pairs):
        alone = adjusted(*pair)
        assert together.variance[index] == pytest.approx(float(alone.variance))
        assert together.ratios[index] == pytest.approx(alone.ratios)
