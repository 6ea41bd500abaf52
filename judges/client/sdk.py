"""The client of the anthropic package, for what is not urgent: batches and token counts.

It is imported late: the import takes three seconds and 80 MB.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from judges.calls import Call, CallFailed, UnscoredReason, Usage
from judges.client.failures import of_status
from judges.client.messages import message_parameters
from judges.client.schemas import SchemaCache
from judges.client.settings import ClientSettings

if TYPE_CHECKING:
    from anthropic import APIError, AsyncAnthropic

_NO_KEY: Final = "none"
"""The package requires a key, an endpoint on this machine does not."""


@asynccontextmanager
async def open_sdk(settings: ClientSettings) -> AsyncIterator[AsyncAnthropic]:
    """Yield a client of the anthropic package and close it. Its errors become CallFailed.

    Without its own retries, which follow `retry-after` without a limit, and without OpenTelemetry,
    whose traces of the judge would be judged.
    """
    import anthropic

    key = _NO_KEY if settings.key is None else settings.key.get_secret_value()
    async with anthropic.AsyncAnthropic(
        api_key=key,
        base_url=settings.base_url,
        max_retries=0,
        timeout=settings.timeout_seconds,
        open_telemetry=False,
    ) as sdk:
        try:
            yield sdk
        except anthropic.APIError as error:
            raise _failure(error) from None


async def count_tokens(settings: ClientSettings, call: Call) -> int:
    """Return the number of input tokens of a call, as the provider counts them. Free of charge."""
    parameters = message_parameters(call, "none", SchemaCache())
    async with open_sdk(settings) as sdk:
        counted = await sdk.messages.count_tokens(
            model=call.model,
            messages=parameters["messages"],
            output_config=parameters["output_config"],
            system=parameters.get("system", ()),
        )
    return counted.input_tokens


def _failure(error: APIError) -> CallFailed:
    """Return the failure for an error of the package."""
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        response = error.response
        return of_status(
            response.status_code, response.content, response.headers.get("retry-after")
        )
    detail = f"connection failed: {type(error).__name__}"
    return CallFailed(UnscoredReason.UNAVAILABLE, detail, Usage(unmetered=1))
