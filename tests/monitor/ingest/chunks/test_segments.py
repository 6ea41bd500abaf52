"""Segments: each record with a value is in exactly one segment of a key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.chunks.segments import WHOLE, split


def columns(**values: Sequence[str | None]) -> Columns:
    """Return records 1, 2, ... with these categories, whose codes are in sorted order."""
    n = len(next(iter(values.values())))
    categories = []
    for name, words in values.items():
        vocabulary = tuple(sorted({word for word in words if word is not None}))
        codes = [-1 if word is None else vocabulary.index(word) for word in words]
        categories.append(CategoryColumn(name, vocabulary, np.array(codes, np.int16)))
    rows = np.arange(1, n + 1)
    return Columns(
        "m",
        rows,
        rows.astype(np.float64) / 2,
        ("x",),
        (),
        rows[None, :].astype(np.float64),
        tuple(categories),
    )


def test_whole_traffic_is_first_and_unchanged() -> None:
    """The whole traffic is the first segment."""
    whole = columns(route=["a"])
    assert list(split(whole, [])) == [(WHOLE, whole)]
    assert next(iter(split(whole, ["route"])))[1] is whole


def test_split_by_one_key() -> None:
    """Each value is a segment with its records in the order of the log."""
    parts = dict(split(columns(route=["b", "a", None, "b"]), ["route"]))
    assert {name: part.positions.tolist() for name, part in parts.items()} == {
        WHOLE: [1, 2, 3, 4],
        "route=b": [1, 4],
        "route=a": [2],
    }
    assert parts["route=b"].values.tolist() == [[1, 4]]
    assert parts["route=b"].times.tolist() == [0.5, 2]


def test_keys_are_split_separately() -> None:
    """Two keys give the segments of each key, not of their combinations."""
    parts = split(columns(route=["a", "b"], tier=["x", "x"]), ["tier", "route"])
    assert [name for name, _ in parts] == [WHOLE, "tier=x", "route=a", "route=b"]


def test_unknown_key_and_missing_values_have_no_segment() -> None:
    """There is no segment if no record has a value."""
    assert [name for name, _ in split(columns(route=[None]), ["route", "tier"])] == [WHOLE]


def test_no_records_have_no_segments() -> None:
    """Columns without records have no segments except the whole traffic."""
    assert [name for name, _ in split(columns(route=[]), ["route"])] == [WHOLE]


words = st.lists(st.none() | st.sampled_from("abcd"), min_size=1, max_size=20)


@given(words)
def test_segments_partition_the_records(values: list[str | None]) -> None:
    """Every record with a value is in exactly one segment, that of its value."""
    parts = list(split(columns(route=values), ["route"]))[1:]
    seen = {p: name for name, part in parts for p in part.positions.tolist()}
    assert sum(len(part) for _, part in parts) == len(seen)
    assert seen == {i: f"route={v}" for i, v in enumerate(values, 1) if v is not None}


@given(words, st.integers(0, 20))
def test_order_does_not_depend_on_batches(values: list[str | None], cut: int) -> None:
    """New segments appear in the order of the log for all batch boundaries."""
    pieces = [columns(route=part) for part in (values, values[:cut], values[cut:])]
    whole, *halves = ([name for name, _ in split(piece, ["route"])] for piece in pieces)
    assert whole == list(dict.fromkeys(name for half in halves for name in half))
