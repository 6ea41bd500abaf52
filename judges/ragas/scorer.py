"""Score samples by ragas' own metrics: a value or a named reason, never NaN."""

from __future__ import annotations

import asyncio
import importlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from judges.budget.waiting import deadline
from judges.calls import JudgeClient, Unscored, UnscoredReason, Usage
from judges.hostile.background import in_background
from judges.ragas.embedding import Embedder
from judges.ragas.metrics import Metric, inputs_of, other_texts
from judges.rubrics.judge import MAX_CHARS, hostile_unscored
from monitor.errors import UserError
from monitor.records import Sample

CONCURRENCY: Final = 16
DEADLINE_S: Final = 300.0
"""Longest time for one metric of one sample, in seconds: a metric makes several calls in turn."""
_CLASSES: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "faithfulness": ("Faithfulness", {}),
    "answer_relevancy": ("AnswerRelevancy", {}),
    "context_precision": ("ContextPrecision", {}),
    "context_recall": ("ContextRecall", {}),
    "context_utilization": ("ContextUtilization", {}),
    # These two swallow every error and repeat the call; the client repeats what is worth it.
    "context_relevance": ("ContextRelevance", {"max_retries": 1}),
    "response_groundedness": ("ResponseGroundedness", {"max_retries": 1}),
    "semantic_similarity": ("SemanticSimilarity", {}),
}
"""Name -> class of ragas.metrics.collections, and its settings."""


@dataclass(frozen=True, slots=True)
class RagasScore:
    """The value of a metric for one sample, 0 to 1 (cosines: -1 to 1). model: that was asked."""

    metric: str
    value: float
    model: str
    usage: Usage


class RagasScorer:
    """Scores samples by metrics of ragas over a judge client.

    embedder: needed by metrics that embed. concurrency: most calls at a time. deadline_s: longest
    time for a metric of a sample.
    """

    def __init__(
        self,
        client: JudgeClient,
        model: str,
        *,
        embedder: Embedder | None = None,
        concurrency: int = CONCURRENCY,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._client = client
        self._model = model
        self._embedder = embedder
        self._deadline_s = deadline_s
        self._semaphore = asyncio.Semaphore(concurrency)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ragas' own dependencies
            self._collections = importlib.import_module("ragas.metrics.collections")
            self._llm = importlib.import_module("judges.ragas.llm")
            self._embedding = importlib.import_module("judges.ragas.ragas_embedding")

    async def score(
        self, metric: Metric, sample: Sample, *, max_chars: int = MAX_CHARS
    ) -> RagasScore | Unscored:
        """Return the value of a metric, or why there is none. Never raises CallFailed.

        The prompts of ragas have no delimiters, so hostile samples are not sent at all.
        Raises UserError if the metric needs embeddings and there is no embedder.
        """
        inputs = inputs_of(metric, sample)
        if isinstance(inputs, Unscored):
            return inputs
        others, response = other_texts(inputs), inputs.get("response")
        chars = sum(map(len, others)) + len(response or "")
        if chars > max_chars:
            return Unscored(UnscoredReason.TOO_LONG, f"{chars} characters, limit {max_chars}")
        if unscored := await in_background(hostile_unscored, others, response):
            return unscored
        llm = self._llm.SampleLlm(self._client, self._model, self._semaphore)
        value = await self._value(metric, inputs, llm)
        if isinstance(value, Unscored):
            return Unscored(value.reason, value.detail, llm.usage)
        return RagasScore(metric.name, value, self._model, llm.usage)

    async def _value(self, metric: Metric, inputs: dict[str, Any], llm: Any) -> float | Unscored:
        try:
            async with deadline(self._deadline_s):
                result = await (await self._instance(metric, inputs, llm)).ascore(**inputs)
        except TimeoutError:
            return Unscored(UnscoredReason.TIMEOUT, f"no value within {self._deadline_s:g} s")
        except UserError:
            raise
        except Exception as error:  # ragas raises what its models and numpy raise
            detail = f"ragas failed with {type(error).__name__}"
            return llm.failure or Unscored(UnscoredReason.INVALID_OUTPUT, detail)
        if llm.failure is not None:
            failure: Unscored = llm.failure
            return failure  # swallowed by ragas, which then used half of the answers
        return _checked(result.value)

    async def _instance(self, metric: Metric, inputs: dict[str, Any], llm: Any) -> Any:
        """Return the metric of ragas, with the language model and the embeddings that it needs."""
        name, settings = _CLASSES[metric.name]
        parts: dict[str, Any] = dict(settings)
        if metric.calls or metric.calls_per_context:
            parts["llm"] = llm
        if metric.embeds:
            if self._embedder is None:
                raise UserError(f"the RAGAS metric {metric.name} needs an embedder")
            parts["embeddings"] = self._embedding.SampleEmbedding(self._embedder)
            if not metric.calls:
                await parts["embeddings"].prepare(inputs["reference"], inputs["response"])
        return getattr(self._collections, name)(**parts)


def _checked(value: Any) -> float | Unscored:
    """Return a value of ragas without errors of rounding; unscored if it is none."""
    number = float(value)
    if math.isnan(number):
        return Unscored(UnscoredReason.NOT_APPLICABLE, "the judge found no statements")
    if not -1 - 1e-6 <= number <= 1 + 1e-6:
        return Unscored(UnscoredReason.INVALID_OUTPUT, "the value is out of range")
    return min(max(number, -1.0), 1.0)
