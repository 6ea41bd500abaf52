"""Agreement of rankings: Kendall's W by other formulas, and comparisons clustered by item."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import friedmanchisquare, kendalltau, spearmanr

from monitor.statistics.agreement import Estimate, Floats, Undefined
from monitor.statistics.bradley_terry import bradley_terry
from monitor.statistics.review.rankings import concordance, ranking_agreement, ranking_ratings


def rng(seed: int = 1) -> np.random.Generator:
    """Return a generator."""
    return np.random.default_rng(seed)


def rankings(items: int, raters: int, size: int, noise: float, seed: int = 1) -> list[Floats]:
    """Return rankings of answers with a true order, disturbed by noise."""
    generator = rng(seed)
    truth = generator.normal(size=(items, 1, size))
    seen = truth + generator.normal(0, noise, (items, raters, size))
    return list(seen.argsort(axis=2).argsort(axis=2).astype(float) + 1)


@settings(deadline=None, max_examples=100)
@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(2, 6), st.integers(3, 6)),
        elements=st.integers(1, 4).map(float),
    )
)
def test_concordance_is_that_of_friedmans_test(ranks: Floats) -> None:
    """W, also with ties, is Friedman's chi-squared divided by m (k - 1)."""
    found = concordance(ranks)
    if (np.ptp(ranks, axis=1) == 0).all():
        assert np.isnan(found)
        return
    raters, size = ranks.shape
    expected = friedmanchisquare(*ranks.T).statistic / (raters * (size - 1))
    assert found == pytest.approx(expected, abs=1e-9)


def test_correlation_is_the_mean_of_spearmans() -> None:
    """The mean correlation equals Spearman's of each pair of raters, and 0 for random ranks."""
    each = rankings(30, 4, 5, 1.0)
    expected = np.mean(
        [
            spearmanr(ranks[a], ranks[b]).statistic
            for ranks in each
            for a in range(4)
            for b in range(a)
        ]
    )
    found = ranking_agreement(each, rng())
    assert isinstance(found.correlation, Estimate)
    assert found.correlation.value == pytest.approx(expected)
    random = ranking_agreement(rankings(600, 3, 4, 1e6), rng())
    assert isinstance(random.correlation, Estimate)
    assert isinstance(random.concordance, Estimate)
    assert random.correlation.value == pytest.approx(0, abs=0.06)
    assert random.concordance.value == pytest.approx(1 / 3, abs=0.04)


def test_alpha_of_comparisons_is_kendalls_tau() -> None:
    """Without ties, alpha of all pairs of answers is the mean of Kendall's tau."""
    each = rankings(400, 3, 4, 1.0)
    expected = np.mean(
        [kendalltau(r[a], r[b]).statistic for r in each for a in range(3) for b in range(a)]
    )
    found = ranking_agreement(each, rng()).comparisons
    assert found.comparisons == 400 * 6
    assert isinstance(found.alpha, Estimate)
    assert found.alpha.value == pytest.approx(expected, abs=2e-3)


def test_intervals_count_items_not_comparisons() -> None:
    """Rankings of the same answers repeat each other: the interval is that of the items.

    Ten equal copies of each answer make 45 times as many comparisons and no narrower interval.
    """
    few = rankings(60, 3, 3, 1.5)
    many = [np.repeat(ranks, 10, axis=1) for ranks in few]
    widths = []
    for each in (few, many):
        alpha = ranking_agreement(each, rng()).comparisons.alpha
        assert isinstance(alpha, Estimate)
        assert alpha.lower is not None
        assert alpha.upper is not None
        widths.append(alpha.upper - alpha.lower)
    assert widths[1] > 0.6 * widths[0]


def test_items_of_any_size() -> None:
    """Items may have different numbers of answers and raters; single rankings do not count."""
    each = [*rankings(30, 3, 4, 0.5), *rankings(30, 2, 3, 0.5), np.array([[1.0, 2.0]])]
    found = ranking_agreement([*each, np.ones((2, 3))], rng())
    assert (found.items, found.indistinct) == (61, 1)
    assert found.comparisons.comparisons == 30 * 6 + 31 * 3
    nothing = ranking_agreement([np.array([[1.0, 2.0]])], rng())
    assert isinstance(nothing.concordance, Undefined)
    assert isinstance(nothing.comparisons.alpha, Undefined)


def test_ratings_of_models() -> None:
    """A ranking is all its pairs, of one group; the lower rank wins."""
    ranks = [np.array([[1.0, 2.0, 2.0]]), np.array([[2.0, 1.0]])]
    found = ranking_ratings(ranks, [np.array([0, 1, 2]), np.array([1, 2])], 3)
    expected = bradley_terry(
        np.array([0, 0, 1, 1]),
        np.array([1, 2, 2, 2]),
        np.array([1.0, 1.0, 0.5, 0.0]),
        3,
        groups=np.array([0, 0, 0, 1]),
    )
    assert found == expected


@pytest.mark.parametrize("ranks", [np.array([1.0]), np.ones((2, 1)), np.array([[1.0, np.nan]])])
def test_wrong_rankings(ranks: Floats) -> None:
    """Wrong shapes and missing ranks are errors of the caller."""
    with pytest.raises(ValueError, match="rank"):
        ranking_agreement([ranks], rng())
