"""Calls as traces of Bifrost's Kafka connector."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders.bodies import ALL_FIELDS
from tests.monitor.ingest.decode.encoders.call import Call

FIELDS: Final = ALL_FIELDS
_TRACE: Final = "0e8b9293a69d4652804d2ab61121c1f2"
_ZONE: Final = timezone(timedelta(hours=5, minutes=30))


def moment(seconds: float) -> str:
    """Return a time with an offset, as Go writes it."""
    return datetime.fromtimestamp(seconds, _ZONE).isoformat()


def span(call: Call, kind: str, **attributes: Any) -> dict[str, Any]:
    """Return a span of a call."""
    return {
        "SpanID": "6e51fa290a2e43d0",
        "ParentID": "40cd8047c2cb44c6",
        "TraceID": _TRACE,
        "Name": f"chat {call.model}",
        "Kind": kind,
        "StartTime": moment(call.start),
        "EndTime": moment(call.end),
        "Status": "error" if call.error else "ok",
        "StatusMsg": "a text of a user" if call.error else "",
        "Attributes": attributes,
        "Events": [],
    }


def call_attributes(call: Call) -> dict[str, Any]:
    """Return the attributes of the span of a call."""
    found: dict[str, Any] = {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": call.model,
        "gen_ai.input.messages": json.dumps(call.messages),
        "bifrost.virtual_key.name": "my-vk",
        "bifrost.retries": 0,
    }
    if call.user_id is not None:
        found["gen_ai.request.user"] = call.user_id
    if call.session_id is not None:
        found["gen_ai.conversation.id"] = call.session_id
    if call.error is not None:
        return found | {"gen_ai.error": "a text of a user", "gen_ai.error.type": call.error}
    answer: dict[str, Any] = {"role": "assistant", "content": call.response}
    if call.tool_calls:
        answer["tool_calls"] = [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]
    if call.time_to_first_token_ms is not None:
        found["gen_ai.response.time_to_first_chunk"] = call.time_to_first_token_ms / 1000
    return found | {
        "gen_ai.response.model": call.responded_model,
        "gen_ai.usage.prompt_tokens": call.input_tokens,
        "gen_ai.usage.prompt_token_details.cached_read_tokens": call.cached_tokens,
        "gen_ai.usage.completion_tokens": call.output_tokens,
        "gen_ai.usage.cost": call.cost_usd,
        "gen_ai.output.messages": json.dumps([answer]),
        "gen_ai.response.finish_reason": call.finish_reason,
    }


def trace(call: Call, spans: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a trace with the spans after the root."""
    values = call_attributes(call)
    root = span(call, "http.request", **{"http.method": "POST", "http.status_code": 200} | values)
    return {
        "RequestID": call.request_id,
        "TraceID": _TRACE,
        "ParentID": "",
        "StartTime": moment(call.start - 0.01),
        "EndTime": moment(call.end + 0.01),
        "Attributes": {},
        "RequestHeaders": None,
        "PluginLogs": [],
        "RootSpan": root,
        "Spans": [root, span(call, "plugin"), *spans],
    }


def encode(call: Call) -> list[LogMessage]:
    """Return the trace of a call."""
    spans = [span(call, "llm.call", **call_attributes(call)), span(call, "plugin")]
    return [LogMessage(json.dumps(trace(call, spans)).encode())]
