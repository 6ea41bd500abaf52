"""The features: each by its definition, missing where nothing is known, bounded whatever comes."""

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

from monitor.columns import encode
from monitor.decode import decoder
from monitor.features import BINARY, LARGEST, NUMERIC, OTHER, Batch, FeatureExtractor, join
from monitor.records import Record, RecordWithMetadata, RefusedError

pytestmark = pytest.mark.filterwarnings("error")  # a numpy warning here is a wrong number

NAN = float("nan")
decode = decoder("native", metadata=True)


def record(**fields: Any) -> Record:
    """A record with these fields, by way of the decoder."""
    return decode(json.dumps({"request_id": "r", "timestamp": 1.0, "model": "m"} | fields).encode())


def extractor(models: int = 10, scores: int = 10, categories: int = 10) -> FeatureExtractor:
    """An extractor that watches a number and a category of the metadata."""
    metadata = {"size": "numeric", "route": "categorical"}
    return FeatureExtractor(metadata, models=models, scores=scores, categories=categories)


def batch(records: Sequence[Record], **bounds: int) -> Batch:
    """The features of records in a log of their own."""
    return extractor(**bounds).batch(records, range(1, len(records) + 1))


def value(feature: str, **fields: Any) -> float:
    """One feature of one record."""
    return float(batch([record(**fields)]).row(feature)[0])


def categories(found: Batch, name: str) -> list[str | None]:
    """One categorical feature, as words."""
    [column] = [c for c in found.categories if c.name == name]
    return [None if code < 0 else column.vocabulary[code] for code in column.codes.tolist()]


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["latency_ms", "time_to_first_token_ms", "input_tokens", "output_tokens", "cost_usd"],
)
@pytest.mark.parametrize("number", [0, 12, 0.125, -3, LARGEST])
def test_logged_numbers_are_taken_as_they_are(name: str, number: float) -> None:
    """A number of the log is its feature; zero and negative ones too."""
    assert value(name, **{name: number}) == number


@pytest.mark.parametrize(
    "name", ["latency_ms", "input_tokens", "output_tokens", "cost_usd", "time_to_first_token_ms"]
)
@pytest.mark.parametrize("number", [1.0001e15, -1e16, 1e308])
def test_absurd_numbers_are_missing(name: str, number: float) -> None:
    """What nothing measures would swamp every sum."""
    assert math.isnan(value(name, **{name: number}))


def test_what_is_absent_is_missing() -> None:
    """A record that says nothing has no features but that there was no error."""
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
def test_tokens_per_second(tokens: Any, latency: Any, speed: float) -> None:
    """Output tokens over the latency in seconds; without a latency there is no speed."""
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
def test_prompt_chars(prompt: Any, chars: float) -> None:
    """Characters of the prompt's text, over all messages and parts."""
    assert np.array_equal([value("prompt_chars", prompt=prompt)], [chars], equal_nan=True)


@pytest.mark.parametrize(("response", "chars"), [(None, NAN), ("", 0), (" \n", 2), ("né😀", 3)])
def test_response_chars(response: Any, chars: float) -> None:
    """Characters of the answer."""
    assert np.array_equal([value("response_chars", response=response)], [chars], equal_nan=True)


def test_scores_are_features() -> None:
    """Each score of the log is a feature; a record without it has none."""
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
def test_metadata_numbers(raw: Any, number: float) -> None:
    """A number is taken; anything else under a numeric key is missing."""
    found = value("metadata.size", metadata={"size": raw})
    assert np.array_equal([found], [number], equal_nan=True)


# --- yes and no -------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "flag"), [(None, 0), ("", 0), ("timeout", 1)])
def test_error(error: Any, flag: float) -> None:
    """An error is one that says something."""
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
def test_empty_response(fields: dict[str, Any], flag: float) -> None:
    """An answer without text is empty; where there is no answer, it is neither."""
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
def test_refusals_are_recognised(response: str) -> None:
    """The usual ways to decline, with either apostrophe, in quotes or in bold."""
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
def test_helpful_answers_are_no_refusals(response: str) -> None:
    """Answers that merely begin with some of the same words."""
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
    """The finish reason decides; without one or an answer there is nothing to tell from."""
    assert np.array_equal([value("refusal", **fields)], [flag], equal_nan=True)


@pytest.mark.parametrize("sign", [" ", "*", "I", "I'm sorry ", "as an ai ", "i can't recommend "])
@pytest.mark.timeout(20)
def test_long_answers_cost_nothing_more(sign: str) -> None:
    """Megabytes that look like the beginning of a refusal are read no further than its length."""
    hostile = record(response=sign * (3_000_000 // len(sign)))
    n = 200 if sign.isspace() else 20_000  # that an answer is blank cannot be told from its head
    found = extractor().batch([hostile] * n, range(n))
    assert found.row("refusal").tolist() == [found.row("refusal")[0]] * n


# --- categories -------------------------------------------------------------------------------


def test_finish_reason() -> None:
    """The finish reason is a category as it is logged; none is missing, an empty one is not."""
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
def test_metadata_categories(raw: Any, category: str | None) -> None:
    """Text and numbers are categories, as JSON writes them; lists and objects are missing."""
    found = batch([record(metadata={"route": raw})])
    assert categories(found, "metadata.route") == [category]


def test_too_many_categories_become_other() -> None:
    """Past the bound, and past a sensible length, categories are told apart no more."""
    values = ["a", "b", "c", "a", "d", None, "x" * 101]
    found = batch([record(finish_reason=v) for v in values], categories=2)
    expected = ["a", "b", OTHER, "a", OTHER, None, OTHER]
    assert categories(found, "finish_reason") == expected
    assert found.categories[0].vocabulary == ("a", "b", OTHER)


def test_a_category_named_other_joins_the_others() -> None:
    """A log's own "other" is not in the vocabulary twice."""
    found = batch([record(finish_reason=v) for v in [OTHER, "a", "b"]], categories=2)
    assert categories(found, "finish_reason") == [OTHER, "a", OTHER]
    assert found.categories[0].vocabulary == (OTHER, "a")


def test_bounds_past_what_codes_hold() -> None:
    """However high the bounds, codes stay in their type."""
    records = [record(finish_reason=f"f{i}", model=f"m{i}") for i in range(33_000)]
    found = batch(records, models=100_000, categories=100_000)
    assert found.codes.min() >= 0
    words = categories(found, "finish_reason")
    assert words[:32_000] == [r.finish_reason for r in records[:32_000]]
    assert set(words[32_000:]) == {OTHER}


# --- bounds -----------------------------------------------------------------------------------


def test_models_past_the_bound_become_other() -> None:
    """The first models are known by name, also later; the rest is one."""
    found = extractor(models=2)
    first = found.batch([record(model=m) for m in "abca"], range(4))
    second = found.batch([record(model=m) for m in "cbd"], range(3))
    assert [first.models[code] for code in first.codes] == ["a", "b", OTHER, "a"]
    assert [second.models[code] for code in second.codes] == [OTHER, "b", OTHER]
    assert second.models == (OTHER, "a", "b")


def test_scores_past_the_bound_are_dropped_and_counted() -> None:
    """The first scores are known, also later; further ones and nameless ones are counted."""
    found = extractor(scores=2)
    records = [record(scores={"a": 1, "b": 2, "c": 3}), record(scores={"c": 1, "a": 4})]
    first = found.batch(records, range(2))
    assert [n for n in first.numeric if n.startswith("score.")] == ["score.a", "score.b"]
    assert first.row("score.a").tolist() == [1, 4]
    assert found.scores_dropped == 2
    second = found.batch([record(scores={"b": 7, "d": 1})], range(1))
    assert [n for n in second.numeric if n.startswith("score.")] == ["score.b"]
    assert found.scores_dropped == 3


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", "sécurité"])
def test_unsound_score_names_are_dropped(name: str) -> None:
    """A score's name becomes a label: printable ASCII of a sensible length."""
    found = extractor()
    names = found.batch([record(scores={name: 1})], [1]).numeric
    assert set(names) == {*NUMERIC, "metadata.size"}
    assert found.scores_dropped == 1


# --- batches ----------------------------------------------------------------------------------


def test_empty_batch() -> None:
    """No records are a batch of no rows, and of no model."""
    found = batch([])
    assert found.values.shape == (len(NUMERIC) + 1 + len(BINARY), 0)
    assert list(found.by_model()) == []


def test_by_model_keeps_the_order_of_the_log() -> None:
    """Each model's records come in the order of the log, with their positions, times, features."""
    records = [record(model=m, timestamp=t, latency_ms=t) for t, m in enumerate("babbc")]
    parts = {part.model: part for part in extractor().batch(records, [3, 4, 7, 8, 9]).by_model()}
    positions = {model: part.positions.tolist() for model, part in parts.items()}
    assert positions == {"b": [3, 7, 8], "a": [4], "c": [9]}
    assert parts["b"].times.tolist() == [0, 2, 3]
    assert parts["b"].values[parts["b"].numeric.index("latency_ms")].tolist() == [0, 2, 3]


def test_by_model_leaves_out_what_a_model_never_has() -> None:
    """A feature that none of a model's records has is not in its columns; others' are."""
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
    """Whatever the decoder lets through becomes finite columns; nothing is lost on the way."""
    records = []
    for each in fields:
        try:
            records.append(decode(json.dumps(each).encode()))
        except RefusedError:
            continue
    found = extractor(models=2, scores=2, categories=2).batch(records, range(len(records)))
    assert found.values.shape == (len(found.numeric) + len(BINARY), len(records))
    assert not np.isinf(found.values).any()
    assert len(found.models) <= 3
    parts = list(found.by_model())
    seen = np.concatenate([part.positions for part in parts]) if parts else np.zeros(0)
    assert sorted(seen.tolist()) == list(range(len(records)))
    for part in parts:
        assert encode(part)
        assert part.model.encode()
        assert not np.isnan(part.values).all(axis=1).any()
        for column in part.categories:
            assert len(column.vocabulary) <= 3


@given(st.lists(hostile, min_size=2, max_size=10), st.data())
def test_features_do_not_depend_on_the_batch(
    fields: list[dict[str, Any]], data: st.DataObject
) -> None:
    """A record has the same numbers however the log is cut into batches."""
    records = []
    for each in fields:
        try:
            records.append(decode(json.dumps(each).encode()))
        except RefusedError:
            continue
    cut = data.draw(st.integers(0, len(records)))
    whole, parts = extractor(), extractor()
    at_once = whole.batch(records, range(len(records)))
    pieces = [parts.batch(some, range(len(some))) for some in (records[:cut], records[cut:])]
    for name in (*NUMERIC, *BINARY):
        joined = np.concatenate([piece.row(name) for piece in pieces])
        assert np.array_equal(at_once.row(name), joined, equal_nan=True)
    models = [piece.models[code] for piece in pieces for code in piece.codes]
    assert [at_once.models[code] for code in at_once.codes] == models


def test_a_part_carries_no_more_of_a_long_vocabulary_than_it_uses() -> None:
    """Of a batch with hundreds of categories, a model's chunk names its own, and reads the same."""
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
    extractor = FeatureExtractor({"route": "categorical"}, models=9, scores=9, categories=999)
    for columns in extractor.batch(records, range(len(records))).by_model():
        (column,) = (c for c in columns.categories if c.name == "metadata.route")
        names = [None if code < 0 else column.vocabulary[code] for code in column.codes.tolist()]
        assert names == routes[columns.model]
        assert set(column.vocabulary) == {name for name in names if name is not None}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 10**6), max_size=6), min_size=1, max_size=6))
def test_joined_batches_are_the_batch_of_all(seeds: list[list[int]]) -> None:
    """Records taken in several batches make the columns that they make in one."""

    def made(seed: int) -> Record:
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
        extractor = FeatureExtractor({"route": "categorical"}, models=9, scores=9, categories=9)
        position, batches = 0, []
        for part in parts:
            records = [made(seed) for seed in part]
            batches.append(extractor.batch(records, range(position, position + len(part))))
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
