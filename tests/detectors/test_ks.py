"""Kolmogorov-Smirnov: exact, also with the shortcut by cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from detectors.arrays import Floats
from detectors.kinds import Kind
from detectors.ks import KolmogorovSmirnov, ks_distance
from detectors.numeric_stream import build_numeric_stream
from detectors.window import Window, Windows
from tests.detectors.harness import PROPERTY, baseline

W = 100

numbers = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(-3, 3),
    st.sampled_from([np.inf, -np.inf, np.nan, 1e300, -1e300, 5e-324]),
)
columns = st.lists(numbers, min_size=1, max_size=80).map(lambda values: np.array(values, float))


@PROPERTY
@given(columns, columns)
def test_equals_scipy(reference: Floats, current: Floats) -> None:
    """D is scipy's, with ties, infinities and missing values."""
    distance = ks_distance(build_numeric_stream("x", Kind.NUMERIC, reference, 1000), current)
    known = reference[~np.isnan(reference)], current[~np.isnan(current)]
    if len(known[0]) and len(known[1]):
        with np.errstate(divide="ignore"):  # in the p-value of very few values
            scipy_distance = ks_2samp(*known, method="asymp").statistic
        assert distance == pytest.approx(scipy_distance, abs=1e-12)
    else:
        assert np.isnan(distance)


def column(rng: np.random.Generator, shape: str, records: int) -> Floats:
    """Return records of one of many shapes: coarse and fine grids, points and mixtures."""
    levels = float(rng.choice([5, 40, 100, 300]))
    normal, grid = rng.normal(size=records), np.floor(rng.random(records) * levels)
    holes = np.where(rng.random(records) < 0.2, np.nan, normal)
    shapes = {
        "normal": normal,
        "coarse": np.round(normal),
        "grid": grid - 3,
        "between": grid + 0.5,
        # many values with a cell each, and space between them
        "rare": np.where(rng.random(records) < 0.75, -1.0, np.floor(rng.random(records) * 50)),
        "stuck": np.where(rng.random(records) < 0.05, -1.0, rng.integers(50) + 0.5),
        "point": np.where(rng.random(records) < 0.7, 1.0, normal),
        "holes": np.where(rng.random(records) < 0.2, rng.choice([np.inf, -np.inf]), holes),
    }
    return shapes[shape]


SHAPES = ("normal", "coarse", "grid", "between", "rare", "stuck", "point", "holes")


@pytest.mark.parametrize("before", SHAPES)
@pytest.mark.parametrize("after", SHAPES)
def test_the_shortcut_by_cells_is_exact(before: str, after: str) -> None:
    """With a threshold just below D the test rejects, with one just above D it does not."""
    for seed in range(6):
        check_shortcut(np.random.default_rng(seed), before, after)


def check_shortcut(rng: np.random.Generator, before: str, after: str) -> None:
    """Compare the shortcut with the exact D on both sides of the threshold."""
    reference = column(rng, before, 2000)
    current = column(rng, after, W)
    order = rng.permutation(W)
    if rng.random() < 0.5:  # values move within a cell, which only a sort shows
        current = np.where(order < W // 2, rng.choice(reference, W), current)
    base = baseline(Kind.NUMERIC, reference[None, :], W)
    window = Window(base, W, 50)
    windows = window.extend(current[None], np.zeros((0, W), np.uint8)).at(1)
    (distance,) = KolmogorovSmirnov(base, window, 0.5).readings(windows).statistic
    assert distance == ks_distance(base.numeric[0], current) or np.isnan(distance)
    scale = KolmogorovSmirnov(base, window, 0.5).scale(windows.present)[0, 0]
    for factor, expected in ((1 - 1e-9, True), (1 + 1e-9, False)):
        level = float(2 * np.exp(-2 * (distance * factor) ** 2 / scale))
        if distance > 0 and level > 1e-300:
            detector = KolmogorovSmirnov(base, window, level)
            assert detector.rejects(windows).tolist() == [[expected]]
            readings = detector.readings(windows)
            assert (readings.statistic >= readings.threshold).tolist() == [expected]


def test_the_shortcut_avoids_most_sorts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without drift, the counts by cell decide at least 99 % of the evaluations."""
    rng = np.random.default_rng(1)
    base = baseline(Kind.NUMERIC, rng.normal(size=(20, 50_000)))
    window = Window(base, 1000, 100)
    detector = KolmogorovSmirnov(base, window, 1e-6)
    sorts = 0

    def counted(self: KolmogorovSmirnov, windows: Windows, at: int, i: int) -> float:
        nonlocal sorts
        sorts += 1
        return exact(self, windows, at, i)

    exact = KolmogorovSmirnov.distance
    monkeypatch.setattr(KolmogorovSmirnov, "distance", counted)
    for _ in range(20):
        detector.update(window.extend(rng.normal(size=(20, 1000)), np.zeros((0, 1000), np.uint8)))
    assert sorts < 0.01 * 200 * 20


def test_p_value_is_the_first_term_of_kolmogorovs_series() -> None:
    """In the tail the p-value agrees with scipy's asymptotic one within 1 %."""
    from scipy.stats import kstwobign

    rng = np.random.default_rng(2)
    base = baseline(Kind.NUMERIC, rng.normal(size=(1, 50_000)))
    window = Window(base, 1000, 1000)
    windows = window.extend(rng.normal(0.25, 1, (1, 1000)), np.zeros((0, 1000), np.uint8))
    readings = KolmogorovSmirnov(base, window, 1e-3).readings(windows)
    effective = 50_000 * 1000 / 51_000 / base.inflation[0]
    expected = kstwobign.sf(readings.statistic[0] * effective**0.5)
    assert expected < 1e-3
    assert readings.p_value[0] == pytest.approx(expected, rel=0.01)


def test_a_verdict_requires_fifty_values() -> None:
    """A window with 49 values has no verdict, one with 50 has one."""
    rng = np.random.default_rng(3)
    base = baseline(Kind.NUMERIC, rng.normal(size=(1, 50_000)))
    for present, verdict in ((49, False), (50, True)):
        window = Window(base, 1000, 1000)
        values = np.full((1, 1000), np.nan)
        values[0, :present] = 99
        windows = window.extend(values, np.zeros((0, 1000), np.uint8))
        detector = KolmogorovSmirnov(base, window, 1e-3)
        assert detector.update(windows).tolist() == [[verdict]]
        assert np.isnan(detector.readings(windows).statistic).tolist() == [not verdict]
