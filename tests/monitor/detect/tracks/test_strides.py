"""Strides: independent of chunk borders, in the row order of the baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.arrays import Floats
from detectors.window import STRIDES_PER_BATCH
from monitor.detect.reference import builder
from monitor.detect.tracks.strides import StrideBuffer, Strides
from monitor.ingest.chunks.columns import Columns
from tests.monitor import synthetic

PROFILE = builder.build([synthetic.stream(2000)], segment="", window=200, categories=100)
NAMES = [stream.name for stream in PROFILE.baseline.streams]


class Stride(NamedTuple):
    """One stride of a batch."""

    values: Floats
    categories: NDArray[np.uint8]
    position: int
    time: float


def split(strides: Strides, size: int) -> Iterator[Stride]:
    """Yield the strides of a batch, of `size` records each."""
    assert strides.values.shape[1] == strides.categories.shape[1] == len(strides) * size
    assert len(strides.positions) == len(strides.times) == len(strides)
    assert np.array_equal(strides.numbers, strides.positions + 7)
    for j, (position, time) in enumerate(zip(strides.positions, strides.times, strict=True)):
        part = slice(j * size, (j + 1) * size)
        yield Stride(
            strides.values[:, part], strides.categories[:, part], int(position), float(time)
        )


def strides_of(buffer: StrideBuffer, *chunks: Columns) -> list[Stride]:
    """Return all strides that the chunks complete."""
    return [
        stride
        for chunk in chunks
        for strides in buffer.strides(chunk, numbers_of(chunk))
        for stride in split(strides, buffer.stride)
    ]


def numbers_of(chunk: Columns) -> NDArray[np.int64]:
    """Return numbers of records that differ from their positions."""
    return np.asarray(chunk.positions + 7)


def comparable(strides: list[Stride]) -> list[tuple[bytes, bytes, int, float]]:
    """Return strides in a form that compares NaN as equal."""
    return [(s.values.tobytes(), s.categories.tobytes(), s.position, s.time) for s in strides]


@synthetic.SLOW_PROPERTY
@given(st.lists(st.integers(0, 333), max_size=40), st.integers(1, 60))
def test_strides_do_not_depend_on_chunks(marks: list[int], stride: int) -> None:
    """Any chunking gives the same strides and the same buffered records."""
    columns = synthetic.stream(333, seed=1)
    whole, pieces = StrideBuffer(PROFILE.baseline, stride), StrideBuffer(PROFILE.baseline, stride)
    expected, got = strides_of(whole, columns), strides_of(pieces, *synthetic.cut(columns, marks))
    assert len(expected) == 333 // stride
    assert comparable(got) == comparable(expected)
    assert pieces.fill == whole.fill == 333 % stride
    assert pieces.values.tobytes() == whole.values.tobytes()
    assert pieces.categories.tobytes() == whole.categories.tobytes()


@pytest.mark.parametrize("buffered", [0, 3])
def test_strides_of_a_chunk_come_in_batches(buffered: int) -> None:
    """A chunk yields batches of at most STRIDES_PER_BATCH strides."""
    buffer = StrideBuffer(PROFILE.baseline, 4)
    first, second = synthetic.stream(buffered), synthetic.stream(8 * STRIDES_PER_BATCH + 10)
    assert list(buffer.strides(first, numbers_of(first))) == []
    sizes = [len(strides) for strides in buffer.strides(second, numbers_of(second))]
    assert sizes == [STRIDES_PER_BATCH, STRIDES_PER_BATCH, (buffered + 10) // 4]
    assert buffer.fill == (buffered + 10) % 4


def test_stride_holds_the_records_in_order() -> None:
    """The rows of the baseline have the values in order of arrival."""
    columns = synthetic.stream(60, seed=2)
    first, second = strides_of(
        StrideBuffer(PROFILE.baseline, 20), *synthetic.cut(columns, [7, 33])
    )[:2]
    row = [stream.name for stream in PROFILE.baseline.numeric].index("latency_ms")
    np.testing.assert_array_equal(first.values[row], columns.values[0, :20])
    np.testing.assert_array_equal(second.values[row], columns.values[0, 20:40])


def test_stride_has_the_place_of_its_last_record() -> None:
    """Position and time are those of the record that completed the stride."""
    strides = strides_of(StrideBuffer(PROFILE.baseline, 20), synthetic.stream(50, first=100))
    assert [(s.position, s.time) for s in strides] == [
        (120, synthetic.START + 119 / synthetic.RATE),
        (140, synthetic.START + 139 / synthetic.RATE),
    ]


def test_later_records_do_not_change_earlier_strides() -> None:
    """The arrays of a yielded stride are not overwritten."""
    buffer = StrideBuffer(PROFILE.baseline, 20)
    [stride] = strides_of(buffer, *synthetic.cut(synthetic.stream(20), [5]))
    before = comparable([stride])
    strides_of(buffer, *synthetic.cut(synthetic.stream(15, seed=9), [5]))
    assert comparable([stride]) == before


def test_absent_feature_is_missing() -> None:
    """A feature that a chunk lacks is NaN, a category that it lacks is in the missing bin."""
    columns = synthetic.stream(20)
    bare = Columns("m", columns.positions, columns.times, (), (), np.zeros((0, 20)), ())
    [stride] = strides_of(StrideBuffer(PROFILE.baseline, 20), bare)
    assert np.isnan(stride.values).all()
    for row, stream in zip(stride.categories, PROFILE.baseline.categorical, strict=True):
        assert row.tolist() == [stream.bin_names().index("missing")] * 20


def test_categories_have_their_bins() -> None:
    """Known categories have their own bin, unknown ones share one, missing ones "missing"."""
    reasons = ["length", None, "stop", "never seen"] * 5
    columns = synthetic.with_categories(synthetic.stream(20), "finish_reason", reasons)
    [stride] = strides_of(StrideBuffer(PROFILE.baseline, 20), columns)
    index = [stream.name for stream in PROFILE.baseline.categorical].index("finish_reason")
    names = PROFILE.baseline.categorical[index].bin_names()
    found = [names[code] for code in stride.categories[index][:4]]
    assert found == ["length", "missing", "stop", "other (not in the reference)"]


def test_new_features_are_listed_as_unwatched() -> None:
    """Numbers and categories that the baseline lacks are dropped and listed."""
    columns = synthetic.with_feature(synthetic.stream(40), "score.taste", np.ones(40))
    columns = synthetic.with_categories(columns, "metadata.tenant", ["a", None] * 20)
    buffer = StrideBuffer(PROFILE.baseline, 20)
    strides = strides_of(buffer, columns)
    assert buffer.unwatched == {"score.taste", "metadata.tenant"}
    assert comparable(strides) == comparable(
        strides_of(StrideBuffer(PROFILE.baseline, 20), synthetic.stream(40))
    )


def test_new_feature_without_values_is_not_listed() -> None:
    """A segment of a chunk may contain the name of a feature without any value."""
    columns = synthetic.with_feature(synthetic.stream(40), "score.taste", np.full(40, np.nan))
    columns = synthetic.with_categories(columns, "metadata.tenant", [None] * 40)
    buffer = StrideBuffer(PROFILE.baseline, 20)
    strides_of(buffer, columns)
    assert buffer.unwatched == set()


def test_cache_of_feature_lists_is_bounded() -> None:
    """Ever new lists of features do not fill memory, and their strides are correct."""
    buffer = StrideBuffer(PROFILE.baseline, 20)
    for number in range(200):
        columns = synthetic.with_feature(
            synthetic.stream(20), f"score.{number}", np.full(20, np.nan)
        )
        [stride] = strides_of(buffer, columns)
    assert len(buffer._rows) <= 64
    assert comparable([stride]) == comparable(
        strides_of(StrideBuffer(PROFILE.baseline, 20), synthetic.stream(20))
    )


@pytest.mark.parametrize("size", [0, 1, 19])
def test_too_few_records_complete_nothing(size: int) -> None:
    """Records below a full stride are buffered."""
    buffer = StrideBuffer(PROFILE.baseline, 20)
    assert strides_of(buffer, synthetic.stream(size)) == []
    assert buffer.fill == size
