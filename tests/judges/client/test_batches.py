"""Batches: the id is stored before it is relied on, and every call has one result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from judges.calls import Answer, Call, CallFailed, Unscored, UnscoredReason, Usage
from judges.client.batches import MAX_REQUESTS, MessageBatches
from judges.client.sdk import count_tokens
from judges.client.settings import ClientSettings
from tests.judges.batch_store import BatchStore
from tests.judges.replies import message_body
from tests.judges.server import KEY, ModelServer

CALL = Call("claude-haiku-5-5", "Judge.", "text", {"type": "object", "properties": {}}, 200)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """Return a server with batches of its own."""
    with ModelServer() as server:
        yield server


def settings(server: ModelServer) -> ClientSettings:
    """Return settings for the server."""
    return ClientSettings(server.url, SecretStr(KEY), timeout_seconds=10.0)


def store_in(ids: list[str]) -> Callable[[str], Awaitable[None]]:
    """Return a function that keeps the id."""

    async def store(batch_id: str) -> None:
        ids.append(batch_id)

    return store


def outcome(custom_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result of each type, named by the id of the call."""
    body = message_body(model=params["model"])
    match custom_id:
        case "errored":
            error = {"type": "error", "error": {"type": "api_error", "message": "x"}}
            return {"type": "errored", "error": error}
        case "canceled" | "expired":
            return {"type": custom_id}
        case "refused":
            return {"type": "succeeded", "message": {**body, "stop_reason": "refusal"}}
        case "empty":
            return {"type": "succeeded", "message": {**body, "content": []}}
    return {"type": "succeeded", "message": body}


def test_a_batch_is_submitted_stored_and_collected(server: ModelServer) -> None:
    """The stored id is enough to collect, also by another client; results come in any order."""
    server.batches.outcome = outcome
    names = ["good", "errored", "canceled", "expired", "refused", "empty"]
    ids: list[str] = []
    calls = dict.fromkeys(names, CALL)
    submitted = asyncio.run(MessageBatches(settings(server)).submit(calls, store_in(ids)))
    assert ids == [submitted]
    server.batches.polls = 2
    assert asyncio.run(MessageBatches(settings(server)).collect(ids[0])) is None
    results = asyncio.run(MessageBatches(settings(server)).collect(ids[0]))
    assert results is not None
    assert set(results) == set(names)
    assert results["good"] == Answer('{"score": 4}', Usage(40, 30), "claude-haiku-5-5")
    reasons = {name: each.reason for name, each in results.items() if isinstance(each, Unscored)}
    assert reasons == {
        "errored": UnscoredReason.UNAVAILABLE,
        "canceled": UnscoredReason.UNAVAILABLE,
        "expired": UnscoredReason.UNAVAILABLE,
        "refused": UnscoredReason.REFUSAL,
        "empty": UnscoredReason.INVALID_OUTPUT,
    }
    usage = {name: each.usage for name, each in results.items()}
    assert usage["refused"] == usage["empty"] == Usage(40, 30)
    assert usage["errored"] == Usage(requests=1)
    assert server.problems == []
    again = asyncio.run(MessageBatches(settings(server)).collect(ids[0]))
    assert again == results


def test_a_batch_whose_id_cannot_be_stored_is_canceled(server: ModelServer) -> None:
    """A batch that cannot be collected later is not left running."""

    async def fail(batch_id: str) -> None:
        raise OSError("disk is full")

    with pytest.raises(OSError, match="disk is full"):
        asyncio.run(MessageBatches(settings(server)).submit({"a": CALL}, fail))
    assert server.received[-1].path.endswith("/cancel")


def test_the_key_is_not_sent_to_another_host(server: ModelServer) -> None:
    """Results at another host are refused before the key is sent there."""
    with ModelServer(batches=BatchStore()) as other:
        server.batches.results_host = other.url
        batches = MessageBatches(settings(server))
        batch_id = asyncio.run(batches.submit({"a": CALL}, store_in([])))
        with pytest.raises(CallFailed, match="another host"):
            asyncio.run(batches.collect(batch_id))
        assert other.received == []


def test_a_lost_batch_is_found_and_can_be_canceled(server: ModelServer) -> None:
    """After a crash before the id was stored, the newest batches name it."""
    server.batches.polls = 5
    batches = MessageBatches(settings(server))
    batch_id = asyncio.run(batches.submit({"a": CALL}, store_in([])))
    (found,) = asyncio.run(batches.find())
    assert (found.id, found.ended) == (batch_id, False)
    asyncio.run(batches.cancel(batch_id))
    results = asyncio.run(batches.collect(batch_id))
    assert results is not None
    assert isinstance(results["a"], Unscored)


def test_errors_of_the_api_are_call_failures(server: ModelServer) -> None:
    """A wrong key is fatal; an unknown batch and a dead server are failures too."""
    wrong = replace(settings(server), key=SecretStr("wrong"))
    with pytest.raises(CallFailed) as caught:
        asyncio.run(MessageBatches(wrong).collect("msgbatch_1"))
    assert caught.value.fatal
    with pytest.raises(CallFailed, match="HTTP 404"):
        asyncio.run(MessageBatches(settings(server)).collect("msgbatch_1"))
    dead = replace(settings(server), base_url="http://127.0.0.1:1")
    with pytest.raises(CallFailed, match="connection failed"):
        asyncio.run(MessageBatches(dead).find())


def test_the_size_of_a_batch_is_limited(server: ModelServer) -> None:
    """No calls, and too many, are errors before anything is sent."""
    many = dict.fromkeys(map(str, range(MAX_REQUESTS + 1)), CALL)
    for calls in ({}, many):
        with pytest.raises(ValueError, match="a batch has"):
            asyncio.run(MessageBatches(settings(server)).submit(calls, store_in([])))
    assert server.received == []


def test_tokens_are_counted_by_the_provider(server: ModelServer) -> None:
    """The count is that of the provider for the whole request."""
    assert asyncio.run(count_tokens(settings(server), CALL)) > 0
    assert server.problems == []


def test_results_that_are_cut_are_a_failure(server: ModelServer) -> None:
    """Results are read whole or not at all, and can be read again."""
    batches = MessageBatches(settings(server))
    calls = dict.fromkeys(map(str, range(20)), CALL)
    batch_id = asyncio.run(batches.submit(calls, store_in([])))
    server.batches.faults = ["cut"]
    with pytest.raises(CallFailed, match="the results were not read"):
        asyncio.run(batches.collect(batch_id))
    assert len(asyncio.run(batches.collect(batch_id)) or ()) == len(calls)
    status = asyncio.run(batches.status(batch_id))
    assert (status.requests, status.finished, status.ended) == (20, 20, True)
