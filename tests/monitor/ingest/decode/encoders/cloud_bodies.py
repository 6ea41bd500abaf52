"""Bodies of the APIs of OpenAI and Anthropic for a call, which several formats contain."""

from __future__ import annotations

import json
from typing import Any, Final

from monitor.ingest.decode.bodies.values import text
from tests.monitor.ingest.decode.encoders.call import Call

ANTHROPIC_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "guardrail_intervened",
    "refusal": "refusal",
}
"""Finish reason of a record -> that of Anthropic and of Bedrock's Converse."""


def chat_request(call: Call) -> dict[str, Any]:
    """The request of a chat completion."""
    body: dict[str, Any] = {"model": call.model, "messages": call.messages, "stream": call.stream}
    return body | ({} if call.user_id is None else {"user": call.user_id})


def chat_response(call: Call) -> dict[str, Any]:
    """The response of a chat completion, or an error."""
    if call.error is not None:
        return {"error": {"message": "it failed", "type": call.error, "code": call.status}}
    message: dict[str, Any] = {"role": "assistant", "content": call.response}
    if call.tool_calls:
        message["tool_calls"] = [{"id": "t", "type": "function", "function": {"name": "f"}}]
    return {
        "id": call.request_id,
        "object": "chat.completion",
        "created": int(call.start),
        "model": call.responded_model,
        "choices": [{"index": 0, "message": message, "finish_reason": call.finish_reason}],
        "usage": {
            "prompt_tokens": call.input_tokens,
            "completion_tokens": call.output_tokens,
            "prompt_tokens_details": {"cached_tokens": call.cached_tokens},
        },
    }


def chat_stream(call: Call) -> str:
    """The response of a chat completion as server-sent events, the text in two pieces."""
    if call.error is not None:
        return f"data: {json.dumps(chat_response(call))}\n\n"
    whole = chat_response(call)
    answer = text(call.response) or ""
    half = len(answer) // 2
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in (answer[:half], answer[half:]) if piece]
    if call.tool_calls:
        deltas.append({"tool_calls": [{"index": 0, "function": {"name": "f"}}]})
    head = {key: whole[key] for key in ("id", "created", "model")}
    events = [head | {"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    last = {"index": 0, "delta": {}, "finish_reason": call.finish_reason}
    events += [head | {"choices": [last]}, head | {"choices": [], "usage": whole["usage"]}]
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join([*lines, "data: [DONE]\n\n"])


def anthropic_request(call: Call) -> dict[str, Any]:
    """The request of Anthropic's messages API, as InvokeModel takes it."""
    messages = [each for each in call.messages if each["role"] != "system"]
    system = [each["content"] for each in call.messages if each["role"] == "system"]
    body: dict[str, Any] = {"anthropic_version": "bedrock-2023-05-31", "messages": messages}
    return body | ({"system": system[0]} if system else {})


def anthropic_response(call: Call) -> dict[str, Any]:
    """The response of Anthropic's messages API."""
    content: list[dict[str, Any]] = []
    if call.response:
        content.append({"type": "text", "text": call.response})
    if call.tool_calls:
        content.append({"type": "tool_use", "id": "t", "name": "f", "input": {}})
    cached = call.cached_tokens
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": call.responded_model,
        "content": content,
        "stop_reason": ANTHROPIC_REASONS[call.finish_reason or "stop"],
        "usage": {
            "input_tokens": call.input_tokens - cached,
            "cache_read_input_tokens": cached,
            "output_tokens": call.output_tokens,
        },
    }
