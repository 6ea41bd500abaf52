"""Clients of providers of judges.

The client of a provider sends one request per call. `retrying.RetryingClient` adds retries, the
deadline and the concurrency limit. A budget (`judges.budget.metered`) stands between them, so that
each request is reserved by itself:

    RetryingClient(MeteredClient(connect(provider, settings), ...), settings, generator)

`batches` uses the half-price batches of the Messages API.
"""

from __future__ import annotations

from typing import Literal

from judges.calls import JudgeClient
from judges.client.settings import ClientSettings

Provider = Literal["anthropic", "openai", "compatible"]
"""`compatible` is a local server or another endpoint with OpenAI's chat completions."""


def connect(provider: Provider, settings: ClientSettings) -> JudgeClient:
    """Return the client of a provider, which sends one request per call.

    aiohttp is imported here: only the process that judges needs it.
    """
    if provider == "anthropic":
        from judges.client.messages import MessagesClient  # noqa: PLC0415 - imports aiohttp

        return MessagesClient(settings)
    from judges.client.chat_completions import (  # noqa: PLC0415 - imports aiohttp
        ChatCompletionsClient,
        LimitKey,
    )

    limit_key: LimitKey = "max_completion_tokens" if provider == "openai" else "max_tokens"
    return ChatCompletionsClient(settings, limit_key)
