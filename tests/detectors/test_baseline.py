"""The reference: distributions, cells, bins and variance inflation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import (
    BEYOND_LIMIT,
    RARE_SHARE,
    UNSEEN,
    CategoricalStream,
    build_categorical_stream,
)
from detectors.dependence import BLOCK_SIZE
from detectors.kinds import VALUE_KINDS, Kind
from detectors.numeric_stream import (
    FINE_CELLS,
    MIN_IN_TAIL,
    TAILS,
    NumericStream,
    build_numeric_stream,
)
from detectors.window import Window
from tests.detectors.harness import PROPERTY, baseline, bursts, sample, zipf

numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 2.0, 5e-324, 1e308, -1e308, np.inf, -np.inf, np.nan]),
    st.floats(),
    st.integers(-20, 20).map(float),
)
columns = st.lists(numbers, max_size=400).map(lambda values: np.array(values, float))


def stream_of(values: Floats, window: int = 1000) -> NumericStream:
    """Return the reference of one numeric stream."""
    return build_numeric_stream("x", Kind.NUMERIC, values, window)


@PROPERTY
@given(columns, columns)
def test_every_value_has_one_cell(reference: Floats, values: Floats) -> None:
    """A value lies between the cuts of its cell; NaN has the last cell."""
    stream = stream_of(reference)
    cells = stream.cell_of(values)
    lower = np.concatenate(([-np.inf], stream.cuts))
    upper = np.concatenate((stream.cuts, [np.inf]))
    for value, cell in zip(values, cells, strict=True):
        if np.isnan(value):
            assert cell == len(stream.cuts) + 1
        else:
            assert lower[cell] <= value
            assert value < upper[cell] or (cell == len(stream.cuts) and value == np.inf)
    if not len(values):  # a window has a record at least
        return
    window = Window(Baseline(len(reference), (stream,), ()), 1, 1)
    windows = window.extend(values[None, :], np.zeros((0, len(values)), np.uint8))
    np.testing.assert_array_equal(windows.cell_indices[0], cells)


@PROPERTY
@given(columns)
def test_counts_by_cell_and_bin_add_up(reference: Floats) -> None:
    """Every record is in one cell and one bin, and none is outside the reference's range."""
    stream = stream_of(reference, 100)
    missing = int(np.isnan(reference).sum())
    cells, bins = stream.cell_counts(), stream.bin_counts()
    assert cells.sum() == bins.sum() == len(reference)
    assert stream.count + stream.missing == len(reference)
    assert cells[-1] == bins[-1] == stream.missing == missing
    assert cells[0] == bins[0] == 0
    assert bins[-2] == (np.isinf(stream.cuts[-1]) and (reference == np.inf).sum())
    assert len(bins) == len(stream.edges) + 4 == len(stream.bin_names())
    np.testing.assert_array_equal(
        cells, np.bincount(stream.cell_of(reference), minlength=len(stream.cuts) + 2)
    )


@PROPERTY
@given(columns)
def test_cells_refine_bins(reference: Floats) -> None:
    """Every bin starts at a cell's start, and bins are in order."""
    stream = stream_of(reference, 500)
    assert np.isin(stream.edges, stream.cuts).all()
    bins = stream.bin_of_cell()
    assert len(bins) == len(stream.cuts) + 2
    assert (np.diff(bins) >= 0).all()
    assert bins[0] == 0
    assert bins[-1] == len(stream.edges) + 3
    known = reference[~np.isnan(reference) & (reference < stream.cuts[-1])]
    expected = 1 + np.searchsorted(stream.edges, known, side="right")
    np.testing.assert_array_equal(bins[stream.cell_of(known)], expected)


@pytest.mark.parametrize(("window", "bins"), [(1000, 10), (400, 8), (100, 2), (30, 2)])
def test_bins_of_continuous_values_are_equally_frequent(window: int, bins: int) -> None:
    """Bins hold equal numbers of records, and a window is expected to fill each."""
    rng = np.random.default_rng(1)
    counts = stream_of(rng.lognormal(0, 2, 10_007), window).bin_counts()[1:-2]
    assert len(counts) == bins
    assert np.abs(counts - 10_007 / bins).max() <= 1


def test_a_short_reference_has_few_bins() -> None:
    """The number of bins depends on the records of the reference as well as of the window."""
    rng = np.random.default_rng(2)
    assert len(stream_of(rng.normal(size=150)).edges) == 2


@PROPERTY
@given(st.integers(0, 2**32), st.sampled_from([3, 10, 100, 1000, 10**6]))
def test_cells_with_several_values_hold_few_records(seed: int, levels: int) -> None:
    """No cell with several values holds much more than 2/64 of the records."""
    rng = np.random.default_rng(seed)
    values = np.floor(rng.lognormal(0, 1, 5000) * levels / 10)
    stream = stream_of(values)
    assert stream.cell_slack() <= 2 / FINE_CELLS + 1 / 5000
    counts = stream.cell_counts()[1:-1] / stream.count
    heavy = np.flatnonzero(counts > stream.cell_slack())
    for cell in heavy:
        low, high = stream.cuts[cell], stream.cuts[cell + 1]
        assert high == np.nextafter(low, np.inf) or high - low <= 4 * stream.resolution(low)


@pytest.mark.parametrize("records", [50_000, 5000, 1999])
def test_cells_start_at_the_quantiles_of_tails(records: int) -> None:
    """At either end a cell starts at each quantile of TAILS with enough records."""
    rng = np.random.default_rng(14)
    values = np.sort(rng.lognormal(0, 2, records))
    stream = stream_of(values)
    known = [q for q in TAILS if q * records >= MIN_IN_TAIL]
    assert len(known) == {50_000: 3, 5000: 1, 1999: 0}[records]
    below = np.searchsorted(values, stream.cuts)
    for q in (*known, *(1 - q for q in known)):
        assert np.abs(below - q * records).min() <= 1
    # no other cells start beyond the outermost 64ths, except at the ends
    outer = np.flatnonzero((below > 0) & (below < records // FINE_CELLS - 1))
    assert len(outer) == len(known)


@PROPERTY
@given(columns)
def test_mid_ranks_have_mean_one_half(reference: Floats) -> None:
    """A cell's rank is the share below it plus half its own; the mean is one half."""
    stream = stream_of(reference)
    ranks, counts = stream.cell_ranks(), stream.cell_counts()
    assert np.isnan(ranks[-1])
    assert (np.diff(ranks[:-1]) >= 0).all()
    if stream.count:
        assert ranks[:-1] @ counts[:-1] / stream.count == pytest.approx(0.5)
        known = reference[~np.isnan(reference)]
        cells = stream.cell_of(known)
        cell = cells[0]
        expected = ((cells < cell).sum() + (cells == cell).sum() / 2) / len(known)
        assert ranks[cell] == pytest.approx(expected)


@PROPERTY
@given(columns)
def test_scores_increase_with_the_values(reference: Floats) -> None:
    """Scores increase with the values and stay within [-1, 1]."""
    scores = stream_of(reference).cell_scores()
    assert np.isnan(scores[-1])
    assert (np.abs(scores[:-1]) <= 1).all()
    assert (np.diff(scores[:-1]) >= 0).all()


def test_scores_of_few_distinct_values_are_linear() -> None:
    """If each value has its own cell, scores are the values, shifted and scaled."""
    rng = np.random.default_rng(3)
    values = rng.choice([-4.0, 0.0, 1.0, 10.0], 5000)
    stream = stream_of(values)
    scores = stream.cell_scores()[stream.cell_of(np.array([-4.0, 0.0, 1.0, 10.0]))]
    np.testing.assert_allclose(np.diff(scores) / np.diff(scores).sum(), np.array([4, 1, 9]) / 14)


def test_an_outlier_does_not_compress_the_scores() -> None:
    """One extreme value in the reference does not change the distances between other scores."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=5000)
    before = stream_of(values).cell_scores()[1:-2]
    values[17] = 1e300
    after = stream_of(values).cell_scores()[1:-2]
    assert abs(np.ptp(after) - np.ptp(before)) < 0.2


@PROPERTY
@given(columns)
def test_mean_and_quantiles_equal_numpys(reference: Floats) -> None:
    """The mean is numpy's over finite values, quantiles over values that are not missing."""
    stream = stream_of(reference)
    known = reference[~np.isnan(reference)]
    finite = known[np.isfinite(known)]
    if not len(finite):
        assert np.isnan(stream.mean)
    else:
        scale = max(1.0, float(np.abs(finite).max()))
        assert stream.mean / scale == pytest.approx(float((finite / scale).mean()), abs=1e-9)
    for q in (0.0, 0.25, 0.5, 0.95, 1.0):
        if len(known):
            index = max(0, int(np.ceil(q * len(known) - 1e-9)) - 1)
            assert stream.quantile(q) == np.sort(known)[index]
        else:
            assert np.isnan(stream.quantile(q))


def test_blocks_keep_the_order_of_records() -> None:
    """Block means are those of consecutive records' scores, without missing values."""
    rng = np.random.default_rng(5)
    values = rng.choice([0.0, 1.0, np.nan], 1000 + BLOCK_SIZE // 2)
    stream = stream_of(values)
    scores = stream.cell_scores()[stream.cell_of(values)][:1000]
    cells = stream.cell_of(values)
    assert stream.blocks.shape == (10, len(stream.cuts) + 2)
    for row, start in zip(stream.blocks, range(0, 1000, BLOCK_SIZE), strict=True):
        expected = [(cells[start : start + BLOCK_SIZE] == cell).sum() for cell in range(len(row))]
        assert row.tolist() == expected
    np.testing.assert_allclose(
        stream.block_means(BLOCK_SIZE), np.nanmean(scores.reshape(10, -1), axis=1)
    )
    np.testing.assert_allclose(stream.block_means(500), np.nanmean(scores.reshape(2, -1), axis=1))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_inflation_of_ar1_records_matches_theory(rho: float) -> None:
    """For AR(1) it is near (1 + rho) / (1 - rho), the inflation of a long mean."""
    rng = np.random.default_rng(6)
    noise = rng.normal(size=(20, 50_000))
    found = baseline(Kind.NUMERIC, lfilter([1], [1, -rho], noise, axis=1)).inflation
    expected = (1 + rho) / (1 - rho)
    assert 0.8 * expected < np.median(found) < 1.4 * expected
    assert found.min() > 0.6 * expected
    assert (found >= 1).all()


def test_inflation_shows_a_varying_spread() -> None:
    """A varying spread does not move the mean rank, but inflates the shares of bins."""
    rng = np.random.default_rng(7)
    spread = np.repeat(rng.choice([0.5, 1.5], 50), 1000)
    (found,) = baseline(Kind.NUMERIC, rng.normal(size=(1, 50_000)) * spread).inflation
    assert found > 20


def categories_of(counts: dict[str | None, int], max_categories: int = 1000) -> CategoricalStream:
    """Return the reference of a stream of these categories, in random order."""
    vocabulary = [name for name in counts if name is not None]
    codes = [-1 if name is None else vocabulary.index(name) for name in counts]
    records = np.repeat(np.array(codes, np.intp), np.array(list(counts.values()), np.intp))
    order = np.random.default_rng(9).permutation(len(records))
    return build_categorical_stream(
        "x", vocabulary, records[order], 1000, max_categories=max_categories
    )


def test_categories_are_ordered_by_frequency() -> None:
    """Frequent categories have bins, rare ones share one, those beyond the limit are "other".

    The rare category with the fewest records is expected as often among those beyond the limit.
    """
    counts = {"b": 300, "a": 300, "c": 389, "rare": 8, "rarer": 2, "dropped": 1, None: 40}
    stream = categories_of(counts, max_categories=5)
    assert stream.categories == ("c", "a", "b", "rare", "rarer")
    assert stream.other == 1
    assert stream.missing == 40
    assert stream.count == 1000
    assert stream.bin_names() == ("c", "a", "b", "rare (2 categories)", BEYOND_LIMIT, "missing")
    np.testing.assert_array_equal(stream.bin_counts(), [389, 300, 300, 8, 3, 40])
    cell_by_category = stream.cell_by_category()
    assert [cell_by_category.get(name) for name in stream.categories] == [0, 1, 2, 3, 3]
    assert "dropped" not in cell_by_category


TAKEN = (UNSEEN, BEYOND_LIMIT, "rare (0 categories)", "rare (1 category)", "missing", "other")


@PROPERTY
@given(
    st.sets(
        st.tuples(st.sampled_from(TAKEN), st.integers(0, 3)).map(
            lambda each: each[0] + " (named)" * each[1]
        ),
        min_size=1,
    ),
    st.integers(1, 30),
)
def test_no_two_bins_have_the_same_name(names: set[str], max_categories: int) -> None:
    """Categories named like catch-all bins, or like their display names, are told apart."""
    stream = categories_of(dict.fromkeys(names, 100), max_categories=max_categories)
    shown = stream.bin_names()
    assert len(set(shown)) == len(shown) == stream.bins


@PROPERTY
@given(
    st.dictionaries(st.one_of(st.none(), st.text(max_size=3)), st.integers(1, 10_000), max_size=50),
    st.integers(1, 60),
)
def test_bins_of_categories_add_up(counts: dict[str | None, int], max_categories: int) -> None:
    """All records are in some bin, and bin numbers fit into a byte."""
    stream = categories_of(counts, max_categories=max_categories)
    assert stream.bin_counts().sum() == sum(counts.values())
    assert len(stream.bin_counts()) == stream.bins == len(stream.bin_names()) <= 255
    assert len(stream.categories) <= max_categories
    own = stream.counts[: stream.frequent]
    values = sum(count for name, count in counts.items() if name is not None)
    assert (own >= RARE_SHARE * values).all()


@PROPERTY
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 450))
def test_blocks_of_categories_equal_a_recount(seed: int, max_categories: int, records: int) -> None:
    """Each block of a hundred records counts them by bin, in the order of arrival."""
    rng = np.random.default_rng(seed)
    vocabulary = ("stop", "length", "tool", "error", "filter", "never")
    codes = rng.choice([-1, 0, 0, 0, 1, 2, 3, 4], records)
    stream = build_categorical_stream("x", vocabulary, codes, 1000, max_categories=max_categories)
    cell_by_category, other = stream.cell_by_category(), stream.cells - 2
    assert stream.blocks.shape == (records // BLOCK_SIZE, stream.cells)
    for row, start in zip(stream.blocks, range(0, records, BLOCK_SIZE), strict=False):
        expected = [0] * stream.cells
        for code in codes[start : start + BLOCK_SIZE].tolist():
            expected[
                stream.cells - 1 if code < 0 else cell_by_category.get(vocabulary[code], other)
            ] += 1
        assert row.tolist() == expected


def test_inflation_of_independent_categories_is_near_one() -> None:
    """Independent categories have an inflation near 1, whatever their shares."""
    rng = np.random.default_rng(11)
    for levels in (2, 5, 12, 200):
        found = baseline(Kind.CATEGORICAL, zipf(rng, levels, 20, 50_000)).inflation
        assert (found >= 1).all()
        assert np.median(found) < 1.6
        assert found.max() < 2.5


@pytest.mark.parametrize("run", [5, 20, 50])
def test_inflation_of_bursts_is_near_their_length(run: int) -> None:
    """Runs of a category inflate the variance of shares by the length of the run."""
    rng = np.random.default_rng(12)
    found = [
        baseline(Kind.CATEGORICAL, bursts(rng, run, 1, 50_000)).inflation[0] for _ in range(10)
    ]
    assert 0.8 * run < np.median(found) < 1.8 * run
    assert min(found) > 0.6 * run


def test_inflation_of_categories_depends_on_their_order() -> None:
    """The same records have little inflation if shuffled, and the most if sorted."""
    rng = np.random.default_rng(13)
    records = bursts(rng, 50, 1, 50_000)
    shuffled, by_name = rng.permutation(records, axis=1), np.sort(records, axis=1)
    inflation = [baseline(Kind.CATEGORICAL, each).inflation[0] for each in (shuffled, by_name)]
    assert inflation[0] < 1.6
    assert inflation[1] > 300


def test_arrays_of_streams_are_padded_with_zeros() -> None:
    """The arrays of a baseline hold each stream's own numbers, and zeros beyond them."""
    rng = np.random.default_rng(8)
    numeric = baseline(Kind.NUMERIC, np.stack((rng.normal(size=5000), np.zeros(5000)))).numeric
    categorical = baseline(Kind.CATEGORICAL, sample(Kind.CATEGORICAL, rng, 1, 5000)).categorical
    base = Baseline(5000, numeric, categorical)
    for i, stream in enumerate(base.streams):
        own = stream.cell_counts()
        np.testing.assert_array_equal(base.cell_counts[i, : len(own)], own)
        assert not base.cell_counts[i, len(own) :].any()
        assert base.bin_counts[i].sum() == 5000
        each = np.zeros((len(own), len(base.streams), base.max_cells))
        each[:, i, : len(own)] = np.eye(len(own))
        np.testing.assert_array_equal(
            base.sum_by_bin(each)[:, i].argmax(axis=1), stream.bin_of_cell()
        )
    np.testing.assert_array_equal(base.stream_indices(frozenset({Kind.CATEGORICAL})), [2])


def test_a_baseline_without_streams_has_empty_arrays() -> None:
    """A baseline without streams is valid."""
    base = Baseline(10, (), ())
    assert base.streams == ()
    assert base.bin_counts.shape[0] == base.cell_counts.shape[0] == base.counts.shape[0] == 0
    assert base.sum_by_bin(np.zeros((3, 0, base.max_cells))).shape == (3, *base.bin_counts.shape)
    for kind in VALUE_KINDS:
        assert base.stream_indices(frozenset({kind})).shape == (0,)


@PROPERTY
@given(st.lists(columns, max_size=3), st.lists(st.integers(1, 40), max_size=3), st.integers(1, 4))
def test_counts_by_bin_equal_a_recount(
    numeric: list[Floats], categorical: list[int], windows: int
) -> None:
    """Each bin has the counts of its own cells, whatever the sizes of the streams."""
    rng = np.random.default_rng(15)
    streams = tuple(stream_of(values, 300) for values in numeric)
    names = tuple(map(str, range(40)))
    codes = [rng.integers(-1, levels, 200) for levels in categorical]
    base = Baseline(
        200, streams, tuple(build_categorical_stream("c", names, each, 300) for each in codes)
    )
    counts = np.zeros((windows, len(base.streams), base.max_cells))
    expected = np.zeros((windows, *base.bin_counts.shape))
    for (window, row), stream in product(enumerate(counts), enumerate(base.streams)):
        i, of = stream
        for cell, place in enumerate(of.bin_of_cell().tolist()):
            row[i, cell] = rng.integers(0, 1000)
            expected[window, i, place] += row[i, cell]
    np.testing.assert_array_equal(base.sum_by_bin(counts), expected)
    np.testing.assert_array_equal(base.sum_by_bin(base.cell_counts[None])[0], base.bin_counts)
