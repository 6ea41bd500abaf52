"""Features: their definitions, missing values, limits, and independence of batches."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.ingest.chunks.chunk import decode_chunk, encode_chunk, encode_chunks
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.decode.native.kinds import Needed, fields_of
from monitor.ingest.features import (
    BINARY,
    MAX_MAGNITUDE,
    NUMERIC,
    Batch,
    FeatureExtractor,
    join,
)
from monitor.ingest.fields.limits import OTHER
from monitor.records import Record, RecordWithMetadata, RejectedRecord

pytestmark = pytest.mark.filterwarnings("error")  # a numpy warning here means a wrong number

NAN = float("nan")
NEEDED = Needed(watched=("size", "route"))
decode = NativeDecoder(NEEDED)


def record(**fields: Any) -> Record:
    """Return a decoded record with these fields."""
    return decode(json.dumps({"request_id": "r", "timestamp": 1.0, "model": "m"} | fields).encode())


def extractor(models: int = 10, scores: int = 10) -> FeatureExtractor:
    """Return an extractor that watches a number and a category of the metadata."""
    metadata = {"size": "numeric", "route": "categorical"}
    return FeatureExtractor(metadata, models=models, scores=scores)


def batch(records: Sequence[Record], **limits: int) -> Batch:
    """Return the features of records, extracted by a new extractor."""
    return extractor(**limits).batch(fields_of(records, NEEDED), range(1, len(records) + 1))


def value(feature: str, **fields: Any) -> float:
    """Return one feature of one record."""
    return float(batch([record(**fields)]).row(feature)[0])


def categories(found: Batch, name: str) -> list[str | None]:
    """Return the values of a categorical feature."""
    [column] = [c for c in found.categories if c.name == name]
    return [None if code < 0 else column.vocabulary[code] for code in column.codes.tolist()]


# --- numeric ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["latency_ms", "time_to_first_token_ms", "input_tokens", "output_tokens", "cost_usd"],
)
@pytest.mark.parametrize("number", [0, 12, 0.125, -3, MAX_MAGNITUDE])
def test_logged_numbers_are_unchanged(name: str, number: float) -> None:
    """The feature is the logged number, also if it is zero or negative."""
    assert value(name, **{name: number}) == number


@pytest.mark.parametrize(
    "name", ["latency_ms", "input_tokens", "output_tokens", "cost_usd", "time_to_first_token_ms"]
)
@pytest.mark.parametrize("number", [1.0001e15, -1e16, 1e308])
def test_huge_numbers_are_missing(name: str, number: float) -> None:
    """Numbers beyond MAX_MAGNITUDE are missing, because they would dominate every sum."""
    assert math.isnan(value(name, **{name: number}))


def test_features_of_absent_fields_are_missing() -> None:
    """A record with only the required fields has one feature: it has no error."""
    found = batch([record()])
    known = {n for n in (*NUMERIC, *BINARY) if not np.isnan(found.row(n)).any()}
    assert known == {"error"}
    assert found.row("error").tolist() == [0]
    assert categories(found, "finish_reason") == [None]


@pytest.mark.parametrize(
    ("tokens", "latency", "speed"),
    [
        (100, 2_000, 50),
        (0, 500, 0),
        (100, 0, NAN),
        (100, -5, NAN),
        (100, None, NAN),
        (None, 500, NAN),
        (1e15, 1e-300, NAN),
        (1, 1e-320, NAN),
        (0, 1e-322, NAN),
    ],
)
def test_tokens_per_second_is_tokens_by_latency(tokens: Any, latency: Any, speed: float) -> None:
    """Output tokens divided by the latency in seconds; missing without a positive latency."""
    found = value("tokens_per_second", output_tokens=tokens, latency_ms=latency)
    assert found == speed or (math.isnan(found) and math.isnan(speed))


@pytest.mark.parametrize(
    ("prompt", "chars"),
    [
        (None, NAN),
        ("", 0),
        ("né😀", 3),
        ([{"content": "ab"}, {"content": [{"text": "cde"}, {"type": "image"}]}], 5),
    ],
)
def test_prompt_chars_counts_text(prompt: Any, chars: float) -> None:
    """All characters of text in the messages and parts of a prompt are counted."""
    assert np.array_equal([value("prompt_chars", prompt=prompt)], [chars], equal_nan=True)


@pytest.mark.parametrize(("response", "chars"), [(None, NAN), ("", 0), (" \n", 2), ("né😀", 3)])
def test_response_chars_counts_characters(response: Any, chars: float) -> None:
    """All characters of the response are counted."""
    assert np.array_equal([value("response_chars", response=response)], [chars], equal_nan=True)


def test_scores_are_features() -> None:
    """Each score in the log is a feature, missing in records without it."""
    records = [record(scores={"a": 0.5, "b": None}), record(), record(scores={"a": 0})]
    found = batch(records)
    assert found.numeric == tuple(sorted((*NUMERIC, "score.a", "score.b", "metadata.size")))
    assert np.array_equal(found.row("score.a"), [0.5, NAN, 0], equal_nan=True)
    assert np.isnan(found.row("score.b")).all()


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (3, 3),
        (0.5, 0.5),
        (True, 1),
        ("3", NAN),
        (None, NAN),
        ([3], NAN),
        ({"a": 3}, NAN),
        (10**400, NAN),
        (-(10**400), NAN),
    ],
)
def test_metadata_number_is_a_feature(raw: Any, number: float) -> None:
    """A number is the feature; any other value of a numeric key is missing."""
    found = value("metadata.size", metadata={"size": raw})
    assert np.array_equal([found], [number], equal_nan=True)


# --- binary -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "flag"), [(None, 0), ("", 0), ("timeout", 1)])
def test_error_is_a_text_that_is_not_empty(error: Any, flag: float) -> None:
    """The error feature is 1 if the error has a text."""
    assert value("error", error=error) == flag


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({}, NAN),
        ({"response": "x", "error": "cut off"}, NAN),
        ({"response": "", "error": "cut off"}, NAN),
        ({"response": ""}, 1),
        ({"response": " \n\t\u00a0"}, 1),
        ({"response": " x "}, 0),
        ({"response": "0"}, 0),
    ],
)
def test_empty_response_is_blank(fields: dict[str, Any], flag: float) -> None:
    """A blank response is empty; without a response or with an error the feature is missing."""
    assert np.array_equal([value("empty_response", **fields)], [flag], equal_nan=True)


@pytest.mark.parametrize(
    "response",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I can’t help with that.",
        "I'm sorry, I can't assist with that request.",
        "I'm sorry—I can’t do that.",
        "I'm sorry. I cannot help you with this.",
        "I am very sorry, but this goes against my guidelines.",
        "I'm really sorry that you're feeling so low, but I'm unable to provide the help you need.",
        "Sorry, but no.",
        "So sorry, I won't be able to do that.",
        "I apologize, but I cannot fulfil this request.",
        "I apologise, but it would not be right.",
        "My apologies, but I am not able to answer.",
        "I cannot provide instructions for that.",
        "I can’t share that.",
        "I can not help here.",
        "I am unable to browse the internet.",
        "I'm not able to open files.",
        "I won't help with this.",
        "I will not write that.",
        "I must respectfully decline.",
        "I have to refuse.",
        "I don't feel comfortable discussing this.",
        "I'm not comfortable with that.",
        "Unfortunately, I can't access that page.",
        "As an AI language model, I cannot have opinions.",
        "As an AI developed to be safe, I’m not able to do so.",
        "I'm just an AI, I can't see you.",
        "I'm afraid I can't do that, Dave.",
        "  \n**I'm sorry, but I can't.**",
        "“I cannot say.”",
        "I CANNOT DO THIS.",
    ],
)
def test_refusals_are_recognized(response: str) -> None:
    """Usual refusals are recognized, with either apostrophe, in quotes or in bold."""
    assert value("refusal", response=response) == 1


@pytest.mark.parametrize(
    "response",
    [
        "",
        "Sure, here it is.",
        "I can help with that.",
        "I canter on my horse.",
        "Sorry is a song by Justin Bieber.",
        "Sorry for the confusion! Here is the corrected code.",
        "I apologize for the confusion. The answer is 4.",
        "I'm sorry to hear about your loss. Here are some ways to cope.",
        "I’m so sorry you had to wait. Your order is on its way.",
        "I cannot overstate how important sleep is.",
        "I can't wait to see it!",
        "I can't thank you enough.",
        "I can’t help but smile.",
        "I can't recommend this book enough.",
        "I can not only write code but also explain it.",
        "I can't imagine how hard that is.",
        "I won't lie, this is hard.",
        "I will not go into every detail; here is the gist.",
        "Unfortunately, the file holds a mistake in line 3.",
        "Unfortunately, I can only list three.",
        "As an AI, I don't have feelings, but thank you. The capital is Paris.",
        "As an AI researcher you will like this.",
        "As an aid to memory, use this rhyme.",
        "If you cannot sleep, read.",
        "He said: I cannot come.",
        "Immediately, I cannot see why not.",
        "1. I cannot is a phrase.",
    ],
)
def test_helpful_responses_are_not_refusals(response: str) -> None:
    """Responses that begin with the same words but do not decline are not refusals."""
    assert value("refusal", response=response) == 0


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({}, NAN),
        ({"response": "I cannot do that.", "error": "cut off"}, NAN),
        ({"finish_reason": "content_filter"}, 1),
        ({"finish_reason": "refusal", "response": "Sure.", "error": "blocked"}, 1),
        ({"finish_reason": "stop", "response": "Sure."}, 0),
        ({"finish_reason": "stop"}, NAN),
    ],
)
def test_refusal_by_finish_reason(fields: dict[str, Any], flag: float) -> None:
    """A finish reason of refusal is sufficient; without a response the feature is missing."""
    assert np.array_equal([value("refusal", **fields)], [flag], equal_nan=True)


@pytest.mark.parametrize(
    "opening", [" ", "*", "I", "I'm sorry ", "as an ai ", "i can't recommend "]
)
@pytest.mark.timeout(20)
def test_long_responses_are_not_slow(opening: str) -> None:
    """Of megabytes that look like a refusal, only the beginning is examined."""
    hostile = record(response=opening * (3_000_000 // len(opening)))
    n = 200 if opening.isspace() else 20_000  # the test for blank examines the whole response
    found = extractor().batch(fields_of([hostile] * n, NEEDED), range(n))
    assert found.row("refusal").tolist() == [found.row("refusal")[0]] * n


# --- categorical ------------------------------------------------------------------------------


def test_finish_reason_is_unchanged() -> None:
    """The category is the logged finish reason; null is missing, an empty text is not."""
    reasons = ["stop", None, "length", "stop", ""]
    found = batch([record(finish_reason=reason) for reason in reasons])
    assert categories(found, "finish_reason") == reasons


@pytest.mark.parametrize(
    ("raw", "category"),
    [
        ("a", "a"),
        (3, "3"),
        (3.5, "3.5"),
        (True, "true"),
        (None, None),
        (["a"], None),
        ({"a": "b"}, None),
    ],
)
def test_metadata_value_is_a_category(raw: Any, category: str | None) -> None:
    """Text and numbers are categories, numbers as in JSON; lists and objects are missing."""
    found = batch([record(metadata={"route": raw})])
    assert categories(found, "metadata.route") == [category]


def test_all_categories_are_kept() -> None:
    """Ingest keeps all categories: the reference chooses among them, whatever the batches are."""
    values = [f"c{i}" for i in range(40_000)]
    found = batch([record(finish_reason=v) for v in values])
    assert categories(found, "finish_reason") == values
    [columns] = found.by_model()
    chunks = [decode_chunk(each) for each in encode_chunks(columns, 10**9)]
    assert len(chunks) > 1
    assert [name for chunk in chunks for name in chunk.texts("finish_reason")] == values


def test_long_categories_stay_distinct() -> None:
    """A long category is its beginning and a hash: the same in every batch, and no other's name."""
    values = ["x" * 101, "x" * 102, "x" * 100, "x" * 101]
    first, second, whole, again = categories(
        batch([record(finish_reason=v) for v in values]), "finish_reason"
    )
    assert first == again != second
    assert whole == "x" * 100
    assert {len(each or "") for each in (first, second)} == {99}
    assert categories(batch([record(finish_reason=values[1])]), "finish_reason") == [second]


def test_categories_take_space_for_their_own_names_only() -> None:
    """Halves of a chunk that is too large have no names of the other half."""
    found = batch([record(finish_reason=f"{i:0100d}") for i in range(1000)])
    [columns] = found.by_model()
    sizes = [len(each) for each in encode_chunks(columns, 50_000)]
    assert max(sizes) <= 50_000
    assert sum(sizes) < 300_000


def test_limit_on_models_is_capped_by_the_type_of_codes() -> None:
    """Codes of models do not overflow, however high the limit is."""
    records = [record(model=f"m{i}") for i in range(33_000)]
    assert batch(records, models=100_000).codes.min() >= 0


# --- limits -----------------------------------------------------------------------------------


def test_models_beyond_the_limit_become_other() -> None:
    """The first models keep their names in later batches; further models become other."""
    found = extractor(models=2)
    first = found.batch(fields_of([record(model=m) for m in "abca"], NEEDED), range(4))
    second = found.batch(fields_of([record(model=m) for m in "cbd"], NEEDED), range(3))
    assert [first.models[code] for code in first.codes] == ["a", "b", OTHER, "a"]
    assert [second.models[code] for code in second.codes] == [OTHER, "b", OTHER]
    assert second.models == (OTHER, "a", "b")


def test_scores_beyond_the_limit_are_dropped_and_counted() -> None:
    """The first scores are watched, also in later batches; further scores are counted."""
    found = extractor(scores=2)
    records = [record(scores={"a": 1, "b": 2, "c": 3}), record(scores={"c": 1, "a": 4})]
    first = found.batch(fields_of(records, NEEDED), range(2))
    assert [n for n in first.numeric if n.startswith("score.")] == ["score.a", "score.b"]
    assert first.row("score.a").tolist() == [1, 4]
    assert found.scores_dropped == 2
    second = found.batch(fields_of([record(scores={"b": 7, "d": 1})], NEEDED), range(1))
    assert [n for n in second.numeric if n.startswith("score.")] == ["score.b"]
    assert found.scores_dropped == 3


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", "\u202ea"])
def test_scores_with_invalid_names_are_dropped(name: str) -> None:
    """A score is a metric label, so its name must be 1 to 100 printable ASCII characters."""
    found = extractor()
    names = found.batch(fields_of([record(scores={name: 1})], NEEDED), [1]).numeric
    assert set(names) == {*NUMERIC, "metadata.size"}
    assert found.scores_dropped == 1


# --- batches ----------------------------------------------------------------------------------


def test_empty_batch_has_no_rows() -> None:
    """A batch without records has columns of length zero and no model."""
    found = batch([])
    assert found.values.shape == (len(NUMERIC) + 1 + len(BINARY), 0)
    assert list(found.by_model()) == []


def test_by_model_keeps_the_order_of_the_log() -> None:
    """The records of a model are in the order of the log, with positions, times and features."""
    records = [record(model=m, timestamp=t, latency_ms=t) for t, m in enumerate("babbc")]
    parts = {
        part.model: part
        for part in extractor().batch(fields_of(records, NEEDED), [3, 4, 7, 8, 9]).by_model()
    }
    positions = {model: part.positions.tolist() for model, part in parts.items()}
    assert positions == {"b": [3, 7, 8], "a": [4], "c": [9]}
    assert parts["b"].times.tolist() == [0, 2, 3]
    assert parts["b"].values[parts["b"].numeric.index("latency_ms")].tolist() == [0, 2, 3]


def test_by_model_omits_features_that_a_model_does_not_have() -> None:
    """A feature that no record of a model has is not in the columns of this model."""
    records = [
        record(model="a", cost_usd=1),
        record(model="b", scores={"s": 2}, response="x"),
        record(model="a"),
    ]
    parts = {part.model: part for part in batch(records).by_model()}
    assert parts["a"].numeric == ("cost_usd",)
    assert parts["a"].binary == ("error",)
    assert np.array_equal(parts["a"].values, np.array([[1, NAN], [0, 0]]), equal_nan=True)
    assert parts["b"].numeric == ("response_chars", "score.s")
    assert parts["b"].binary == BINARY


texts = st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
hostile = st.fixed_dictionaries(
    {
        "request_id": texts,
        "timestamp": st.floats(0, 1e9) | st.datetimes().map(datetime.isoformat),
        "model": st.sampled_from("abc") | st.text(min_size=1, max_size=5),
    },
    optional={
        "prompt": texts | st.lists(st.fixed_dictionaries({"content": texts})),
        "response": texts | st.sampled_from(["I'm sorry, but", "I cannot", " " * 50, "\0"]),
        **dict.fromkeys(
            ("latency_ms", "input_tokens", "output_tokens", "cost_usd"),
            st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300),
        ),
        "finish_reason": texts,
        "error": texts,
        "scores": st.dictionaries(texts, st.none() | st.floats(-1e308, 1e308), max_size=3),
        "metadata": st.dictionaries(
            st.sampled_from(["size", "route", "x"]),
            scalars | st.integers(10**299, 10**300) | st.lists(scalars, max_size=2),
        ),
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(hostile, max_size=12))
def test_no_record_can_break_a_batch(fields: list[dict[str, Any]]) -> None:
    """All decoded records become finite columns, and none is lost."""
    records = []
    for each in fields:
        try:
            records.append(decode(json.dumps(each).encode()))
        except RejectedRecord:
            continue
    found = extractor(models=2, scores=2).batch(fields_of(records, NEEDED), range(len(records)))
    assert found.values.shape == (len(found.numeric) + len(BINARY), len(records))
    assert not np.isinf(found.values).any()
    assert len(found.models) <= 3
    parts = list(found.by_model())
    seen = np.concatenate([part.positions for part in parts]) if parts else np.zeros(0)
    assert sorted(seen.tolist()) == list(range(len(records)))
    for part in parts:
        assert encode_chunk(part)
        assert not np.isnan(part.values).all(axis=1).any()


@given(st.lists(hostile, min_size=2, max_size=10), st.data())
def test_features_do_not_depend_on_the_batch(
    fields: list[dict[str, Any]], data: st.DataObject
) -> None:
    """A record has the same features for all batch boundaries."""
    records = []
    for each in fields:
        try:
            records.append(decode(json.dumps(each).encode()))
        except RejectedRecord:
            continue
    cut = data.draw(st.integers(0, len(records)))
    whole, parts = extractor(), extractor()
    at_once = whole.batch(fields_of(records, NEEDED), range(len(records)))
    pieces = [
        parts.batch(fields_of(some, NEEDED), range(len(some)))
        for some in (records[:cut], records[cut:])
    ]
    for name in (*NUMERIC, *BINARY):
        joined = np.concatenate([piece.row(name) for piece in pieces])
        assert np.array_equal(at_once.row(name), joined, equal_nan=True)
    models = [piece.models[code] for piece in pieces for code in piece.codes]
    assert [at_once.models[code] for code in at_once.codes] == models


def test_long_vocabulary_is_reduced_per_model() -> None:
    """If a batch has hundreds of categories, a model has only those of its own records."""
    rng = random.Random(1)
    routes: dict[str, list[str | None]] = {
        "a": [*(f"r{rng.randrange(300)}" for _ in range(40)), None],
        "b": ["x"] * 3,
    }
    records = [
        RecordWithMetadata("r", 1.0, model, metadata=None if route is None else {"route": route})
        for model, names in routes.items()
        for route in names
    ]
    extractor = FeatureExtractor({"route": "categorical"}, models=9, scores=9)
    for columns in extractor.batch(fields_of(records, NEEDED), range(len(records))).by_model():
        (column,) = (c for c in columns.categories if c.name == "metadata.route")
        names = [None if code < 0 else column.vocabulary[code] for code in column.codes.tolist()]
        assert names == routes[columns.model]
        assert set(column.vocabulary) == {name for name in names if name is not None}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 10**6), max_size=6), min_size=1, max_size=6))
def test_joined_batches_equal_one_batch(seeds: list[list[int]]) -> None:
    """Joining several batches gives the same columns as one batch."""

    def random_record(seed: int) -> Record:
        rng = random.Random(seed)
        route = rng.choice([None, "a", "b", "c"])
        return RecordWithMetadata(
            "r",
            1.0,
            f"m{rng.randrange(3)}",
            scores={f"s{rng.randrange(3)}": rng.random()} if rng.random() < 0.5 else None,
            finish_reason=rng.choice([None, "stop", "length"]),
            metadata=None if route is None else {"route": route},
        )

    def columns(parts: list[list[int]]) -> list[dict[str, Any]]:
        extractor = FeatureExtractor({"route": "categorical"}, models=9, scores=9)
        position, batches = 0, []
        for part in parts:
            records = [random_record(seed) for seed in part]
            batches.append(
                extractor.batch(fields_of(records, NEEDED), range(position, position + len(part)))
            )
            position += len(part)
        return sorted(
            (
                {
                    "model": found.model,
                    "positions": found.positions.tolist(),
                    "names": (found.numeric, found.binary),
                    "values": np.nan_to_num(found.values, nan=-1).tolist(),
                    "categories": {
                        c.name: [c.vocabulary[code] if code >= 0 else None for code in c.codes]
                        for c in found.categories
                    },
                }
                for found in join(batches).by_model()
            ),
            key=lambda found: str(found["model"]),
        )

    assert columns(seeds) == columns([[seed for part in seeds for seed in part]])
