"""Strides: the same whatever the chunks, laid out as the baseline's streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.base import Floats
from detectors.window import SPAN
from monitor import reference
from monitor.columns import Columns
from monitor.windows import StrideBuffer, Strides
from tests.monitor import made

PROFILE = reference.build([made.stream(2000)], segment="", window=200, categories=100)
NAMES = [stream.name for stream in PROFILE.baseline.streams]


class Stride(NamedTuple):
    """One of several strides that came together."""

    values: Floats
    categories: NDArray[np.uint8]
    position: int
    time: float


def each(strides: Strides, size: int) -> Iterator[Stride]:
    """The strides alone, of `size` records each."""
    assert strides.values.shape[1] == strides.categories.shape[1] == len(strides) * size
    assert len(strides.positions) == len(strides.times) == len(strides)
    for j, (position, time) in enumerate(zip(strides.positions, strides.times, strict=True)):
        part = slice(j * size, (j + 1) * size)
        yield Stride(
            strides.values[:, part], strides.categories[:, part], int(position), float(time)
        )


def fed(buffer: StrideBuffer, *chunks: Columns) -> list[Stride]:
    """All strides that the chunks complete."""
    return [
        stride
        for chunk in chunks
        for strides in buffer.strides(chunk)
        for stride in each(strides, buffer.stride)
    ]


def plain(strides: list[Stride]) -> list[tuple[bytes, bytes, int, float]]:
    """Strides that can be compared, NaN included."""
    return [(s.values.tobytes(), s.categories.tobytes(), s.position, s.time) for s in strides]


@made.SLOW_PROPERTY
@given(st.lists(st.integers(0, 333), max_size=40), st.integers(1, 60))
def test_strides_do_not_depend_on_chunks(marks: list[int], stride: int) -> None:
    """However a stream is cut, the same strides come out and the same records are left waiting."""
    columns = made.stream(333, seed=1)
    whole, pieces = StrideBuffer(PROFILE.baseline, stride), StrideBuffer(PROFILE.baseline, stride)
    expected, got = fed(whole, columns), fed(pieces, *made.cut(columns, marks))
    assert len(expected) == 333 // stride
    assert plain(got) == plain(expected)
    assert pieces.fill == whole.fill == 333 % stride
    assert pieces.values.tobytes() == whole.values.tobytes()
    assert pieces.categories.tobytes() == whole.categories.tobytes()


@pytest.mark.parametrize("waiting", [0, 3])
def test_strides_of_a_chunk_come_together(waiting: int) -> None:
    """All that a chunk completes comes at once, but no more than SPAN strides."""
    buffer = StrideBuffer(PROFILE.baseline, 4)
    assert list(buffer.strides(made.stream(waiting))) == []
    sizes = [len(strides) for strides in buffer.strides(made.stream(8 * SPAN + 10))]
    assert sizes == [SPAN, SPAN, (waiting + 10) // 4]
    assert buffer.fill == (waiting + 10) % 4


def test_stride_holds_the_records_in_order() -> None:
    """Values stand in the baseline's rows in the order of arrival, and nothing else does."""
    columns = made.stream(60, seed=2)
    first, second = fed(StrideBuffer(PROFILE.baseline, 20), *made.cut(columns, [7, 33]))[:2]
    row = [stream.name for stream in PROFILE.baseline.numeric].index("latency_ms")
    np.testing.assert_array_equal(first.values[row], columns.values[0, :20])
    np.testing.assert_array_equal(second.values[row], columns.values[0, 20:40])


def test_stride_knows_its_last_record() -> None:
    """Position and time are those of the record that completed the stride."""
    strides = fed(StrideBuffer(PROFILE.baseline, 20), made.stream(50, first=100))
    assert [(s.position, s.time) for s in strides] == [
        (120, made.START + 119 / made.RATE),
        (140, made.START + 139 / made.RATE),
    ]


def test_earlier_strides_stay_as_they_were() -> None:
    """A stride that was kept is not overwritten by later records."""
    buffer = StrideBuffer(PROFILE.baseline, 20)
    [stride] = fed(buffer, *made.cut(made.stream(20), [5]))
    before = plain([stride])
    fed(buffer, *made.cut(made.stream(15, seed=9), [5]))
    assert plain([stride]) == before


def test_absent_feature_is_missing() -> None:
    """A feature that a chunk does not have is NaN, an absent category is in the missing bin."""
    columns = made.stream(20)
    bare = Columns("m", columns.positions, columns.times, (), (), np.zeros((0, 20)), ())
    [stride] = fed(StrideBuffer(PROFILE.baseline, 20), bare)
    assert np.isnan(stride.values).all()
    for row, stream in zip(stride.categories, PROFILE.baseline.categorical, strict=True):
        assert row.tolist() == [stream.bin_names().index("missing")] * 20


def test_categories_find_their_bins() -> None:
    """Known categories have their own bin, unknown ones are "other", none is "missing"."""
    reasons = ["length", None, "stop", "never seen"] * 5
    columns = made.with_categories(made.stream(20), "finish_reason", reasons)
    [stride] = fed(StrideBuffer(PROFILE.baseline, 20), columns)
    index = [stream.name for stream in PROFILE.baseline.categorical].index("finish_reason")
    names = PROFILE.baseline.categorical[index].bin_names()
    found = [names[code] for code in stride.categories[index][:4]]
    assert found == ["length", "missing", "stop", "other"]


def test_new_features_are_named() -> None:
    """Numbers and categories that the baseline lacks are named as unwatched, and passed over."""
    columns = made.with_feature(made.stream(40), "score.taste", np.ones(40))
    columns = made.with_categories(columns, "metadata.tenant", ["a", None] * 20)
    buffer = StrideBuffer(PROFILE.baseline, 20)
    strides = fed(buffer, columns)
    assert buffer.unwatched == {"score.taste", "metadata.tenant"}
    assert plain(strides) == plain(fed(StrideBuffer(PROFILE.baseline, 20), made.stream(40)))


def test_new_feature_without_a_value_is_not_named() -> None:
    """A name that stands for nothing, as in a part of a chunk, is no new feature."""
    columns = made.with_feature(made.stream(40), "score.taste", np.full(40, np.nan))
    columns = made.with_categories(columns, "metadata.tenant", [None] * 40)
    buffer = StrideBuffer(PROFILE.baseline, 20)
    fed(buffer, columns)
    assert buffer.unwatched == set()


def test_ever_new_sets_of_features_do_not_fill_memory() -> None:
    """What is remembered of sets of features is bounded, and the strides stay right."""
    buffer = StrideBuffer(PROFILE.baseline, 20)
    for number in range(200):
        columns = made.with_feature(made.stream(20), f"score.{number}", np.full(20, np.nan))
        [stride] = fed(buffer, columns)
    assert len(buffer._rows) <= 64
    assert plain([stride]) == plain(fed(StrideBuffer(PROFILE.baseline, 20), made.stream(20)))


@pytest.mark.parametrize("size", [0, 1, 19])
def test_too_few_records_complete_nothing(size: int) -> None:
    """Less than a stride waits."""
    buffer = StrideBuffer(PROFILE.baseline, 20)
    assert fed(buffer, made.stream(size)) == []
    assert buffer.fill == size
