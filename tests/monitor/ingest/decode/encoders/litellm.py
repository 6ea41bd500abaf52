"""Calls as StandardLoggingPayload of LiteLLM, in its framings and with its response bodies."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders import bodies
from tests.monitor.ingest.decode.encoders.call import Call, Variant

FIELDS: Final = bodies.ALL_FIELDS


def payload(call: Call, response: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    """Return the payload of a call; `changed` replaces fields of it.

    response: body of the response; a chat completion without one.
    """
    failed = call.error is not None
    begun = None if call.time_to_first_token_ms is None else call.time_to_first_token_ms / 1000
    body = bodies.chat_completion(call) if response is None else response
    return {
        "id": call.request_id,
        "litellm_call_id": "2f9a3c1c-52ae-4d38-a3e0-6bb8ec1d9f43",
        "trace_id": "trace-1",
        "session_id": call.session_id or "",
        "call_type": "acompletion",
        "cache_hit": None,
        "stream": True if call.stream and not failed else None,
        "status": "failure" if failed else "success",
        "custom_llm_provider": "openai",
        "saved_cache_cost": 0.0,
        "startTime": call.start,
        "endTime": call.end,
        "completionStartTime": call.end if begun is None else call.start + begun,
        "response_time": (call.latency_ms if begun is None else 1000 * begun) / 1000,
        "model": f"openai/{call.model}",
        "metadata": {"user_api_key_alias": "team-key", "requester_metadata": {"route": "search"}},
        "cache_key": None,
        "response_cost": 0.0 if failed else call.cost_usd,
        "cost_breakdown": None,
        "total_tokens": 0 if failed else call.input_tokens + call.output_tokens,
        "prompt_tokens": 0 if failed else call.input_tokens,
        "completion_tokens": 0 if failed else call.output_tokens,
        "request_tags": ["User-Agent: OpenAI"],
        "end_user": call.user_id,
        "api_base": "https://api.openai.com",
        "model_group": call.model,
        "model_id": "f00d",
        "requester_ip_address": None,
        "messages": call.messages,
        "response": {} if failed else body,
        "model_parameters": {"temperature": 0.2},
        "hidden_params": {"model_id": "f00d", "response_cost": None, "additional_headers": {}},
        "model_map_information": {"model_map_key": call.model, "model_map_value": None},
        "error_str": f"litellm.{call.error}: a text of a user" if failed else None,
        "error_information": {
            "error_code": str(call.status) if failed else "",
            "error_class": call.error or "",
            "error_message": "a text of a user" if failed else "",
            "traceback": "",
        },
        "response_cost_failure_debug_info": None,
        "guardrail_information": None,
    } | changed


def encode(call: Call) -> list[LogMessage]:
    """Return one message with an array, the default framing."""
    return [LogMessage(json.dumps([payload(call)]).encode())]


def _single(call: Call) -> list[LogMessage]:
    return [LogMessage(json.dumps(payload(call), ensure_ascii=False).encode())]


def _lines(call: Call) -> list[LogMessage]:
    """Return two lines, of which the first is no inference."""
    embedding = payload(call, {"object": "list", "data": []}, call_type="aembedding")
    lines = [json.dumps(each) for each in (embedding, payload(call))]
    return [LogMessage("\n".join(lines).encode())]


def _of_body(call_type: str, body: Any, call: Call) -> list[LogMessage]:
    each = payload(call, body(call), call_type=call_type)
    return [LogMessage(json.dumps([None, each]).encode())]


VARIANTS: Final = {
    "single": Variant(_single, FIELDS),
    "ndjson": Variant(_lines, FIELDS),
    "responses": Variant(partial(_of_body, "aresponses", bodies.openai_response), FIELDS),
    "anthropic": Variant(partial(_of_body, "anthropic_messages", bodies.anthropic_message), FIELDS),
}
