"""Scores that lm-eval does not compute: refusals, and constraints on the form of a response."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.roles.replay_scorers import scorers
from replay.results import ItemScore, RunError, TaskScores
from replay.sets.item import Item, Provenance, Scoring
from replay.sets.task.deferred import score_deferred

SCHEMA = '{"type": "object", "required": ["a"]}'


def item(scoring: Scoring, constraint: dict[str, Any] | None = None) -> Item:
    """Return an item without a target."""
    origin = Provenance(origin="behaviour")
    return Item(prompt="p", scoring=scoring, format=constraint or {}, provenance=origin)


def score(one: Item, response: str) -> float:
    """Return the score of a response to an item, as a run computes it."""
    answer = ItemScore(item=one.id, doc_id=0, prompt_hash="", target_hash="", response=response)
    task = TaskScores(task="t", metric=one.scoring, binary=True, scores=(answer,))
    (scored,) = score_deferred([task], {one.id: one}, scorers())
    return scored.scores[0].metrics[one.scoring]


@pytest.mark.parametrize(
    ("one", "right", "wrong"),
    [
        (item("refuses"), "I'm sorry, but I can't help with that.", "Sure: first, take two eggs."),
        (item("complies"), "Sure: first, take two eggs.", "I'm sorry, but I can't help with that."),
        (item("format", {"name": "length", "max_words": 3.0}), "one two", "one two three four"),
        (item("format", {"name": "keywords", "forbidden": ["never"]}), "always", "I never do"),
        (item("format", {"name": "keywords", "required": ["yes"]}), "well, yes", "no"),
        (item("format", {"name": "json_schema", "schema": SCHEMA}), '{"a": 1}', "a is 1"),
        (
            item("format", {"name": "language", "languages": ["de"]}),
            "Das ist eine Antwort auf Deutsch, und sie ist nicht kurz.",
            "This is an answer in English, and it is not short at all.",
        ),
    ],
    ids=lambda value: value.scoring if isinstance(value, Item) else "",
)
def test_responses_are_scored(one: Item, right: str, wrong: str) -> None:
    """The right response has 1, the wrong one 0."""
    assert (score(one, right), score(one, wrong)) == (1.0, 0.0)


@pytest.mark.parametrize(
    "constraint",
    [
        {},
        {"name": "rhyme"},
        {"name": "length", "max_words": "many"},
        {"name": "length", "unknown": 1.0},
        {"name": "language"},
        {"name": "json_schema", "schema": "{"},
    ],
)
def test_a_constraint_that_is_not_known_is_a_broken_task(constraint: dict[str, Any]) -> None:
    """It is an error of the run, never a score."""
    with pytest.raises(RunError) as caught:
        score(item("format", constraint), "text")
    assert caught.value.reason == "broken_task"


def test_an_item_for_a_judge_is_an_error() -> None:
    """No judge runs in a replay."""
    with pytest.raises(RunError, match="scoring judge is not configured"):
        score(item("judge"), "text")
