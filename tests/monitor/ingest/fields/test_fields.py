"""Columns of fields: parts that are joined or taken are those of the records themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.decode.native.kinds import Needed
from monitor.ingest.features import FeatureExtractor
from monitor.ingest.fields.fields import EMPTY, Coded, Fields, join
from tests.monitor.ingest.decode.alike import TOGETHER

NEEDED = Needed(watched=("route",), units=("team",), optional=True)
DECODERS = [NativeDecoder(NEEDED, together=each) for each in TOGETHER]

names = st.sampled_from(["a", "b", "é", "", "c" * 70])
numbers = st.none() | st.integers(-5, 5) | st.floats(-1e9, 1e9)
records = st.fixed_dictionaries(
    {
        "request_id": st.text("ab\N{LATIN SMALL LETTER E WITH ACUTE}", max_size=3),
        "timestamp": st.integers(0, 2_000_000_000),
        "model": st.sampled_from(["m", "n", "modèle"]),
    },
    optional={
        "prompt": st.text(max_size=5),
        "response": st.sampled_from(["", " ", "I cannot do that.", "Yes"]),
        "latency_ms": numbers,
        "cost_usd": numbers,
        "finish_reason": st.none() | names,
        "error": st.none() | names,
        "scores": st.dictionaries(st.sampled_from("xyz"), numbers, max_size=3),
        "metadata": st.dictionaries(st.sampled_from(["route", "team", "other"]), numbers | names),
        "experiments": st.none() | st.dictionaries(st.sampled_from("ef"), names),
        "user_id": st.none() | names | st.integers(0, 9),
        "feedback": numbers,
    },
)


def decoded(found: Sequence[dict[str, Any]], decoder: NativeDecoder) -> Fields:
    """Return the fields of records, some of which have escapes and are therefore unusual."""
    payloads = [json.dumps(each, ensure_ascii=place % 2 == 0) for place, each in enumerate(found)]
    result = decoder.many([each.encode() for each in payloads])
    assert result.rejected == []
    assert len(result.fields) == len(found)
    return result.fields


def content(fields: Fields) -> dict[str, Any]:
    """Return everything in fields, so that it can be compared."""
    rows = range(len(fields))
    optional = fields.optional
    return {
        "ids": list(fields.ids),
        "times": fields.times.tolist(),
        "models": (fields.models.values(), fields.models.vocabulary),
        "numbers": fields.numbers.tobytes(),
        "chars": fields.chars.tobytes(),
        "failed": fields.failed.tolist(),
        "reasons": (fields.finish_reasons.values(), fields.finish_reasons.vocabulary),
        "beginnings": {row: fields.beginnings.get(row) for row in rows},
        "scores": [fields.scores.of(row) for row in rows],
        "columns": {name: fields.scores.column(name).tobytes() for name in "xyz"},
        "metadata": {key: _decoded(names) for key, names in fields.metadata.items()},
        "experiments": None if optional is None else _decoded(optional.experiments),
        "raw": None if optional is None else {k: _any(v) for k, v in optional.raw.items()},
    }


def _decoded(names: Coded[bytes]) -> list[str | None]:
    return [None if raw is None else _any(raw) for raw in names.values()]


def _any(raw: bytes) -> str:
    """Return decoded JSON as text, in which 1, 1.0 and true are told apart."""
    return repr(json.loads(b"[%b]" % raw))


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=100, deadline=None)
@given(found=st.lists(records, min_size=1, max_size=12), data=st.data())
def test_joined_parts_are_the_whole(
    decoder: NativeDecoder, found: list[dict[str, Any]], data: st.DataObject
) -> None:
    """The fields of parts, joined, are those of all records."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(found)), max_size=3)))
    whole = decoded(found, decoder)
    rows = np.arange(len(found))
    bounds = [0, *cuts, len(found)]
    parts = [whole.take(rows[a:b]) for a, b in pairwise(bounds) if a < b]
    assert content(join(parts)) == content(whole)


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=100, deadline=None)
@given(found=st.lists(records, min_size=1, max_size=12), data=st.data())
def test_taken_records_are_those_of_their_messages(
    decoder: NativeDecoder, found: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Records that are taken in any order have the fields that they have alone."""
    chosen = data.draw(st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=12))
    taken = decoded(found, decoder).take(np.array(chosen))
    alone = decoded([found[row] for row in chosen], decoder)
    expected, actual = content(alone), content(taken)
    for both in (expected, actual):  # which beginnings are kept depends on the way of decoding
        del both["beginnings"]
    assert actual == expected


def test_nothing_joined_is_empty() -> None:
    """Without parts there are no records."""
    assert join([]) is EMPTY
    assert len(EMPTY) == 0


def test_names_of_records_that_are_left_out_are_left_out() -> None:
    """A score that only a rejected record has is none of the batch."""
    for decoder in DECODERS:
        payloads = [{"model": "m", "scores": {"a": 1}}, {"model": "\x01", "scores": {"b": 1}}]
        required = {"request_id": "r", "timestamp": 1}
        result = decoder.many([json.dumps(each | required).encode() for each in payloads])
        assert len(result.rejected) == 1
        extractor = FeatureExtractor({"route": "categorical"}, models=9, scores=1)
        batch = extractor.batch(result.fields, result.indices)
        assert [name for name in batch.numeric if name.startswith("score.")] == ["score.a"]
        assert extractor.dropped.scores.count == 0
        none = decoder.many([json.dumps(payloads[1] | required).encode()])
        assert len(FeatureExtractor({}, models=1, scores=1).batch(none.fields, []).times) == 0
