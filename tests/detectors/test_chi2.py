"""Pearson's chi-squared test, with Bernstein's correction for sparse bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency

from detectors.chi2 import ChiSquared, chi_squared_terms
from detectors.kinds import Kind
from detectors.window import Window
from tests.detectors.harness import PROPERTY, Harness, baseline, bursts, zipf


@PROPERTY
@given(st.integers(0, 2**32), st.integers(2, 12))
def test_equals_scipy_on_full_bins(seed: int, bins: int) -> None:
    """With 10,000 and more records per bin, X^2 is chi2_contingency's within 1 %."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(bins, 20.0))
    reference = rng.multinomial(10**8, shares)
    current = rng.multinomial(10**6, shares)
    expected = chi2_contingency(np.stack((reference, current)), correction=False).statistic
    counts = reference[None].astype(float), 10**8, current[None].astype(float), 10**6
    (found,) = chi_squared_terms(*counts).sum(axis=-1)
    assert found == pytest.approx(expected, rel=0.01)


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 500)), min_size=1, max_size=14))
def test_equals_the_formula(table: list[tuple[int, int]]) -> None:
    """X^2 of any two columns of counts is the documented sum, and at most Pearson's."""
    n, w = max(1, sum(r for r, _ in table)), max(1, sum(c for _, c in table))
    bernstein = pearson = 0.0
    for r, c in table:
        moved, pooled = c / w - r / n, (r + c) / (n + w)
        if r + c:
            bernstein += moved**2 / (pooled + max(0.0, moved) / 3)
            pearson += moved**2 / pooled
    reference, current = np.array([table], float).transpose(2, 0, 1)
    (found,) = chi_squared_terms(reference, n, current, w).sum(axis=-1)
    assert found == pytest.approx(bernstein * n * w / (n + w), abs=1e-9)
    assert found <= pearson * n * w / (n + w) + 1e-9


def test_threshold_and_p_value_are_chi_squareds() -> None:
    """The degrees of freedom are the reference's bins less one."""
    rng = np.random.default_rng(1)
    base = baseline(Kind.CATEGORICAL, zipf(rng, 5, 1, 50_000))
    harness = Harness(base, "chi2", level=1e-6)
    harness.feed(zipf(rng, 5, 1, 1000))
    readings = harness.readings
    assert readings.threshold[0] == pytest.approx(chi2.isf(1e-6, 4))
    assert readings.p_value[0] == pytest.approx(chi2.sf(readings.statistic[0], 4))


def test_a_new_category_needs_some_records() -> None:
    """One record of an unknown category is no change, 3 % of the window are one."""
    rng = np.random.default_rng(2)
    base = baseline(Kind.CATEGORICAL, zipf(rng, 5, 1, 50_000))
    current = zipf(rng, 5, 1, 1000)
    for new, found in ((1, False), (3, False), (30, True)):
        current[0, :new] = 99
        assert Harness(base, "chi2", level=1e-7).feed(current)[-1].tolist() == [found]


def test_detects_a_rare_category_that_grows_or_vanishes() -> None:
    """A change from 5 % of the records to 0 % or 15 % is found."""
    rng = np.random.default_rng(3)

    def traffic(records: int, rare: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return (rng.random((1, records)) < rare).astype(float)

    base = baseline(Kind.CATEGORICAL, traffic(50_000, 0.05))
    for share in (0.0, 0.15):
        assert Harness(base, "chi2", level=1e-7).feed(traffic(1000, share))[-1].all()


def test_autocorrelation_of_a_binary_feature_raises_the_threshold() -> None:
    """The variance inflation of a flag in runs multiplies the threshold."""
    rng = np.random.default_rng(4)
    runs = np.repeat((rng.random((1, 5000)) < 0.3).astype(float), 10, axis=1)
    base = baseline(Kind.BINARY, runs)
    detector = ChiSquared(base, Window(base, 1000, 100), 1e-3)
    assert 7 < detector.threshold[0] / chi2.isf(1e-3, 1) < 16


def test_keeps_its_level_on_categories_in_bursts() -> None:
    """The inflation keeps the alarm rate within the level; without it the rate is above 20 %."""
    rng = np.random.default_rng(22)
    base = baseline(Kind.CATEGORICAL, bursts(rng, 10, 30, 50_000))
    traffic = bursts(rng, 10, 30, 60_000)
    harness = Harness(base, "chi2", level=1e-2)
    assert harness.feed(traffic).mean() < 1e-2
    (detector,) = harness.detectors
    assert isinstance(detector, ChiSquared)
    detector.threshold = detector.threshold / base.inflation
    assert harness.feed(traffic).mean() > 0.2


def test_detects_a_change_of_categories_in_bursts() -> None:
    """The end of the most frequent category is found despite the bursts."""
    rng = np.random.default_rng(23)
    base = baseline(Kind.CATEGORICAL, bursts(rng, 10, 10, 50_000))
    harness = Harness(base, "chi2")
    traffic = bursts(rng, 10, 10, 2000)
    assert not harness.feed(traffic).any()
    assert harness.feed(np.where(traffic == 0, 4.0, traffic))[-1].all()
