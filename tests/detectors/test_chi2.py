"""Pearson's chi-squared, with Bernstein's correction where bins are thin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency

from detectors.base import Kind
from detectors.chi2 import ChiSquared, chi_squared
from detectors.window import Window
from tests.detectors.streams import PROPERTY, Rig, baseline, bursts, zipf


@PROPERTY
@given(st.integers(0, 2**32), st.integers(2, 12))
def test_equals_scipy_where_bins_are_thick(seed: int, bins: int) -> None:
    """With 10,000 and more a bin X^2 is chi2_contingency's within a hundredth."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(bins, 20.0))
    reference = rng.multinomial(10**8, shares)
    current = rng.multinomial(10**6, shares)
    expected = chi2_contingency(np.stack((reference, current)), correction=False).statistic
    (found,) = chi_squared(reference[None].astype(float), 10**8, current[None].astype(float), 10**6)
    assert found == pytest.approx(expected, rel=0.01)


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 500)), min_size=1, max_size=14))
def test_equals_plain_python(table: list[tuple[int, int]]) -> None:
    """X^2 of any two columns of counts is the sum in its docstring, never above Pearson's."""
    n, w = max(1, sum(r for r, _ in table)), max(1, sum(c for _, c in table))
    bernstein = pearson = 0.0
    for r, c in table:
        moved, pooled = c / w - r / n, (r + c) / (n + w)
        if r + c:
            bernstein += moved**2 / (pooled + max(0.0, moved) / 3)
            pearson += moved**2 / pooled
    reference, current = np.array([table], float).transpose(2, 0, 1)
    (found,) = chi_squared(reference, n, current, w)
    assert found == pytest.approx(bernstein * n * w / (n + w), abs=1e-9)
    assert found <= pearson * n * w / (n + w) + 1e-9


def test_degrees_of_freedom_and_p_value() -> None:
    """Bins that the reference has, less one; the p-value is chi-squared's."""
    rng = np.random.default_rng(1)
    base = baseline(Kind.CATEGORICAL, zipf(rng, 5, 1, 50_000))
    rig = Rig(base, "chi2", level=1e-6)
    rig.feed(zipf(rng, 5, 1, 1000))
    readings = rig.readings
    assert readings.threshold[0] == pytest.approx(chi2.isf(1e-6, 4))
    assert readings.p_value[0] == pytest.approx(chi2.sf(readings.statistic[0], 4))


def test_a_new_category_must_gather_some_records() -> None:
    """One record of a category never seen says nothing, 3 % of the window say enough."""
    rng = np.random.default_rng(2)
    base = baseline(Kind.CATEGORICAL, zipf(rng, 5, 1, 50_000))
    current = zipf(rng, 5, 1, 1000)
    for new, found in ((1, False), (3, False), (30, True)):
        current[0, :new] = 99
        assert Rig(base, "chi2", level=1e-7).feed(current)[-1].tolist() == [found]


def test_a_rare_category_that_grows_or_vanishes() -> None:
    """A category of 5 % is missed when it is gone, and seen when it has trebled."""
    rng = np.random.default_rng(3)

    def traffic(records: int, rare: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return (rng.random((1, records)) < rare).astype(float)

    base = baseline(Kind.CATEGORICAL, traffic(50_000, 0.05))
    for share in (0.0, 0.15):
        assert Rig(base, "chi2", level=1e-7).feed(traffic(1000, share))[-1].all()


def test_autocorrelation_of_a_binary_feature_raises_the_threshold() -> None:
    """A flag that comes in runs has its variance inflation in the threshold."""
    rng = np.random.default_rng(4)
    runs = np.repeat((rng.random((1, 5000)) < 0.3).astype(float), 10, axis=1)
    base = baseline(Kind.BINARY, runs)
    detector = ChiSquared(base, Window(base, 1000, 100), 1e-3)
    assert 7 < detector.threshold[0] / chi2.isf(1e-3, 1) < 16


def test_keeps_to_its_level_on_categories_in_bursts() -> None:
    """Where categories come in runs it alarms as often as it may, and would for ever without."""
    rng = np.random.default_rng(22)
    base = baseline(Kind.CATEGORICAL, bursts(rng, 10, 30, 50_000))
    traffic = bursts(rng, 10, 30, 60_000)
    rig = Rig(base, "chi2", level=1e-2)
    assert rig.feed(traffic).mean() < 1e-2
    (detector,) = rig.detectors
    assert isinstance(detector, ChiSquared)
    detector.threshold = detector.threshold / base.inflation
    assert rig.feed(traffic).mean() > 0.2


def test_finds_a_change_of_categories_in_bursts() -> None:
    """What bursts cost is not the sight: the commonest category's end is found."""
    rng = np.random.default_rng(23)
    base = baseline(Kind.CATEGORICAL, bursts(rng, 10, 10, 50_000))
    rig = Rig(base, "chi2")
    traffic = bursts(rng, 10, 10, 2000)
    assert not rig.feed(traffic).any()
    assert rig.feed(np.where(traffic == 0, 4.0, traffic))[-1].all()
