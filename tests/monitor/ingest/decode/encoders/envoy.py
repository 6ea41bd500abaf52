"""Calls as lines of access logs: Envoy AI Gateway with both families of keys, and Higress."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders.call import Call, Variant

FIELDS: Final = frozenset(
    {
        "request_id",
        "timestamp",
        "model",
        "latency_ms",
        "input_tokens",
        "output_tokens",
        "error",
        "session_id",
    }
)


def line(call: Call, keys: dict[str, Any]) -> dict[str, Any]:
    """Return a line with the default keys of Envoy Gateway and some others."""
    start = datetime.fromtimestamp(call.start, UTC).isoformat(timespec="milliseconds")
    return {
        ":authority": "ai.example.com",
        "bytes_received": 105,
        "bytes_sent": 432,
        "connection_termination_details": None,
        "downstream_remote_address": "127.0.0.1:64484",
        "duration": call.latency_ms,
        "method": "POST",
        "protocol": "HTTP/1.1",
        "response_code": call.status,
        "response_code_details": "via_upstream",
        "response_flags": "-",
        "route_name": "httproute/default/aigw-run/rule/0/match/0/*",
        "start_time": start.replace("+00:00", "Z"),
        "upstream_host": "10.1.1.1:443",
        "user-agent": "curl/8.7.1",
        "x-envoy-origin-path": "/v1/chat/completions",
        "x-request-id": call.request_id,
    } | keys


def semantic(call: Call) -> dict[str, Any]:
    """Return the keys that follow OpenTelemetry's conventions."""
    failed = call.error is not None
    return {
        "gen_ai.request.model": call.model,
        "gen_ai.response.model": None if failed else call.responded_model,
        "gen_ai.provider.name": "default/openai",
        "gen_ai.usage.input_tokens": None if failed else call.input_tokens,
        "gen_ai.usage.output_tokens": None if failed else call.output_tokens,
        "session.id": call.session_id,
    }


def encode(call: Call) -> list[LogMessage]:
    """Return a line with the present keys."""
    return [LogMessage(json.dumps(line(call, semantic(call))).encode())]


def _shipped(call: Call) -> list[LogMessage]:
    """Return a line with the keys of 0.5, in the record of Fluent Bit."""
    failed = call.error is not None
    keys = {
        "genai_model_name": call.model,
        "genai_model_name_override": call.responded_model,
        "genai_backend_name": "default/openai/route/aigw-run/rule/0/ref/0",
        "genai_tokens_input": "-" if failed else str(call.input_tokens),
        "genai_tokens_output": "-" if failed else str(call.output_tokens),
        "genai_tokens_total": "-" if failed else str(call.input_tokens + call.output_tokens),
    }
    text = json.dumps(line(call, keys)) + "\n"
    record = {"@timestamp": call.end, "stream": "stdout", "log": text}
    return [LogMessage(json.dumps(record).encode())]


def _higress(call: Call) -> list[LogMessage]:
    """Return a line of Higress, whose values are in a text of their own, as texts."""
    log = {
        "model": call.model,
        "input_token": str(0 if call.error else call.input_tokens),
        "output_token": str(0 if call.error else call.output_tokens),
        "llm_service_duration": str(call.latency_ms - 1),
        "session_id": call.session_id or "",
    }
    if call.time_to_first_token_ms is not None:
        log["llm_first_token_duration"] = str(call.time_to_first_token_ms)
    found = line(call, {"ai_log": json.dumps(log), "duration": str(call.latency_ms)})
    found["request_id"] = found.pop("x-request-id")
    found["path"] = found.pop("x-envoy-origin-path")
    return [LogMessage(json.dumps(found).encode())]


def _otlp(call: Call) -> list[LogMessage]:
    """Return a line as a log record of OTLP in JSON, all of whose attributes are texts."""
    values = line(call, semantic(call))
    attributes = [
        {"key": key, "value": {"stringValue": "-" if value is None else str(value)}}
        for key, value in values.items()
    ]
    record = {
        "timeUnixNano": str(int(1e9 * call.end)),
        "body": {"stringValue": ""},
        "attributes": attributes,
    }
    resource = {"attributes": [{"key": "log_name", "value": {"stringValue": "otel_envoy"}}]}
    logs = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}
    return [LogMessage(json.dumps(logs).encode())]


VARIANTS: Final = {
    "otlp": Variant(_otlp, FIELDS),
    "fluent-bit": Variant(_shipped, FIELDS - {"session_id"}),
    "higress": Variant(_higress, FIELDS | {"time_to_first_token_ms"}),
}
