"""What `plumbline judge run` needs beside the evaluators of the role: outcomes, and estimates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from judges.budget.prices import Prices
from judges.calls import Call, Unscored, Usage
from judges.live.rubric_evaluator import RubricEvaluator
from judges.ragas.metrics import inputs_of, other_texts
from judges.rubrics.judge import unscored_without_call
from judges.rubrics.prompt import judge_call
from judges.rubrics.verdict import Verdict
from monitor.events.evaluations import Evaluation
from monitor.records import Sample

if TYPE_CHECKING:  # imports ragas, which takes seconds
    from judges.live.ragas_evaluator import RagasEvaluator

    Evaluator = RubricEvaluator | RagasEvaluator

ANSWER_TOKENS: Final = 300
"""Typical length of an answer, for the estimate only."""
BYTES_PER_TOKEN: Final = 4
RAGAS_PROMPT_CHARS: Final = 4000
"""Typical length of the instructions and examples in a prompt of ragas."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one evaluation of one record.

    score: None if unscored, which names the reason. dimensions: of a rubric.
    """

    score: float | None
    unscored: str | None = None
    passed: bool | None = None
    dimensions: dict[str, float] = field(default_factory=dict)


def name_of(evaluator: Evaluator) -> str:
    """Return the name in the report, such as `tone` for the feature `judge.tone`."""
    return evaluator.name.partition(".")[2]


def calls_of(evaluator: Evaluator, sample: Sample) -> list[Call]:
    """Return the calls of an evaluation without retries, those of ragas of about their size."""
    if isinstance(evaluator, RubricEvaluator):
        if unscored_without_call(evaluator.rubric, sample) is not None:
            return []
        return [judge_call(evaluator.rubric, evaluator.model, sample, evaluator.random)]
    metric = evaluator.metric
    inputs = inputs_of(metric, sample)
    if isinstance(inputs, Unscored):
        return []
    contexts = len(inputs.get("retrieved_contexts", ()))
    count = metric.calls + metric.calls_per_context * contexts
    text = "\n".join([*other_texts(inputs), inputs.get("response", "")])
    return [Call(evaluator.model, " " * RAGAS_PROMPT_CHARS, text, {}, 4096)] * count


def outcome_of_evaluation(found: Evaluation) -> Outcome:
    """Return the outcome of an evaluation."""
    return Outcome(found.score, found.unscored or None, found.passed, dict(found.dimensions))


def outcome_of(found: Verdict | Unscored) -> Outcome:
    """Return the outcome of a judged record. A flagged verdict is unscored: it may be forged."""
    if not isinstance(found, Verdict):
        return Outcome(None, str(found.reason))
    if found.flags:
        return Outcome(None, "injection_suspected")
    return Outcome(
        found.overall,
        None,
        found.passed,
        {name: float(each) for name, each in found.scores.items()},
    )


def typical_cost(call: Call, prices: Prices, *, batch: bool = False) -> int:
    """Return the cost of a call of typical tokens, without the prompt cache, in nanodollars.

    batch: at half price.
    """
    size = len(call.instructions.encode()) + len(call.data.encode("utf-8", "replace"))
    usage = Usage(input_tokens=size // BYTES_PER_TOKEN, output_tokens=ANSWER_TOKENS)
    return prices.cost(call, usage, batch=batch)
