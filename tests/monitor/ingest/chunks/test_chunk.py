"""Feature chunks: their wire format, and that all other bytes raise ChunkError."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.ingest.chunks.chunk import (
    LOG_VERSION,
    SOURCE_VERSION,
    ChunkError,
    decode_chunk,
    encode_chunk,
)
from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.fields.limits import OTHER
from monitor.ingest.sampling import examples
from monitor.ingest.sampling.examples import Examples
from monitor.records import Source
from tests.monitor.ingest.chunks.any_columns import any_columns, assert_same, names

pytestmark = pytest.mark.filterwarnings("error")


SMALL = Columns(
    "m",
    np.array([1, 2], np.int64),
    np.array([10.0, 11.0]),
    ("latency_ms",),
    ("error",),
    np.array([[1.5, np.nan], [0.0, 1.0]]),
    (CategoryColumn("finish_reason", ("stop",), np.array([0, -1], np.int32)),),
    Examples(np.array([1], np.int32), ("req-2",)),
)


def small_chunk(**changed: Any) -> bytes:
    """Return the bytes of the small chunk, with some fields changed."""
    parts = {
        "version": LOG_VERSION,
        "model": "m",
        "positions": SMALL.positions.tobytes(),
        "times": SMALL.times.tobytes(),
        "numeric": ["latency_ms"],
        "binary": ["error"],
        "values": SMALL.values.tobytes(),
        "categories": [
            ["finish_reason", ["stop"], SMALL.categories[0].codes.astype(np.int16).tobytes()]
        ],
        "indices": b"\x01\x00\x00\x00",
        "ids": ["req-2"],
    }
    return msgspec.msgpack.encode(list((parts | changed).values()))


def test_wire_format_is_pinned() -> None:
    """The topic may contain chunks of older releases: a new format needs a new version."""
    assert encode_chunk(SMALL) == small_chunk()
    assert_same(decode_chunk(small_chunk()), SMALL)


@pytest.mark.parametrize("source", [Source.JUDGE, Source.FEEDBACK])
def test_another_source_has_a_version_that_older_programs_reject(source: Source) -> None:
    """A program that reads version 1 only finds the other version, and does not mix the records."""
    columns = replace(SMALL, source=source, epoch="e1")
    chunk = small_chunk(version=SOURCE_VERSION, source=source, epoch="e1")
    assert encode_chunk(columns) == chunk
    assert_same(decode_chunk(chunk), columns)
    assert msgspec.msgpack.decode(chunk)[0] != LOG_VERSION


def test_chunk_without_an_epoch_is_decoded() -> None:
    """A chunk of a source whose writer knew no epochs has the epoch "", and a log has no other."""
    chunk = small_chunk(version=SOURCE_VERSION, source=Source.JUDGE)
    assert decode_chunk(chunk).epoch == ""
    assert decode_chunk(small_chunk(source="log", epoch="e1")).epoch == ""


def test_chunk_without_examples_is_decoded() -> None:
    """Chunks of releases without examples have no examples."""
    older = msgspec.msgpack.encode(msgspec.msgpack.decode(small_chunk())[:8])
    assert_same(decode_chunk(older), replace(SMALL, examples=examples.NONE))


@given(any_columns())
def test_round_trip(columns: Columns) -> None:
    """Decoding an encoded chunk gives the same columns, also for missing values and no records."""
    assert_same(decode_chunk(encode_chunk(columns)), columns)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not a chunk: "),
        (b"{}", "not a chunk: "),
        (b"\xc0", "not a chunk: "),
        (small_chunk()[:-1], "not a chunk: "),
        (small_chunk() + b"\x00", "not a chunk: "),
        (
            small_chunk(version=3),
            f"chunk of version 3; this program reads {LOG_VERSION} and {SOURCE_VERSION}",
        ),
        (small_chunk(version=3, model=3), "not a chunk: "),
        (small_chunk(version=2), "chunk of version 2 without a known source"),
        (small_chunk(version=2, source="log"), "chunk of version 2 without a known source"),
        (small_chunk(version=2, source="rater"), "chunk of version 2 without a known source"),
        (small_chunk(version=2, source=""), "chunk of version 2 without a known source"),
        (small_chunk(version=2, source=1), "not a chunk: "),
        (small_chunk(model=None), "not a chunk: "),
        (small_chunk(model=b"m"), "not a chunk: "),
        (small_chunk(positions=b"1234567"), "not a chunk: "),
        (small_chunk(positions=bytes(8)), "not a chunk: its columns differ in length"),
        (small_chunk(times=bytes(8)), "not a chunk: "),
        (
            small_chunk(times=np.array([1.0, np.nan]).tobytes()),
            "not a chunk: a number is not finite",
        ),
        (
            small_chunk(times=np.array([1.0, np.inf]).tobytes()),
            "not a chunk: a number is not finite",
        ),
        (
            small_chunk(values=np.full((2, 2), -np.inf).tobytes()),
            "not a chunk: a number is not finite",
        ),
        (small_chunk(values=bytes(24)), "not a chunk: "),
        (small_chunk(numeric=[]), "not a chunk: "),
        (small_chunk(numeric=["error"]), "not a chunk: two columns have the same name"),
        (
            small_chunk(categories=[["f", ["a"], bytes(2)]]),
            "not a chunk: its columns differ in length",
        ),
        (
            small_chunk(categories=[["f", [], bytes(4)]]),
            "not a chunk: the code of a category is out",
        ),
        (
            small_chunk(categories=[["f", ["a"], np.array([-2, 0], np.int16).tobytes()]]),
            "not a chunk: the code of a category is out of range",
        ),
        (small_chunk(indices=b""), "not a chunk: its examples are not valid request ids"),
        (small_chunk(ids=[""]), "not a chunk: its examples are not valid request ids"),
        (small_chunk(ids=["x" * 101]), "not a chunk: its examples are not valid request ids"),
        (small_chunk(ids=["a\n"]), "not a chunk: its examples are not valid request ids"),
        (
            small_chunk(indices=b"\x02\x00\x00\x00"),
            "not a chunk: its examples are not in the order",
        ),
        (
            small_chunk(indices=b"\xff\xff\xff\xff"),
            "not a chunk: its examples are not in the order",
        ),
        (
            small_chunk(indices=bytes(8), ids=["a", "b"]),
            "not a chunk: its examples are not in the order",
        ),
        (small_chunk(indices=bytes(3)), "not a chunk: "),
        (small_chunk(ids=[7]), "not a chunk: "),
        (b"\x9a\x01\xa1\xff" + small_chunk()[4:], "not a chunk: "),
        (b"\x98\x01\xa1m\xc4\x00\xc4\x00\xdd\xff\xff\xff\xff", "not a chunk: "),
        (b"\x98\x01\xa1m\xc6\xff\xff\xff\xff", "not a chunk: "),
        (b"\xdd\xff\xff\xff\xff", "not a chunk: "),
        (b"\x9b" + small_chunk()[1:] + b"\x91" * 100_000, "not a chunk: "),
    ],
)
def test_invalid_bytes_raise_chunk_error(raw: bytes, reason: str) -> None:
    """Bytes that are not a chunk, or an inconsistent one, raise ChunkError with the reason."""
    with pytest.raises(ChunkError) as caught:
        decode_chunk(raw)
    assert str(caught.value).startswith(reason)


parts = (
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=32)
    | names
    | st.lists(names, max_size=3)
    | st.lists(st.tuples(names, st.lists(names, max_size=2), st.binary(max_size=8)), max_size=2)
)


@st.composite
def almost_chunks(draw: st.DrawFn) -> bytes:
    """Return the small chunk with fields or bytes replaced."""
    keys = ["model", "positions", "times", "numeric", "binary", "values", "categories"]
    keys += ["indices", "ids"]
    changed = draw(st.dictionaries(st.sampled_from(keys), parts, max_size=2))
    raw = bytearray(small_chunk(**changed))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(raw)


@settings(max_examples=500)
@given(st.binary() | almost_chunks())
def test_any_bytes_are_a_chunk_or_raise_chunk_error(raw: bytes) -> None:
    """Any bytes are decoded to consistent columns or raise ChunkError."""
    try:
        found = decode_chunk(raw)
    except ChunkError:
        return
    assert len(found.positions) == len(found.times) == found.values.shape[1]
    assert found.values.shape[0] == len(found.numeric) + len(found.binary)
    assert_same(decode_chunk(encode_chunk(found)), found)


@pytest.mark.parametrize("model", [OTHER, "other", "m", "Other", "other (named)"])
def test_models_are_told_apart_from_other(model: str) -> None:
    """A model named "other" and the records of unwatched models are different in chunks."""
    columns = replace(SMALL, model=model)
    assert decode_chunk(encode_chunk(columns)).model == model


def test_other_is_written_as_before() -> None:
    """Unwatched records are in chunks of "other", as in earlier versions."""
    payload = encode_chunk(replace(SMALL, model=OTHER))
    assert msgspec.msgpack.decode(payload)[1] == "other"
