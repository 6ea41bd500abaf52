"""Calls as entries of Kong's log plugins, in the present layout and in that of Kong 3.6."""

from __future__ import annotations

import json
from typing import Any, Final

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders import bodies
from tests.monitor.ingest.decode.encoders.call import Call, Variant

_WITHOUT_TEXTS: Final = bodies.ALL_FIELDS - {"session_id", "prompt", "response", "finish_reason"}
FIELDS: Final = bodies.ALL_FIELDS - {"session_id"}


def entry(call: Call, ai: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return the entry of a request; `changed` replaces fields of it."""
    return {
        "ai": ai,
        "client_ip": "10.0.0.7",
        "request": {
            "id": call.request_id,
            "method": "POST",
            "uri": "/chat",
            "url": "http://localhost:8000/chat",
            "querystring": {},
            "headers": {"host": "localhost:8000", "authorization": "REDACTED"},
            "size": 812,
        },
        "response": {"status": call.status, "headers": {"server": "kong/3.12"}, "size": 1911},
        "upstream_status": str(call.status),
        "latencies": {
            "kong": 3,
            "proxy": call.latency_ms - 1,
            "request": call.latency_ms,
            "receive": 1,
        },
        "tries": [{"ip": "10.1.1.1", "port": 443, "balancer_latency": 0}],
        "route": {"id": "r", "name": "chat", "paths": ["/chat"]},
        "service": {"id": "s", "name": "llm", "host": "localhost"},
        "started_at": round(1000 * call.start),
        "workspace": "w",
    } | changed


def proxy(call: Call, *, payloads: bool = True) -> dict[str, Any]:
    """Return the object `ai` with the call of the plugin AI Proxy."""
    failed = call.error is not None
    usage: dict[str, Any] = {
        "prompt_tokens": 0 if failed else call.input_tokens,
        "prompt_tokens_details": {"cached_tokens": call.cached_tokens},
        "completion_tokens": 0 if failed else call.output_tokens,
        "completion_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0 if failed else call.input_tokens + call.output_tokens,
        "cost": 0 if failed else call.cost_usd,
        "time_per_token": 30.142857142857,
        # logged for calls without a stream as well, where it is no time to the first token
        "time_to_first_token": call.time_to_first_token_ms or call.latency_ms,
    }
    target = {"provider": "openai", "model": call.model, "route_type": "llm/v1/chat", "port": 443}
    meta = {
        "request_model": call.model,
        "response_model": call.responded_model,
        "provider_name": "openai",
        "plugin_id": "546c3856-24b3-469a-bd6c-f6083babd2cd",
        "llm_latency": call.latency_ms // 2,
        "request_mode": "stream" if call.stream else "oneshot",
    }
    body: dict[str, Any] = {"tried_targets": [target], "meta": meta, "usage": usage}
    if payloads:
        response = {"error": {"message": "no"}} if failed else bodies.chat_completion(call)
        body["payload"] = {
            "request": json.dumps(bodies.chat_request(call)),
            "response": json.dumps(response),
        }
    return {PROXY: body}


PROXY: Final = "proxy"


def encode(call: Call) -> list[LogMessage]:
    """Return one entry, as Kafka Log writes it."""
    return [LogMessage(json.dumps(entry(call, proxy(call))).encode())]


def _without_payloads(call: Call) -> list[LogMessage]:
    """Return an array, as HTTP Log sends several entries; the user is the consumer."""
    consumer = None if call.user_id is None else {"id": "c", "custom_id": call.user_id}
    found = entry(call, proxy(call, payloads=False), consumer=consumer)
    mcp = entry(call, {"mcp": {"mcp_session_id": "s", "rpc": [{"method": "tools/call"}]}})
    return [LogMessage(json.dumps([mcp, found]).encode())]


def _old(call: Call) -> list[LogMessage]:
    """Return an entry in the layout of Kong 3.6."""
    current = proxy(call)[PROXY]
    usage, meta, payload = current["usage"], current["meta"], current["payload"]
    ai = {
        "payload": {"request": payload["request"]},
        "ai-proxy": {
            "payload": {"response": payload["response"]},
            "usage": {
                "prompt_token": usage["prompt_tokens"],
                "completion_token": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
                "cost": usage["cost"],
            },
            "meta": {key: each for key, each in meta.items() if key != "request_mode"},
        },
    }
    return [LogMessage(json.dumps(entry(call, ai)).encode())]


VARIANTS: Final = {
    "array": Variant(_without_payloads, frozenset(_WITHOUT_TEXTS)),
    "3.6": Variant(_old, frozenset(FIELDS - {"time_to_first_token_ms"})),
}
