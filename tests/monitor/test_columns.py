"""Feature chunks: what goes into Kafka comes out of it, and anything else is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monitor import examples
from monitor.columns import VERSION, CategoryColumn, ChunkError, Columns, decode, encode, join
from monitor.examples import Examples

pytestmark = pytest.mark.filterwarnings("error")

names = st.text(max_size=8)
finite = st.floats(allow_infinity=False)


@st.composite
def any_columns(draw: st.DrawFn) -> Columns:
    """Columns of any shape, of no record and of no feature among them."""
    n = draw(st.integers(0, 6))
    features = draw(st.lists(names, unique=True, max_size=5))
    cut = draw(st.integers(0, len(features)))
    times = st.floats(0, 4e9)
    categories = []
    for name in draw(st.lists(names, unique=True, max_size=2)):
        vocabulary = tuple(draw(st.lists(names, unique=True, max_size=3)))
        codes = draw(hnp.arrays(np.int16, n, elements=st.integers(-1, len(vocabulary) - 1)))
        categories.append(CategoryColumn(name, vocabulary, codes))
    places = sorted(draw(st.sets(st.integers(0, n - 1)))) if n else []
    ids = [draw(st.text("ab\u00e9-", min_size=1, max_size=5)) for _ in places]
    return Columns(
        draw(names),
        draw(hnp.arrays(np.int64, n)),
        draw(hnp.arrays(np.float64, n, elements=times)),
        tuple(features[:cut]),
        tuple(features[cut:]),
        draw(hnp.arrays(np.float64, (len(features), n), elements=finite)),
        tuple(categories),
        Examples(np.array(places, np.int32), tuple(ids)),
    )


def assert_same(one: Columns, other: Columns) -> None:
    """Bit for bit the same columns, of the same types."""
    for field in fields(Columns):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(ours, np.ndarray):
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            assert ours.tobytes() == theirs.tobytes()
        elif field.name == "examples":
            assert ours.places.dtype == theirs.places.dtype
            assert (ours.places.tolist(), ours.ids) == (theirs.places.tolist(), theirs.ids)
        elif field.name == "categories":
            for a, b in zip(ours, theirs, strict=True):
                assert (a.name, a.vocabulary, a.codes.dtype) == (
                    b.name,
                    b.vocabulary,
                    b.codes.dtype,
                )
                assert a.codes.tolist() == b.codes.tolist()
        else:
            assert ours == theirs


SMALL = Columns(
    "m",
    np.array([1, 2], np.int64),
    np.array([10.0, 11.0]),
    ("latency_ms",),
    ("error",),
    np.array([[1.5, np.nan], [0.0, 1.0]]),
    (CategoryColumn("finish_reason", ("stop",), np.array([0, -1], np.int16)),),
    Examples(np.array([1], np.int32), ("req-2",)),
)


def wire(**changed: Any) -> bytes:
    """The small chunk as it travels, with some parts changed."""
    parts = {
        "version": VERSION,
        "model": "m",
        "positions": SMALL.positions.tobytes(),
        "times": SMALL.times.tobytes(),
        "numeric": ["latency_ms"],
        "binary": ["error"],
        "values": SMALL.values.tobytes(),
        "categories": [["finish_reason", ["stop"], SMALL.categories[0].codes.tobytes()]],
        "places": b"\x01\x00\x00\x00",
        "ids": ["req-2"],
    }
    return msgspec.msgpack.encode(list((parts | changed).values()))


def test_the_wire_format_is_this() -> None:
    """Chunks in the topic outlive a release: their form is changed only with their version."""
    assert encode(SMALL) == wire()
    assert_same(decode(wire()), SMALL)


def test_chunks_without_examples_are_read() -> None:
    """Chunks that were written before there were examples have none."""
    older = msgspec.msgpack.encode(msgspec.msgpack.decode(wire())[:8])
    assert_same(decode(older), replace(SMALL, examples=examples.NONE))


@given(any_columns())
def test_round_trip(columns: Columns) -> None:
    """What is decoded is what was encoded, missing values and empty chunks included."""
    assert_same(decode(encode(columns)), columns)


@given(any_columns(), st.data())
def test_take(columns: Columns, data: st.DataObject) -> None:
    """Taking records takes them in every column, by a slice or by their indices."""
    indices = st.lists(st.integers(0, max(0, len(columns) - 1)), max_size=6 if len(columns) else 0)
    chosen = np.array(data.draw(indices), np.intp)
    taken = columns.take(chosen)
    assert len(taken) == len(chosen)
    assert taken.positions.tolist() == [columns.positions[i] for i in chosen]
    assert taken.times.tolist() == [columns.times[i] for i in chosen]
    assert np.array_equal(taken.values, columns.values[:, chosen], equal_nan=True)
    for before, after in zip(columns.categories, taken.categories, strict=True):
        assert after.codes.tolist() == [before.codes[i] for i in chosen]
    ids = dict(zip(columns.examples.places.tolist(), columns.examples.ids, strict=True))
    assert dict(zip(taken.examples.places.tolist(), taken.examples.ids, strict=True)) == {
        place: ids[i] for place, i in enumerate(chosen.tolist()) if i in ids
    }
    assert_same(columns.take(slice(None)), columns)
    assert_same(columns.take(slice(1, 3)).take(slice(0, 0)), columns.take(slice(0, 0)))


@given(st.lists(any_columns(), min_size=1, max_size=4))
def test_join(pieces: list[Columns]) -> None:
    """Pieces of any shape put together have every record of each, missing what its piece lacks."""
    whole = join(pieces)
    assert_same(decode(encode(whole)), whole)
    assert whole.positions.tolist() == [i for piece in pieces for i in piece.positions.tolist()]
    assert whole.times.tolist() == [t for piece in pieces for t in piece.times.tolist()]
    assert whole.examples.ids == tuple(i for piece in pieces for i in piece.examples.ids)
    starts = np.cumsum([0, *map(len, pieces)])
    for piece, start in zip(pieces, starts, strict=False):
        part = whole.take(slice(start, start + len(piece)))
        assert part.examples.places.tolist() == piece.examples.places.tolist()
        for name in whole.numeric + whole.binary:
            assert np.array_equal(part.row(name), piece.row(name), equal_nan=True)
        for column in whole.categories:
            assert part.texts(column.name) == piece.texts(column.name)
    met = {name for piece in pieces for name in piece.numeric + piece.binary}
    assert met == set(whole.numeric + whole.binary)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not a chunk: "),
        (b"{}", "not a chunk: "),
        (b"\xc0", "not a chunk: "),
        (wire()[:-1], "not a chunk: "),
        (wire() + b"\x00", "not a chunk: "),
        (
            wire(version=VERSION + 1),
            f"chunk of version {VERSION + 1}; this program reads {VERSION}",
        ),
        (wire(version=VERSION + 1, model=3), "not a chunk: "),
        (wire(model=None), "not a chunk: "),
        (wire(model=b"m"), "not a chunk: "),
        (wire(positions=b"1234567"), "not a chunk: "),
        (wire(positions=bytes(8)), "not a chunk: its columns differ in length"),
        (wire(times=bytes(8)), "not a chunk: "),
        (wire(times=np.array([1.0, np.nan]).tobytes()), "not a chunk: a number is not finite"),
        (wire(times=np.array([1.0, np.inf]).tobytes()), "not a chunk: a number is not finite"),
        (wire(values=np.full((2, 2), -np.inf).tobytes()), "not a chunk: a number is not finite"),
        (wire(values=bytes(24)), "not a chunk: "),
        (wire(numeric=[]), "not a chunk: "),
        (wire(numeric=["error"]), "not a chunk: two columns have one name"),
        (wire(categories=[["f", ["a"], bytes(2)]]), "not a chunk: its columns differ in length"),
        (wire(categories=[["f", [], bytes(4)]]), "not a chunk: the code of a category is out"),
        (
            wire(categories=[["f", ["a"], np.array([-2, 0], np.int16).tobytes()]]),
            "not a chunk: the code of a category is out of range",
        ),
        (wire(places=b""), "not a chunk: its examples are no request ids"),
        (wire(ids=[""]), "not a chunk: its examples are no request ids"),
        (wire(ids=["x" * 101]), "not a chunk: its examples are no request ids"),
        (wire(ids=["a\n"]), "not a chunk: its examples are no request ids"),
        (wire(places=b"\x02\x00\x00\x00"), "not a chunk: its examples are not in the order"),
        (wire(places=b"\xff\xff\xff\xff"), "not a chunk: its examples are not in the order"),
        (wire(places=bytes(8), ids=["a", "b"]), "not a chunk: its examples are not in the order"),
        (wire(places=bytes(3)), "not a chunk: "),
        (wire(ids=[7]), "not a chunk: "),
        (b"\x9a\x01\xa1\xff" + wire()[4:], "not a chunk: "),
        (b"\x98\x01\xa1m\xc4\x00\xc4\x00\xdd\xff\xff\xff\xff", "not a chunk: "),
        (b"\x98\x01\xa1m\xc6\xff\xff\xff\xff", "not a chunk: "),
        (b"\xdd\xff\xff\xff\xff", "not a chunk: "),
        (b"\x9b" + wire()[1:] + b"\x91" * 100_000, "not a chunk: "),
    ],
)
def test_foreign_bytes_are_refused(raw: bytes, reason: str) -> None:
    """What is no chunk, or one that disagrees with itself, is refused with the reason."""
    with pytest.raises(ChunkError) as caught:
        decode(raw)
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
    """The small chunk with parts or bytes replaced."""
    keys = ["model", "positions", "times", "numeric", "binary", "values", "categories"]
    keys += ["places", "ids"]
    changed = draw(st.dictionaries(st.sampled_from(keys), parts, max_size=2))
    raw = bytearray(wire(**changed))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(raw)


@settings(max_examples=500)
@given(st.binary() | almost_chunks())
def test_nothing_else_is_ever_raised(raw: bytes) -> None:
    """Any bytes are a chunk that agrees with itself, or a ChunkError."""
    try:
        found = decode(raw)
    except ChunkError:
        return
    assert len(found.positions) == len(found.times) == found.values.shape[1]
    assert found.values.shape[0] == len(found.numeric) + len(found.binary)
    assert_same(decode(encode(found)), found)
