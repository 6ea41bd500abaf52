"""Block bootstrap: records have the reference's distribution and dependence."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.block_bootstrap import BlockBootstrap
from detectors.categorical_stream import build_categorical_stream
from detectors.dependence import BLOCK_SIZE, count_blocks
from detectors.evaluate import baseline_from_array
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream

N = 20_000


def mixed(seed: int = 0) -> Baseline:
    """Return a baseline of a number with missing values and ties, a flag and a category."""
    rng = np.random.default_rng(seed)
    number = np.round(rng.lognormal(3, 1, N))
    number[rng.random(N) < 0.03] = np.nan
    flag = (rng.random(N) < 0.1).astype(float)
    codes = rng.choice([-1, 0, 1, 2], N, p=[0.05, 0.6, 0.3, 0.05])
    numeric = build_numeric_stream("x", Kind.NUMERIC, number, 1000)
    binary = build_numeric_stream("b", Kind.BINARY, flag, 1000)
    return Baseline(
        N, (numeric, binary), (build_categorical_stream("c", ["p", "q", "r"], codes, 1000),)
    )


def autoregressive(rho: float) -> Floats:
    """Return an AR(1) stream."""
    rng = np.random.default_rng(5)
    noise, values = rng.standard_normal(N), np.zeros(N)
    for i in range(1, N):
        values[i] = rho * values[i - 1] + noise[i]
    return values


def test_marginals_are_those_of_the_reference() -> None:
    """Only the reference's values occur, as often as in it, and as many missing ones."""
    base = mixed()
    values, categories = BlockBootstrap(base, 1000, 1).take(200_000)
    x, b = base.numeric
    assert np.isin(values[0][~np.isnan(values[0])], x.support).all()
    assert np.isnan(values[0]).mean() == pytest.approx(x.missing / N, rel=0.1)
    assert np.nanmedian(values[0]) == pytest.approx(x.quantile(0.5), rel=0.05)
    assert values[1].mean() == pytest.approx(b.mean, rel=0.05)
    shares = np.bincount(categories[0], minlength=base.categorical[0].bins) / 200_000
    assert shares == pytest.approx(base.categorical[0].bin_counts() / N, abs=0.01)


def test_blocks_are_those_of_the_reference() -> None:
    """Each hundred records are one block of the reference, the same one for every stream."""
    base = mixed()
    values, categories = BlockBootstrap(base, 1000, 1).take(30 * BLOCK_SIZE)
    x, category = base.numeric[0], base.categorical[0]
    blocks = count_blocks(x.cell_of(values[0]), len(x.cuts) + 2)
    bins = count_blocks(categories[0].astype(np.intp), category.bins)
    for block, other in zip(blocks, bins, strict=True):
        (places,) = np.nonzero((x.blocks == block).all(axis=1))
        assert any((category.blocks[place] == other).all() for place in places)


@pytest.mark.parametrize("rho", [0.0, 0.95, 0.995])
def test_dependence_is_kept(rho: float) -> None:
    """Means of windows vary as much as those of the reference."""
    source = autoregressive(rho)[None]
    values, _ = BlockBootstrap(baseline_from_array(source), 1000, 1).take(400_000)
    spread = values[0].reshape(-1, 1000).mean(axis=1).std()
    assert spread == pytest.approx(source[0].reshape(-1, 1000).mean(axis=1).std(), rel=0.35)


def test_batches_of_any_size_give_the_same_records() -> None:
    """The rest of a block is in the next batch: no record is lost or repeated."""
    base = mixed()
    values, categories = BlockBootstrap(base, 1000, 7).take(BLOCK_SIZE)
    source = BlockBootstrap(base, 1000, 7)
    batches = [source.take(count) for count in (30, 30, 40)]
    assert np.array_equal(np.concatenate([p[0] for p in batches], axis=1), values, equal_nan=True)
    assert np.array_equal(np.concatenate([p[1] for p in batches], axis=1), categories)
    assert [piece[0].shape for piece in batches] == [(2, 30), (2, 30), (2, 40)]


def test_the_seed_determines_the_records() -> None:
    """The same seed gives the same records, another seed different ones."""
    base = mixed()
    first, again, other = (BlockBootstrap(base, 1000, seed).take(3000)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)


def test_a_reference_shorter_than_two_windows_is_an_error() -> None:
    """A shorter reference would only be repeated."""
    with pytest.raises(ValueError, match="1900 records is shorter than 2 windows of 1000"):
        BlockBootstrap(baseline_from_array(np.zeros((1, 1_999))), 1000, 0)


def test_a_baseline_without_streams_is_an_error() -> None:
    """A baseline without streams has nothing to resample."""
    with pytest.raises(ValueError, match="shorter than 2 windows"):
        BlockBootstrap(Baseline(5000, (), ()), 1000, 0)
