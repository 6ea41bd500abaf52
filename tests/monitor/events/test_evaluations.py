"""Evaluations keep all fields in JSON; other bytes are rejected."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events.evaluations import (
    Evaluation,
    EvaluationError,
    decode_evaluation,
    encode_evaluation,
)

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    """Evaluations with a score or with a reason for none."""
    scored = draw(st.booleans())
    return Evaluation(
        name=draw(TEXTS),
        request_id=draw(TEXTS),
        model=draw(TEXTS),
        time=draw(NUMBERS),
        score=draw(NUMBERS) if scored else None,
        passed=draw(st.none() | st.booleans()) if scored else None,
        unscored="" if scored else draw(st.sampled_from(["timeout", "no_budget"])),
        evaluator=draw(TEXTS),
        version=draw(TEXTS),
        uniform=draw(st.booleans()),
        probability=draw(st.floats(0, 1)),
        dimensions=draw(st.dictionaries(TEXTS, NUMBERS, max_size=3)),
        votes=tuple(draw(st.lists(NUMBERS, max_size=3))),
        flags=tuple(draw(st.lists(TEXTS, max_size=2))),
        explanation=draw(TEXTS),
        cost_usd=draw(NUMBERS),
        judge_score=draw(st.none() | NUMBERS),
        pass_mark=draw(st.none() | NUMBERS),
    )


@given(evaluations())
def test_all_fields_are_kept(evaluation: Evaluation) -> None:
    """Decoding returns what was encoded."""
    assert decode_evaluation(encode_evaluation(evaluation)) == evaluation


def test_the_names_are_those_of_opentelemetry() -> None:
    """A reader of gen_ai.evaluation.result finds name, score, label, explanation and error."""
    scored = Evaluation(
        name="judge.tone", request_id="r", model="m", time=1.5, score=4.0, passed=True
    )
    unscored = Evaluation(
        name="judge.tone", request_id="r", model="m", time=1.5, unscored="timeout"
    )
    assert json.loads(encode_evaluation(scored)) == {
        "name": "gen_ai.evaluation.result",
        "timestamp": 1.5,
        "attributes": {
            "gen_ai.evaluation.name": "judge.tone",
            "gen_ai.evaluation.score.value": 4.0,
            "gen_ai.evaluation.score.label": "pass",
            "gen_ai.request.model": "m",
            "plumbline.request_id": "r",
        },
    }
    attributes = json.loads(encode_evaluation(unscored))["attributes"]
    assert attributes["error.type"] == "timeout"
    assert "gen_ai.evaluation.score.value" not in attributes


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"name": "gen_ai.evaluation.result", "timestamp": 1, "attributes": {}}',
        b'{"name": "other", "timestamp": 1, "attributes": {"gen_ai.evaluation.name": "a",'
        b' "gen_ai.request.model": "m", "plumbline.request_id": "r", "error.type": "x"}}',
        b'{"name": "gen_ai.evaluation.result", "timestamp": 1, "attributes":'
        b' {"gen_ai.evaluation.name": "a", "gen_ai.request.model": "m",'
        b' "plumbline.request_id": "r"}}',
        b'{"name": "gen_ai.evaluation.result", "timestamp": 1, "attributes":'
        b' {"gen_ai.evaluation.name": "a", "gen_ai.request.model": "m", "plumbline.request_id":'
        b' "r", "gen_ai.evaluation.score.value": 1, "error.type": "x"}}',
        b"[" * 5000,
    ],
)
def test_other_bytes_are_rejected(content: bytes) -> None:
    """Neither a missing name nor a score beside a reason is accepted."""
    with pytest.raises(EvaluationError):
        decode_evaluation(content)
