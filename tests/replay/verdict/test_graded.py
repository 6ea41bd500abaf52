"""The t interval of graded scores: Student's for many items, and its level with sparse drops."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, skew, t, ttest_1samp

from replay.verdict import graded


def test_many_units_have_students_interval() -> None:
    """With 5,000 units bounds and p-values are those of scipy's t test, to 1 in 1,000."""
    units = np.random.default_rng(1).uniform(-0.4, 0.5, 5_000)
    expected = ttest_1samp(units, 0.0).confidence_interval(0.9)
    assert graded.interval(units, 0.05, True) == pytest.approx((expected.low, expected.high), 1e-2)
    worse, within = graded.p_values(units - 0.03, 0.03, True)
    assert worse == pytest.approx(ttest_1samp(units, 0.03, alternative="greater").pvalue, abs=1e-3)
    assert within == pytest.approx(ttest_1samp(units, 0.06, alternative="less").pvalue, abs=1e-3)


def test_few_units_have_a_wider_interval() -> None:
    """The formula: two more units at the largest difference, and a shift by the skewness."""
    units = np.array([0.1, 0.0, 0.3, -0.1])
    scatter = ((units - 0.075) ** 2).sum() + 2 * 0.3**2
    half = t.isf(0.05, 3) * np.sqrt(scatter / 3 / 4)
    shift = (1 + 2 * 1.96**2) / 6 * skew(units) * units.std() / 4
    assert shift > 0
    found = graded.interval(units, 0.05, False)
    assert found == pytest.approx((0.075 - half, 0.075 + half + shift))
    assert graded.interval(-units, 0.05, False) == pytest.approx((-found[1], -found[0]))


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=60),
    st.sampled_from([0.02, 0.05, 0.3]),
    st.booleans(),
)
def test_interval_and_p_values_agree(values: list[float], margin: float, bounded: bool) -> None:
    """A bound excludes 0, or the margin, exactly if the p-value is below alpha."""
    units = np.array(values)
    lower, upper = graded.interval(units, 0.05, bounded)
    worse, within = graded.p_values(units, margin, bounded)
    if abs(lower) > 1e-9:
        assert (lower > 0) == (worse < 0.05)
    if abs(upper - margin) > 1e-9 and upper < 1:
        assert (upper < margin) == (within < 0.05)


def test_too_few_units_prove_nothing() -> None:
    """One unit has no interval."""
    assert graded.interval(np.array([0.5]), 0.05, True) == (-inf, inf)
    assert graded.p_values(np.array([0.5]), 0.05, True) == (1.0, 1.0)


def test_equal_scores_of_few_items_do_not_exclude_rare_failures() -> None:
    """Without any difference 58 items leave room for 5 % of failures, and 59 do not."""
    assert graded.interval(np.zeros(58), 0.05, True)[1] > 0.05
    assert graded.interval(np.zeros(59), 0.05, True)[1] < 0.05
    assert graded.interval(np.full(200, 0.2), 0.05, True)[0] > 0


@pytest.mark.parametrize("alpha", [0.05, 0.025])
@pytest.mark.parametrize("n", [60, 78, 120, 294])
def test_failures_of_a_few_items_are_not_called_harmless(n: int, alpha: float) -> None:
    """Where 5 % of items lose everything and the others nothing, the level is kept exactly."""
    size = 0.0
    for lost in range(n // 20 + 1):
        units = np.where(np.arange(n) < lost, 1.0, 0.0)
        size += binom.pmf(lost, n, 0.05) * (graded.p_values(units, 0.05, True)[1] <= alpha)
    assert size <= 1.03 * alpha
    assert n < 72 or size > alpha / 4  # and it is not needlessly cautious


def sparse(n: int, runs: int, share: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return drops of which a share is 1, and the others nearly 0, with mean 0."""
    generator = np.random.default_rng(n)
    noise = generator.normal(0, 0.01, (runs, n))
    return np.where(generator.random((runs, n)) < share, 1.0, noise)


@pytest.mark.parametrize("n", [40, 60, 100, 200])
def test_sparse_drops_are_not_called_harmless(n: int) -> None:
    """Where 5 % of items lose everything, at most 5 % of runs prove less than 5 points."""
    runs = 1_000
    drops = sparse(n, runs, 0.05)
    wrong = np.mean([graded.p_values(units, 0.05, True)[1] <= 0.05 for units in drops])
    assert wrong <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs)
    if n == 60:  # the plain t test fails here, so that the simulation can fail
        plain = ttest_1samp(drops, 0.05, axis=1, alternative="less").pvalue
        assert np.mean(plain <= 0.05) > 0.15


@pytest.mark.parametrize("n", [50, 200])
def test_dense_drops_keep_the_level(n: int) -> None:
    """With symmetric differences both tests are wrong in at most 5 %, and have power."""
    runs = 1_000
    units = np.random.default_rng(n).normal(0, 0.2, (runs, n)).clip(-1, 1)
    found = np.array([graded.p_values(each, 0.05, True) for each in units])
    at_margin = np.array([graded.p_values(each + 0.05, 0.05, True)[1] for each in units])
    limit = 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs)
    assert 0.01 < (found[:, 0] <= 0.05).mean() < limit
    assert (at_margin <= 0.05).mean() < limit
    if n == 200:
        assert (found[:, 1] <= 0.05).mean() > 0.9


def test_means_of_clusters_keep_the_level() -> None:
    """With a common change in each cluster, means of clusters are the units, and items are not."""
    runs, generator = 1_000, np.random.default_rng(5)
    common = generator.normal(0, 0.15, (runs, 40, 1))
    drops = (common + generator.normal(0, 0.1, (runs, 40, 5))).clip(-1, 1)
    means = [graded.p_values(each.mean(axis=1), 0.05, True)[0] <= 0.05 for each in drops]
    items = [graded.p_values(each.ravel(), 0.05, True)[0] <= 0.05 for each in drops]
    assert np.mean(means) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs)
    assert np.mean(items) > 0.15  # so that the simulation can fail
