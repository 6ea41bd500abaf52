from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.experiments.sequential import mixture
from monitor.experiments.sequential.fieller import relative_effect, relative_interval, z_at
from monitor.experiments.sequential.ratios import Contrast, contrast


def contrast_of(control: float, arm: float, v_a: float, v_b: float) -> Contrast:
    """Return a contrast with these ratios and variances."""
    nothing = np.array(np.nan)
    return Contrast(
        np.array([control, arm]),
        nothing,
        np.array([v_a, v_b]),
        np.array(v_a + v_b),
        nothing,
        nothing,
        nothing,
    )


MEANS = st.floats(-50, 50).filter(lambda x: abs(x) > 1e-3)
VARIANCES = st.floats(1e-4, 10)


@settings(max_examples=40)
@given(MEANS, MEANS, VARIANCES, VARIANCES, st.floats(1, 6))
def test_the_bounds_are_where_the_test_just_rejects(
    control: float, arm: float, v_a: float, v_b: float, critical: float
) -> None:
    """At a finite bound |z| is the critical one, and the estimate is inside."""
    compared = contrast_of(control, arm, v_a, v_b)
    lower, upper = relative_interval(compared, np.array(critical))
    if not np.isfinite(lower):
        assert control**2 <= critical**2 * v_a * (1 + 1e-9)
        assert (float(lower), float(upper)) == (-np.inf, np.inf)
        return
    assert lower <= relative_effect(compared) <= upper
    if control**2 > 1.01 * critical**2 * v_a:  # else the bounds are far away, and z is flat there
        for bound in (lower, upper):
            assert abs(z_at(compared, float(bound))) == pytest.approx(critical, rel=1e-5)


@settings(max_examples=40)
@given(MEANS, MEANS, VARIANCES, VARIANCES, st.floats(1, 6))
def test_the_interval_excludes_zero_where_the_difference_is_significant(
    control: float, arm: float, v_a: float, v_b: float, critical: float
) -> None:
    """The interval and the test of the difference agree where the interval is bounded."""
    compared = contrast_of(control, arm, v_a, v_b)
    lower, upper = relative_interval(compared, np.array(critical))
    z = abs(arm - control) / np.sqrt(v_a + v_b)
    if np.isfinite(lower) and abs(z - critical) > 1e-6:
        assert (lower > 0 or upper < 0) == (z > critical)


def test_a_negative_control_keeps_the_direction() -> None:
    """From -3 to -2 is an increase by a third."""
    compared = contrast_of(-3.0, -2.0, 0.001, 0.001)
    lower, upper = relative_interval(compared, np.array(2.0))
    assert relative_effect(compared) == pytest.approx(1 / 3)
    assert 0.25 < lower < 1 / 3 < upper < 0.42


def test_a_control_of_zero_has_no_relative_effect() -> None:
    """The effect is NaN and the interval everything."""
    compared = contrast_of(0.0, 1.0, 0.0, 0.001)
    assert np.isnan(relative_effect(compared))
    lower, upper = relative_interval(compared, np.array(2.0))
    assert (float(lower), float(upper)) == (-np.inf, np.inf)


def test_an_infinite_critical_value_gives_everything() -> None:
    """Without information the interval is unbounded."""
    lower, upper = relative_interval(contrast_of(1.0, 1.0, 0.1, 0.1), np.array(np.inf))
    assert (float(lower), float(upper)) == (-np.inf, np.inf)


def test_coverage_near_zero() -> None:
    """With a control mean of two standard errors the interval still covers 95 %."""
    rng = np.random.default_rng(6)
    runs = 20_000
    ratios = rng.normal([2.0, 3.0], 1.0, (runs, 2))
    ones, nothing = np.ones((runs, 2)), np.full(runs, np.nan)
    compared = Contrast(ratios, ones, ones, np.full(runs, 2.0), nothing, nothing, nothing)
    lower, upper = relative_interval(compared, np.full(runs, 1.96))
    assert ((lower <= 0.5) & (upper >= 0.5)).mean() >= 0.945


def test_the_sequence_covers_the_effect_at_all_looks() -> None:
    """With an effect of 10 % and skewed values, 95 % of experiments cover it at every look."""
    rng = np.random.default_rng(7)
    runs, buckets = 300, 128
    n, x = np.zeros((2, runs, 2, buckets))
    tau, missed = np.full(runs, np.nan), np.zeros(runs, bool)
    for _ in range(60):
        new = rng.poisson(1.0, n.shape).astype(float)
        n += new
        x += rng.gamma(np.maximum(0.5 * new, 1e-12), 2.0) * np.array([1.0, 1.1])[:, None]
        compared = contrast(x, n)
        tau = np.where(np.isnan(tau), mixture.frozen_tau(compared, 0.1), tau)
        critical = mixture.critical(tau**2 / compared.variance, 0.05)
        lower, upper = relative_interval(compared, critical)
        missed |= (lower > 0.1) | (upper < 0.1)
    assert np.isfinite(tau).all()
    assert missed.mean() <= 0.05
