"""The ring of records: whatever goes in, its counts are those of the last W records."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.base import Floats, Kind
from detectors.baseline import Baseline, categorical_stream, numeric_stream
from detectors.window import Window
from tests.detectors.streams import PROPERTY, sample

Bins = NDArray[np.uint8]

RECORDS, STRIDE = 12, 3


def mixed_baseline() -> Baseline:
    """Two numeric streams and a categorical one, with unlike cells and bins."""
    rng = np.random.default_rng(1)
    numeric = (
        numeric_stream("wide", Kind.NUMERIC, rng.normal(size=2000), 1000),
        numeric_stream("flag", Kind.BINARY, (rng.random(2000) < 0.2).astype(float), 1000),
    )
    return Baseline(2000, numeric, (categorical_stream("why", {"stop": 1500, "length": 500}),))


BASE = mixed_baseline()

value = st.one_of(
    st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf]), st.floats(-3, 3), st.floats()
)
block = st.tuples(
    st.lists(st.tuples(value, value), min_size=STRIDE, max_size=STRIDE),
    st.lists(st.integers(0, 4), min_size=STRIDE, max_size=STRIDE),
)


@PROPERTY
@given(st.lists(block, max_size=12))
def test_counts_are_those_of_the_last_records(
    blocks: list[tuple[list[tuple[float, float]], list[int]]],
) -> None:
    """Counts by cell and bin, missing values and the ring equal a recount of the last W records."""
    window = Window(BASE, RECORDS, STRIDE)
    numbers: Floats = np.zeros((2, 0))
    bins: Bins = np.zeros((1, 0), np.uint8)
    for values, categories in blocks:
        newest: tuple[Floats, Bins] = (np.array(values).T, np.array([categories], np.uint8))
        window.append(*newest)
        numbers = np.concatenate((numbers, newest[0]), axis=1)[:, -RECORDS:]
        bins = np.concatenate((bins, newest[1]), axis=1)[:, -RECORDS:]
        np.testing.assert_array_equal(window.cell_counts, recount(numbers, bins))
        np.testing.assert_array_equal(window.newest_counts, recount(*newest))
        np.testing.assert_array_equal(window.present(), present(numbers))
        np.testing.assert_array_equal(window.bin_counts(), recount_bins(numbers, bins))
        np.testing.assert_array_equal(
            np.sort(window.values[:, : numbers.shape[1]], axis=1), np.sort(numbers, axis=1)
        )
        expected = [
            s.cell_ranks()[s.cell_of(row)] for s, row in zip(BASE.numeric, newest[0], strict=True)
        ]
        np.testing.assert_array_equal(window.newest_ranks(), expected)
    assert window.full == (len(blocks) * STRIDE >= RECORDS)
    copy = Window(BASE, RECORDS, STRIDE)
    copy.restore(window.snapshot())
    for name in ("values", "cells", "cell_counts", "newest_counts", "strides"):
        np.testing.assert_array_equal(getattr(copy, name), getattr(window, name))
    np.testing.assert_array_equal(copy.bin_counts(), window.bin_counts())


def test_a_window_is_a_number_of_strides() -> None:
    """A window that its strides do not fill exactly is refused."""
    with pytest.raises(ValueError, match="no multiple"):
        Window(BASE, 1000, 300)


@pytest.mark.parametrize(("records", "stride"), [(24, 3), (12, 4), (12, 6)])
def test_refuses_the_snapshot_of_another_window(records: int, stride: int) -> None:
    """A snapshot of another shape is a ValueError, and leaves the window as it was."""
    window = Window(BASE, RECORDS, STRIDE)
    window.append(np.ones((2, STRIDE)), np.zeros((1, STRIDE), np.uint8))
    before = window.snapshot()
    with pytest.raises(ValueError, match="another shape"):
        window.restore(Window(BASE, records, stride).snapshot())
    assert window.snapshot() == before


def test_large_strides_do_not_overflow() -> None:
    """A stride whose records all fall into one cell counts them all."""
    window = Window(BASE, 80_000, 40_000)
    for _ in range(3):
        window.append(np.zeros((2, 40_000)), np.zeros((1, 40_000), np.uint8))
    assert window.cell_counts.max(axis=1).tolist() == [80_000] * 3
    assert window.cell_counts.min() == 0


def test_the_caller_may_reuse_its_arrays() -> None:
    """What is appended is copied."""
    rng = np.random.default_rng(2)
    values, categories = sample(Kind.NUMERIC, rng, 2, STRIDE), np.zeros((1, STRIDE), np.uint8)
    window = Window(BASE, RECORDS, STRIDE)
    window.append(values, categories)
    before = window.snapshot()
    values[:], categories[:] = 9, 1
    assert window.snapshot() == before


def recount(numbers: Floats, bins: Bins) -> Floats:
    """Records by stream and cell, counted one by one."""
    counts = np.zeros((3, BASE.cells))
    for row, stream, column in zip(counts, BASE.numeric, numbers, strict=False):
        for cell in stream.cell_of(column):
            row[cell] += 1
    for category in bins[0]:
        counts[2, int(category)] += 1
    return counts


def recount_bins(numbers: Floats, bins: Bins) -> Floats:
    """Records by stream and bin, counted one by one."""
    counts = np.zeros(BASE.bin_counts.shape)
    for row, stream, column in zip(counts, BASE.numeric, numbers, strict=False):
        for cell in stream.cell_of(column):
            row[stream.bin_of_cell()[cell]] += 1
    for category in bins[0]:
        counts[2, int(category)] += 1
    return counts


def present(numbers: Floats) -> list[int]:
    """Values that are not missing, by stream; a window not yet full counts what is to come."""
    return [RECORDS - sum(value != value for value in row) for row in numbers.tolist()]  # noqa: PLR0124 # NaN
