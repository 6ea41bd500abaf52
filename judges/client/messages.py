"""Client of the Messages API: one request per call.

The usage of a response is read first, so that a response whose content is unusable is still paid
for in the budget. Then the stop reason is checked, and exactly one text block is required: of two
blocks, one could be forged. `judges.client.retrying` adds retries and the deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from judges.calls import Answer, Call, CallFailed, UnscoredReason, Usage
from judges.client.failures import TransientFailure
from judges.client.http import JsonEndpoint, model_name, token_count
from judges.client.schemas import SchemaCache
from judges.client.settings import CacheTtl, ClientSettings

API_VERSION: Final = "2026-10-21"
_PATH: Final = "/v1/messages"
_STOPPED: Final = {
    "refusal": UnscoredReason.REFUSAL,
    "max_tokens": UnscoredReason.TRUNCATED,
    "model_context_window_exceeded": UnscoredReason.TRUNCATED,
}
"""Stop reason -> why there is no whole answer."""


class MessagesClient:
    """Sends each call as one request to the Messages API. Implements JudgeClient."""

    def __init__(self, settings: ClientSettings) -> None:
        self._ttl = settings.cache_ttl
        self._schemas = SchemaCache()
        self._endpoint = JsonEndpoint(settings, {"anthropic-version": API_VERSION})

    async def ask(self, call: Call) -> Answer:
        """Return the answer to one request. Raises CallFailed."""
        parameters = message_parameters(call, self._ttl, self._schemas)
        return answer_of(await self._endpoint.post(_PATH, parameters), self._ttl)

    async def close(self) -> None:
        """Close all connections."""
        await self._endpoint.close()


def message_parameters(call: Call, ttl: CacheTtl, schemas: SchemaCache) -> dict[str, Any]:
    """Return the body of a request. The instructions are a block that the provider caches."""
    parameters: dict[str, Any] = {
        "model": call.model,
        "max_tokens": call.max_tokens,
        "messages": [{"role": "user", "content": call.data}],
        "output_config": {
            "format": {"type": "json_schema", "schema": schemas.supported(call.schema)}
        },
    }
    if call.instructions:
        block: dict[str, Any] = {"type": "text", "text": call.instructions}
        if ttl != "none":
            block["cache_control"] = {"type": "ephemeral", "ttl": ttl}
        parameters["system"] = [block]
    return parameters


def answer_of(body: Mapping[str, Any], ttl: CacheTtl) -> Answer:
    """Return the answer in the body of a message. Raises CallFailed with its usage."""
    usage = usage_of(body.get("usage"), ttl)
    if body.get("type") != "message" or not isinstance(body.get("content"), list):
        raise TransientFailure("the response is not a message", usage)
    stopped = body.get("stop_reason")
    if isinstance(stopped, str) and stopped in _STOPPED:
        raise CallFailed(_STOPPED[stopped], f"stop_reason {stopped}", usage)
    if stopped != "end_turn":
        raise CallFailed(UnscoredReason.INVALID_OUTPUT, "unexpected stop_reason", usage)
    return Answer(_only_text(body["content"], usage), usage, model_name(body.get("model")))


def usage_of(usage: object, ttl: CacheTtl) -> Usage:
    """Return the usage of one request; unmetered if the response does not state it."""
    if not isinstance(usage, dict):
        return Usage(unmetered=1)
    counts = [
        token_count(usage.get("input_tokens"), None),
        token_count(usage.get("output_tokens"), None),
        token_count(usage.get("cache_creation_input_tokens"), 0),
        token_count(usage.get("cache_read_input_tokens"), 0),
    ]
    if None in counts:
        return Usage(unmetered=1)
    sent, received, written, read = (count or 0 for count in counts)
    by_ttl = usage.get("cache_creation")
    hour = (
        token_count(by_ttl.get("ephemeral_1h_input_tokens"), 0)
        if isinstance(by_ttl, dict)
        else None
    )
    if hour is None:  # not stated by lifetime: the lifetime that was requested
        hour = written if ttl == "1h" else 0
    hour = min(hour, written)
    return Usage(sent, received, written - hour, hour, read)


def _only_text(content: list[Any], usage: Usage) -> str:
    if len(content) != 1:
        raise CallFailed(
            UnscoredReason.INVALID_OUTPUT, f"{len(content)} content blocks instead of one", usage
        )
    block = content[0]
    text = block.get("text") if isinstance(block, dict) and block.get("type") == "text" else None
    if not isinstance(text, str):
        raise CallFailed(UnscoredReason.INVALID_OUTPUT, "the content block is not text", usage)
    return text
