"""PSI: the formula, and the distribution that gives its threshold."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from detectors.kinds import Kind
from detectors.psi import (
    MIN_EXPECTED,
    Psi,
    drift_size,
    expected_noise,
    population_stability_index,
)
from detectors.window import Window
from tests.detectors.harness import PROPERTY, Harness, baseline, bursts

tables = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 500)), min_size=1, max_size=14)


@PROPERTY
@given(tables, st.sampled_from([0.5, MIN_EXPECTED]))
def test_equals_the_formula(table: list[tuple[int, int]], min_records: float) -> None:
    """PSI of any two columns of counts is the documented sum."""
    n, w = max(1, sum(r for r, _ in table)), max(1, sum(c for _, c in table))
    expected = 0.0
    for r, c in table:
        p, q = max(r, 0.5) / n, c / w
        expected += (q - p) * log(max(q, min(p, min_records / w)) / p)
    reference, current = np.array([table], float).transpose(2, 0, 1)
    (found,) = population_stability_index(reference, n, current, w, min_records=min_records)
    assert found == pytest.approx(expected, abs=1e-12)
    assert found >= 0


def test_equals_the_textbook_on_full_bins() -> None:
    """Shares of .2 / .3 / .5 that become .3 / .3 / .4 have a PSI of 0.0629, by hand."""
    reference, current = np.array([[200.0, 300, 500]]), np.array([[300.0, 300, 400]])
    (found,) = population_stability_index(reference, 1000, current, 1000)
    assert found == pytest.approx(0.1 * log(1.5) + 0.1 * log(1.25))
    assert round(float(found), 4) == 0.0629


@pytest.mark.parametrize("records", [60, 100, 300, 1000])
@pytest.mark.parametrize("run", [1, 10])
def test_mean_psi_of_quiet_windows_is_the_expected_noise(records: int, run: int) -> None:
    """The mean PSI of quiet windows is `expected_noise`, with and without bursts.

    A reference gives the inflation of whole windows, which exceeds that of shorter ones.
    """
    rng = np.random.default_rng(records)
    base = baseline(Kind.CATEGORICAL, bursts(rng, run, 1, 50_000))
    window = Window(base, 1000, 10)
    counts = np.zeros((2000, 1, base.bin_counts.shape[1]))
    for row in counts[:, 0]:
        codes = bursts(rng, run, 1, records)[0].astype(int)
        row[:5] = np.bincount(codes, minlength=5)
    found = population_stability_index(base.bin_counts, base.records, counts, records).mean()
    expected = 4 * expected_noise(base, records)[0]
    assert 0.7 * expected < found < 1.15 * expected
    windows = replace(window.current(), bin_counts=counts, records=records)
    left = drift_size(base, windows, usual_noise=0).values
    assert left.min() == 0
    assert 0.3 < (left == 0).mean() < 0.9


@pytest.mark.parametrize("level", [0.05, 1e-2, 1e-3])
def test_upper_quantiles_match_chi_squared(level: float) -> None:
    """PSI / (1/N + 1/W) over ten bins exceeds chi-squared's quantiles at the nominal rate."""
    rng = np.random.default_rng(1)
    runs, n, w = 100_000, 50_000, 1000
    p = np.full(10, 0.1)
    reference, current = (rng.multinomial(size, p, runs).astype(float) for size in (n, w))
    scaled = population_stability_index(reference, n, current, w) / (1 / n + 1 / w)
    found = float((scaled >= chi2.isf(level, 9)).mean())
    assert (
        0.8 * level - 3 * (level / runs) ** 0.5 < found < 1.25 * level + 3 * (level / runs) ** 0.5
    )


def test_threshold_has_one_more_degree_of_freedom() -> None:
    """Ten bins have ten degrees of freedom, not nine, which covers the tail."""
    rng = np.random.default_rng(2)
    base = baseline(Kind.NUMERIC, rng.normal(size=(1, 50_000)))
    detector = Psi(base, Window(base, 1000, 100), 1e-6)
    scale = (1 / 50_000 + 1 / 1000) * base.inflation[0]
    assert detector.threshold[0] == pytest.approx(scale * chi2.isf(1e-6, 10))


@pytest.mark.parametrize("bins", [5, 10, 20])
@pytest.mark.parametrize("expected", [10, 20, 50, 100])
def test_far_tail_at_level_1e_minus_7(bins: int, expected: int) -> None:
    """With Poisson counts the exact probability of an alarm is at most 2.5 times the level.

    Without MIN_EXPECTED it would be a hundred times the level for ten bins that expect 10 records.
    """
    counts = np.arange(expected + 400)
    reference = np.array([[expected, 10**9]], float) * 100
    records = int(reference.sum())
    table = np.stack((counts, np.full(len(counts), 10**9)), axis=1).astype(float)
    terms = population_stability_index(
        reference.repeat(len(counts), 0), records, table, 10**9, min_records=MIN_EXPECTED
    )
    step = 0.05  # rounded up, so that the tail is not underestimated
    places = np.ceil(terms * 10**9 / step).astype(int)
    from scipy.stats import poisson

    one = np.bincount(np.minimum(places, 4000), poisson.pmf(counts, expected), minlength=4001)
    total = np.ones(1)
    for _ in range(bins):
        total = np.convolve(total, one)
    tail = total[int(chi2.isf(1e-7, bins + 1) / step) :].sum()
    assert tail < 2.5e-7


def test_detects_missing_values_and_values_out_of_range() -> None:
    """5 % of missing values, or of values outside the reference's range, are found."""
    rng = np.random.default_rng(3)
    base = baseline(Kind.NUMERIC, rng.random((2, 50_000)))
    current = rng.random((2, 2000))
    current[0, rng.random(2000) < 0.05] = np.nan
    current[1, rng.random(2000) < 0.05] = 2.0
    assert Harness(base, "psi").feed(current)[-1].all()


def test_autocorrelation_raises_the_threshold() -> None:
    """On AR(1) records it keeps its level, which chi-squared's own quantile would not."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(4)
    x = lfilter([1], [1, -0.7], rng.normal(size=(30, 150_000)), axis=1)
    base = baseline(Kind.NUMERIC, x[:, :50_000])
    harness = Harness(base, "psi", level=1e-2)
    assert harness.feed(x[:, 50_000:]).mean() < 1e-2
    (detector,) = harness.detectors
    assert isinstance(detector, Psi)
    detector.threshold = detector.threshold / base.inflation
    assert harness.feed(x[:, 50_000:]).mean() > 5e-2


def test_keeps_its_level_on_categories_in_bursts() -> None:
    """The inflation keeps the alarm rate within the level; without it the rate is above 20 %."""
    rng = np.random.default_rng(20)
    base = baseline(Kind.CATEGORICAL, bursts(rng, 10, 30, 50_000))
    traffic = bursts(rng, 10, 30, 60_000)
    harness = Harness(base, "psi", level=1e-2)
    assert harness.feed(traffic).mean() < 1e-2
    (detector,) = harness.detectors
    assert isinstance(detector, Psi)
    detector.threshold = detector.threshold / base.inflation
    assert harness.feed(traffic).mean() > 0.2


def test_detects_a_change_of_categories_in_bursts() -> None:
    """The end of the most frequent category is found despite the bursts."""
    rng = np.random.default_rng(21)
    base = baseline(Kind.CATEGORICAL, bursts(rng, 10, 10, 50_000))
    harness = Harness(base, "psi")
    traffic = bursts(rng, 10, 10, 2000)
    assert not harness.feed(traffic).any()
    assert harness.feed(np.where(traffic == 0, 4.0, traffic))[-1].all()
