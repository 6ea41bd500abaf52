"""Shifted traffic: by the requested number of standard deviations, for every kind of stream."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import build_categorical_stream
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream, build_numeric_stream
from detectors.shifts import can_shift, center_before_and_after, shift_records

N = 50_000
RNG = np.random.default_rng


def baseline(values: Floats, kind: Kind = Kind.NUMERIC) -> Baseline:
    """Return a baseline of one stream."""
    return Baseline(len(values), (build_numeric_stream("x", kind, values, 1000),), ())


def shifted(base: Baseline, values: Floats, sd: float) -> Floats:
    """Return the records of a baseline's only stream after a shift."""
    no_categories = np.zeros((0, len(values)), np.uint8)
    (after,) = shift_records(base, values[None], no_categories, sd, RNG(1))[0]
    return np.asarray(after, np.float64)


def test_normal_records_shift_by_standard_deviations() -> None:
    """N(0, 1) becomes N(sd, 1), except beyond the reference's range."""
    values = RNG(0).standard_normal(N)
    after = shifted(baseline(values), values, 0.5)
    assert after.mean() == pytest.approx(0.5, abs=0.03)
    assert after.std() == pytest.approx(1.0, abs=0.03)
    assert center_before_and_after(baseline(values).numeric[0], 0.5) == pytest.approx(
        (0.0, 0.5), abs=0.03
    )


def test_an_outlier_does_not_change_the_shift() -> None:
    """Lognormal records shift by their logarithm, whatever the largest value is."""
    values = RNG(0).lognormal(0, 1.5, N)
    values[7] = 1e12
    after = shifted(baseline(values), values, 0.2)
    assert np.log(np.median(after)) == pytest.approx(0.2 * 1.5, abs=0.05)


def test_ties_and_missing_values_are_kept() -> None:
    """Some tied values increase; missing ones stay missing; only known values occur."""
    values = RNG(0).integers(0, 4, N).astype(float)
    values[:500] = np.nan
    after = shifted(baseline(values), values, 0.2)
    assert np.array_equal(np.isnan(after), np.isnan(values))
    assert set(np.unique(after[500:])) == {0.0, 1.0, 2.0, 3.0}
    assert values[500:].mean() + 0.1 < after[500:].mean() < values[500:].mean() + 0.4
    assert (after[500:] >= values[500:]).all()


@pytest.mark.parametrize(("share", "expected"), [(0.05, 0.05 + 0.2 * 0.218), (0.9, 0.9 - 0.06)])
def test_the_rarer_value_of_a_flag_becomes_more_frequent(share: float, expected: float) -> None:
    """The share increases by sd times sqrt(p (1 - p)), as in `center_before_and_after`."""
    values = (RNG(0).random(N) < share).astype(float)
    base = baseline(values, Kind.BINARY)
    assert shifted(base, values, 0.2).mean() == pytest.approx(expected, abs=0.006)
    assert center_before_and_after(base.numeric[0], 0.2) == pytest.approx(
        (share, expected), abs=0.006
    )


def test_the_most_frequent_category_becomes_less_frequent() -> None:
    """Others grow in proportion to their shares; missing values stay."""
    codes = RNG(0).choice([-1, 0, 1, 2], N, p=[0.1, 0.6, 0.2, 0.1])
    stream = build_categorical_stream("c", ["p", "q", "r"], codes, 1000)
    base = Baseline(N, (), (stream,))
    bins = np.array([*stream.cell_by_category().values(), stream.cells - 1], np.uint8)[codes]
    _, after = shift_records(base, np.zeros((0, N)), bins[None], 0.5, RNG(1))
    before, then = (np.bincount(row, minlength=stream.cells) for row in (bins, after[0]))
    assert before[-1] == then[-1]
    assert then[0] / (N - then[-1]) == pytest.approx(
        center_before_and_after(stream, 0.5)[1], abs=0.01
    )
    gained = (then - before)[1:3]
    assert gained[0] / gained[1] == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize("kind", [Kind.NUMERIC, Kind.BINARY])
def test_a_constant_does_not_shift(kind: Kind) -> None:
    """A constant stream has no other value."""
    values = np.ones(N)
    base = baseline(values, kind)
    assert not can_shift(base.numeric[0])
    assert np.array_equal(shifted(base, values, 1.0), values)


def test_a_single_category_does_not_shift() -> None:
    """A stream with one category has no other category."""
    stream = build_categorical_stream("c", ["p"], np.zeros(N, np.intp), 1000)
    bins = np.zeros((1, N), np.uint8)
    _, after = shift_records(Baseline(N, (), (stream,)), np.zeros((0, N)), bins, 1.0, RNG(1))
    assert not can_shift(stream)
    assert np.array_equal(after, bins)


def test_two_values_can_shift() -> None:
    """A single record with another value is enough."""
    values = np.zeros(N)
    values[5] = 1.0
    stream: NumericStream = baseline(values, Kind.BINARY).numeric[0]
    assert can_shift(stream)
