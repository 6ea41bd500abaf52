"""Rare categories: one that multiplies is found and named though all of them hardly move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.arrays import Floats, Ints
from detectors.baseline import Baseline
from detectors.categorical_stream import MAX_CELLS, CategoricalStream, build_categorical_stream
from detectors.parts import parts_of
from detectors.rare_cells import MIN_IN_CELL, assign_rare_cells
from detectors.sparse import values_of
from tests.detectors.harness import PROPERTY, Harness

RECORDS = 15_000
LEVEL = 1e-6


def names(count: int) -> tuple[str, ...]:
    """Return the names of categories."""
    return tuple(f"c{i:03d}" for i in range(count))


def stream_of(shares: Floats, seed: int = 0, records: int = RECORDS) -> CategoricalStream:
    """Return a reference with these shares of categories."""
    codes = np.random.default_rng(seed).choice(len(shares), records, p=shares)
    return build_categorical_stream("k", names(len(shares)), codes, 1000)


def cells_of(stream: CategoricalStream, codes: Ints, count: int) -> Ints:
    """Return the cells of categories."""
    return stream.cells_by_code(names(count))[codes]


def with_one_grown(rare: int, share: float, to: float) -> tuple[Floats, Floats]:
    """Return shares of a frequent category and rare ones of `share` each; then one has `to`."""
    before = np.array([1 - rare * share] + [share] * rare)
    after = before.copy()
    after[rare // 2 + 1] = to
    after[0] -= to - share
    return before, after


GROWN = [(3, 0.008, 0.032), (30, 0.003, 0.05), (200, 0.001, 0.05), (900, 0.0005, 0.05)]


@pytest.mark.parametrize(("rare", "share", "to"), GROWN)
def test_one_of_many_rare_categories_is_found(rare: int, share: float, to: float) -> None:
    """A rare category that multiplies is found in two windows, however many others there are."""
    before, after = with_one_grown(rare, share, to)
    for seed in range(3):
        stream = stream_of(before, seed)
        rig = Harness(Baseline(RECORDS, (), (stream,)), "e_detector", level=LEVEL)
        codes = np.random.default_rng(seed + 50).choice(rare + 1, 2000, p=after)
        cells = cells_of(stream, codes, rare + 1).astype(np.uint8)[None]
        windows = rig.window.extend(np.zeros((0, 2000)), cells)
        assert rig.detectors[0].update(windows).any(), seed


@pytest.mark.parametrize(("rare", "share", "to"), GROWN)
def test_the_category_that_moved_is_a_part(rare: int, share: float, to: float) -> None:
    """It has its own name and shares, whether it has a cell of its own or shares one."""
    before, after = with_one_grown(rare, share, to)
    stream, name = stream_of(before), names(rare + 1)[rare // 2 + 1]
    codes = np.random.default_rng(1).choice(rare + 1, 2000, p=after)
    counts = np.bincount(cells_of(stream, codes, rare + 1), minlength=stream.cells)
    known = {each: int((codes == names(rare + 1).index(each)).sum()) for each in stream.shared()}
    parts = parts_of(stream, counts.astype(float), known)
    assert name in parts.names
    part = parts.names.index(name)
    assert parts.counts[part] == (codes == rare // 2 + 1).sum()
    assert parts.expected[part] == pytest.approx(
        stream.counts[stream.categories.index(name)], rel=0.1
    )
    assert len(parts.names) <= stream.bins + 2
    assert parts.counts.sum() == 2000
    assert parts.expected.sum() == pytest.approx(RECORDS)
    own = parts.of_code(stream, (*names(rare + 1), "new"))
    assert (np.bincount(own[codes], minlength=len(parts.names)) == parts.counts).all()
    assert parts.names[own[rare // 2 + 1]] == name


def test_unchanged_records_have_the_bins_as_parts() -> None:
    """A category that has not moved is named in about one of a hundred pages at most."""
    before, _ = with_one_grown(60, 0.004, 0.05)
    stream, named = stream_of(before), 0
    for seed in range(200):
        codes = np.random.default_rng(1000 + seed).choice(61, 1000, p=before)
        counts = np.bincount(cells_of(stream, codes, 61), minlength=stream.cells)
        named += len(parts_of(stream, counts.astype(float)).names) > stream.bins
    assert named <= 7  # a Poisson count of mean 2 exceeds 7 in 0.1 % of the cases


@PROPERTY
@given(
    st.lists(st.integers(1, 120), max_size=300),
    st.integers(-30, 70),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_cells_are_few_and_all_used(
    counts: list[int], available: int, known: float, seed: int
) -> None:
    """Cells are numbered from 0 without a gap; well-known categories have their own."""
    ordered = np.array(sorted(counts, reverse=True), np.int64)
    lone = np.random.default_rng(seed).random(len(ordered)) < 0.1
    cells = assign_rare_cells(ordered, lone, 12_000, available, known)
    assert len(cells) in {0, len(ordered)}
    if len(cells):
        held = np.bincount(cells)
        assert (held > 0).all()
        assert 2 <= len(held) <= available
        own = np.isin(cells, np.flatnonzero(held == 1))
        assert (ordered[~own] <= ordered[own].max(initial=0)).all() or not own.any() or lone.any()
        if len(held) < available // 2:
            assert own[(ordered >= MIN_IN_CELL) & ~lone].all()


def test_cells_are_as_many_as_those_of_numeric_streams() -> None:
    """The cells of any stream are few, and their expected records are those of its bins."""
    for rare, share in ((3, 0.008), (900, 0.001), (99, 0.0099)):
        stream = stream_of(np.array([1 - rare * share] + [share] * rare))
        assert stream.cells <= MAX_CELLS
        by_bin = np.bincount(stream.bin_of_cell(), stream.cell_counts())
        np.testing.assert_allclose(by_bin, stream.bin_counts())
        assert len(set(stream.cell_names())) == stream.cells


def test_values_of_a_sparse_stream_keep_rare_categories() -> None:
    """The reference of the values has the same cells, also where categories occur once only."""
    rng = np.random.default_rng(3)
    codes = rng.choice(np.arange(-1, 400), 40_000, p=np.append(0.9, np.full(400, 0.1 / 400)))
    codes[rng.choice(40_000, 300, replace=False)] = np.arange(400, 700)  # each of them once
    stream = build_categorical_stream("k", names(700), codes, 1000)
    values = values_of(stream, 100)
    assert isinstance(values, CategoricalStream)
    np.testing.assert_allclose(values.cell_counts()[:-2], stream.cell_counts()[:-2])
    assert values.blocks.sum() == len(values.blocks) * 100
