"""Bets: fair under the reference, effective on their change, slowed down by dependence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.special import ndtr

from detectors.arrays import Floats
from detectors.bets import (
    BIN_FACTOR,
    FALLEN_FACTOR,
    GRAIN,
    MAX_BINS,
    MIN_RECORDS,
    MISSING_ODDS,
    SHIFTS,
    Bets,
    build_bets,
    expected_shares,
)
from detectors.categorical_stream import CategoricalStream
from detectors.evaluate import baseline_from_categories
from detectors.kinds import VALUE_KINDS, Kind
from detectors.numeric_stream import NumericStream
from tests.detectors.harness import PROPERTY, baseline, bursts, zipf

SPECIAL = [0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e300, -5e-324]


class Reference(NamedTuple):
    """The kind and the values of a reference."""

    kind: Kind
    values: Floats


@st.composite
def references(draw: st.DrawFn) -> Reference:
    """Draw ties, constants, few values, infinities and missing values, in runs or shuffled."""
    kind = draw(st.sampled_from(VALUE_KINDS))
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
    return Reference(kind, np.repeat(values, run)[:records])


def stream_of(kind: Kind, values: Floats) -> NumericStream | CategoricalStream:
    """Return the stream of one reference."""
    base = baseline(kind, values[None])
    streams: tuple[NumericStream | CategoricalStream, ...] = (*base.numeric, *base.categorical)
    (stream,) = streams
    return stream


def mean_payoffs(bets: Bets, shares: Floats) -> Floats:
    """Return each bet's mean payoff for a record if cells have these shares."""
    return np.asarray(shares @ np.exp(bets.log_payoffs), np.float64)


def beyond_error(bets: Bets, truth: Floats) -> list[float]:
    """Return by how much mean payoffs exceed 1 plus 2.5 standard errors."""
    found: list[float] = (mean_payoffs(bets, truth) - 1 - 2.5 * bets.error).tolist()
    return found


@PROPERTY
@given(references())
def test_mean_payoffs_are_at_most_one(reference: Reference) -> None:
    """With the expected shares of the reference every bet is fair."""
    stream = stream_of(*reference)
    assert stream.cell_counts().sum() == len(reference.values)
    assert (mean_payoffs(build_bets(stream), expected_shares(stream)) <= 1 + 1e-12).all()


@PROPERTY
@given(references())
def test_weights_sum_to_one(reference: Reference) -> None:
    """Weights are above 0 and sum to 1, one for each name, and names are unique."""
    stream = stream_of(*reference)
    bets = build_bets(stream)
    assert bets.log_payoffs.shape == (len(stream.cell_counts()), len(bets.names))
    assert len(bets.weights) == len(bets.names) == len(set(bets.names)) > 0
    assert (bets.weights > 0).all()
    assert bets.weights.sum() == pytest.approx(1, abs=1e-12)


@PROPERTY
@given(references(), st.integers(0, 2**32))
def test_sums_of_log_payoffs_are_exact(reference: Reference, seed: int) -> None:
    """Log payoffs are finite multiples of GRAIN: a stride's sum does not depend on its order."""
    stream = stream_of(*reference)
    log_payoffs = build_bets(stream).log_payoffs
    assert np.isfinite(log_payoffs).all()
    assert (np.abs(log_payoffs) < 2**10).all()
    np.testing.assert_array_equal(np.rint(log_payoffs / GRAIN) * GRAIN, log_payoffs)
    cells = np.random.default_rng(seed).integers(len(log_payoffs), size=300)
    counts = np.bincount(cells, minlength=len(log_payoffs)).astype(float)
    one_by_one = np.zeros(log_payoffs.shape[1])
    for cell in cells.tolist():
        one_by_one += log_payoffs[cell]
    np.testing.assert_array_equal(counts @ log_payoffs, one_by_one)


@pytest.mark.parametrize("ones", [1, 50, 100, 200, 1000])
@pytest.mark.parametrize("kind", [Kind.NUMERIC, Kind.BINARY])
def test_a_rare_value_has_finite_log_payoffs(kind: Kind, ones: int) -> None:
    """Log payoffs are finite for a flag set in one of 50,000 records."""
    values = np.zeros(50_000)
    values[np.linspace(0, 49_999, ones).astype(int)] = 1.0
    assert np.isfinite(build_bets(stream_of(kind, values)).log_payoffs).all()


@pytest.mark.parametrize("kind", VALUE_KINDS)
def test_a_short_reference_has_no_bets(kind: Kind) -> None:
    """Bets require 500 records, missing values included."""
    values = np.where(np.arange(500) % 3, np.arange(500) % 2.0, np.nan)
    none = build_bets(stream_of(kind, values[1:]))
    assert none.names == ()
    assert none.weights.shape == (0,)
    assert none.log_payoffs.shape == (len(stream_of(kind, values[1:]).cell_counts()), 0)
    assert build_bets(stream_of(kind, values)).names


def test_expected_shares_of_unseen_cells_are_positive() -> None:
    """Empty cells count one record; "other" counts one more than there are single categories."""
    numeric = stream_of(Kind.NUMERIC, np.repeat([0.0, 1.0], [900, 100]))
    counts = np.maximum(numeric.cell_counts(), 1)
    assert sorted(counts[counts > 1].tolist()) == [100, 900]
    np.testing.assert_allclose(expected_shares(numeric), counts / counts.sum())
    (lone,) = baseline_from_categories(["a"] * 992 + list("bcdefghi")).categorical
    assert lone.bin_names() == ("a", *lone.bin_names()[-3:])
    np.testing.assert_allclose(expected_shares(lone), np.array([992, 1, 9, 1]) / 1003)
    (pairs,) = baseline_from_categories(["a"] * 992 + list("bcdebcde")).categorical
    np.testing.assert_allclose(expected_shares(pairs), np.array([992, 8, 1, 1]) / 1002)


def test_a_constant_reference_has_bets_on_new_values_only() -> None:
    """For one value that is never missing, bets are on above, below and missing."""
    names = build_bets(stream_of(Kind.NUMERIC, np.full(50_000, 7.0))).names
    assert {name.split()[0] for name in names} == {"above", "below", "missing"}


def slope(log_payoffs: Floats, chosen: Floats) -> float:
    """Return by how much a bet's log payoff is larger in the chosen cells than in the others."""
    inside, outside = log_payoffs[chosen > 0], log_payoffs[chosen == 0]
    assert np.ptp(inside) < 2 * GRAIN
    assert np.ptp(outside) < 2 * GRAIN
    return float(inside[0] - outside[0])


def test_payoffs_on_a_binary_feature_have_the_odds_ratio() -> None:
    """The ratio of payoffs is that of the odds, whatever the correction."""
    rng = np.random.default_rng(1)
    values = (rng.random(50_000) < 0.2).astype(float)
    values[rng.random(50_000) < 0.05] = np.nan
    stream = stream_of(Kind.BINARY, rng.permutation(values))
    bets, shares = build_bets(stream), expected_shares(stream)
    assert isinstance(stream, NumericStream)
    one = stream.bin_of_cell()[stream.cell_of(np.array([1.0]))[0]]
    table = dict(zip(bets.names, bets.log_payoffs.T, strict=True))
    missing = np.eye(len(shares))[-1]
    for odds in MISSING_ODDS:
        # dependence by chance in the reference slows a bet a little
        assert slope(table[f"missing x{odds:g}"], missing) == pytest.approx(np.log(odds), rel=0.2)
    ones = (stream.bin_of_cell() == one).astype(float)
    share = shares @ ones
    expected = np.log(BIN_FACTOR / ((1 - BIN_FACTOR * share) / (1 - share)))
    (name,) = (n for n in bets.names if n.startswith("more") and n != "more missing")
    assert slope(table[name], ones) == pytest.approx(expected, rel=0.2)


def test_shifts_follow_the_normal_scores() -> None:
    """The bet on a mean pays exp(theta z - theta^2 / 2) on normal values, less the correction."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=50_000)
    stream = stream_of(Kind.NUMERIC, values)
    assert isinstance(stream, NumericStream)
    bets = build_bets(stream)
    cells = stream.cell_of(np.linspace(-2, 2, 201))
    for theta in SHIFTS:
        for sign in (1, -1):
            row = bets.log_payoffs[cells, bets.names.index(f"mean {sign * theta:+g} sd")]
            fitted, level = np.polyfit(np.linspace(-2, 2, 201), row, 1)
            assert fitted == pytest.approx(sign * theta, rel=0.15)
            assert -(theta**2) / 2 - 0.03 < level < -(theta**2) / 2 + 0.01


@pytest.mark.parametrize("sigma", [1.0, 1.5])
@pytest.mark.parametrize("end", [1, -1])
def test_the_bet_on_a_stretched_tail_wins_most(sigma: float, end: int) -> None:
    """If the last 1 % of a heavy tail doubles, its bet wins most, within 1,000 records."""
    rng = np.random.default_rng(6)
    values = rng.lognormal(0, sigma, 250_000)
    limit = np.quantile(values[:50_000], 0.99)
    stretched = np.where(values > limit, 2 * values, values)[50_000:]
    stream = stream_of(Kind.NUMERIC, end * values[:50_000])
    assert isinstance(stream, NumericStream)
    bets = build_bets(stream)
    gains = bets.log_payoffs[stream.cell_of(end * stretched)].mean(axis=0)
    best = int(gains.argmax())
    assert bets.names[best] == f"{'top' if end > 0 else 'bottom'} 1.0% stretched"
    assert 1000 * gains[best] > 7
    # values as frequent as before do not win
    assert 1000 * bets.log_payoffs[stream.cell_of(end * values[50_000:])].mean(axis=0)[best] < 0


def test_the_number_of_bins_with_bets_is_limited() -> None:
    """The most frequent categories have bets; those below 50 records or near half have none."""
    names = [f"c{i:02}" for i in range(20)]
    counts = [*range(1000, 1400, 20)]
    (stream,) = baseline_from_categories(
        [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    ).categorical
    more = [name for name in build_bets(stream).names if name.startswith("more ")]
    assert more == [f"more c{i:02}" for i in range(19, 19 - MAX_BINS, -1)]
    fewer = [name for name in build_bets(stream).names if name.startswith("fewer ")]
    assert fewer == [name.replace("more", "fewer") for name in more]
    (uneven,) = baseline_from_categories(["a"] * 4000 + ["b"] * 3900 + ["c"] * 100).categorical
    assert [n for n in build_bets(uneven).names if n.startswith("more ")] == ["more c"]


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05, 0.3])
def test_bet_on_a_vanished_category_grows_with_its_absence(share: float) -> None:
    """It pays (1 - share / 4) / (1 - share) for any other record, and a quarter for its own."""
    events = round(50_000 * share)
    names = np.random.default_rng(8).permutation(["a"] * events + ["b"] * (50_000 - events))
    (stream,) = baseline_from_categories(names.tolist()).categorical
    bets = build_bets(stream)
    payoffs = np.exp(bets.log_payoffs[:, bets.names.index("fewer a")])
    cell = stream.cell_by_category()
    assert payoffs[cell["a"]] == pytest.approx(FALLEN_FACTOR, abs=0.01)
    expected = (1 - FALLEN_FACTOR * share) / (1 - share)
    assert payoffs[cell["b"]] == pytest.approx(expected, abs=2e-3 * share)


def ar(rng: np.random.Generator, phi: float, *shape: int) -> Floats:
    """Return AR(1) records with normal noise and variance 1."""
    noise = rng.normal(size=shape)
    noise[..., 1:] *= (1 - phi**2) ** 0.5
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=-1), np.float64)


def test_autocorrelation_slows_bets_down() -> None:
    """Bets on the mean are raised to 1 / v, v = (1 + phi) / (1 - phi); not if shuffled."""
    rng = np.random.default_rng(3)
    values = ar(rng, 0.8, 200_000)
    dependent, independent = (
        build_bets(stream_of(Kind.NUMERIC, v)) for v in (values, rng.permutation(values))
    )
    assert dependent.names == independent.names
    ratio = np.ptp(independent.log_payoffs, axis=0) / np.ptp(dependent.log_payoffs, axis=0)
    for name, found in zip(dependent.names, ratio.tolist(), strict=True):
        if name.startswith("mean"):
            assert 6 < found < 12, name
        # rare cells are assumed to depend as much as the most dependent bet
        if name.startswith(("top", "bottom", "missing", "above", "below")):
            assert found == pytest.approx(ratio.max(), rel=0.25), name


def test_bursts_of_categories_slow_bets_down() -> None:
    """If each category comes ten times in a row, ten records count as one."""
    rng = np.random.default_rng(4)
    values = bursts(rng, 10, 50_000)
    dependent, independent = (
        build_bets(stream_of(Kind.CATEGORICAL, v)) for v in (values, rng.permutation(values))
    )
    ratio = np.ptp(independent.log_payoffs, axis=0) / np.ptp(dependent.log_payoffs, axis=0)
    assert (ratio > 6).all()
    assert (ratio < 14).all()


@pytest.mark.parametrize("records", [2000, 20_000])
def test_bets_are_fair_under_the_true_distribution(records: int) -> None:
    """True mean payoffs exceed 1 by more than the error in at most 2 % of cases.

    The reference estimates the truth: `error` is the standard error of the mean payoff.
    """
    rng = np.random.default_rng(5)
    means: list[float] = []
    for reference in rng.normal(size=(60, records)):
        stream = stream_of(Kind.NUMERIC, reference)
        assert isinstance(stream, NumericStream)
        truth = np.diff(ndtr(stream.cuts), prepend=0.0, append=1.0)
        means += beyond_error(build_bets(stream), np.append(truth, 0.0))
    assert len(means) > 60 * 20
    assert (np.array(means) > 0).mean() < 0.02


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.4])
def test_bets_are_fair_under_the_true_share(share: float) -> None:
    """The same holds for a binary feature, however rare its larger value is."""
    rng = np.random.default_rng(6)
    means: list[float] = []
    for reference in (rng.random((100, 10_000)) < share).astype(float):
        stream = stream_of(Kind.BINARY, reference)
        assert isinstance(stream, NumericStream)
        truth = np.zeros(len(stream.cell_counts()))
        truth[stream.cell_of(np.array([0.0, 1.0]))] = 1 - share, share
        means += beyond_error(build_bets(stream), truth)
    assert (np.array(means) > 0).mean() < 0.02


@pytest.mark.parametrize("levels", [5, 300, 2000])
def test_bets_are_fair_under_the_true_shares_of_categories(levels: int) -> None:
    """The same holds, within 3 %, for categories: also with new ones, or too many."""
    rng = np.random.default_rng(7)
    weights = 1 / np.arange(1, levels + 1)
    means: list[float] = []
    for reference in zipf(rng, levels, 40, 10_000):
        stream = stream_of(Kind.CATEGORICAL, reference)
        assert isinstance(stream, CategoricalStream)
        cell_by_category, unknown = stream.cell_by_category(), stream.cells - 2
        bins = [cell_by_category.get(f"{code:g}", unknown) for code in range(levels)]
        truth = np.bincount(bins, weights / weights.sum(), stream.cells).astype(np.float64)
        means += beyond_error(build_bets(stream), truth)
    assert (np.array(means) > 0).mean() < 0.03
