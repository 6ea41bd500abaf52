"""Requests and responses of model APIs as the encoders of several formats contain them.

Sources: OpenAI's API reference (chat completions, responses) and Anthropic's (messages).
"""

from __future__ import annotations

import json
from typing import Any, Final

from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL, Call

ALL_FIELDS: Final = frozenset(PLAIN_CALL.record())
"""The fields of a record that a call can give."""

_TOOL: Final = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
_ANTHROPIC_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
}


def chat_completion(call: Call) -> dict[str, Any]:
    """Return a call's response as OpenAI's chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": call.response}
    reason = call.finish_reason
    if call.tool_calls:
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": _TOOL}]
    if reason == "refusal":
        message = {"role": "assistant", "content": None, "refusal": call.response}
        reason = "stop"
    return {
        "id": call.request_id,
        "object": "chat.completion",
        "created": int(call.start),
        "model": call.responded_model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
        "usage": {
            "prompt_tokens": call.input_tokens,
            "completion_tokens": call.output_tokens,
            "total_tokens": call.input_tokens + call.output_tokens,
            "prompt_tokens_details": {"cached_tokens": call.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def chat_request(call: Call) -> dict[str, Any]:
    """Return a call's request for OpenAI's chat completions."""
    user = {} if call.user_id is None else {"user": call.user_id}
    return {"model": call.model, "messages": call.messages, "stream": call.stream} | user


def openai_response(call: Call) -> dict[str, Any]:
    """Return a call's response in OpenAI's responses API."""
    part: dict[str, Any] = {"type": "output_text", "text": call.response, "annotations": []}
    if call.finish_reason == "refusal":
        part = {"type": "refusal", "refusal": call.response}
    item: dict[str, Any] = {"type": "message", "role": "assistant", "content": [part]}
    if call.tool_calls:
        item = {"type": "function_call", "call_id": "call_1", **_TOOL}
    incomplete = {"length": "max_output_tokens", "content_filter": "content_filter"}
    reason = incomplete.get(call.finish_reason or "")
    return {
        "id": call.request_id,
        "object": "response",
        "created_at": int(call.start),
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "error": None,
        "model": call.responded_model,
        "output": [{"type": "reasoning", "id": "rs_1", "summary": []}, item],
        "usage": {
            "input_tokens": call.input_tokens,
            "input_tokens_details": {"cached_tokens": call.cached_tokens},
            "output_tokens": call.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


def anthropic_message(call: Call) -> dict[str, Any]:
    """Return a call's response as Anthropic's message."""
    content: list[dict[str, Any]] = [{"type": "text", "text": call.response}]
    if call.tool_calls:
        arguments = json.loads(_TOOL["arguments"])
        content = [{"type": "tool_use", "id": "t", "name": _TOOL["name"], "input": arguments}]
    if call.response == "":
        content = []
    reason = call.finish_reason or ""
    return {
        "id": call.request_id,
        "type": "message",
        "role": "assistant",
        "model": call.responded_model,
        "content": content,
        "stop_reason": _ANTHROPIC_REASONS.get(reason, reason),
        "stop_sequence": None,
        "usage": {
            "input_tokens": call.input_tokens - call.cached_tokens,
            "cache_read_input_tokens": call.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": call.output_tokens,
        },
    }


def anthropic_request(call: Call) -> dict[str, Any]:
    """Return a call's request for Anthropic's messages, whose instructions are not a message."""
    system = [each.content for each in call.prompt if each.role == "system"]
    messages = [each for each in call.messages if each["role"] != "system"]
    body: dict[str, Any] = {"model": call.model, "max_tokens": 1000, "messages": messages}
    if system:
        body["system"] = system[0]
    if call.user_id is not None:
        body["metadata"] = {"user_id": call.user_id}
    return body | {"stream": call.stream}
