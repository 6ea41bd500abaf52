"""Shifted traffic: by as much as was asked for, in what the reference's values are like."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.base import Floats, Kind
from detectors.baseline import Baseline
from detectors.shifts import can_shift, middle, shifted
from detectors.streams import NumericStream, categorical_stream, numeric_stream

N = 50_000
RNG = np.random.default_rng


def baseline(values: Floats, kind: Kind = Kind.NUMERIC) -> Baseline:
    """Of one stream."""
    return Baseline(len(values), (numeric_stream("x", kind, values, 1000),), ())


def moved(base: Baseline, values: Floats, sd: float) -> Floats:
    """Its records after a shift."""
    no_categories = np.zeros((0, len(values)), np.uint8)
    (after,) = shifted(base, values[None], no_categories, sd, RNG(1))[0]
    return np.asarray(after, np.float64)


def test_of_normal_records_it_is_the_standard_deviation() -> None:
    """N(0, 1) becomes N(sd, 1), but for what lies beyond the reference."""
    values = RNG(0).standard_normal(N)
    after = moved(baseline(values), values, 0.5)
    assert after.mean() == pytest.approx(0.5, abs=0.03)
    assert after.std() == pytest.approx(1.0, abs=0.03)
    assert middle(baseline(values).numeric[0], 0.5) == pytest.approx((0.0, 0.5), abs=0.03)


def test_an_outlier_does_not_decide() -> None:
    """Of lognormal records the logarithm is shifted, whatever the largest one is."""
    values = RNG(0).lognormal(0, 1.5, N)
    values[7] = 1e12
    after = moved(baseline(values), values, 0.2)
    assert np.log(np.median(after)) == pytest.approx(0.2 * 1.5, abs=0.05)


def test_ties_and_missing_values() -> None:
    """Of tied values some are raised; what is missing stays missing; only known values appear."""
    values = RNG(0).integers(0, 4, N).astype(float)
    values[:500] = np.nan
    after = moved(baseline(values), values, 0.2)
    assert np.array_equal(np.isnan(after), np.isnan(values))
    assert set(np.unique(after[500:])) == {0.0, 1.0, 2.0, 3.0}
    assert values[500:].mean() + 0.1 < after[500:].mean() < values[500:].mean() + 0.4
    assert (after[500:] >= values[500:]).all()


@pytest.mark.parametrize(("share", "expected"), [(0.05, 0.05 + 0.2 * 0.218), (0.9, 0.9 - 0.06)])
def test_of_a_flag_the_rarer_value_becomes_more_frequent(share: float, expected: float) -> None:
    """By sd times sqrt(p (1 - p)), and `middle` says so."""
    values = (RNG(0).random(N) < share).astype(float)
    base = baseline(values, Kind.BINARY)
    assert moved(base, values, 0.2).mean() == pytest.approx(expected, abs=0.006)
    assert middle(base.numeric[0], 0.2) == pytest.approx((share, expected), abs=0.006)


def test_of_a_category_the_most_frequent_becomes_less_so() -> None:
    """The others gain as they are frequent; what is missing stays."""
    codes = RNG(0).choice([-1, 0, 1, 2], N, p=[0.1, 0.6, 0.2, 0.1])
    stream = categorical_stream("c", ["p", "q", "r"], codes, 1000)
    base = Baseline(N, (), (stream,))
    bins = np.array([*stream.bin_of().values(), stream.bins - 1], np.uint8)[codes]
    _, after = shifted(base, np.zeros((0, N)), bins[None], 0.5, RNG(1))
    before, then = (np.bincount(row, minlength=stream.bins) for row in (bins, after[0]))
    assert before[-1] == then[-1]
    assert then[0] / (N - then[-1]) == pytest.approx(middle(stream, 0.5)[1], abs=0.01)
    gained = (then - before)[1:3]
    assert gained[0] / gained[1] == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize("kind", [Kind.NUMERIC, Kind.BINARY])
def test_a_constant_stays(kind: Kind) -> None:
    """There is nothing to shift it to."""
    values = np.ones(N)
    base = baseline(values, kind)
    assert not can_shift(base.numeric[0])
    assert np.array_equal(moved(base, values, 1.0), values)


def test_a_lonely_category_stays() -> None:
    """Nor is there for the only one."""
    stream = categorical_stream("c", ["p"], np.zeros(N, np.intp), 1000)
    bins = np.zeros((1, N), np.uint8)
    _, after = shifted(Baseline(N, (), (stream,)), np.zeros((0, N)), bins, 1.0, RNG(1))
    assert not can_shift(stream)
    assert np.array_equal(after, bins)


def test_two_values_can_shift() -> None:
    """One record in ten thousand is enough to be something else."""
    values = np.zeros(N)
    values[5] = 1.0
    stream: NumericStream = baseline(values, Kind.BINARY).numeric[0]
    assert can_shift(stream)
