"""Client of OpenAI-compatible endpoints: OpenAI, vLLM, Ollama, llama.cpp, gateways.

One request per call. The base URL ends with the version, such as http://127.0.0.1:8000/v1, as these
servers document it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from judges.calls import Answer, Call, CallFailed, UnscoredReason, Usage
from judges.client.failures import TransientFailure
from judges.client.http import JsonEndpoint, model_name, token_count
from judges.client.schemas import SchemaCache
from judges.client.settings import ClientSettings

LimitKey = Literal["max_tokens", "max_completion_tokens"]
"""OpenAI's reasoning models reject the former, and local servers may ignore the latter."""

_PATH: Final = "/chat/completions"
_STOPPED: Final = {
    "content_filter": UnscoredReason.REFUSAL,
    "length": UnscoredReason.TRUNCATED,
}


class ChatCompletionsClient:
    """Sends each call as one chat completion. Implements JudgeClient.

    The prompt cache of these endpoints needs no mark: a prefix that repeats is cached.

    limit_key: the parameter that limits the length of an answer.
    """

    def __init__(self, settings: ClientSettings, limit_key: LimitKey) -> None:
        self._limit_key = limit_key
        self._schemas = SchemaCache()
        self._endpoint = JsonEndpoint(settings, {})

    async def ask(self, call: Call) -> Answer:
        """Return the answer to one request. Raises CallFailed."""
        body = completion_parameters(call, self._schemas) | {self._limit_key: call.max_tokens}
        return answer_of(await self._endpoint.post(_PATH, body))

    async def close(self) -> None:
        """Close all connections."""
        await self._endpoint.close()


def completion_parameters(call: Call, schemas: SchemaCache) -> dict[str, Any]:
    """Return the body of a request, without the limit of its answer."""
    system = [{"role": "system", "content": call.instructions}] if call.instructions else []
    return {
        "model": call.model,
        "messages": [*system, {"role": "user", "content": call.data}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "verdict",
                "strict": True,
                "schema": schemas.supported(call.schema),
            },
        },
    }


def answer_of(body: Mapping[str, Any]) -> Answer:
    """Return the answer in the body of a completion. Raises CallFailed with its usage."""
    usage = usage_of(body.get("usage"))
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise TransientFailure("the response is not a completion with one choice", usage)
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise TransientFailure("the response has no message", usage)
    if message.get("refusal"):
        raise CallFailed(UnscoredReason.REFUSAL, "the message is a refusal", usage)
    stopped = choices[0].get("finish_reason")
    if isinstance(stopped, str) and stopped in _STOPPED:
        raise CallFailed(_STOPPED[stopped], f"finish_reason {stopped}", usage)
    text = message.get("content")
    if stopped != "stop" or not isinstance(text, str) or message.get("tool_calls"):
        raise CallFailed(UnscoredReason.INVALID_OUTPUT, "the message is not one text", usage)
    return Answer(text, usage, model_name(body.get("model")))


def usage_of(usage: object) -> Usage:
    """Return the usage of one request; unmetered if the response does not state it."""
    if not isinstance(usage, dict):
        return Usage(unmetered=1)
    details = usage.get("prompt_tokens_details")
    sent = token_count(usage.get("prompt_tokens"))
    received = token_count(usage.get("completion_tokens"))
    cached = token_count(details.get("cached_tokens"), 0) if isinstance(details, dict) else 0
    if sent is None or received is None or cached is None:
        return Usage(unmetered=1)
    cached = min(cached, sent)
    return Usage(sent - cached, received, cache_read_tokens=cached)
