"""The z-score: its formula, standard error under dependence, and quantiles under skewness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import gamma, norm
from scipy.stats import t as student

from detectors.kinds import Kind
from detectors.zscore import ZScore, long_run_sd, normal_deviate, skewed_quantile
from tests.detectors.harness import PROPERTY, Harness, baseline


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("run", [1, 20])
def test_equals_the_formula(run: int, missing: float) -> None:
    """z of a feature of few values, which are their own scores, equals plain numpy."""
    rng = np.random.default_rng(1)
    raised = 0
    for _ in range(8):
        x = np.repeat(rng.choice([-3.0, 0.0, 1.0, 7.0], 51_000 // run), run)
        x[rng.random(len(x)) < missing] = np.nan
        reference, current = x[:50_000], x[50_000:51_000]
        harness = Harness(baseline(Kind.NUMERIC, reference[None]), "zscore", level=1e-3)
        harness.feed(current[None])
        blocks = reference.reshape(50, 1000)
        size = (~np.isnan(blocks)).mean() * 1000
        long_run = (size * np.nanmean(blocks, axis=1).var(ddof=1)) ** 0.5
        sigma = max(long_run, np.nanstd(reference))
        raised += sigma > long_run
        n, big = (~np.isnan(current)).sum(), (~np.isnan(reference)).sum()
        z = (np.nanmean(current) - np.nanmean(reference)) / (sigma * (1 / n + 1 / big) ** 0.5)
        readings = harness.readings
        assert readings.statistic[0] == pytest.approx(abs(z), rel=1e-9)
        assert readings.threshold[0] == pytest.approx(student.isf(5e-4, 49), rel=0.05)
        assert readings.p_value[0] == pytest.approx(2 * student.sf(abs(z), 49), rel=0.5)
    # on independent records the estimate of sigma_LR is too small half of the time
    assert (raised > 0) == (run == 1)


def test_keeps_its_level_on_autocorrelated_records() -> None:
    """On AR(1) records sigma_LR keeps the level; a record's own sigma gives 10 times as many."""
    rng = np.random.default_rng(2)
    x = lfilter([1], [1, -0.7], rng.normal(size=(60, 100_000)), axis=1)
    base = baseline(Kind.NUMERIC, x[:, :50_000])
    harness = Harness(base, "zscore", level=1e-2)
    shares = harness.feed(x[:, 50_000:]).mean(axis=0)
    assert shares.mean() - 3 * shares.std(ddof=1) / 60**0.5 < 1e-2
    assert shares.mean() > 2e-3
    (detector,) = harness.detectors
    assert isinstance(detector, ZScore)
    for i, stream in enumerate(base.numeric):
        scores = stream.cell_scores()[stream.cell_of(x[i, :50_000])]
        detector.sigma[i] = scores.std()
    assert harness.feed(x[:, 50_000:]).mean() > 0.1


@PROPERTY
@given(st.floats(1, 8), st.floats(-3, 3))
def test_skewed_quantiles_are_a_gamma_distributions(h: float, skewness: float) -> None:
    """Raised quantiles match the standardised gamma distribution's, at least the normal's."""
    quantile, skew = np.array([h]), np.array([min(skewness, h)])
    (found,) = skewed_quantile(quantile, skew)
    assert found >= h
    (back,) = normal_deviate(np.array([found]), skew)
    assert back <= found + 1e-12
    if 0.1 < skew[0] < 1:
        shape = 4 / skew[0] ** 2
        exact = (gamma.isf(norm.sf(h), shape) - shape) / shape**0.5
        assert 0.98 * exact < found < 1.08 * max(h, exact)
        assert back == pytest.approx(h, rel=1e-6)


@pytest.mark.parametrize("window", [60, 150, 250, 1000])
def test_long_run_sd_of_independent_records(window: int) -> None:
    """It is a record's standard deviation, whatever the window and the blocks."""
    rng = np.random.default_rng(7)
    (stream,) = baseline(Kind.NUMERIC, rng.normal(size=(1, 200_000)), window).numeric
    scores = np.repeat(stream.cell_scores()[:-1], stream.cell_counts()[:-1].astype(int))
    assert long_run_sd(stream, window) == pytest.approx(scores.std(), rel=0.15)


def test_only_the_long_tail_has_a_higher_threshold() -> None:
    """A rare flag needs more standard errors upwards than downwards."""
    rng = np.random.default_rng(3)
    base = baseline(Kind.BINARY, (rng.random((1, 50_000)) < 0.02).astype(float))
    harness = Harness(base, "zscore", level=1e-4)
    (detector,) = harness.detectors
    assert isinstance(detector, ZScore)
    plain = student.isf(5e-5, 49)
    up, down = detector.thresholds[:, 0]
    assert up > 1.1 * plain
    assert down == pytest.approx(plain)
    harness.feed(np.zeros((1, 1000)))
    assert harness.readings.threshold[0] == down
    harness.feed(np.ones((1, 1000)))
    assert harness.readings.threshold[0] == up


def test_a_single_record_does_not_alarm() -> None:
    """A huge value has no more weight than the reference's outermost values."""
    rng = np.random.default_rng(4)
    harness = Harness(baseline(Kind.NUMERIC, rng.normal(size=(1, 50_000))), "zscore", level=1e-4)
    current = rng.normal(size=(1, 1000))
    current[0, 500] = 1e12
    assert not harness.feed(current).any()


@pytest.mark.parametrize("sign", [-1, 1])
def test_detects_a_shift_of_two_fifths_of_a_standard_deviation(sign: int) -> None:
    """At level 1e-6, it is found in both directions, in all 20 streams, within one window."""
    rng = np.random.default_rng(5)
    harness = Harness(baseline(Kind.NUMERIC, rng.lognormal(0, 0.3, (20, 50_000))), "zscore")
    shift = sign * 0.4 * np.exp(0.3**2 / 2) * 0.3
    assert harness.feed(rng.lognormal(0, 0.3, (20, 1000)) + shift)[-1].all()


def test_a_verdict_requires_a_standard_error() -> None:
    """Four windows of reference are too few, and a constant has no standard error."""
    rng = np.random.default_rng(6)
    for reference in (rng.normal(size=(1, 4999)), np.ones((1, 50_000))):
        harness = Harness(baseline(Kind.NUMERIC, reference), "zscore", level=0.1)
        assert not harness.feed(np.full((1, 2000), 50.0)).any()
        readings = harness.readings
        assert np.isnan([readings.statistic, readings.threshold, readings.p_value]).all()
