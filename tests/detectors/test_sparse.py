"""The references that are derived from that of a sparse stream."""

from __future__ import annotations

import numpy as np
import pytest

from detectors import sparse
from detectors.arrays import Floats
from detectors.categorical_stream import build_categorical_stream
from detectors.dependence import BLOCK_SIZE
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream, build_numeric_stream

RECORDS = 20_050


def sampled(rng: np.random.Generator, values: Floats, share: float) -> Floats:
    """Return the values with all but a share of them missing at random."""
    return np.where(rng.random(len(values)) < share, values, np.nan)


def numeric(values: Floats, window: int = 1000, kind: Kind = Kind.NUMERIC) -> NumericStream:
    """Return the reference of a numeric stream."""
    return build_numeric_stream("x", kind, values, window)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.75])
def test_values_are_those_of_the_records_with_one(share: float) -> None:
    """The derived reference has the same distribution, and no missing values."""
    rng = np.random.default_rng(1)
    values = sampled(rng, rng.lognormal(0, 1, RECORDS), share)
    derived = sparse.values_of(numeric(values), 100)
    assert isinstance(derived, NumericStream)
    present = values[~np.isnan(values)]
    assert np.array_equal(derived.values(), np.sort(present))
    assert derived.missing == 0
    assert len(derived.blocks) == len(present) // BLOCK_SIZE
    assert len(derived.edges) + 1 == max(sparse.MIN_BINS, min(100, len(present)) // 50)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_blocks_of_values_keep_the_order_of_the_records(share: float) -> None:
    """A trend of the values is a trend of the means of their blocks."""
    rng = np.random.default_rng(2)
    values = sampled(rng, np.linspace(0, 1, RECORDS), share)
    derived = sparse.values_of(numeric(values), 100)
    assert isinstance(derived, NumericStream)
    means = derived.block_means(BLOCK_SIZE)
    assert (np.diff(means) > 0).all()


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dependence_of_values_is_measured_over_values(share: float) -> None:
    """Values that come in runs have the inflation of their own sequence; others have none."""
    rng = np.random.default_rng(3)
    runs = np.repeat(rng.normal(size=RECORDS // 401 + 1), 401)[:RECORDS]
    present = rng.random(RECORDS) < share
    for values, least, most in ((runs, 4, 1000), (rng.normal(size=RECORDS), 1, 2.2)):
        row = np.where(present, values, np.nan)
        derived = sparse.values_of(numeric(row), 100)
        direct = numeric(values[present], 100)
        assert least <= derived.inflation <= most
        assert derived.inflation == pytest.approx(direct.inflation, rel=0.35)


def test_missing_flag_equals_the_reference_of_the_flags() -> None:
    """It is the binary stream that would have been built from the flags of all records."""
    rng = np.random.default_rng(4)
    values = sampled(rng, rng.normal(size=RECORDS), 0.3)
    flag = sparse.missing_flag(numeric(values), "missing.x", 1000)
    direct = numeric(np.isnan(values).astype(float), kind=Kind.BINARY)
    assert (flag.name, flag.kind) == ("missing.x", Kind.BINARY)
    assert np.array_equal(flag.below, direct.below)
    assert np.array_equal(flag.blocks, direct.blocks)
    assert flag.inflation == direct.inflation


@pytest.mark.parametrize("share", [0.01, 0.4])
def test_categories_of_a_sparse_stream_have_bins_of_their_own(share: float) -> None:
    """A category is rare by its share of the values, not of the records."""
    rng = np.random.default_rng(5)
    codes = np.where(
        rng.random(RECORDS) < share, rng.choice(3, RECORDS, p=[0.6, 0.3, 0.1]), -1
    ).astype(np.intp)
    stream = build_categorical_stream("x", ("a", "b", "c"), codes, 1000)
    derived = sparse.values_of(stream, 100)
    present = codes[codes >= 0]
    direct = build_categorical_stream("x", ("a", "b", "c"), present, 100)
    assert derived.bin_names() == direct.bin_names() == (
        "a", "b", "c", "rare (0 categories)", "other (not in the reference)", "missing",
    )  # fmt: skip
    assert np.array_equal(derived.bin_counts(), direct.bin_counts())
    assert derived.blocks.sum(axis=1).tolist() == [BLOCK_SIZE] * (len(present) // BLOCK_SIZE)


def test_derived_references_are_deterministic() -> None:
    """The same reference gives the same bytes: a restart continues with the same blocks."""
    rng = np.random.default_rng(6)
    stream = numeric(sampled(rng, rng.normal(size=RECORDS), 0.5))
    first, second = (sparse.values_of(stream, 100) for _ in range(2))
    assert first.blocks.tobytes() == second.blocks.tobytes()
