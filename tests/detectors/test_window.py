"""The window: counts the last W records, for any values and any batch size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import fields
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import build_categorical_stream
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream
from detectors.window import Window, Windows
from tests.detectors.harness import PROPERTY, sample

Bins = NDArray[np.uint8]

RECORDS, STRIDE = 12, 3


def mixed_baseline() -> Baseline:
    """Return a baseline of two numeric streams and a categorical one, of different sizes."""
    rng = np.random.default_rng(1)
    numeric = (
        build_numeric_stream("wide", Kind.NUMERIC, rng.normal(size=2000), 1000),
        build_numeric_stream("flag", Kind.BINARY, (rng.random(2000) < 0.2).astype(float), 1000),
    )
    codes = rng.permutation(np.repeat([0, 1], [1500, 500]))
    why = build_categorical_stream("why", ("stop", "length"), codes, 1000)
    return Baseline(2000, numeric, (why,))


BASE = mixed_baseline()

value = st.one_of(
    st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf]), st.floats(-3, 3), st.floats()
)
block = st.tuples(
    st.lists(st.tuples(value, value), min_size=STRIDE, max_size=STRIDE),
    st.lists(st.integers(0, 4), min_size=STRIDE, max_size=STRIDE),
)


Blocks = list[tuple[list[tuple[float, float]], list[int]]]
blocks_of_records = st.lists(block, max_size=20)
spans = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@PROPERTY
@given(blocks_of_records, spans)
def test_counts_are_those_of_the_last_records(blocks: Blocks, together: list[int]) -> None:
    """Counts by cell and bin, missing values and values equal a recount of the last W records."""
    window = Window(BASE, RECORDS, STRIDE)
    numbers, bins = joined(blocks)
    seen = 0
    for windows in extended(window, blocks, together):
        assert windows.stride_number == seen + 1
        for j in range(len(windows)):
            seen += 1
            last = slice(max(0, seen * STRIDE - RECORDS), seen * STRIDE)
            stride = slice((seen - 1) * STRIDE, seen * STRIDE)
            cells = recount(numbers[:, last], bins[:, last])
            np.testing.assert_array_equal(windows.cell_counts[j], cells)
            np.testing.assert_array_equal(
                windows.newest_counts[j], recount(numbers[:, stride], bins[:, stride])
            )
            np.testing.assert_array_equal(windows.present[j], present(numbers[:, last]))
            np.testing.assert_array_equal(
                windows.bin_counts[j], recount_bins(numbers[:, last], bins[:, last])
            )
            for stream in range(2):
                np.testing.assert_array_equal(
                    windows.values(stream, j), last_values(numbers, seen)[stream]
                )
            assert windows.full[j] == (seen * STRIDE >= RECORDS)
        np.testing.assert_array_equal(window.cell_counts, windows.cell_counts[-1])
        np.testing.assert_array_equal(window.values, last_values(numbers, seen))
        assert window.full == windows.full[-1]
    assert seen == window.strides == len(blocks)
    copy = Window(BASE, RECORDS, STRIDE)
    copy.restore(window.snapshot())
    for name in ("values", "counts", "cell_counts", "strides"):
        np.testing.assert_array_equal(getattr(copy, name), getattr(window, name))
    assert copy.snapshot() == window.snapshot()


@PROPERTY
@given(blocks_of_records, spans)
def test_the_batch_size_makes_no_difference(blocks: Blocks, together: list[int]) -> None:
    """Each window of a batch equals that of one stride at a time, bit by bit."""
    slow, fast = Window(BASE, RECORDS, STRIDE), Window(BASE, RECORDS, STRIDE)
    expected = list(extended(slow, blocks, [1]))
    found = list(extended(fast, blocks, together))
    alone = [windows.at(j) for windows in found for j in range(len(windows))]
    assert len(alone) == len(expected)
    for ours, theirs in zip(alone, expected, strict=True):
        assert_same(ours, theirs)
        assert_same(ours.at(0), theirs)
    values = [
        [windows.values(stream, j).tobytes() for stream in range(2)]
        for windows in found
        for j in range(len(windows))
    ]
    assert values == [[one.values(s).tobytes() for s in range(2)] for one in expected]
    for windows in found:
        for stream in range(2):
            last = windows.values(stream, len(windows) - 1).tobytes()
            assert windows.values(stream).tobytes() == last
    assert fast.snapshot() == slow.snapshot()


@PROPERTY
@given(blocks_of_records.filter(len), spans)
def test_current_is_the_window_of_the_newest_stride(blocks: Blocks, together: list[int]) -> None:
    """`current` returns the last window of `extend`, also in a restored copy."""
    window = Window(BASE, RECORDS, STRIDE)
    *_, last = extended(window, blocks, together)
    copy = Window(BASE, RECORDS, STRIDE)
    copy.restore(window.snapshot())
    expected = last.at(len(last) - 1)
    for now in (window.current(), copy.current()):
        assert now.stride_number == window.strides
        for name in ("full", "cell_counts", "newest_counts", "bin_counts", "present"):
            np.testing.assert_array_equal(getattr(now, name), getattr(expected, name))
        for stream in range(2):
            np.testing.assert_array_equal(now.values(stream), expected.values(stream))


@PROPERTY
@given(blocks_of_records.filter(len), spans, st.integers(1, RECORDS // STRIDE))
def test_last_strides_is_a_window_of_these_records(
    blocks: Blocks, together: list[int], strides: int
) -> None:
    """Counts, missing values and values of the last strides equal a recount."""
    window = Window(BASE, RECORDS, STRIDE)
    numbers, bins = joined(blocks)
    seen = 0
    for windows in extended(window, blocks, together):
        for j in range(len(windows)):
            seen += 1
            part = window.last_strides(windows.at(j), strides)
            last = slice(max(0, seen - strides) * STRIDE, seen * STRIDE)
            assert (part.stride_number, part.records) == (seen, strides * STRIDE)
            counts = recount(numbers[:, last], bins[:, last])
            np.testing.assert_array_equal(part.cell_counts[0], counts)
            np.testing.assert_array_equal(
                part.bin_counts[0], recount_bins(numbers[:, last], bins[:, last])
            )
            absent = np.isnan(numbers[:, last]).sum(axis=1)
            np.testing.assert_array_equal(part.present[0], part.records - absent)
            for stream in range(2):
                expected = last_values(numbers, seen)[stream, -part.records :]
                np.testing.assert_array_equal(part.values(stream), expected)
                np.testing.assert_array_equal(
                    windows.at(j).cells_by_stride(stream)[-strides:].sum(axis=0), counts[stream]
                )


def test_windows_do_not_change_with_later_strides() -> None:
    """The windows of earlier strides do not change."""
    rng = np.random.default_rng(3)
    window = Window(BASE, RECORDS, STRIDE)
    categories = np.zeros((1, 2 * STRIDE), np.uint8)
    earlier = window.extend(rng.normal(size=(2, 2 * STRIDE)), categories)
    before = deepcopy(earlier)
    for _ in range(5):
        window.extend(rng.normal(size=(2, 2 * STRIDE)), categories)
        window.restore(Window(BASE, RECORDS, STRIDE).snapshot())
    assert_same(earlier, before)
    assert_same(earlier.at(1), before.at(1))


def test_a_window_must_be_a_multiple_of_the_stride() -> None:
    """A window that strides do not fill exactly is an error."""
    with pytest.raises(ValueError, match="not a multiple of the stride 300"):
        Window(BASE, 1000, 300)


@pytest.mark.parametrize(("records", "stride"), [(24, 3), (12, 4), (12, 6)])
def test_rejects_the_snapshot_of_another_window(records: int, stride: int) -> None:
    """A snapshot of another shape is a ValueError and does not change the window."""
    window = Window(BASE, RECORDS, STRIDE)
    window.extend(np.ones((2, STRIDE)), np.zeros((1, STRIDE), np.uint8))
    before = window.snapshot()
    with pytest.raises(ValueError, match="another shape"):
        window.restore(Window(BASE, records, stride).snapshot())
    assert window.snapshot() == before


@pytest.mark.parametrize("together", [1, 3])
def test_large_strides_do_not_overflow(together: int) -> None:
    """A stride with all records in one cell counts them all."""
    window = Window(BASE, 80_000, 40_000)
    for _ in range(3 // together):
        records = together * 40_000
        window.extend(np.zeros((2, records)), np.zeros((1, records), np.uint8))
    assert window.counts.max() == 40_000
    assert window.cell_counts.max(axis=1).tolist() == [80_000] * 3
    assert window.cell_counts.min() == 0


def test_the_caller_may_reuse_its_arrays() -> None:
    """The window copies its input."""
    rng = np.random.default_rng(2)
    values, categories = sample(Kind.NUMERIC, rng, 2, STRIDE), np.zeros((1, STRIDE), np.uint8)
    window = Window(BASE, RECORDS, STRIDE)
    window.extend(values, categories)
    before = window.snapshot()
    values[:], categories[:] = 9, 1
    assert window.snapshot() == before


def joined(blocks: Blocks) -> tuple[Floats, Bins]:
    """Return all values, shape (2, n), and all bins, shape (1, n)."""
    pairs = [pair for values, _ in blocks for pair in values]
    bins = [category for _, categories in blocks for category in categories]
    return np.array(pairs, float).reshape(-1, 2).T, np.array([bins], np.uint8)


def extended(window: Window, blocks: Blocks, together: Sequence[int]) -> Iterator[Windows]:
    """Yield the windows of strides in batches of the given sizes, repeatedly."""
    start = 0
    for span in cycle(together):
        if start >= len(blocks):
            return
        yield window.extend(*joined(blocks[start : start + span]))
        start += span


def last_values(numbers: Floats, strides: int) -> Floats:
    """Return the values of the last W records after some strides, NaN before the first record."""
    empty = np.full((2, RECORDS), np.nan)
    return np.concatenate((empty, numbers[:, : strides * STRIDE]), axis=1)[:, -RECORDS:]


def assert_same(ours: Windows, theirs: Windows) -> None:
    """Assert that two windows are the same, bit by bit."""
    for stream in range(len(ours.present[0])):
        assert ours.values(stream).tobytes() == theirs.values(stream).tobytes(), stream
    for field in fields(Windows):
        if field.name in {"old_values", "new_values"}:  # compared by `values`
            continue
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if isinstance(mine, np.ndarray):
            assert (field.name, mine.dtype, mine.shape) == (field.name, other.dtype, other.shape)
            assert mine.tobytes() == other.tobytes(), field.name
        else:
            assert mine == other, field.name


def recount(numbers: Floats, bins: Bins) -> Floats:
    """Return records by stream and cell, counted one by one."""
    counts = np.zeros((3, BASE.max_cells))
    for row, stream, column in zip(counts, BASE.numeric, numbers, strict=False):
        for cell in stream.cell_of(column):
            row[cell] += 1
    for category in bins[0]:
        counts[2, int(category)] += 1
    return counts


def recount_bins(numbers: Floats, bins: Bins) -> Floats:
    """Return records by stream and bin, counted one by one."""
    counts = np.zeros(BASE.bin_counts.shape)
    for row, stream, column in zip(counts, BASE.numeric, numbers, strict=False):
        for cell in stream.cell_of(column):
            row[stream.bin_of_cell()[cell]] += 1
    for category in bins[0]:
        counts[2, int(category)] += 1
    return counts


def present(numbers: Floats) -> list[int]:
    """Return the number of values that are not missing, by stream; unseen records count too."""
    return [RECORDS - sum(value != value for value in row) for row in numbers.tolist()]  # noqa: PLR0124 # NaN
