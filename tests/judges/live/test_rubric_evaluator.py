"""A rubric as an evaluator: the pinned judge's score counts, the panel measures agreement."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field

import pytest

from judges.budget.prices import Price, Prices
from judges.calls import Answer, Call, CallFailed, UnscoredReason, Usage
from judges.live.rubric_evaluator import RubricEvaluator
from judges.rubrics import loading
from judges.rubrics.panel import Panel
from judges.rubrics.prompt import token_of
from monitor.events.evaluations import Evaluation
from monitor.records import Inclusion, Sample

RUBRIC = loading.load("answer_quality")
SAMPLE = Sample("r1", 5.0, "m", Inclusion(True, 0.25), prompt="A question?", response="An answer.")
ALONE = Panel()
PRICES = Prices({name: Price(1.0, 2.0, 1.25, 2.0, 0.1) for name in ("pinned", "other")})


@dataclass
class Judges:
    """Judges by model: a score for every dimension, or a reason. quoting repeats the token."""

    scores: dict[str, int | UnscoredReason]
    quoting: bool = False
    asked: list[Call] = field(default_factory=list)

    async def ask(self, call: Call) -> Answer:
        """Answer as the model of the call."""
        self.asked.append(call)
        score = self.scores[call.model]
        if isinstance(score, UnscoredReason):
            raise CallFailed(score, "as told")
        dimensions = {each.name: score for each in RUBRIC.dimensions}
        reasoning = f"as in {token_of(call.data)}" if self.quoting else "because"
        verdict = {"reasoning": reasoning, "scores": dimensions, "strengths": [], "weaknesses": []}
        return Answer(json.dumps(verdict), Usage(10, 10), call.model)

    async def close(self) -> None:
        """Do nothing."""


def evaluate(judges: Judges, panel: Panel = ALONE, sample: Sample = SAMPLE) -> Evaluation:
    """Return the evaluation of a sample."""
    evaluator = RubricEvaluator(RUBRIC, "pinned", random.Random(1), panel)
    return asyncio.run(evaluator.evaluate(sample, judges))


def test_the_evaluation_has_what_readers_need() -> None:
    """Name, sample, judge, version, scores and explanation."""
    found = evaluate(Judges({"pinned": 4}))
    assert (found.name, found.request_id, found.model, found.time) == (
        "judge.answer_quality",
        "r1",
        "m",
        5.0,
    )
    assert (found.score, found.passed, found.evaluator) == (4.0, True, "pinned")
    assert found.pass_mark == RUBRIC.pass_mark
    assert (found.uniform, found.probability) == (True, 0.25)
    assert found.dimensions == {each.name: 4.0 for each in RUBRIC.dimensions}
    assert found.explanation == "because"
    assert not found.votes
    assert not found.flags


@pytest.mark.parametrize(("other", "flags"), [(4, ()), (3, ()), (1, ("low_agreement",))])
def test_the_panel_changes_no_score(other: int, flags: tuple[str, ...]) -> None:
    """Its votes are recorded; those far apart mark the case for people."""
    panel = Panel(("other", "pinned"), share=1.0)
    judges = Judges({"pinned": 4, "other": other})
    found = evaluate(judges, panel)
    assert found.score == 4.0
    assert found.votes == (4.0, other, 4.0)
    assert found.flags == flags
    assert len(judges.asked) == 3
    alone = RubricEvaluator(RUBRIC, "pinned", random.Random(1))
    assert found.version == alone.version


def test_the_panel_judges_a_share() -> None:
    """The same samples in every process."""
    judges, panel = Judges({"pinned": 4, "other": 4}), Panel(("other",), share=0.3)
    for number in range(200):
        sample = Sample(str(number), 1.0, "m", Inclusion(True, 1.0), response="An answer.")
        evaluate(judges, panel, sample)
    assert 240 - 30 < len(judges.asked) < 240 + 50


def test_an_unscored_member_is_no_vote() -> None:
    """Neither zero nor a disagreement; without the pinned judge there is no score."""
    panel = Panel(("other",), share=1.0)
    found = evaluate(Judges({"pinned": 4, "other": UnscoredReason.TIMEOUT}), panel)
    assert (found.score, found.votes, found.flags) == (4.0, (4.0,), ())
    found = evaluate(Judges({"pinned": UnscoredReason.REFUSAL, "other": 4}), panel)
    assert (found.score, found.unscored) == (None, "refusal")


def test_a_judge_that_repeats_the_delimiter_gives_no_score() -> None:
    """The secret of the request in its texts means that the judged text reached the verdict."""
    found = evaluate(Judges({"pinned": 5}, quoting=True))
    assert (found.score, found.unscored) == (None, "injection_suspected")
    assert found.flags == ("quotes_delimiter",)


@pytest.mark.parametrize(
    ("response", "reason"),
    [("", "empty_response"), (None, "empty_response"), ("x" * 300_000, "too_long")],
)
def test_what_cannot_be_judged_costs_nothing(response: str | None, reason: str) -> None:
    """No request is sent."""
    judges = Judges({"pinned": 4})
    found = evaluate(judges, sample=Sample("r", 1.0, "m", Inclusion(True, 1.0), response=response))
    assert found.unscored == reason
    assert judges.asked == []


def test_the_worst_case_covers_all_judges() -> None:
    """One request to each of them."""
    alone = RubricEvaluator(RUBRIC, "pinned", random.Random(1))
    panel = RubricEvaluator(RUBRIC, "pinned", random.Random(1), Panel(("other",), 1.0))
    assert panel.worst_case(SAMPLE, PRICES) == 2 * alone.worst_case(SAMPLE, PRICES) > 0
