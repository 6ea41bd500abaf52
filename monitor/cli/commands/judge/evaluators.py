"""What `plumbline judge run` evaluates each record by: rubrics, and metrics of RAGAS."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Protocol

from judges.budget.prices import Prices
from judges.calls import Call, JudgeClient, Unscored, Usage
from judges.ragas.embedding import Embedder
from judges.ragas.metrics import Metric, inputs_of, other_texts
from judges.rubrics.judge import judge_sample, unscored_without_call
from judges.rubrics.prompt import judge_call
from judges.rubrics.rubric import Rubric
from judges.rubrics.verdict import Verdict
from monitor.records import Sample

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
    dimensions: dict[str, int] = field(default_factory=dict)


class Evaluator(Protocol):
    """Evaluates records under one name."""

    @property
    def name(self) -> str:
        """Name in the report, such as `tone` or `faithfulness`."""
        ...

    @property
    def version(self) -> str:
        """Hash of all that a score depends on beside the record."""
        ...

    def calls(self, sample: Sample) -> list[Call]:
        """Return the calls that an evaluation makes, or calls of about their size."""
        ...

    async def evaluate(self, client: JudgeClient, sample: Sample) -> Outcome:
        """Return the score of a record, or the reason why there is none."""
        ...


@dataclass(frozen=True)
class ByRubric:
    """Evaluates by a rubric."""

    rubric: Rubric
    model: str
    random: Random

    @property
    def name(self) -> str:
        """Name of the rubric."""
        return self.rubric.name

    @property
    def version(self) -> str:
        """Hash of the rubric and the judge."""
        return _hash(self.rubric.hash, self.model)

    def calls(self, sample: Sample) -> list[Call]:
        """Return the one call, or none if the sample is unscored without it."""
        if unscored_without_call(self.rubric, sample) is not None:
            return []
        return [judge_call(self.rubric, self.model, sample, self.random)]

    async def evaluate(self, client: JudgeClient, sample: Sample) -> Outcome:
        """Return the verdict as an outcome."""
        return outcome_of(
            await judge_sample(client, self.rubric, self.model, sample, random=self.random)
        )


@dataclass
class ByMetric:
    """Evaluates by a metric of RAGAS.

    embedder: needed if the metric embeds.
    """

    metric: Metric
    model: str
    embedder: Embedder | None = None
    _scorer: Any = None

    @property
    def name(self) -> str:
        """Name of the metric."""
        return self.metric.name

    @property
    def version(self) -> str:
        """Hash of the metric, the version of ragas, and the judge."""
        from importlib.metadata import version

        return _hash(self.metric.name, version("ragas"), self.model)

    def calls(self, sample: Sample) -> list[Call]:
        """Return calls of about the size of those that ragas makes."""
        inputs = inputs_of(self.metric, sample)
        if isinstance(inputs, Unscored):
            return []
        contexts = len(inputs.get("retrieved_contexts", ()))
        count = self.metric.calls + self.metric.calls_per_context * contexts
        text = "\n".join([*other_texts(inputs), inputs.get("response", "")])
        return [Call(self.model, " " * RAGAS_PROMPT_CHARS, text, {}, 4096)] * count

    async def evaluate(self, client: JudgeClient, sample: Sample) -> Outcome:
        """Return the value of the metric as an outcome."""
        from judges.ragas.scorer import RagasScore, RagasScorer

        if self._scorer is None:
            self._scorer = RagasScorer(client, self.model, embedder=self.embedder)
        found = await self._scorer.score(self.metric, sample)
        if isinstance(found, RagasScore):
            return Outcome(found.value)
        return Outcome(None, str(found.reason))


def outcome_of(found: Verdict | Unscored) -> Outcome:
    """Return the outcome of a judged record. A flagged verdict is unscored: it may be forged."""
    if not isinstance(found, Verdict):
        return Outcome(None, str(found.reason))
    if found.flags:
        return Outcome(None, "injection_suspected")
    return Outcome(found.overall, None, found.passed, dict(found.scores))


def typical_cost(call: Call, prices: Prices, *, batch: bool = False) -> int:
    """Return the cost of a call of typical tokens, without the prompt cache, in nanodollars.

    batch: at half price.
    """
    size = len(call.instructions.encode()) + len(call.data.encode("utf-8", "replace"))
    usage = Usage(input_tokens=size // BYTES_PER_TOKEN, output_tokens=ANSWER_TOKENS)
    return prices.cost(call, usage, batch=batch)


def _hash(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
