from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from detectors.arrays import Floats
from monitor.experiments.sequential import mixture

POINTS = [(-3.0, 1.0), (0.0, 0.01), (0.7, 9.0), (4.0, 9.0)]


@pytest.mark.parametrize(("z", "r"), POINTS)
def test_e_is_the_likelihood_ratio_of_the_mixture(z: float, r: float) -> None:
    """E and E1 equal numerical integrals over normal and half-normal effects."""

    def ratio(effect: float) -> float:
        return float(norm.pdf(z, effect) / norm.pdf(z) * norm.pdf(effect, 0, np.sqrt(r)))

    wide = 10 * np.sqrt(r)
    both = quad(ratio, -wide, wide, points=[0.0, z], limit=200)[0]
    positive = 2 * quad(ratio, 0, wide, points=[abs(z)], limit=200)[0]
    assert np.exp(mixture.ln_e(np.array(z), np.array(r))) == pytest.approx(both, rel=1e-6)
    one_sided = mixture.ln_e_one_sided(np.array(z), np.array(r))
    assert np.exp(one_sided) == pytest.approx(positive, rel=1e-6)


@settings(max_examples=40)
@given(st.floats(1e-6, 1e6), st.floats(1e-6, 0.5))
def test_the_half_width_is_where_e_reaches_its_threshold(r: float, alpha: float) -> None:
    """E at the critical z is 1 / alpha."""
    z = mixture.critical(np.array(r), alpha)
    assert mixture.ln_e(z, np.array(r)) == pytest.approx(-np.log(alpha), rel=1e-9)


def test_without_information_nothing_is_significant() -> None:
    """r = 0 has E = 1 and an infinite half-width."""
    assert mixture.ln_e(np.array(5.0), np.array(0.0)) == 0
    assert mixture.critical(np.array(0.0), 0.05) == np.inf
    assert mixture.p_value(np.array(-3.0)) == 1


def test_an_extreme_difference_the_other_way_is_no_overflow() -> None:
    """The one-sided evidence of z = -1,000 is finite and very low."""
    evidence = mixture.ln_e_one_sided(np.array([-1000.0, 1000.0]), np.array(4.0))
    assert np.isfinite(evidence).all()
    assert evidence[0] < 0 < evidence[1]


def test_peeking_keeps_the_level() -> None:
    """At 300 looks at normal sums fewer than 5 % of 2,000 runs ever reach 1 / alpha."""
    rng = np.random.default_rng(1)
    looks = np.arange(1.0, 301.0)
    sums = rng.normal(size=(2_000, 300)).cumsum(axis=1)
    z: Floats = sums / np.sqrt(looks)
    evidence = mixture.ln_e(z, 0.2 * looks)
    assert 0.02 < (evidence.max(axis=1) > np.log(20)).mean() <= 0.05


def test_the_levels_of_a_planned_end_sum_to_alpha() -> None:
    """The sequence has .01 and the fixed test .04 of .05."""
    assert mixture.planned_alphas(0.05) == pytest.approx((0.01, 0.04))


def test_the_fixed_p_value_is_that_of_a_z_test() -> None:
    """z = 1.96 has 5 %."""
    assert mixture.fixed_p_value(np.array(norm.ppf(0.975))) == pytest.approx(0.05)
