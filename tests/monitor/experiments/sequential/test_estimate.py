from __future__ import annotations

from dataclasses import replace
from math import exp, inf, isnan, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detectors.arrays import Floats
from monitor.experiments.design import Direction, Metric, Scale
from monitor.experiments.sequential.estimate import Estimate, estimate, freeze_tau
from monitor.experiments.sums.look import BINS, BUCKETS, HISTOGRAM_BUCKETS, LookData, MetricSums
from tests.monitor.experiments.sequential.traffic import METRIC, look, one_request_each

ENOUGH = log(20)
QUANTILE = Metric("q", "q", Scale.P50, "lower", 0.05)


def found_in(metric: Metric, data: LookData, arm: int = 1) -> Estimate:
    """Return the estimate with the tau of the same look."""
    return estimate(metric, data, arm, freeze_tau(metric, data, arm), 0.05)


def normal(*means: float, users: int = 20_000, seed: int = 1) -> LookData:
    """Return a look at normal values with the standard deviation 1."""
    rng = np.random.default_rng(seed)
    values = [rng.normal(mean, 1, users) for mean in means]
    return look(sums={METRIC.name: one_request_each(values, rng)})


def test_a_better_arm_is_found() -> None:
    """The evidence is in the right direction and agrees with interval and p-value."""
    found = found_in(METRIC, normal(5, 5.1))
    assert found.ready
    assert found.ln_e > ENOUGH
    assert found.ln_e_better == pytest.approx(found.ln_e + log(2), abs=0.01)
    assert found.ln_e_worse < 0
    assert found.ln_e_safe > found.ln_e_better
    assert 0 < found.lower < 0.02 < found.upper
    assert found.p_value == pytest.approx(exp(-found.ln_e))
    assert found.mean == pytest.approx(5.1, abs=0.05)
    assert found.control_mean == pytest.approx(5.0, abs=0.05)
    assert (found.requests, found.control_requests) == (20_000, 20_000)
    assert found.decide_factor == 1


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_the_direction_decides_what_is_better(direction: Direction) -> None:
    """A higher mean is better or worse, and then not safe at a small margin."""
    metric = replace(METRIC, direction=direction, mde=0.01)
    found = found_in(metric, normal(5, 5.15))
    better, worse = found.ln_e_better > ENOUGH, found.ln_e_worse > ENOUGH
    assert (better, worse) == (direction == "higher", direction == "lower")
    assert (found.ln_e_safe > ENOUGH) == better


def test_equal_arms_are_safe_and_have_no_large_difference() -> None:
    """With many users nothing worse by 5 % remains possible, and the interval is within 5 %."""
    found = found_in(METRIC, normal(5, 5))
    assert found.ln_e_safe > ENOUGH
    assert found.ln_e_worse < ENOUGH
    assert -0.05 < found.lower < 0 < found.upper < 0.05
    assert found.decide_factor == 1


def test_before_the_end_of_the_burn_in_there_is_no_evidence() -> None:
    """Fewer than 100 effective users an arm: no tau, evidence 1, an unbounded interval."""
    data = normal(5, 9, users=90)
    assert freeze_tau(METRIC, data, 1) is None
    for found in (found_in(METRIC, data), estimate(METRIC, data, 1, 0.25, 0.05)):
        assert not found.ready
        assert (found.ln_e, found.p_value) == (0.0, 1.0)
        assert (found.lower, found.upper) == (-inf, inf)
        assert found.effect == pytest.approx(0.8, abs=0.1)


def test_a_mean_that_does_not_differ_from_zero_has_no_tau() -> None:
    """tau is a share of the mean, so that a mean of noise gives none; events need to be some."""
    assert freeze_tau(METRIC, normal(0.01, 0.01, users=500), 1) is None
    rng = np.random.default_rng(2)
    few = one_request_each([(rng.random(400) < 0.01).astype(float) for _ in "ab"], rng)
    assert freeze_tau(METRIC, look(sums={METRIC.name: few}), 1) is None


def test_many_errors_against_none_are_evidence() -> None:
    """A control without a single error has no relative effect, but the harm is found."""
    metric = replace(METRIC, direction="lower")
    rng = np.random.default_rng(3)
    values = [np.zeros(3_000), (rng.random(3_000) < 0.05).astype(float)]
    found = found_in(metric, look(sums={metric.name: one_request_each(values, rng)}))
    assert found.ln_e_worse > ENOUGH
    assert isnan(found.effect)
    assert (found.lower, found.upper) == (-inf, inf)


def test_the_scale_log_compares_geometric_means() -> None:
    """The effect is the ratio of geometric means, and the mean is one."""
    metric = Metric("latency_ms", "latency_ms", Scale.LOG, "lower", 0.05)
    rng = np.random.default_rng(4)
    values: list[Floats] = [rng.normal(6, 1, 20_000), rng.normal(6 + log(1.1), 1, 20_000)]
    found = found_in(metric, look(sums={metric.name: one_request_each(values, rng)}))
    assert found.mean == pytest.approx(exp(6) * 1.1, rel=0.03)
    assert found.effect == pytest.approx(0.1, abs=0.03)
    assert 0 < found.lower < 0.1 < found.upper
    assert found.ln_e_worse > ENOUGH


def test_missing_data_are_not_zero() -> None:
    """A metric without sums, or without requests, is NaN and not ready."""
    empty = MetricSums(np.zeros((2, BUCKETS)), np.zeros((2, BUCKETS)))
    counts = np.zeros((2, HISTOGRAM_BUCKETS, BINS), dtype=np.int64)
    cases = [
        (METRIC, look()),
        (METRIC, look(sums={METRIC.name: empty})),
        (QUANTILE, look()),
        (QUANTILE, look(histograms={QUANTILE.name: counts})),
    ]
    for metric, data in cases:
        found = found_in(metric, data)
        assert isnan(found.mean)
        assert isnan(found.effect)
        assert not found.ready


def test_an_arm_without_requests_leaves_the_control() -> None:
    """The mean of the control is there, that of the arm and the effect are not."""
    data = normal(5, 5, users=300)
    data.sums[METRIC.name].x[1] = 0
    data.sums[METRIC.name].n[1] = 0
    counts = np.zeros((2, HISTOGRAM_BUCKETS, BINS), dtype=np.int64)
    counts[0, :, 100] = 1
    for metric, each in ((METRIC, data), (QUANTILE, look(histograms={QUANTILE.name: counts}))):
        found = found_in(metric, each)
        assert found.control_mean > 0
        assert isnan(found.mean)
        assert isnan(found.effect)
        assert (found.requests, found.n_eff, found.ready) == (0, 0, False)


def test_constants_are_no_evidence() -> None:
    """Where all values are equal there is no variance, and no claim."""
    ones = np.ones((2, BUCKETS))
    found = found_in(METRIC, look(sums={METRIC.name: MetricSums(3 * ones, ones)}))
    assert (found.effect, found.ln_e, found.ready) == (0.0, 0.0, False)


def test_infinite_sums_are_no_evidence() -> None:
    """Values whose squares overflow give no verdict and no exception."""
    n = np.ones((2, BUCKETS))
    found = found_in(METRIC, look(sums={METRIC.name: MetricSums(n * 1e200, n)}))
    assert found.ln_e == 0.0


SUMS = arrays(np.float64, (2, 6), elements=st.floats(-1e308, 1e308))
COUNTS = arrays(np.float64, (2, 6), elements=st.integers(0, 1_000_000).map(float))


@settings(max_examples=150, deadline=None)
@given(SUMS, COUNTS, st.floats(1e-9, 1e300), st.sampled_from([Scale.MEAN, Scale.LOG]))
def test_hostile_sums_give_sound_estimates(x: Floats, n: Floats, tau: float, scale: Scale) -> None:
    """Whatever the sums are, nothing is raised, evidence is a number and the interval ordered."""
    metric = replace(METRIC, scale=scale)
    data = look(sums={METRIC.name: MetricSums(x, n)})
    freeze_tau(metric, data, 1)
    found = estimate(metric, data, 1, tau, 0.05)
    assert not isnan(found.ln_e)
    assert 0 <= found.p_value <= 1
    assert found.lower <= found.upper
    assert not any(isnan(e) for e in (found.ln_e_better, found.ln_e_worse, found.ln_e_safe))


def test_the_control_is_not_compared() -> None:
    """Arm 0 is refused."""
    with pytest.raises(ValueError, match="control"):
        estimate(METRIC, normal(1, 1, users=10), 0, None, 0.05)


def test_each_arm_is_compared_with_the_control_only() -> None:
    """A third arm does not change the estimate of the second."""
    both, three = normal(5, 5.1), normal(5, 5.1, 9)
    sums = three.sums[METRIC.name]
    pair = look(sums={METRIC.name: MetricSums(sums.x[:2], sums.n[:2])})
    assert found_in(METRIC, three) == found_in(METRIC, pair)
    assert found_in(METRIC, three, arm=2).effect == pytest.approx(0.8, abs=0.02)
    assert both.sums.keys() == three.sums.keys()


def test_a_pre_period_narrows_the_interval() -> None:
    """Sums before, correlated by bucket, reduce the variance."""
    rng = np.random.default_rng(5)
    n = rng.poisson(20, (2, BUCKETS)).astype(float)
    level = n * rng.normal(5, 1, (2, BUCKETS))
    data = look(sums={METRIC.name: MetricSums(level + rng.normal(0, 1, n.shape), n)})
    adjusted = replace(data, before={METRIC.name: MetricSums(level, n)})
    plain, narrow = found_in(METRIC, data), found_in(METRIC, adjusted)
    assert narrow.variance_ratio < 0.1
    assert narrow.upper - narrow.lower < 0.5 * (plain.upper - plain.lower)


def test_the_factor_to_a_decision_leads_to_one() -> None:
    """With the same ratios and a variance that is smaller by the factor there is a verdict."""
    data = normal(5, 5.03, users=400, seed=8)
    found, tau = found_in(METRIC, data), freeze_tau(METRIC, data, 1)
    assert 1 < found.decide_factor < 1_000
    sums = data.sums[METRIC.name]
    ratios = sums.x.sum(axis=1, keepdims=True) / sums.n.sum(axis=1, keepdims=True)
    for factor, decided in (
        (1.03 * found.decide_factor, True),
        (0.95 * found.decide_factor, False),
    ):
        x = factor * ratios * sums.n + np.sqrt(factor) * (sums.x - ratios * sums.n)
        later = look(sums={METRIC.name: MetricSums(x, factor * sums.n)})
        at_end = estimate(METRIC, later, 1, tau, 0.05)
        no_difference = -METRIC.mde < at_end.lower and at_end.upper < METRIC.mde
        assert (at_end.ln_e >= ENOUGH or no_difference) == decided


def test_the_interval_of_a_share_ends_where_there_are_none() -> None:
    """A share cannot fall by more than 100 %; a score, which may be negative, can."""
    rng = np.random.default_rng(1)
    sums = one_request_each([(rng.random(3_000) < 0.012).astype(float) for _ in range(2)], rng)
    data = look(sums={"error": sums, "score": sums})
    share = Metric("error", "error", Scale.MEAN, "lower", 0.05)
    bounded, other = found_in(share, data), found_in(METRIC, data)
    assert bounded.ready
    assert (bounded.lower, bounded.upper) == (-1.0, other.upper)
    assert other.lower < -1
