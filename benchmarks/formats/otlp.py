"""Records as spans of OTLP, a hundred in a message."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

SPANS: Final = 100
"""Spans in a message, as a Collector's batch."""
Record = Mapping[str, Any]


def attributes(record: Record) -> dict[str, Any]:
    """Return the attributes of a record's call as OpenTelemetry's instrumentations write them."""
    prompt = record.get("prompt") or ""
    asked = [prompt] if isinstance(prompt, str) else [each["content"] for each in prompt]
    messages = [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in asked]
    answer = {"type": "text", "content": record.get("response") or ""}
    answers = [{"role": "assistant", "parts": [answer]}]
    values = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": record["model"],
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "text",
        "server.address": "api.openai.com",
        "server.port": 443,
        "openai.api.type": "chat_completions",
        "gen_ai.response.id": record["request_id"],
        "gen_ai.response.model": f"{record['model']}-2026-01-31",
        "gen_ai.response.finish_reasons": [record.get("finish_reason") or "stop"],
        "gen_ai.response.time_to_first_chunk": (record.get("time_to_first_token_ms") or 0.5) / 1000,
        "gen_ai.usage.input_tokens": record.get("input_tokens") or 0,
        "gen_ai.usage.output_tokens": record.get("output_tokens") or 0,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.conversation.id": str(record.get("session_id") or "conversation"),
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
        "gen_ai.input.messages": json.dumps(messages),
        "gen_ai.output.messages": json.dumps(answers),
    }
    return values | ({"error.type": record["error"]} if record.get("error") else {})


def _times(record: Record) -> tuple[int, int]:
    """Return start and end in nanoseconds."""
    start = round(record["timestamp"] * 1e9)
    return start, start + round((record.get("latency_ms") or 0.0) * 1e6)


def any_value(value: Any) -> dict[str, Any]:
    """Return a value in OTLP JSON."""
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(each) for each in value]}}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"intValue": str(value)}
    return {{bool: "boolValue", float: "doubleValue", str: "stringValue"}[type(value)]: value}


def _message(value: Any) -> AnyValue:
    found = AnyValue()
    if isinstance(value, list):
        found.array_value.values.extend(map(_message, value))
        return found
    name = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    setattr(found, name[type(value)], value)
    return found


def in_json(records: Sequence[Record]) -> bytes:
    """Return a message in JSON."""
    entries = [
        {
            "traceId": f"{number + 1:032x}",
            "spanId": f"{number + 1:016x}",
            "name": "chat gpt-4o",
            "kind": 3,
            "startTimeUnixNano": str(_times(each)[0]),
            "endTimeUnixNano": str(_times(each)[1]),
            "attributes": [{"key": k, "value": any_value(v)} for k, v in attributes(each).items()],
            "status": {},
        }
        for number, each in enumerate(records)
    ]
    scope = {"scope": {"name": "instrumentation"}, "spans": entries}
    resource = {"attributes": [{"key": "service.name", "value": any_value("shop")}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}).encode()


def in_protobuf(records: Sequence[Record]) -> bytes:
    """Return the same message in protobuf."""
    data = TracesData()
    group = data.resource_spans.add()
    group.resource.attributes.add(key="service.name", value=_message("shop"))
    scope = group.scope_spans.add()
    scope.scope.name = "instrumentation"
    for number, each in enumerate(records):
        scope.spans.append(
            Span(
                trace_id=(number + 1).to_bytes(16, "big"),
                span_id=(number + 1).to_bytes(8, "big"),
                name="chat gpt-4o",
                start_time_unix_nano=_times(each)[0],
                end_time_unix_nano=_times(each)[1],
                attributes=[
                    KeyValue(key=k, value=_message(v)) for k, v in attributes(each).items()
                ],
            )
        )
    return bytes(data.SerializeToString())
