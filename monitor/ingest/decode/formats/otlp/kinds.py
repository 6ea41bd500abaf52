"""What a span is: an inference, or which kind of other work."""

from __future__ import annotations

from typing import Any, Final

from monitor.ingest.decode.formats.otlp.reading.entries import Attributes
from monitor.ingest.decode.formats.otlp.wanted import INPUT_TOKENS, MODELS, RESPONDED_MODELS

INFERENCE: Final = "inference"
AGENT: Final = "agent"
TOOL: Final = "tool"
EMBEDDING: Final = "embedding"
RETRIEVAL: Final = "retrieval"
RERANKING: Final = "reranking"
WORKFLOW: Final = "workflow"
GUARDRAIL: Final = "guardrail"
EVALUATION: Final = "evaluation"
WRAPPER: Final = "wrapper"
"""A span around the span of the call itself, which has the same texts and tokens."""
OTHER: Final = "other_span"

KINDS: Final = (
    AGENT,
    TOOL,
    EMBEDDING,
    RETRIEVAL,
    RERANKING,
    WORKFLOW,
    GUARDRAIL,
    EVALUATION,
    WRAPPER,
    OTHER,
)
"""Kinds of spans that are skipped."""

_OPERATIONS: Final = {
    "chat": INFERENCE,
    "text_completion": INFERENCE,
    "generate_content": INFERENCE,
    "completion": INFERENCE,  # OpenLLMetry
    "embeddings": EMBEDDING,
    "embedding": EMBEDDING,
    "rerank": RERANKING,
    "retrieval": RETRIEVAL,
    "execute_tool": TOOL,
    "invoke_agent": AGENT,
    "create_agent": AGENT,
    "agent_step": AGENT,  # Vercel
    "invoke_workflow": WORKFLOW,
}
_OPENINFERENCE: Final = {
    "LLM": INFERENCE,
    "AGENT": AGENT,
    "TOOL": TOOL,
    "EMBEDDING": EMBEDDING,
    "RETRIEVER": RETRIEVAL,
    "RERANKER": RERANKING,
    "CHAIN": WORKFLOW,
    "GUARDRAIL": GUARDRAIL,
    "EVALUATOR": EVALUATION,
}
_LANGFUSE: Final = {
    "generation": INFERENCE,
    "agent": AGENT,
    "tool": TOOL,
    "embedding": EMBEDDING,
    "retriever": RETRIEVAL,
    "chain": WORKFLOW,
    "guardrail": GUARDRAIL,
    "evaluator": EVALUATION,
}
_MLFLOW: Final = {
    "LLM": INFERENCE,
    "CHAT_MODEL": INFERENCE,
    "AGENT": AGENT,
    "TOOL": TOOL,
    "EMBEDDING": EMBEDDING,
    "RETRIEVER": RETRIEVAL,
    "RERANKER": RERANKING,
    "CHAIN": WORKFLOW,
    "WORKFLOW": WORKFLOW,
    "TASK": WORKFLOW,
    "GUARDRAIL": GUARDRAIL,
    "EVALUATOR": EVALUATION,
}
_TRACELOOP: Final = {"agent": AGENT, "tool": TOOL, "workflow": WORKFLOW, "task": WORKFLOW}

_CONVENTIONS: Final = (
    ("openinference.span.kind", _OPENINFERENCE),
    ("langfuse.observation.type", _LANGFUSE),
    ("gen_ai.operation.name", _OPERATIONS),
    ("mlflow.spanType", _MLFLOW),
    ("llm.request.type", _OPERATIONS),
    ("traceloop.span.kind", _TRACELOOP),
)
"""Attribute -> its values, in the order in which they decide."""
_UNDECIDED: Final = frozenset({"unknown", "UNKNOWN"})
_VERCEL_CALLS: Final = (".doGenerate", ".doStream")
_CALL: Final = frozenset(
    (
        *INPUT_TOKENS,
        "gen_ai.response.finish_reasons",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.prompt.0.content",
        "gen_ai.completion.0.content",
    )
)
"""Attributes of calls of a model; one of them is enough beside the name of the model."""


def kind_of(attributes: Attributes) -> str:
    """Return the kind of a span or of a details event."""
    operation = attributes.get("ai.operationId")
    if isinstance(operation, str):
        return _vercel(operation)
    for name, kinds in _CONVENTIONS:
        value = attributes.get(name)
        if value is not None and (found := _named(value, kinds)) is not None:
            return found
    if "gen_ai.request.id" in attributes:  # vLLM
        return INFERENCE
    has_model = any(name in attributes for name in (*MODELS, *RESPONDED_MODELS))
    return INFERENCE if has_model and not _CALL.isdisjoint(attributes) else OTHER


def _named(value: Any, kinds: dict[str, str]) -> str | None:
    """Return the kind that a value names; None if it decides nothing."""
    if not isinstance(value, str):
        return None
    value = value.strip('"')  # MLflow writes JSON
    if value in _UNDECIDED:
        return None
    return kinds.get(value) or kinds.get(value.upper()) or kinds.get(value.lower()) or OTHER


def _vercel(operation: str) -> str:
    """Return the kind of an operation of Vercel's AI SDK: only the inner spans are calls."""
    if operation.endswith(_VERCEL_CALLS):
        return INFERENCE
    if operation.startswith("ai.toolCall"):
        return TOOL
    if operation.startswith("ai.embed"):
        return EMBEDDING
    if operation.startswith("ai.rerank"):
        return RERANKING
    return WRAPPER if operation.startswith(("ai.generate", "ai.stream")) else OTHER
