from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from monitor.events.evaluations import Evaluation
from monitor.records import ChatMessage, Sample
from replay.sets.item import Item
from replay.sets.sources.opinions import Opinions
from replay.sets.sources.samples import SampleRules, context_length, items_of_samples
from tests.replay.sets.items import evaluation, label, sample

OTHER = "judge.tone"


def one(
    found: Sample, evaluations: list[Evaluation], rules: SampleRules | None = None
) -> tuple[Item | None, dict[str, int]]:
    """Return the item of a sample, and why there is none."""
    opinions, skipped = Opinions(), Counter[str]()
    opinions.add_all(evaluations)
    items = list(items_of_samples([found], opinions, rules or SampleRules(), skipped))
    assert len(items) + skipped.total() == 1
    return (items[0] if items else None), dict(skipped)


@pytest.mark.parametrize(
    ("evaluations", "accepted"),
    [
        ([evaluation()], "judge.quality 4.5"),
        ([evaluation(), evaluation(name=OTHER, score=4.0)], "judge.tone 4"),
        ([evaluation(passed=False), label()], "human"),  # people decide
        ([evaluation(passed=False), evaluation()], "judge.quality 4.5"),  # the later one counts
    ],
)
def test_an_accepted_answer_is_the_target(evaluations: list[Evaluation], accepted: str) -> None:
    """The response becomes the target, with the one who accepted it."""
    found, _ = one(sample(), evaluations, SampleRules(window="reference"))
    assert found is not None
    assert found.target == "A long answer of six words."
    provenance = found.provenance
    assert (provenance.origin, provenance.accepted_by) == ("sample", accepted)
    assert (provenance.request_id, provenance.time) == ("r", 5.0)
    assert (provenance.model, provenance.window) == ("chat", "reference")
    assert found.approved == ""


@pytest.mark.parametrize(
    ("fields", "evaluations", "disliked"),
    [
        ({}, [evaluation(), evaluation(name=OTHER, passed=False)], "judge.tone 1"),
        ({}, [evaluation(), label(passed=False)], "human"),
        ({"feedback": -1.0}, [evaluation()], "feedback"),
    ],
)
def test_a_disliked_answer_is_no_target(
    fields: dict[str, Any], evaluations: list[Evaluation], disliked: str
) -> None:
    """The item is scored by a judge, or against its reference."""
    found, _ = one(sample(**fields), evaluations)
    assert found is not None
    assert (found.target, found.scoring) == (None, "judge")
    assert found.provenance.origin == "disliked"
    assert found.provenance.detail == f"disliked by {disliked}"
    referenced, _ = one(sample(reference="Bern", **fields), evaluations)
    assert referenced is not None
    assert (referenced.target, referenced.scoring) == ("Bern", "exact_match")
    assert referenced.provenance.accepted_by == "reference"


@pytest.mark.parametrize(
    ("fields", "evaluations", "reason"),
    [
        ({}, [], "not_accepted"),
        ({}, [evaluation(passed=None, unscored="timeout")], "not_accepted"),
        ({}, [evaluation(flags=("injection",))], "not_accepted"),
        ({"error": "timeout"}, [evaluation()], "not_accepted"),
        ({"finish_reason": "length"}, [evaluation()], "not_accepted"),
        ({"cut": ("response",)}, [evaluation()], "not_accepted"),
        ({"response": "  "}, [evaluation()], "not_accepted"),
        ({"cut": ("prompt",)}, [evaluation()], "cut"),
        ({"prompt": ""}, [evaluation()], "no_prompt"),
        ({"prompt": [ChatMessage("system", "you")]}, [evaluation()], "no_prompt"),
    ],
)
def test_other_samples_are_counted(
    fields: dict[str, Any], evaluations: list[Evaluation], reason: str
) -> None:
    """A sample without an accepted, complete answer is no item."""
    assert one(sample(**fields), evaluations) == (None, {reason: 1})


def test_prompts_without_an_answer_can_be_open_items() -> None:
    """Drifted prompts are scored by a judge where that is wanted."""
    found, _ = one(sample(), [], SampleRules(window="drifted", open_items=True))
    assert found is not None
    assert (found.target, found.scoring, found.provenance.origin) == (None, "judge", "sample")


def test_slices_and_cluster_come_from_the_sample() -> None:
    """Metadata, language and length are slices; the session is a cluster without its id."""
    chat = [ChatMessage("system", "be kind"), ChatMessage("user", "Wo ist Bern?")]
    rules = SampleRules(
        slices={"topic": "intent", "group": "plan"}, language=lambda text: text.split()[0].lower()
    )
    given = sample(
        prompt=chat,
        reference="there",
        metadata={"intent": "geo", "tier": 2},
        session_id="secret-session",
        contexts=["x" * 40_000],
    )
    found, _ = one(given, [], rules)
    assert found is not None
    assert found.slices == {"topic": "geo", "context_length": "above 8,000", "language": "wo"}
    assert found.prompt == tuple(chat)
    assert found.cluster.startswith("session ")
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("tokens", "name"),
    [(500, "to 500"), (501, "to 2,000"), (8_000, "to 8,000"), (9e9, "above 8,000")],
)
def test_context_length_has_four_slices(tokens: float, name: str) -> None:
    """The bounds belong to the smaller slice."""
    assert context_length(sample(input_tokens=tokens)) == name


def test_opinions_are_bounded_and_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only wanted evaluations count, and what the bound drops is counted."""
    monkeypatch.setattr("replay.sets.sources.opinions.MAX_RESPONSES", 1)
    opinions = Opinions(names=frozenset([OTHER]), wanted={"r", "q"})
    opinions.add_all([evaluation(), evaluation("z", name=OTHER)])
    assert opinions.accepted_by(sample()) == ""
    opinions.add_all([evaluation(name=OTHER), evaluation("q", name=OTHER)])
    assert opinions.accepted_by(sample()) == "judge.tone 4.5"
    assert opinions.dropped == 1
