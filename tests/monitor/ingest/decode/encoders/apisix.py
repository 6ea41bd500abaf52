"""Calls as entries of APISIX's kafka-logger for a route with ai-proxy."""

from __future__ import annotations

import json
from typing import Any, Final

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders import bodies
from tests.monitor.ingest.decode.encoders.call import Call, Variant

FIELDS: Final = bodies.ALL_FIELDS - {"cost_usd", "session_id", "finish_reason"}


def entry(call: Call, **changed: Any) -> dict[str, Any]:
    """Return the entry of a request; `changed` replaces fields of it."""
    failed = call.error is not None
    return {
        "request": {
            "url": "http://127.0.0.1:9080/chat",
            "uri": "/chat",
            "method": "POST",
            "headers": {"x-request-id": call.request_id, "content-type": "application/json"},
            "querystring": {},
            "size": 400,
        },
        "response": {"status": call.status, "headers": {"server": "APISIX/3.14"}, "size": 900},
        "server": {"hostname": "gw", "version": "3.14.0"},
        "upstream": "10.1.1.1:443",
        "service_id": "",
        "route_id": "1",
        "consumer": {"username": call.user_id} if call.user_id else None,
        "client_ip": "127.0.0.1",
        "start_time": round(1000 * call.start),
        "latency": call.latency_ms,
        "upstream_latency": call.latency_ms - 1,
        "apisix_latency": 1,
        "llm_summary": {
            "request_model": call.model,
            "model": call.responded_model,
            "duration": call.time_to_first_token_ms or call.latency_ms,
            "prompt_tokens": 0 if failed else call.input_tokens,
            "completion_tokens": "0" if failed else str(call.output_tokens),
            "total_tokens": 0 if failed else call.input_tokens + call.output_tokens,
            "upstream_response_time": call.latency_ms - 1,
            "tool_count": int(call.tool_calls),
            "stream": call.stream,
        },
        "llm_request": {"messages": call.messages, "stream": call.stream},
        "llm_response_text": {"content": call.response or ""},
    } | changed


def encode(call: Call) -> list[LogMessage]:
    """Return one message with an array, the default."""
    changed: dict[str, Any] = {}
    if call.tool_calls:
        changed = {"llm_response_text": {}}
    return [LogMessage(json.dumps([entry(call, **changed)]).encode())]


def _single(call: Call) -> list[LogMessage]:
    """Return an entry with a summary only, as with `batch_max_size: 1` and no payloads."""
    found = entry(call)
    kind = "text/event-stream; charset=utf-8" if call.stream else "application/json"
    found["response"]["headers"]["content-type"] = kind
    del found["llm_request"], found["llm_response_text"]
    del found["llm_summary"]["stream"], found["llm_summary"]["tool_count"]
    return [LogMessage(json.dumps(found).encode())]


def _bodies(call: Call) -> list[LogMessage]:
    """Return an entry with the bodies of request and response."""
    found = entry(call)
    found["request"]["body"] = json.dumps(bodies.chat_request(call))
    found["response"]["body"] = json.dumps(
        {"error": {"message": "no"}} if call.error else bodies.chat_completion(call)
    )
    del found["llm_request"], found["llm_response_text"]
    return [LogMessage(json.dumps(found).encode())]


VARIANTS: Final = {
    "single": Variant(_single, frozenset(FIELDS - {"prompt", "response"})),
    "bodies": Variant(_bodies, frozenset(FIELDS | {"finish_reason"})),
}
