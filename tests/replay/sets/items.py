"""Items, samples and evaluations for tests, and strategies for them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from monitor.events.evaluations import HUMAN, Evaluation
from monitor.records import Inclusion, Sample
from replay.sets.item import Item, Provenance


def item(prompt: str, target: str | None = "yes", **fields: Any) -> Item:
    """Return an item of a file."""
    given: dict[str, Any] = {"scoring": "exact_match", "provenance": Provenance(origin="file")}
    given |= fields
    return Item(prompt=prompt, target=target, **given)


def questions(count: int, **fields: Any) -> list[Item]:
    """Return items without similar words."""
    return [item(f"alpha{i} beta{i} gamma{i} delta{i}?", f"t{i}", **fields) for i in range(count)]


def sample(request_id: str = "r", prompt: Any = "What is it?", **fields: Any) -> Sample:
    """Return a sample with a response."""
    given: dict[str, Any] = {"response": "A long answer of six words.", "timestamp": 5.0} | fields
    return Sample(
        request_id=request_id,
        model="chat",
        inclusion=Inclusion(uniform=True, probability=1.0),
        prompt=prompt,
        **given,
    )


def evaluation(request_id: str = "r", *, passed: bool | None = True, **fields: Any) -> Evaluation:
    """Return an evaluation by a judge."""
    score = {True: 4.5, False: 1.0, None: None}[passed]
    given = {"name": "judge.quality", "evaluator": "judge-model", "score": score} | fields
    return Evaluation(request_id=request_id, model="chat", time=5.0, passed=passed, **given)


def label(request_id: str = "r", *, passed: bool = True) -> Evaluation:
    """Return an evaluation by a person."""
    return evaluation(request_id, passed=passed, evaluator=HUMAN)


_words = st.sampled_from(["what", "is", "the", "capital", "of", "France", "Peru", "why", "3", "+"])
prompts = st.lists(_words, min_size=1, max_size=9).map(" ".join)
"""Prompts that are often duplicates of each other."""
item_lists = st.lists(
    st.builds(
        item,
        prompts,
        st.sampled_from(["yes", "no", None]),
        scoring=st.just("token_f1"),
        approved=st.sampled_from(["", "ann"]),
    ),
    max_size=12,
)
