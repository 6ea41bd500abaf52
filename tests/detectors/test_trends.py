"""The trend of a mean: against scipy, its calibration, and values without a trend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.signal import lfilter

from detectors.arrays import Floats
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream, build_numeric_stream
from detectors.trends import MIN_VALUES, trend

WINDOW = 200


def stream(values: Floats) -> NumericStream:
    """Return the reference of these values."""
    return build_numeric_stream("score.x", Kind.NUMERIC, values, WINDOW)


def test_interval_is_welch_interval() -> None:
    """For independent records the interval is that of scipy's Welch test."""
    rng = np.random.default_rng(1)
    reference, current = rng.normal(5, 2, 20_000), rng.normal(4.2, 3, WINDOW)
    found = trend(stream(reference), current)
    assert found is not None
    test = stats.ttest_ind(current, reference, equal_var=False)
    expected = test.confidence_interval(0.95)
    inflation = np.sqrt(stream(reference).inflation)
    width = (expected.high - expected.low) * inflation
    assert found.upper - found.lower == pytest.approx(width, rel=0.01)
    assert found.change == pytest.approx(current.mean() - reference.mean())
    assert found.direction == "declining"


@pytest.mark.parametrize(
    ("name", "rho"), [("independent", 0.0), ("dependent", 0.6), ("skewed", 0.0)]
)
def test_stable_traffic_is_stable(name: str, rho: float) -> None:
    """Without a change the interval excludes 0 in about 5 % of windows, and not in many more."""
    rng = np.random.default_rng(7)
    noise = rng.standard_normal(60_000 + 400 * WINDOW)
    series = np.asarray(lfilter([1.0], [1.0, -rho], noise))
    if name == "skewed":
        series = np.exp(series)
    reference = stream(series[:60_000])
    windows = series[60_000:].reshape(400, WINDOW)
    found = [trend(reference, window) for window in windows]
    changed = sum(each is None or each.direction != "stable" for each in found)
    assert changed <= stats.binom.ppf(0.9999, 400, 0.06)


@pytest.mark.parametrize(("shift", "direction"), [(-0.5, "declining"), (0.5, "improving")])
def test_direction_is_the_sign_of_the_change(shift: float, direction: str) -> None:
    """A shift of half a standard deviation is seen in a window, with its sign."""
    rng = np.random.default_rng(3)
    found = trend(stream(rng.standard_normal(20_000)), rng.standard_normal(WINDOW) + shift)
    assert found is not None
    assert found.direction == direction
    assert found.lower <= found.change <= found.upper


def test_few_values_have_no_trend() -> None:
    """Missing values do not count, and fewer than MIN_VALUES have no interval."""
    reference = stream(np.random.default_rng(1).standard_normal(5000))
    values = np.full(WINDOW, np.nan)
    values[: MIN_VALUES - 1] = 0.5
    assert trend(reference, values) is None
    values[:MIN_VALUES] = np.linspace(0, 1, MIN_VALUES)
    assert trend(reference, values) is not None
    assert trend(stream(np.full(5000, np.nan)), np.ones(WINDOW)) is None


@given(st.lists(st.floats(), min_size=1, max_size=9), st.lists(st.floats(), min_size=1, max_size=9))
def test_any_values_have_a_finite_trend_or_none(before: list[float], after: list[float]) -> None:
    """Whatever a log contains, an interval is finite and contains the change."""
    found = trend(stream(np.resize(before, 600)), np.resize(after, WINDOW))
    if found is not None:
        assert np.isfinite([found.lower, found.upper, found.mean, found.reference_mean]).all()
        assert found.lower <= found.change <= found.upper
