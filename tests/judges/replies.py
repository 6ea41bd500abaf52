"""Responses of a model provider, with the real bodies, and the faults that they can have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Fault = Literal["none", "drip", "hang", "cut", "reset"]

ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Status -> type of the error in the body."""
USAGE: Final[dict[str, Any]] = {
    "input_tokens": 40,
    "output_tokens": 30,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "service_tier": "standard",
}
USAGE_OF_CHAT: Final[dict[str, Any]] = {
    "prompt_tokens": 40,
    "completion_tokens": 30,
    "total_tokens": 70,
    "prompt_tokens_details": {"cached_tokens": 0},
}


@dataclass(frozen=True)
class Reply:
    """A response.

    seconds: delay before it. fault: `drip` sends a byte each `seconds`, `hang` sends nothing, `cut`
    closes the connection in the middle of the body, `reset` aborts it without a response.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    fault: Fault = "none"


def message(
    text: str = '{"score": 4}',
    *,
    stop_reason: str | None = "end_turn",
    content: object = None,
    usage: object = None,
    seconds: float = 0.0,
    fault: Fault = "none",
) -> Reply:
    """Return a message with one text block, or with `content`."""
    return raw(
        message_body(text, stop_reason=stop_reason, content=content, usage=usage),
        seconds=seconds,
        fault=fault,
    )


def message_body(
    text: str = '{"score": 4}',
    *,
    stop_reason: str | None = "end_turn",
    content: object = None,
    usage: object = None,
    model: str = "claude-haiku-5-5",
) -> dict[str, Any]:
    """Return the body of a message. content: its blocks, if not one text block."""
    blocks = [{"type": "text", "text": text, "citations": None}] if content is None else content
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": blocks,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": USAGE if usage is None else usage,
    }


def completion(
    text: str | None = '{"score": 4}',
    *,
    finish_reason: str = "stop",
    refusal: str | None = None,
    cached: int = 0,
) -> Reply:
    """Return a chat completion, as OpenAI-compatible servers send it."""
    answer: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal}
    return raw(
        {
            "id": "chatcmpl-9",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": "gpt-5-mini",
            "choices": [
                {"index": 0, "message": answer, "finish_reason": finish_reason, "logprobs": None}
            ],
            "usage": USAGE_OF_CHAT | {"prompt_tokens_details": {"cached_tokens": cached}},
        }
    )


def error(
    status: int,
    text: str = "an error of the test",
    *,
    code: str | None = None,
    retry_after: str | None = None,
) -> Reply:
    """Return an error as the API describes it. code: `error.details.error_code`."""
    details = {"details": {"error_code": code}} if code else {}
    kind = ERROR_TYPES.get(status, "api_error")
    body = {"type": "error", "error": {"type": kind, "message": text, **details}}
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        headers["retry-after"] = retry_after
    return Reply(status, json.dumps({**body, "request_id": "req_1"}).encode(), headers)


def raw(body: object, *, seconds: float = 0.0, fault: Fault = "none") -> Reply:
    """Return any value as JSON with status 200."""
    headers = {"content-type": "application/json"}
    return Reply(200, json.dumps(body).encode(), headers, seconds, fault)


def html() -> Reply:
    """Return the page of a proxy with status 200."""
    return Reply(200, b"<html><body>Sign in</body></html>", {"content-type": "text/html"})


def text_reply(body: bytes) -> Reply:
    """Return bytes that claim to be JSON."""
    return Reply(200, body, {"content-type": "application/json"})


def hang() -> Reply:
    """Accept the request and send nothing."""
    return Reply(fault="hang")


def reset() -> Reply:
    """Accept the request and reset the connection."""
    return Reply(fault="reset")


def streamed(
    text: str = "an answer",
    *,
    finish_reason: str | None = "stop",
    done: bool = True,
    usage: object = USAGE_OF_CHAT,
    seconds: float = 0.0,
    fault: Fault = "none",
) -> Reply:
    """Return a chat completion as a stream of events, a word each.

    finish_reason: None for a stream that ends without one. done: whether `[DONE]` ends it.
    """
    base: dict[str, Any] = {
        "id": "chatcmpl-9",
        "object": "chat.completion.chunk",
        "model": "gpt-5-mini",
    }
    parts: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    parts += [{"content": part} for word in text.split(" ") for part in (word, " ")][:-1]
    choices: list[list[dict[str, Any]]] = [
        [{"index": 0, "delta": part, "finish_reason": None}] for part in parts
    ]
    if finish_reason is not None:
        choices.append([{"index": 0, "delta": {}, "finish_reason": finish_reason}])
    events = [{**base, "choices": choice} for choice in choices]
    if usage is not None:
        events.append({**base, "choices": [], "usage": usage})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    lines.insert(0, ": a comment\n\n")
    if done:
        lines.append("data: [DONE]\n\n")
    headers = {"content-type": "text/event-stream"}
    return Reply(200, "".join(lines).encode(), headers, seconds, fault)
