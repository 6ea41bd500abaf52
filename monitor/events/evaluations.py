"""Evaluations of responses: their type and their JSON (topic PREFIX.evaluations; key: request id).

An evaluation is the score that a judge or a person gave to one response under one name, or the
reason why there is no score. The JSON has the names of OpenTelemetry's event
`gen_ai.evaluation.result`; what these do not cover has the prefix `plumbline.`.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

EVENT_NAME: Final = "gen_ai.evaluation.result"
HUMAN: Final = "human"
"""Evaluator of published labels."""


class EvaluationError(Exception):
    """The bytes are not an evaluation."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one evaluator for one response.

    name: what was evaluated, which is also the name of the feature: "judge.RUBRIC", "ragas.METRIC",
        "check.NAME". Labels of people are also "spans.RUBRIC", "pairwise.RUBRIC", "ranking.RUBRIC".
    time: of the sample, in epoch seconds.
    score: None if there is none; then `unscored` is the reason.
    passed: whether the score reaches the pass mark; None without a score or a mark.
    pass_mark: lowest score that passes, of the evaluator; None without a score or a mark.
    evaluator: the model that judged, or HUMAN.
    version: hash of the rubric and its settings. Scores of two versions are not compared.
    uniform, probability: as in `monitor.records.Inclusion`.
    dimensions: score by dimension of the rubric.
    votes: scores of all judges or repeats if there are several.
    flags: what makes the sample or its verdict suspicious, by name.
    judge_score: of a human label, the score of the judge of this version for the same response.
    comparison: of a human label that compares responses, an id that all of them share.
    """

    name: str
    request_id: str
    model: str
    time: float
    score: float | None = None
    passed: bool | None = None
    unscored: str = ""
    evaluator: str = ""
    version: str = ""
    uniform: bool = False
    probability: float = 0.0
    dimensions: dict[str, float] = {}
    votes: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()
    explanation: str = ""
    cost_usd: float = 0.0
    judge_score: float | None = None
    comparison: str = ""
    pass_mark: float | None = None


class _Attributes(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={
        "name": "gen_ai.evaluation.name",
        "score": "gen_ai.evaluation.score.value",
        "label": "gen_ai.evaluation.score.label",
        "explanation": "gen_ai.evaluation.explanation",
        "model": "gen_ai.request.model",
        "unscored": "error.type",
        "request_id": "plumbline.request_id",
        "evaluator": "plumbline.evaluator",
        "version": "plumbline.version",
        "uniform": "plumbline.sample.uniform",
        "probability": "plumbline.sample.probability",
        "dimensions": "plumbline.dimensions",
        "votes": "plumbline.votes",
        "flags": "plumbline.flags",
        "cost_usd": "plumbline.cost_usd",
        "judge_score": "plumbline.judge.score",
        "comparison": "plumbline.comparison",
        "pass_mark": "plumbline.pass_mark",
    },
):
    name: str
    model: str
    request_id: str
    score: float | None = None
    label: Literal["pass", "fail"] | None = None
    explanation: str = ""
    unscored: str = ""
    evaluator: str = ""
    version: str = ""
    uniform: bool = False
    probability: float = 0.0
    dimensions: dict[str, float] = {}
    votes: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()
    cost_usd: float = 0.0
    judge_score: float | None = None
    comparison: str = ""
    pass_mark: float | None = None


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    name: Literal["gen_ai.evaluation.result"] = EVENT_NAME
    timestamp: float
    attributes: _Attributes


_LABELS: Final[dict[bool | None, Literal["pass", "fail"] | None]] = {
    True: "pass",
    False: "fail",
    None: None,
}
_PASSED: Final = {label: passed for passed, label in _LABELS.items()}
_OWN: Final = tuple(name for name in _Attributes.__struct_fields__ if name != "label")
_decoder = msgspec.json.Decoder(_Event)


def encode_evaluation(evaluation: Evaluation) -> bytes:
    """Return an evaluation as JSON."""
    attributes = _Attributes(
        label=_LABELS[evaluation.passed], **{name: getattr(evaluation, name) for name in _OWN}
    )
    return msgspec.json.encode(_Event(timestamp=evaluation.time, attributes=attributes))


def decode_evaluation(content: bytes) -> Evaluation:
    """Return the evaluation of a JSON text. Raises EvaluationError for all other bytes."""
    try:
        event = _decoder.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise EvaluationError(str(error)) from None
    attributes = event.attributes
    if (attributes.score is None) != bool(attributes.unscored):
        raise EvaluationError("an evaluation has either a score or a reason why there is none")
    numbers = (event.timestamp, attributes.probability, *attributes.dimensions.values())
    if not all(map(math.isfinite, numbers)):
        raise EvaluationError("a number is not finite")
    return Evaluation(
        time=event.timestamp,
        passed=_PASSED[attributes.label],
        **{name: getattr(attributes, name) for name in _OWN},
    )
