"""The names of the attributes and events that are read; others are never built.

Sources: semantic-conventions-genai v0.1.0 and semantic-conventions 1.30 to 1.41 (`gen_ai.*`),
opentelemetry-semantic-conventions-ai 0.5.1 (OpenLLMetry, Traceloop), OpenInference 0.1.42, vLLM's
vllm/tracing, packages/otel of Vercel's AI SDK, MLflow 3.17 and Langfuse 5.0.
"""

from __future__ import annotations

from typing import Final

REQUEST_IDS: Final = ("gen_ai.response.id", "gen_ai.request.id", "ai.response.id")
MODELS: Final = (
    "gen_ai.request.model",
    "llm.request.model_name",
    "llm.model_name",
    "ai.model.id",
    "langfuse.observation.model.name",
    "mlflow.llm.model",
    "llm.request.model",
)
RESPONDED_MODELS: Final = (
    "gen_ai.response.model",
    "llm.response.model_name",
    "ai.response.model",
    "llm.response.model",
)
INPUT_TOKENS: Final = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "ai.usage.inputTokens",
    "ai.usage.promptTokens",
    "llm.usage.prompt_tokens",
)
OUTPUT_TOKENS: Final = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
    "llm.usage.completion_tokens",
)
CACHE_READ: Final = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)
CACHE_WRITE: Final = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
COSTS: Final = ("llm.cost.total", "gen_ai.usage.cost")
FIRST_TOKEN_SECONDS: Final = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.latency.time_to_first_token",
    "gen_ai.client.operation.time_to_first_chunk",
)
FIRST_TOKEN_MS: Final = ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk")
LATENCY_SECONDS: Final = ("gen_ai.latency.e2e",)
STREAMED: Final = ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming")
FINISH_REASONS: Final = (
    "gen_ai.response.finish_reasons",
    "gen_ai.response.finish_reason",
    "llm.finish_reason",
    "ai.response.finishReason",
    "ai.finishReason",
    "llm.response.finish_reason",
)
USERS: Final = (
    "user.id",
    "enduser.id",
    "gen_ai.user",
    "llm.user",
    "langfuse.user.id",
    "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
    "ai.telemetry.metadata.user_id",
)
SESSIONS: Final = (
    "gen_ai.conversation.id",
    "session.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
    "ai.telemetry.metadata.session_id",
)
ERROR: Final = "error.type"
KINDS: Final = (
    "gen_ai.operation.name",
    "ai.operationId",
    "openinference.span.kind",
    "langfuse.observation.type",
    "mlflow.spanType",
    "llm.request.type",
    "traceloop.span.kind",
)
CONTENTS: Final = (
    "gen_ai.input.messages",
    "gen_ai.system_instructions",
    "gen_ai.output.messages",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.retrieval.documents",
    "llm.prompts",
    "input.value",
    "output.value",
    "ai.prompt.messages",
    "ai.prompt",
    "ai.response.text",
    "ai.response.object",
    "ai.response.toolCalls",
    "ai.result.text",
    "ai.result.object",
    "ai.result.toolCalls",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "traceloop.entity.input",
    "traceloop.entity.output",
)
DETAILS: Final = (
    "mlflow.chat.tokenUsage",
    "mlflow.llm.cost",
    "langfuse.observation.usage_details",
    "langfuse.observation.cost_details",
    "langfuse.observation.completion_start_time",
    "langfuse.observation.level",
    "metadata",
)
"""Attributes with several values as JSON."""
EVALUATION: Final = (
    "gen_ai.evaluation.name",
    "gen_ai.evaluation.score.value",
    "gen_ai.evaluation.score.label",
)
EVENT_ATTRIBUTES: Final = (
    "event.name",
    "exception.type",
    "gen_ai.event.content",
    "content",
    "message",
    "finish_reason",
)

ACCESS_LOG: Final = (
    "genai_model_name",
    "genai_model_name_override",
    "gen_ai.request.model_override",
    "genai_response_model",
    "genai_backend_name",
    "genai_tokens_input",
    "genai_tokens_output",
    "gen_ai.provider.name",
    "start_time",
    "duration",
    "response_code",
    "response_flags",
    "route_name",
    "x-request-id",
    "request_id",
    "x-envoy-origin-path",
    "x-envoy-original-path",
    ":path",
    "path",
    "mcp_method",
    "mcp.method.name",
)
"""Attributes of the lines of access logs of Envoy AI Gateway."""

METADATA_PREFIXES: Final = (
    "traceloop.association.properties.",
    "ai.telemetry.metadata.",
    "langfuse.observation.metadata.",
    "langfuse.trace.metadata.",
)
"""What follows is the key of metadata that the application chose."""
PREFIXES: Final = (
    *METADATA_PREFIXES,
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompts.",
    "llm.choices.",
    "retrieval.documents.",
)
"""Beginnings of names with numbers or with names of the application."""

NAMES: Final = frozenset(
    (
        *REQUEST_IDS,
        *MODELS,
        *RESPONDED_MODELS,
        *INPUT_TOKENS,
        *OUTPUT_TOKENS,
        *CACHE_READ,
        *CACHE_WRITE,
        *COSTS,
        *FIRST_TOKEN_SECONDS,
        *FIRST_TOKEN_MS,
        *LATENCY_SECONDS,
        *STREAMED,
        *FINISH_REASONS,
        *USERS,
        *SESSIONS,
        ERROR,
        *KINDS,
        *CONTENTS,
        *DETAILS,
        *EVALUATION,
        *EVENT_ATTRIBUTES,
    )
)
"""Of spans. A usual call has only some of them: see `_wire.c`."""
LOG_NAMES: Final = NAMES.union(ACCESS_LOG)
"""Of log records."""

EVALUATION_EVENT: Final = "gen_ai.evaluation.result"
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
CONTENT_EVENTS: Final = frozenset(
    (
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        "gen_ai.choice",
        "gen_ai.content.prompt",
        "gen_ai.content.completion",
    )
)
"""Events with one message each, of semantic conventions before 1.37."""
SPAN_EVENTS: Final = CONTENT_EVENTS | {"exception", EVALUATION_EVENT, DETAILS_EVENT}
"""Events of spans that are read."""


def is_wanted(name: str, names: frozenset[str] = NAMES) -> bool:
    """Return whether an attribute is read. names: NAMES or LOG_NAMES."""
    return name in names or name.startswith(PREFIXES)
