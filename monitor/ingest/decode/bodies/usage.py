"""Numbers of tokens as APIs report them. Input tokens include those read from or put in a cache."""

from __future__ import annotations

from typing import NamedTuple

from monitor.ingest.decode.bodies.values import member, number, total


class Usage(NamedTuple):
    """Tokens of the prompt, cached ones included, and of the answer, reasoning included."""

    input_tokens: float | None
    output_tokens: float | None


def usage_of(usage: object) -> Usage:
    """Return the tokens in a `usage` object of OpenAI, Anthropic, Bedrock Converse or Gemini."""
    if not isinstance(usage, dict):
        return Usage(None, None)
    if "promptTokenCount" in usage or "candidatesTokenCount" in usage:  # Gemini: thoughts beside
        answer = total(_of(usage, "candidatesTokenCount"), _of(usage, "thoughtsTokenCount"))
        return Usage(_of(usage, "promptTokenCount"), answer)
    if "inputTokens" in usage:  # Bedrock Converse: cached tokens beside
        cached = (_of(usage, "cacheReadInputTokens"), _of(usage, "cacheWriteInputTokens"))
        return Usage(total(_of(usage, "inputTokens"), *cached), _of(usage, "outputTokens"))
    if "prompt_tokens" in usage or "completion_tokens" in usage:  # OpenAI: cached tokens within
        return Usage(_of(usage, "prompt_tokens"), _of(usage, "completion_tokens"))
    prompt = _of(usage, "input_tokens")
    if member(usage, "input_tokens_details") is None:  # Anthropic: cached tokens beside
        cached = (_of(usage, "cache_read_input_tokens"), _of(usage, "cache_creation_input_tokens"))
        prompt = None if prompt is None else total(prompt, *cached)
    return Usage(prompt, _of(usage, "output_tokens"))


def _of(usage: dict[str, object], key: str) -> float | None:
    return number(usage.get(key))
