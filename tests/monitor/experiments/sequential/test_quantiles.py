from __future__ import annotations

import numpy as np
import pytest

from monitor.experiments.design import Metric, Scale
from monitor.experiments.sequential.estimate import estimate, freeze_tau
from monitor.experiments.sequential.quantiles import quantile_contrast
from monitor.experiments.sums.look import BINS, HISTOGRAM_BUCKETS
from tests.monitor.experiments.sequential.traffic import histograms, look

P50 = Metric("latency_ms.p50", "latency_ms", Scale.P50, "lower", 0.05)
P95 = Metric("latency_ms.p95", "latency_ms", Scale.P95, "lower", 0.05)


def test_quantiles_are_those_of_the_values_within_a_bin() -> None:
    """The estimates are within 2 % of numpy's quantiles."""
    rng = np.random.default_rng(1)
    values = [rng.lognormal(6, 1, 5_000), rng.lognormal(6.3, 0.8, 5_000)]
    counts = histograms(values, rng)
    for probability in (0.5, 0.95):
        found = quantile_contrast(counts, probability, 1.0)
        expected = [np.quantile(arm, probability) for arm in values]
        assert np.exp(found.logs) == pytest.approx(expected, rel=0.02)


def test_the_standard_error_is_that_of_repetitions() -> None:
    """Differences of log quantiles vary as their standard errors say."""
    rng = np.random.default_rng(2)
    for probability in (0.5, 0.95):
        z = []
        for _ in range(80):
            counts = histograms(list(rng.lognormal(6, 1, (2, 1_500))), rng)
            found = quantile_contrast(counts, probability, 1.0)
            z.append(found.difference / found.error)
        assert 0.75 < np.std(z) < 1.25


def test_a_slower_arm_is_found_and_worse() -> None:
    """At 20,000 users a median 10 % higher is worse for latency, with 10 % in the interval."""
    rng = np.random.default_rng(3)
    counts = histograms([rng.lognormal(6, 1, 20_000), rng.lognormal(6, 1, 20_000) * 1.1], rng)
    data = look(histograms={P50.name: counts, P95.name: counts})
    found = estimate(P50, data, 1, freeze_tau(P50, data, 1), 0.05)
    assert found.ln_e > np.log(20)
    assert found.ln_e_worse > np.log(20) > 0 > found.ln_e_better
    assert 0 < found.lower < 0.1 < found.upper
    assert found.mean == pytest.approx(np.exp(6) * 1.1, rel=0.05)
    upper = estimate(P95, data, 1, freeze_tau(P95, data, 1), 0.05)
    assert upper.lower < 0.1 < upper.upper


@pytest.mark.parametrize("metric", [P50, P95])
def test_equal_arms_win_seldom(metric: Metric) -> None:
    """With 8 looks at 1,200 users at most one of 12 experiments has a winner."""
    rng = np.random.default_rng(4)
    winners = 0
    for _ in range(12):
        counts = np.zeros((2, HISTOGRAM_BUCKETS, BINS), dtype=np.int64)
        evidence = 0.0
        for _ in range(8):
            counts += histograms(list(rng.lognormal(6, 1, (2, 75))), rng)
            data = look(histograms={metric.name: counts})
            tau = freeze_tau(metric, data, 1)
            evidence = max(evidence, estimate(metric, data, 1, tau, 0.05).ln_e)
        winners += evidence >= np.log(20)
    assert winners <= 1


def test_few_values_have_no_upper_bound() -> None:
    """A p95 whose upper standard error is beyond all values has an unbounded interval."""
    counts = np.zeros((2, HISTOGRAM_BUCKETS, BINS), dtype=np.int64)
    counts[:, :30, 100] = 1
    found = quantile_contrast(counts, 0.95, 1.0)
    assert np.isinf(found.error) or found.error >= 0
    assert not estimate(P95, look(histograms={P95.name: counts}), 1, 0.01, 0.05).ready


def test_the_lower_end_of_costs() -> None:
    """Bin 1 begins at the smallest value: a millionth of a dollar."""
    counts = np.zeros((2, HISTOGRAM_BUCKETS, BINS), dtype=np.int64)
    counts[:, :, 1] = 1
    found = quantile_contrast(counts, 0.5, 1e-6)
    assert np.exp(found.logs) == pytest.approx([1.01e-6] * 2, rel=0.01)
