"""Columns: selecting records and concatenating pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.chunks.chunk import decode_chunk, encode_chunk
from monitor.ingest.chunks.columns import Columns, join
from tests.monitor.ingest.chunks.any_columns import any_columns, assert_same

pytestmark = pytest.mark.filterwarnings("error")


@given(any_columns(), st.data())
def test_take_selects_records_in_every_column(columns: Columns, data: st.DataObject) -> None:
    """A slice or indices select the same records in every column."""
    indices = st.lists(st.integers(0, max(0, len(columns) - 1)), max_size=6 if len(columns) else 0)
    chosen = np.array(data.draw(indices), np.intp)
    taken = columns.take(chosen)
    assert len(taken) == len(chosen)
    assert taken.positions.tolist() == [columns.positions[i] for i in chosen]
    assert taken.times.tolist() == [columns.times[i] for i in chosen]
    assert np.array_equal(taken.values, columns.values[:, chosen], equal_nan=True)
    for before, after in zip(columns.categories, taken.categories, strict=True):
        assert after.codes.tolist() == [before.codes[i] for i in chosen]
    ids = dict(zip(columns.examples.indices.tolist(), columns.examples.ids, strict=True))
    assert dict(zip(taken.examples.indices.tolist(), taken.examples.ids, strict=True)) == {
        at: ids[i] for at, i in enumerate(chosen.tolist()) if i in ids
    }
    assert_same(columns.take(slice(None)), columns)
    assert_same(columns.take(slice(1, 3)).take(slice(0, 0)), columns.take(slice(0, 0)))


@given(st.lists(any_columns(), min_size=1, max_size=4))
def test_join_keeps_every_record(pieces: list[Columns]) -> None:
    """Joined pieces have all records; features that a piece does not have are missing in them."""
    whole = join(pieces)
    assert_same(decode_chunk(encode_chunk(whole)), whole)
    assert whole.positions.tolist() == [i for piece in pieces for i in piece.positions.tolist()]
    assert whole.times.tolist() == [t for piece in pieces for t in piece.times.tolist()]
    assert whole.examples.ids == tuple(i for piece in pieces for i in piece.examples.ids)
    starts = np.cumsum([0, *map(len, pieces)])
    for piece, start in zip(pieces, starts, strict=False):
        part = whole.take(slice(start, start + len(piece)))
        assert part.examples.indices.tolist() == piece.examples.indices.tolist()
        for name in whole.numeric + whole.binary:
            assert np.array_equal(part.row(name), piece.row(name), equal_nan=True)
        for column in whole.categories:
            assert part.texts(column.name) == piece.texts(column.name)
    names = {name for piece in pieces for name in piece.numeric + piece.binary}
    assert names == set(whole.numeric + whole.binary)
