"""Batches of calls, at half price, finished within 24 hours: nightly runs, evaluation sets.

A batch is paid for whether its results are read or not, so its id is stored before anything relies
on it, and a restart collects the stored id instead of submitting again:

1. `submit` creates the batch and passes its id to `store`.
2. `collect` returns None until the batch has ended, then all results.

A crash between the creation and `store` loses the id: the API has no key that would prevent a
second creation. `find` returns recent batches, so that the caller can look for the lost one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from judges.calls import Answer, Call, CallFailed, Unscored, UnscoredReason, Usage
from judges.client.messages import answer_of, message_parameters
from judges.client.schemas import SchemaCache
from judges.client.sdk import open_sdk
from judges.client.settings import ClientSettings, same_origin

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types.messages import MessageBatch

MAX_REQUESTS: Final = 10_000
"""Requests of a batch. The API allows more, but a batch is held in memory."""

BatchResult = Answer | Unscored
_UNSCORED: Final = {
    "errored": "the request of the batch failed",
    "canceled": "the batch was canceled",
    "expired": "the batch expired before the request was run",
}


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch that the provider keeps.

    ended: its results can be collected. created_at: time in ISO format.
    requests, finished: number of all requests, and of those that have a result.
    """

    id: str
    ended: bool
    created_at: str
    requests: int
    finished: int


class MessageBatches:
    """Batches of the Messages API. Opens a client for each operation: they are minutes apart."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings

    async def submit(
        self, calls: Mapping[str, Call], store: Callable[[str], Awaitable[None]]
    ) -> str:
        """Create a batch, await `store` with its id, and return the id.

        calls: by an id of at most 64 letters, digits, '_' and '-', which the results repeat.
        If `store` fails, the batch is canceled and the error is raised.
        Raises CallFailed, and ValueError if there are no calls or too many.
        """
        if not 0 < len(calls) <= MAX_REQUESTS:
            raise ValueError(f"a batch has 1 to {MAX_REQUESTS} calls, not {len(calls)}")
        schemas = SchemaCache()
        requests: list[Any] = [
            {
                "custom_id": name,
                "params": message_parameters(call, self._settings.cache_ttl, schemas),
            }
            for name, call in calls.items()
        ]
        async with open_sdk(self._settings) as sdk:
            batch = await sdk.messages.batches.create(requests=requests)
            try:
                await store(batch.id)
            except BaseException:
                await sdk.messages.batches.cancel(batch.id)
                raise
        return batch.id

    async def collect(self, batch_id: str) -> dict[str, BatchResult] | None:
        """Return all results by the id of their call; None if the batch has not ended.

        May be repeated: the provider keeps results for 29 days. Raises CallFailed.
        """
        async with open_sdk(self._settings) as sdk:
            batch = await sdk.messages.batches.retrieve(batch_id)
            if batch.processing_status != "ended":
                return None
            # The package sends the key to the host that this URL names.
            url = batch.results_url
            if url is None or not same_origin(url, self._settings.base_url):
                raise CallFailed(
                    UnscoredReason.UNAVAILABLE,
                    "the results of the batch are at another host than base_url",
                    fatal=True,
                )
            results = await self._read(sdk, batch_id)
        if len(results) < _status_of(batch).requests:
            raise CallFailed(UnscoredReason.UNAVAILABLE, "the results of the batch are incomplete")
        return results

    async def status(self, batch_id: str) -> BatchStatus:
        """Return how far a batch is. Raises CallFailed."""
        async with open_sdk(self._settings) as sdk:
            return _status_of(await sdk.messages.batches.retrieve(batch_id))

    async def cancel(self, batch_id: str) -> None:
        """Cancel a batch. Requests that have already run are charged. Raises CallFailed."""
        async with open_sdk(self._settings) as sdk:
            await sdk.messages.batches.cancel(batch_id)

    async def find(self, limit: int = 20) -> list[BatchStatus]:
        """Return the newest batches. Raises CallFailed."""
        async with open_sdk(self._settings) as sdk:
            page = await sdk.messages.batches.list(limit=limit)
            return [_status_of(each) for each in page.data]

    async def _read(self, sdk: AsyncAnthropic, batch_id: str) -> dict[str, BatchResult]:
        """Return the results of a batch that has ended."""
        import httpx2

        results: dict[str, BatchResult] = {}
        try:
            async for each in await sdk.messages.batches.results(batch_id):
                results[each.custom_id] = self._result(each.result)
        except (httpx2.HTTPError, ValueError) as error:
            # The package converts no errors of a stream that is cut, or is not JSON.
            detail = f"the results were not read: {type(error).__name__}"
            raise CallFailed(UnscoredReason.UNAVAILABLE, detail) from None
        return results

    def _result(self, result: Any) -> BatchResult:
        """Return the answer of a succeeded request, or why there is none."""
        if result.type != "succeeded":
            detail = _UNSCORED.get(result.type, "unknown type of result")
            return Unscored(UnscoredReason.UNAVAILABLE, detail, Usage(requests=1))
        try:
            body = result.message.model_dump(mode="json", exclude_unset=True)
            return answer_of(body, self._settings.cache_ttl)
        except CallFailed as failure:
            return Unscored(failure.reason, failure.detail, failure.usage)


def _status_of(batch: MessageBatch) -> BatchStatus:
    counts = batch.request_counts
    finished = counts.succeeded + counts.errored + counts.canceled + counts.expired
    return BatchStatus(
        batch.id,
        batch.processing_status == "ended",
        str(batch.created_at),
        finished + counts.processing,
        finished,
    )
