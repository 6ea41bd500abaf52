"""Bets: fair under the reference, apt for what they are about, slowed down by dependence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.special import ndtr

from detectors.base import Floats, Kind
from detectors.bets import (
    BIN_FACTOR,
    GRAIN,
    MIN_RECORDS,
    MISSING_ODDS,
    MOST_BINS,
    SHIFTS,
    Bets,
    bets_on,
    shares_of,
)
from detectors.evaluate import categorical_baseline
from detectors.streams import CategoricalStream, NumericStream
from tests.detectors.streams import PROPERTY, baseline, bursts, zipf

SPECIAL = [0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e300, -5e-324]


class Made(NamedTuple):
    """A reference, and how it came about: kind, distinct values, share of normal ones, runs."""

    kind: Kind
    values: Floats


@st.composite
def references(draw: st.DrawFn) -> Made:
    """Ties, constants, few values, infinities, missing ones; in runs or shuffled."""
    kind = draw(st.sampled_from(list(Kind)))
    any_value = st.sampled_from(SPECIAL) | st.floats()
    pools = {
        Kind.NUMERIC: st.lists(any_value, min_size=1, max_size=6),
        Kind.BINARY: st.sampled_from([[0.0], [1.0], [0.0, 1.0], [0.0, 1.0, np.nan]]),
        Kind.CATEGORICAL: st.lists(st.sampled_from([*range(40), np.nan]), min_size=1, max_size=40),
    }
    pool = draw(pools[kind])
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    records, run = draw(st.integers(MIN_RECORDS, 4000)), draw(st.sampled_from([1, 1, 7, 600]))
    weights = rng.exponential(size=len(pool)) ** draw(st.sampled_from([0.2, 1.0, 5.0]))
    values = rng.choice(np.array(pool, float), records, p=weights / weights.sum())
    if kind is Kind.NUMERIC:
        chosen = rng.random(records) < draw(st.sampled_from([0.0, 0.5, 0.99, 1.0]))
        values[chosen] = rng.lognormal(0, 2, chosen.sum())
    return Made(kind, np.repeat(values, run)[:records])


def made(kind: Kind, values: Floats) -> NumericStream | CategoricalStream:
    """The stream of one reference."""
    (stream,) = baseline(kind, values[None]).streams
    return stream


def mean_payments(bets: Bets, shares: Floats) -> Floats:
    """What each bet pays a record on average, where cells have these shares."""
    return np.asarray(shares @ np.exp(bets.logarithms), np.float64)


def beyond_error(bets: Bets, truth: Floats) -> list[float]:
    """By how much bets pay more than 1 and 2.5 times the error that they tell."""
    found: list[float] = (mean_payments(bets, truth) - 1 - 2.5 * bets.excess).tolist()
    return found


@PROPERTY
@given(references())
def test_no_bet_pays_more_than_it_takes(reference: Made) -> None:
    """Under the shares that are expected of a reference it is fair."""
    stream = made(*reference)
    assert stream.cell_counts().sum() == len(reference.values)
    assert (mean_payments(bets_on(stream), shares_of(stream)) <= 1 + 1e-12).all()


@PROPERTY
@given(references())
def test_the_stake_is_shared_out(reference: Made) -> None:
    """Weights are above 0 and sum to 1, one for each name, and no name comes twice."""
    stream = made(*reference)
    bets = bets_on(stream)
    assert bets.logarithms.shape == (len(stream.cell_counts()), len(bets.names))
    assert len(bets.weights) == len(bets.names) == len(set(bets.names)) > 0
    assert (bets.weights > 0).all()
    assert bets.weights.sum() == pytest.approx(1, abs=1e-12)


@PROPERTY
@given(references(), st.integers(0, 2**32))
def test_sums_of_logarithms_are_exact(reference: Made, seed: int) -> None:
    """They are finite multiples of the grain: in whatever order, a stride's sum is the same."""
    stream = made(*reference)
    logarithms = bets_on(stream).logarithms
    assert np.isfinite(logarithms).all()
    assert (np.abs(logarithms) < 2**10).all()
    np.testing.assert_array_equal(np.rint(logarithms / GRAIN) * GRAIN, logarithms)
    cells = np.random.default_rng(seed).integers(len(logarithms), size=300)
    counts = np.bincount(cells, minlength=len(logarithms)).astype(float)
    one_by_one = np.zeros(logarithms.shape[1])
    for cell in cells.tolist():
        one_by_one += logarithms[cell]
    np.testing.assert_array_equal(counts @ logarithms, one_by_one)


@pytest.mark.parametrize("ones", [1, 50, 100, 200, 1000])
@pytest.mark.parametrize("kind", [Kind.NUMERIC, Kind.BINARY])
def test_a_rare_value_has_finite_logarithms(kind: Kind, ones: int) -> None:
    """An error flag set in one of 50,000 records, or rarely, can be bet on like any other."""
    values = np.zeros(50_000)
    values[np.linspace(0, 49_999, ones).astype(int)] = 1.0
    assert np.isfinite(bets_on(made(kind, values)).logarithms).all()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_short_reference_supports_no_bet(kind: Kind) -> None:
    """From 500 records on there are bets, missing values counted; with one fewer there are none."""
    values = np.where(np.arange(500) % 3, np.arange(500) % 2.0, np.nan)
    none = bets_on(made(kind, values[1:]))
    assert none.names == ()
    assert none.weights.shape == (0,)
    assert none.logarithms.shape == (len(made(kind, values[1:]).cell_counts()), 0)
    assert bets_on(made(kind, values)).names


def test_shares_leave_room_for_what_was_not_met() -> None:
    """Empty cells count one record; unknown categories one more than there were lone ones."""
    numeric = made(Kind.NUMERIC, np.repeat([0.0, 1.0], [900, 100]))
    counts = np.maximum(numeric.cell_counts(), 1)
    assert sorted(counts[counts > 1].tolist()) == [100, 900]
    np.testing.assert_allclose(shares_of(numeric), counts / counts.sum())
    (lone,) = categorical_baseline(["a"] * 992 + list("bcdefghi")).categorical
    assert lone.bin_names() == ("a", "rare", "other", "missing")
    np.testing.assert_allclose(shares_of(lone), np.array([992, 8, 9, 1]) / 1010)
    (pairs,) = categorical_baseline(["a"] * 992 + list("bcdebcde")).categorical
    np.testing.assert_allclose(shares_of(pairs), np.array([992, 8, 1, 1]) / 1002)


def test_a_constant_reference_has_no_bets_on_its_spread() -> None:
    """Of one value that is never missing only what is new can be bet on: above, below, missing."""
    names = bets_on(made(Kind.NUMERIC, np.full(50_000, 7.0))).names
    assert {name.split()[0] for name in names} == {"above", "below", "missing"}


def slope(logarithms: Floats, chosen: Floats) -> float:
    """By how much a bet's logarithms are larger in the chosen cells than in the others."""
    inside, outside = logarithms[chosen > 0], logarithms[chosen == 0]
    assert np.ptp(inside) < 2 * GRAIN
    assert np.ptp(outside) < 2 * GRAIN
    return float(inside[0] - outside[0])


def test_what_bets_pay_on_a_binary_feature() -> None:
    """The ratio of payments is that of the odds bet on, whatever is taken off for caution."""
    rng = np.random.default_rng(1)
    values = (rng.random(50_000) < 0.2).astype(float)
    values[rng.random(50_000) < 0.05] = np.nan
    stream = made(Kind.BINARY, rng.permutation(values))
    bets, shares = bets_on(stream), shares_of(stream)
    one = stream.cell_of(np.array([1.0]))[0] if isinstance(stream, NumericStream) else 0
    table = dict(zip(bets.names, bets.logarithms.T, strict=True))
    missing = np.eye(len(shares))[-1]
    for odds in MISSING_ODDS:
        # the reference's dependence by chance slows a bet a little
        assert slope(table[f"missing x{odds:g}"], missing) == pytest.approx(np.log(odds), rel=0.2)
    ones = np.eye(len(shares))[one]
    share = shares @ ones
    expected = np.log(BIN_FACTOR / ((1 - BIN_FACTOR * share) / (1 - share)))
    (name,) = (n for n in bets.names if n.startswith("more") and n != "more missing")
    assert slope(table[name], ones) == pytest.approx(expected, rel=0.2)


def test_shifts_follow_the_normal_scores() -> None:
    """The bet on a mean pays exp(theta z - theta^2 / 2) on normal values, less the caution."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=50_000)
    stream = made(Kind.NUMERIC, values)
    assert isinstance(stream, NumericStream)
    bets = bets_on(stream)
    cells = stream.cell_of(np.linspace(-2, 2, 201))
    for theta in SHIFTS:
        for sign in (1, -1):
            row = bets.logarithms[cells, bets.names.index(f"mean {sign * theta:+g} sd")]
            fitted, level = np.polyfit(np.linspace(-2, 2, 201), row, 1)
            assert fitted == pytest.approx(sign * theta, rel=0.15)
            assert -(theta**2) / 2 - 0.03 < level < -(theta**2) / 2 + 0.01


@pytest.mark.parametrize("sigma", [1.0, 1.5])
@pytest.mark.parametrize("end", [1, -1])
def test_a_stretched_tail_has_a_bet_of_its_own(sigma: float, end: int) -> None:
    """Where the last hundredth of a heavy tail doubles no bet wins more; 1,000 records tell."""
    rng = np.random.default_rng(6)
    values = rng.lognormal(0, sigma, 250_000)
    limit = np.quantile(values[:50_000], 0.99)
    later = np.where(values > limit, 2 * values, values)[50_000:]
    stream = made(Kind.NUMERIC, end * values[:50_000])
    assert isinstance(stream, NumericStream)
    bets = bets_on(stream)
    won = bets.logarithms[stream.cell_of(end * later)].mean(axis=0)
    best = int(won.argmax())
    assert bets.names[best] == f"{'top' if end > 0 else 'bottom'} 1.0% stretched"
    assert 1000 * won[best] > 7
    # values that are only as frequent as before win nothing by it
    assert 1000 * bets.logarithms[stream.cell_of(end * values[50_000:])].mean(axis=0)[best] < 0


def test_at_most_so_many_bins() -> None:
    """Of many categories the fullest ones have bets, those below 50 records or near half none."""
    names = [f"c{i:02}" for i in range(20)]
    counts = [*range(1000, 1400, 20)]
    (stream,) = categorical_baseline(
        [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    ).categorical
    more = [name for name in bets_on(stream).names if name.startswith("more ")]
    assert more == [f"more c{i:02}" for i in range(19, 19 - MOST_BINS, -1)]
    (uneven,) = categorical_baseline(["a"] * 4000 + ["b"] * 3900 + ["c"] * 100).categorical
    assert [n for n in bets_on(uneven).names if n.startswith("more ")] == ["more c"]


def ar(rng: np.random.Generator, phi: float, *shape: int) -> Floats:
    """Autocorrelated normal records of variance 1."""
    noise = rng.normal(size=shape)
    noise[..., 1:] *= (1 - phi**2) ** 0.5
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=-1), np.float64)


def test_autocorrelation_slows_bets_down() -> None:
    """Bets on the mean are raised to 1 / v, v = (1 + phi) / (1 - phi); shuffled, they are not."""
    rng = np.random.default_rng(3)
    values = ar(rng, 0.8, 200_000)
    slow, quick = (bets_on(made(Kind.NUMERIC, v)) for v in (values, rng.permutation(values)))
    assert slow.names == quick.names
    ratio = np.ptp(quick.logarithms, axis=0) / np.ptp(slow.logarithms, axis=0)
    for name, found in zip(slow.names, ratio.tolist(), strict=True):
        if name.startswith("mean"):
            assert 6 < found < 12, name
        # what is rare is taken to depend as much as what depends most
        if name.startswith(("top", "bottom", "missing", "above", "below")):
            assert found == pytest.approx(ratio.max(), rel=0.25), name


def test_bursts_of_categories_slow_bets_down() -> None:
    """Where each category comes ten times in a row, ten records are worth one."""
    rng = np.random.default_rng(4)
    values = bursts(rng, 10, 50_000)
    slow, quick = (bets_on(made(Kind.CATEGORICAL, v)) for v in (values, rng.permutation(values)))
    ratio = np.ptp(quick.logarithms, axis=0) / np.ptp(slow.logarithms, axis=0)
    assert (ratio > 6).all()
    assert (ratio < 14).all()


@pytest.mark.parametrize("records", [2000, 20_000])
def test_fair_under_the_truth(records: int) -> None:
    """The true mean payments, too, are 1 but for the error that is told, in 49 of 50 cases.

    The reference knows the truth but approximately: what `excess` tells is a standard error of it.
    """
    rng = np.random.default_rng(5)
    means: list[float] = []
    for reference in rng.normal(size=(60, records)):
        stream = made(Kind.NUMERIC, reference)
        assert isinstance(stream, NumericStream)
        truth = np.diff(ndtr(stream.cuts), prepend=0.0, append=1.0)
        means += beyond_error(bets_on(stream), np.append(truth, 0.0))
    assert len(means) > 60 * 20
    assert (np.array(means) > 0).mean() < 0.02


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.4])
def test_fair_under_the_true_share(share: float) -> None:
    """So are those on a binary feature, however rare its ones are."""
    rng = np.random.default_rng(6)
    means: list[float] = []
    for reference in (rng.random((100, 10_000)) < share).astype(float):
        stream = made(Kind.BINARY, reference)
        assert isinstance(stream, NumericStream)
        truth = np.zeros(len(stream.cell_counts()))
        truth[stream.cell_of(np.array([0.0, 1.0]))] = 1 - share, share
        means += beyond_error(bets_on(stream), truth)
    assert (np.array(means) > 0).mean() < 0.02


@pytest.mark.parametrize("levels", [5, 300, 2000])
def test_fair_under_the_true_shares_of_categories(levels: int) -> None:
    """So, nearly, are those on categories: also where ever new ones come, or too many."""
    rng = np.random.default_rng(7)
    weights = 1 / np.arange(1, levels + 1)
    means: list[float] = []
    for reference in zipf(rng, levels, 40, 10_000):
        stream = made(Kind.CATEGORICAL, reference)
        assert isinstance(stream, CategoricalStream)
        bin_of, unknown = stream.bin_of(), stream.bins - 2
        bins = [bin_of.get(f"{code:g}", unknown) for code in range(levels)]
        truth = np.bincount(bins, weights / weights.sum(), stream.bins).astype(np.float64)
        means += beyond_error(bets_on(stream), truth)
    assert (np.array(means) > 0).mean() < 0.03
