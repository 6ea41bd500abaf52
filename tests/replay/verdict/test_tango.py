"""Tango's interval against published examples, its definition and simulation; McNemar's test."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import bisect, minimize_scalar
from scipy.stats import binom, multinomial, norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import normal_sample_size_one_tail
from statsmodels.stats.proportion import proportion_confint

from replay.verdict import tango

PUBLISHED = [  # lost, gained, n, alpha of each bound, lower, upper
    (1, 7, 21, 0.025, -0.517, -0.026),  # Bentur (2009), in Fagerland, Lydersen and Laake (2017)
    (48, 41, 549, 0.05, -0.0157, 0.0414),  # by scoreci.mp of R's PropCIs
    (28, 25, 618, 0.05, -0.0148, 0.0247),  # by the same
]


@pytest.mark.parametrize(("lost", "gained", "n", "alpha", "lower", "upper"), PUBLISHED)
def test_published_intervals(
    lost: int, gained: int, n: int, alpha: float, lower: float, upper: float
) -> None:
    """The interval is that of the publication, to its digits."""
    places = 3 if n < 100 else 4
    found = tango.interval(lost, gained, n, alpha)
    assert [round(bound, places) for bound in found] == [lower, upper]


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, int, int]:
    """Return pairs that lost, pairs that gained, and all pairs."""
    n = draw(st.integers(2, 400))
    lost = draw(st.integers(0, n))
    return lost, draw(st.integers(0, n - lost)), n


def definition(lost: int, gained: int, n: int, drop: float) -> float:
    """Return the statistic with the nuisance probability by numerical maximisation."""

    def loss(gain: float) -> float:
        cells = np.array([gain + drop, gain, 1 - 2 * gain - drop])
        counts = np.array([lost, gained, n - lost - gained])
        used = counts > 0
        return -float(counts[used] @ np.log(np.maximum(cells[used], 1e-300)))

    low, high = max(0.0, -drop), (1 - drop) / 2
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13})
    gain = float(found.x)
    return (lost - gained - n * drop) / sqrt(n * (2 * gain + drop - drop**2))


@pytest.mark.parametrize("table", [(9, 4, 60), (0, 3, 40), (5, 0, 30), (30, 20, 100), (0, 0, 50)])
def test_the_bounds_solve_the_score_equation(table: tuple[int, int, int]) -> None:
    """The bounds are the drops at which the statistic, by its definition, is the quantile."""
    estimate = (table[0] - table[1]) / table[2]
    z = float(norm.isf(0.05))
    lower = bisect(lambda drop: definition(*table, drop) - z, -0.999, estimate - 1e-6)
    upper = bisect(lambda drop: definition(*table, drop) + z, estimate + 1e-6, 0.999)
    lost, gained, n = table
    if gained == 0:
        upper = max(upper, proportion_confint(lost, n, 0.1, "beta")[1])
    if lost == 0:
        lower = min(lower, -proportion_confint(gained, n, 0.1, "beta")[1])
    assert tango.interval(*table, 0.05) == pytest.approx((lower, upper), abs=1e-5)


@given(tables(), st.sampled_from([0.01, 0.025, 0.05]))
def test_interval_and_test_agree(table: tuple[int, int, int], alpha: float) -> None:
    """A drop is outside the interval exactly if its test rejects; both are symmetric."""
    lower, upper = tango.interval(*table, alpha)
    lost, gained, n = table
    assert -1 <= lower <= (lost - gained) / n <= upper <= 1
    assert tango.interval(gained, lost, n, alpha) == pytest.approx((-upper, -lower), abs=1e-7)
    worse, within = tango.p_values(lost, gained, n, 0.05)
    if abs(lower) > 1e-6:
        assert (lower > 0) == (worse < alpha)
    if abs(upper - 0.05) > 1e-6:
        assert (upper < 0.05) == (within < alpha)


def test_no_drop_is_tested_as_by_mcnemar() -> None:
    """Without a drop the statistic is McNemar's, and undefined evidence is none."""
    expected = np.sqrt(mcnemar([[50, 12], [5, 40]], exact=False, correction=False).statistic)
    assert float(tango.score(12, 5, 107, 0.0)) == pytest.approx(expected)
    assert float(tango.score(0, 0, 50, 0.0)) == 0


@pytest.mark.parametrize(("lost", "gained"), [(12, 5), (5, 12), (0, 6), (7, 7), (0, 0), (1, 0)])
def test_mcnemar_is_that_of_statsmodels(lost: int, gained: int) -> None:
    """The exact p-value is that of statsmodels."""
    expected = mcnemar([[30, lost], [gained, 20]], exact=True).pvalue
    assert tango.mcnemar(lost, gained) == pytest.approx(expected)


@pytest.mark.parametrize("alpha", [0.05, 0.025])
@pytest.mark.parametrize("n", [52, 120])
def test_false_verdicts_at_one_look(n: int, alpha: float) -> None:
    """Over all outcomes, each test is wrong with a probability of at most alpha, within 8 %."""
    lost, gained = (each.ravel() for each in np.indices((n + 1, n + 1)))
    possible = lost + gained <= n
    lost, gained = lost[possible], gained[possible]
    p_values = tango.p_values(lost, gained, n, 0.05)
    for drop, p_value in zip((0.0, 0.05), p_values, strict=True):
        sizes = []
        for gain in (1e-9, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2):
            rates = [gain + drop, gain, 1 - 2 * gain - drop]
            chances = multinomial.pmf(np.stack([lost, gained, n - lost - gained], 1), n, rates)
            assert np.sum(chances) == pytest.approx(1)
            sizes.append(float(chances @ (p_value <= alpha)))
        assert 0.85 * alpha < max(sizes) <= 1.08 * alpha


@pytest.mark.parametrize("n", [52, 88, 118])
def test_without_gains_the_exact_test_counts(n: int) -> None:
    """Where only losses occur the score test alone is wrong in more than 6 %, and ours is not."""
    lost = np.arange(n + 1)
    chances = binom.pmf(lost, n, 0.05)
    alone = norm.cdf(tango.score(lost, 0, n, 0.05))
    assert chances @ (tango.p_values(lost, 0, n, 0.05)[1] <= 0.05) <= 0.05
    if n != 88:
        assert chances @ (alone <= 0.05) > 0.06


def test_required_pairs_have_the_power() -> None:
    """The number is that of statsmodels, and 1,159 at a drop of 3 points and correlation .5."""
    expected = normal_sample_size_one_tail(0.03, 0.8, 0.05, std_null=0.4)
    assert tango.required_pairs(0.16, 0.03, 0.05, 0.8) == pytest.approx(expected)
    both = 0.8 * 0.77 + 0.5 * np.sqrt(0.16 * 0.77 * 0.23)
    variance = (0.8 - both) + (0.77 - both) - 0.03**2
    assert tango.required_pairs(variance, 0.03, 0.05, 0.8) == pytest.approx(1_159, abs=1)
