"""OTLP in both encodings, with the attributes of each convention."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders.call import Call, Variant

FORMAT: Final = "otlp"
TRACE_ID: Final = "5b8efff798038103d269b633813fc60c"
SPAN_ID: Final = "eee19b7ec3c1b174"
Attributes = dict[str, Any]


# --- encodings --------------------------------------------------------------------------------


def span(attributes: Attributes, **fields: Any) -> dict[str, Any]:
    """Return a span as OTLP JSON, with times in nanoseconds. fields: replace those of the span."""
    return {
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "name": "chat gpt-4o",
        "kind": 3,
        "startTimeUnixNano": "1790000000125000000",
        "endTimeUnixNano": "1790000002000000000",
        "attributes": _pairs(attributes),
        "status": {},
    } | fields


def log_record(event: str, attributes: Attributes, **fields: Any) -> dict[str, Any]:
    """Return a log record as OTLP JSON."""
    named = {"eventName": event} if event else {}
    return {
        "timeUnixNano": "1790000000125000000",
        "observedTimeUnixNano": "1790000000200000000",
        "severityNumber": 9,
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "attributes": _pairs(attributes),
        **named,
    } | fields


def in_json(*entries: dict[str, Any], resource: Attributes | None = None) -> LogMessage:
    """Return a message in JSON with spans, or with log records."""
    return LogMessage(json.dumps(_request(entries, resource), ensure_ascii=False).encode())


def in_protobuf(*entries: dict[str, Any], resource: Attributes | None = None) -> LogMessage:
    """Return the same message in protobuf."""
    logs = "severityNumber" in entries[0]
    data: Any = LogsData() if logs else TracesData()
    outer = (data.resource_logs if logs else data.resource_spans).add()
    outer.resource.attributes.extend(_key_values(_resource(resource)))
    outer.schema_url = "https://opentelemetry.io/schemas/1.41.0"
    scope = (outer.scope_logs if logs else outer.scope_spans).add()
    scope.scope.name = "instrumentation"
    scope.scope.version = "1.0"
    for entry in entries:
        (scope.log_records if logs else scope.spans).append(
            _log_message(entry) if logs else _span_message(entry)
        )
    return LogMessage(data.SerializeToString())


ENCODINGS: Final = {"json": in_json, "protobuf": in_protobuf}


def _resource(attributes: Attributes | None) -> list[dict[str, Any]]:
    return _pairs({"service.name": "shop", "process.pid": 7} | (attributes or {}))


def _request(entries: tuple[dict[str, Any], ...], resource: Attributes | None) -> dict[str, Any]:
    logs = "severityNumber" in entries[0]
    names = (
        ("resourceLogs", "scopeLogs", "logRecords")
        if logs
        else (
            "resourceSpans",
            "scopeSpans",
            "spans",
        )
    )
    scope = {"scope": {"name": "instrumentation", "version": "1.0"}, names[2]: list(entries)}
    return {names[0]: [{"resource": {"attributes": _resource(resource)}, names[1]: [scope]}]}


def _pairs(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any(value)} for key, value in attributes.items()]


def _any(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any(each) for each in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _pairs(value)}}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"intValue": str(value)}
    names = {bool: "boolValue", float: "doubleValue", str: "stringValue"}
    return {} if value is None else {names[type(value)]: value}


def _key_values(pairs: list[dict[str, Any]]) -> list[KeyValue]:
    return [KeyValue(key=pair["key"], value=_any_message(pair["value"])) for pair in pairs]


def _any_message(value: dict[str, Any]) -> AnyValue:
    message = AnyValue()
    if "arrayValue" in value:
        values = [_any_message(each) for each in value["arrayValue"]["values"]]
        message.array_value.values.extend(values)
    elif "kvlistValue" in value:
        message.kvlist_value.values.extend(_key_values(value["kvlistValue"]["values"]))
    elif "intValue" in value:
        message.int_value = int(value["intValue"])
    for name in ("string", "bool", "double"):
        if f"{name}Value" in value:
            setattr(message, f"{name}_value", value[f"{name}Value"])
    return message


def _span_message(entry: dict[str, Any]) -> Span:
    message = Span(
        trace_id=bytes.fromhex(entry["traceId"]),
        span_id=bytes.fromhex(entry["spanId"]),
        parent_span_id=bytes.fromhex(entry.get("parentSpanId", "")),
        name=entry["name"],
        kind=entry["kind"],
        start_time_unix_nano=int(entry["startTimeUnixNano"]),
        end_time_unix_nano=int(entry["endTimeUnixNano"]),
        attributes=_key_values(entry["attributes"]),
    )
    message.status.code = entry["status"].get("code", 0)
    message.status.message = entry["status"].get("message", "")
    for event in entry.get("events", ()):
        message.events.add(
            name=event["name"],
            time_unix_nano=int(event["timeUnixNano"]),
            attributes=_key_values(event["attributes"]),
        )
    return message


def _log_message(entry: dict[str, Any]) -> LogRecord:
    return LogRecord(
        time_unix_nano=int(entry["timeUnixNano"]),
        observed_time_unix_nano=int(entry["observedTimeUnixNano"]),
        severity_number=entry["severityNumber"],
        trace_id=bytes.fromhex(entry["traceId"]),
        span_id=bytes.fromhex(entry["spanId"]),
        event_name=entry.get("eventName", ""),
        attributes=_key_values(entry["attributes"]),
    )


# --- conventions ------------------------------------------------------------------------------


def _parts(call: Call) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if call.tool_calls:
        arguments = {"location": "Paris"}
        found.append({"type": "tool_call", "id": "c1", "name": "weather", "arguments": arguments})
    if call.response is not None:
        found.append({"type": "text", "content": call.response})
    return found


def _messages(call: Call) -> list[dict[str, Any]]:
    return [
        {"role": each.role, "parts": [{"type": "text", "content": each.content}]}
        for each in call.prompt
    ]


def current(call: Call, *, structured: bool) -> Attributes:
    """Return the attributes of semantic-conventions-genai v0.1.0."""
    found: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": call.model,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.response.id": call.request_id,
        "gen_ai.conversation.id": call.session_id,
        "user.id": call.user_id,
        "error.type": call.error,
    }
    messages = _messages(call)
    if messages[0]["role"] == "system":
        found["gen_ai.system_instructions"] = messages.pop(0)["parts"]
    found["gen_ai.input.messages"] = messages
    if call.stream:
        found["gen_ai.request.stream"] = True
    if call.error is None:
        found |= {
            "gen_ai.response.model": call.responded_model,
            "gen_ai.response.finish_reasons": [call.finish_reason],
            "gen_ai.usage.input_tokens": call.input_tokens,
            "gen_ai.usage.output_tokens": call.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": call.cached_tokens,
            "gen_ai.output.messages": [{"role": "assistant", "parts": _parts(call)}],
        }
    if call.time_to_first_token_ms is not None:
        found["gen_ai.response.time_to_first_chunk"] = call.time_to_first_token_ms / 1000
    if not structured:
        for name, value in found.items():
            if isinstance(value, list) and name != "gen_ai.response.finish_reasons":
                found[name] = json.dumps(value, ensure_ascii=False)
    return found


def openllmetry(call: Call) -> Attributes:
    """Return the attributes of OpenLLMetry before semantic conventions 1.37."""
    found: Attributes = {
        "llm.request.type": "chat",
        "gen_ai.system": "OpenAI",
        "gen_ai.request.model": call.model,
        "gen_ai.response.id": call.request_id,
        "llm.is_streaming": call.stream,
        "traceloop.workflow.name": "answer",
        "traceloop.association.properties.user_id": call.user_id,
        "traceloop.association.properties.session_id": call.session_id,
        "error.type": call.error,
    }
    for index, message in enumerate(call.prompt):
        found[f"gen_ai.prompt.{index}.role"] = message.role
        found[f"gen_ai.prompt.{index}.content"] = message.content
    if call.error is None:
        choice = "gen_ai.completion.0"
        found |= {
            "gen_ai.response.model": call.responded_model,
            "gen_ai.usage.prompt_tokens": call.input_tokens,
            "gen_ai.usage.completion_tokens": call.output_tokens,
            "gen_ai.usage.cache_read_input_tokens": call.cached_tokens,
            f"{choice}.role": "assistant",
            f"{choice}.content": call.response,
            f"{choice}.finish_reason": call.finish_reason,
        }
        if call.tool_calls:
            found[f"{choice}.tool_calls.0.name"] = "weather"
    return found


def openinference(call: Call) -> Attributes:
    """Return the attributes of OpenInference."""
    found: Attributes = {
        "openinference.span.kind": "LLM",
        "llm.system": "openai",
        "llm.request.model_name": call.model,
        "gen_ai.response.id": call.request_id,
        "input.value": json.dumps({"messages": call.messages, "model": call.model}),
        "input.mime_type": "application/json",
        "user.id": call.user_id,
        "session.id": call.session_id,
        "error.type": call.error,
    }
    for index, message in enumerate(call.prompt):
        prefix = f"llm.input_messages.{index}.message"
        found[f"{prefix}.role"] = message.role
        if index % 2:
            found[f"{prefix}.contents.0.message_content.type"] = "text"
            found[f"{prefix}.contents.0.message_content.text"] = message.content
        else:
            found[f"{prefix}.content"] = message.content
    if call.error is None:
        choice = "llm.output_messages.0.message"
        found |= {
            "llm.response.model_name": call.responded_model,
            "llm.token_count.prompt": call.input_tokens,
            "llm.token_count.completion": call.output_tokens,
            "llm.token_count.prompt_details.cache_read": call.cached_tokens,
            "llm.cost.total": call.cost_usd,
            "llm.finish_reason": call.finish_reason,
            f"{choice}.role": "assistant",
            f"{choice}.content": call.response,
        }
        if call.tool_calls:
            found[f"{choice}.tool_calls.0.tool_call.function.name"] = "weather"
    return found


def vercel(call: Call) -> Attributes:
    """Return the attributes of the inner spans of Vercel's AI SDK."""
    system = "streamText.doStream" if call.stream else "generateText.doGenerate"
    messages = [
        {"role": each["role"], "content": [{"type": "text", "text": each["content"]}]}
        for each in call.messages
    ]
    found: Attributes = {
        "operation.name": f"ai.{system}",
        "ai.operationId": f"ai.{system}",
        "ai.model.id": call.model,
        "ai.model.provider": "openai.chat",
        "ai.prompt.messages": json.dumps(messages, ensure_ascii=False),
        "ai.telemetry.metadata.userId": call.user_id,
        "ai.telemetry.metadata.sessionId": call.session_id,
        "ai.response.id": call.request_id,
        "gen_ai.request.model": call.model,
        "error.type": call.error,
    }
    if call.error is None:
        found |= {
            "ai.response.model": call.responded_model,
            "ai.response.finishReason": (call.finish_reason or "").replace("_", "-"),
            "ai.response.text": call.response if call.response is not None else "",
            "ai.usage.inputTokens": call.input_tokens,
            "ai.usage.outputTokens": call.output_tokens,
            "ai.usage.cachedInputTokens": call.cached_tokens,
        }
        if call.tool_calls:
            found["ai.response.toolCalls"] = json.dumps([{"toolName": "weather", "input": "{}"}])
    if call.time_to_first_token_ms is not None:
        found["ai.response.msToFirstChunk"] = float(call.time_to_first_token_ms)
    return found


def _body(call: Call) -> dict[str, Any]:
    tools = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    message: dict[str, Any] = {"role": "assistant", "content": call.response}
    if call.tool_calls:
        message["tool_calls"] = tools
    choice = {"index": 0, "message": message, "finish_reason": call.finish_reason}
    return {"id": "chatcmpl-1", "choices": [choice]}


def mlflow(call: Call) -> Attributes:
    """Return the attributes of MLflow, whose values are JSON."""
    found: Attributes = {
        "mlflow.spanType": json.dumps("CHAT_MODEL"),
        "mlflow.spanInputs": json.dumps({"messages": call.messages, "model": call.model}),
        "mlflow.llm.model": json.dumps(call.model),
        "gen_ai.response.id": call.request_id,
        "user.id": call.user_id,
        "session.id": call.session_id,
        "error.type": call.error,
    }
    if call.error is None:
        usage = {"input_tokens": call.input_tokens, "output_tokens": call.output_tokens}
        found |= {
            "mlflow.spanOutputs": json.dumps(_body(call)),
            "mlflow.chat.tokenUsage": json.dumps(usage),
            "mlflow.llm.cost": json.dumps({"total_cost": call.cost_usd}),
        }
    return found


def langfuse(call: Call) -> Attributes:
    """Return the attributes of Langfuse's own SDK."""
    found: Attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": call.model,
        "langfuse.observation.input": json.dumps(call.messages),
        "gen_ai.response.id": call.request_id,
        "user.id": call.user_id,
        "session.id": call.session_id,
        "error.type": call.error,
    }
    if call.error is None:
        usage = {
            "input": call.input_tokens - call.cached_tokens,
            "input_cached_tokens": call.cached_tokens,
            "output": call.output_tokens,
        }
        message = _body(call)["choices"][0]["message"]
        found |= {
            "langfuse.observation.output": json.dumps(message),
            "langfuse.observation.usage_details": json.dumps(usage),
            "langfuse.observation.cost_details": json.dumps({"total": call.cost_usd}),
            "gen_ai.response.finish_reasons": [call.finish_reason],
        }
    return found


# --- variants ---------------------------------------------------------------------------------

_ALL: Final = frozenset(
    (
        "request_id",
        "timestamp",
        "model",
        "prompt",
        "response",
        "latency_ms",
        "input_tokens",
        "output_tokens",
        "finish_reason",
        "error",
        "user_id",
        "session_id",
    )
)
_STREAMS: Final = _ALL | {"time_to_first_token_ms"}
_PRICED: Final = _ALL | {"cost_usd"}
CONVENTIONS: Final[dict[str, tuple[Callable[[Call], Attributes], frozenset[str]]]] = {
    "current": (lambda call: current(call, structured=False), _STREAMS),
    "structured": (lambda call: current(call, structured=True), _STREAMS),
    "openllmetry": (openllmetry, _ALL),
    "openinference": (openinference, _PRICED),
    "vercel": (vercel, _STREAMS),
    "mlflow": (mlflow, _PRICED),
    "langfuse": (langfuse, _PRICED),
}
Encode = Callable[..., LogMessage]


def span_of(call: Call, attributes: Attributes) -> dict[str, Any]:
    """Return the span of a call."""
    start = round(call.start * 1000)
    return span(
        {name: value for name, value in attributes.items() if value is not None},
        startTimeUnixNano=f"{start}000000",
        endTimeUnixNano=f"{start + call.latency_ms}000000",
        status={} if call.error is None else {"code": 2, "message": "It failed."},
    )


def event_of(call: Call) -> dict[str, Any]:
    """Return the details event of a call."""
    found = current(call, structured=True)
    return log_record(
        "gen_ai.client.inference.operation.details",
        {name: value for name, value in found.items() if value is not None},
        timeUnixNano=f"{round(call.start * 1000)}000000",
    )


def _span_variant(encode: Encode, of: Callable[[Call], Attributes], fields: Any) -> Variant:
    return Variant(lambda call: [encode(span_of(call, of(call)))], fields)


def _event_variant(encode: Encode) -> Variant:
    return Variant(lambda call: [encode(event_of(call))], _STREAMS - {"latency_ms"})


_ENCODED: Final = {
    "current": "protobuf",
    "structured": "json",
    "openllmetry": "json",
    "openinference": "protobuf",
    "vercel": "json",
    "mlflow": "protobuf",
    "langfuse": "json",
}
"""One encoding of each convention: another test shows that both decode to the same."""
VARIANTS: Final = {
    f"{name}-{encoding}": _span_variant(ENCODINGS[encoding], *CONVENTIONS[name])
    for name, encoding in _ENCODED.items()
} | {"event-protobuf": _event_variant(in_protobuf)}
