"""Records of a warm-up are kept in few pieces, however they arrive."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from monitor.detect.reference import builder
from monitor.detect.reference.warmup import MAX_VOCABULARY, Warmup
from monitor.ingest.chunks import columns
from monitor.ingest.chunks.chunk import encode_chunk
from monitor.ingest.chunks.columns import CategoryColumn
from tests.monitor import synthetic

RECORDS = 2_000
STREAM = synthetic.stream(RECORDS, seed=5)


def test_records_that_arrive_one_at_a_time_make_few_pieces() -> None:
    """A piece has at least twice the records of the next."""
    warmup = Warmup(RECORDS)
    for number in range(RECORDS - 1):
        assert warmup.add(STREAM.take(slice(number, number + 1))) is None
        assert len(warmup.pieces) <= math.log2(number + 1) + 1
    sizes = [len(piece) for piece in warmup.pieces]
    assert all(one >= 2 * other for one, other in itertools.pairwise(sizes))


@settings(max_examples=25, deadline=None)
@given(synthetic.cuttings(RECORDS))
def test_the_reference_does_not_depend_on_the_pieces(marks: list[int]) -> None:
    """It is the reference of the records in one piece; the pieces have these records in order."""
    warmup = Warmup(RECORDS)
    for chunk in synthetic.cut(STREAM, marks):
        warmup.add(chunk)
    assert warmup.collected == RECORDS
    whole = columns.join(warmup.pieces)
    assert np.array_equal(whole.positions, STREAM.positions)
    assert whole.texts("finish_reason") == STREAM.texts("finish_reason")
    ids = {
        builder.build(pieces, segment="", window=200, categories=100).id
        for pieces in (warmup.pieces, [synthetic.as_ingested(STREAM)])
    }
    assert len(ids) == 1


def test_records_beyond_the_needed_ones_are_returned() -> None:
    """The last piece has the first of them only."""
    warmup = Warmup(150)
    assert warmup.add(STREAM.take(slice(0, 100))) is None
    rest = warmup.add(STREAM.take(slice(100, 250)))
    assert rest is not None
    assert encode_chunk(rest) == encode_chunk(STREAM.take(slice(150, 250)))
    assert warmup.collected == 150


@pytest.mark.parametrize("share", [0.4, 0.6, 1.0])
def test_vocabularies_that_do_not_fit_together_stay_apart(share: float) -> None:
    """Codes are 16-bit integers: a joined piece has at most MAX_VOCABULARY categories."""
    size = int(share * MAX_VOCABULARY)
    warmup = Warmup(10 * MAX_VOCABULARY)
    names: list[str | None] = []
    for number in range(3):
        own = [f"{number}-{i}" for i in range(size)]
        column = CategoryColumn("finish_reason", tuple(own), np.arange(size, dtype=np.int16))
        part = synthetic.stream(size, seed=number, first=number * size)
        warmup.add(replace(part, categories=(column,)))
        names += own
    assert [text for piece in warmup.pieces for text in piece.texts("finish_reason")] == names
