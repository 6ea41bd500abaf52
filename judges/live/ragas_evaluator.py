"""Evaluate samples by a metric of RAGAS. Imported only where metrics are configured."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from msgspec.structs import replace

from judges.budget.prices import Prices
from judges.calls import Call, JudgeClient, Unscored
from judges.live.evaluator import evaluation_of
from judges.ragas.embedding import Embedder
from judges.ragas.llm import INSTRUCTIONS, MAX_TOKENS
from judges.ragas.metrics import Metric, inputs_of, other_texts
from judges.ragas.scorer import RagasScorer
from monitor.events.evaluations import Evaluation
from monitor.records import Sample

PROMPT_BYTES: Final = 16_000
"""Length of the prompts of ragas around the texts of a sample; the longest has some 12,000."""


@dataclass(frozen=True)
class RagasEvaluator:
    """Evaluates samples by one metric. embedder: for metrics that compare embeddings."""

    metric: Metric
    model: str
    embedder: Embedder | None = None

    @property
    def name(self) -> str:
        """Name of the feature."""
        return f"ragas.{self.metric.name}"

    @cached_property
    def version(self) -> str:
        """Hash of the metric, the judge and the release of ragas."""
        import ragas

        content = f"{self.metric.name} {self.model} {ragas.__version__}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def applies(self, sample: Sample) -> bool:
        """Return whether the record is one of retrieval, or has the reference that is compared."""
        if "retrieved_contexts" in self.metric.inputs:
            return sample.contexts is not None
        return "reference" not in self.metric.inputs or sample.reference is not None

    def worst_case(self, sample: Sample, prices: Prices) -> int:
        """Return an upper bound of the cost of all calls without retries, in nanodollars.

        A later call contains the answers of the earlier ones.
        """
        inputs = inputs_of(self.metric, sample)
        if isinstance(inputs, Unscored):
            return 0
        texts = [*other_texts(inputs), str(inputs.get("response") or "")]
        contexts = len(inputs.get("retrieved_contexts") or ())
        size = PROMPT_BYTES + sum(len(text.encode("utf-8", "replace")) for text in texts)
        size += 4 * MAX_TOKENS
        call = Call(self.model, INSTRUCTIONS, "x" * size, {}, MAX_TOKENS)
        calls = self.metric.calls + self.metric.calls_per_context * contexts
        return calls * prices.worst_case(call)

    async def evaluate(self, sample: Sample, client: JudgeClient) -> Evaluation:
        """Return the value of the metric, or why there is none."""
        scorer = RagasScorer(client, self.model, embedder=self.embedder)
        result = await scorer.score(self.metric, sample)
        blank = evaluation_of(self, sample, self.model)
        if isinstance(result, Unscored):
            return replace(blank, unscored=str(result.reason), explanation=result.detail)
        return replace(blank, score=result.value)
