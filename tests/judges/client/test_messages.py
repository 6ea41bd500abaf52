"""The client of the Messages API: what it sends, and what each response becomes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from judges.calls import Answer, Call, CallFailed, UnscoredReason, Usage
from judges.client.http import MAX_RESPONSE_BYTES
from judges.client.messages import MessagesClient
from judges.client.retrying import RetryingClient
from judges.client.settings import ClientSettings
from tests.judges import replies
from tests.judges.replies import USAGE, Reply, message, message_body, raw, text_reply
from tests.judges.server import KEY, ModelServer, Received

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 5}},
    "required": ["score"],
    "additionalProperties": False,
}
CALL = Call("claude-haiku-5-5", "Judge the text.", "a text with the word zebra", SCHEMA, 200)
PAID = Usage(40, 30)
UNKNOWN = Usage(unmetered=1)
FREE = Usage()


@pytest.fixture(scope="module")
def shared_server() -> Iterator[ModelServer]:
    """Return one server for the tests of this module."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def server(shared_server: ModelServer) -> ModelServer:
    """Return the server without the requests of earlier tests."""
    shared_server.wait_until_idle()
    shared_server.received.clear()
    shared_server.problems.clear()
    shared_server.most_at_once = 0
    shared_server.respond = lambda request: message()
    return shared_server


def settings(server: ModelServer, **changes: Any) -> ClientSettings:
    """Return settings for the server, with a short deadline and short pauses."""
    base = ClientSettings(
        server.url,
        SecretStr(KEY),
        timeout_seconds=5.0,
        retries=2,
        backoff_seconds=0.02,
        concurrency=8,
    )
    return replace(base, **changes)


def ask(given: ClientSettings, call: Call = CALL) -> Answer | CallFailed:
    """Return the answer of a retrying client, or its failure."""

    async def run() -> Answer | CallFailed:
        client = RetryingClient(MessagesClient(given), given, random.Random(7))
        try:
            return await client.ask(call)
        except CallFailed as failure:
            return failure
        finally:
            await client.close()

    return asyncio.run(run())


def failed(given: ClientSettings, call: Call = CALL) -> CallFailed:
    """Return the failure of a call that must fail."""
    result = ask(given, call)
    assert isinstance(result, CallFailed)
    return result


def test_a_call_is_answered_with_text_usage_and_model(server: ModelServer) -> None:
    """The answer is the text of the one block, with the usage of the response."""
    assert ask(settings(server)) == Answer('{"score": 4}', PAID, "claude-haiku-5-5")
    assert server.problems == []


def test_the_instructions_are_cached_and_the_schema_constrains(server: ModelServer) -> None:
    """The request has a cached system block, a supported schema, and no sampling parameters."""
    ask(settings(server, cache_ttl="1h"))
    (request,) = server.received
    assert request.body["system"] == [
        {
            "type": "text",
            "text": "Judge the text.",
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        }
    ]
    assert request.body["messages"] == [{"role": "user", "content": CALL.data}]
    schema = request.body["output_config"]["format"]["schema"]
    assert schema["properties"]["score"] == {
        "type": "integer",
        "description": "(minimum: 0, maximum: 5)",
    }
    assert set(request.body) == {"model", "max_tokens", "messages", "system", "output_config"}
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_caching_can_be_disabled_and_instructions_left_out(server: ModelServer) -> None:
    """Without a lifetime there is no cache mark, without instructions no system block."""
    ask(settings(server, cache_ttl="none"))
    ask(settings(server), replace(CALL, instructions=""))
    first, second = server.received
    assert first.body["system"] == [{"type": "text", "text": "Judge the text."}]
    assert "system" not in second.body


CACHED = {
    **USAGE,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 7,
    "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (CACHED, Usage(40, 30, 60, 40, 7)),
        ({**CACHED, "cache_creation": None}, Usage(40, 30, 100, 0, 7)),
        ({**USAGE, "cache_creation_input_tokens": None}, PAID),
        ({"input_tokens": 1, "output_tokens": 2}, Usage(1, 2)),
        ({**USAGE, "input_tokens": None}, UNKNOWN),
        ({**USAGE, "output_tokens": -1}, UNKNOWN),
        ({**USAGE, "output_tokens": True}, UNKNOWN),
        ({**USAGE, "input_tokens": 1e300}, UNKNOWN),
        ("none", UNKNOWN),
    ],
)
def test_usage_is_read_strictly(server: ModelServer, usage: Any, expected: Usage) -> None:
    """Counts are read by kind; a usage that is not a count is unknown, never zero."""
    server.respond = lambda request: message(usage=usage)
    answer = ask(settings(server))
    assert isinstance(answer, Answer)
    assert answer.usage == expected


TEXT = {"type": "text", "text": '{"score": 4}'}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (message(stop_reason="refusal"), UnscoredReason.REFUSAL),
        (message(content=[], stop_reason="refusal"), UnscoredReason.REFUSAL),
        (message('{"sco', stop_reason="max_tokens"), UnscoredReason.TRUNCATED),
        (message(stop_reason="model_context_window_exceeded"), UnscoredReason.TRUNCATED),
        (message(stop_reason="tool_use"), UnscoredReason.INVALID_OUTPUT),
        (message(stop_reason=None), UnscoredReason.INVALID_OUTPUT),
        (message(content=[TEXT, TEXT]), UnscoredReason.INVALID_OUTPUT),
        (message(content=[]), UnscoredReason.INVALID_OUTPUT),
        (message(content=[{"type": "thinking", "thinking": "x"}]), UnscoredReason.INVALID_OUTPUT),
        (message(content=[{"type": "text", "text": None}]), UnscoredReason.INVALID_OUTPUT),
        (message(content=["x"]), UnscoredReason.INVALID_OUTPUT),
    ],
)
def test_an_answer_that_is_not_whole_fails_once_and_is_paid(
    server: ModelServer, reply: Reply, reason: UnscoredReason
) -> None:
    """Refusals, cuts and wrong blocks have their reason, are not repeated, and keep their usage."""
    server.respond = lambda request: reply
    failure = failed(settings(server))
    assert (failure.reason, failure.usage, failure.fatal) == (reason, PAID, False)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "text",
    ['```json\n{"score": 4}\n```', '{"score": 1} {"score": 5}', '{"score": 1, "score": 5}', ""],
)
def test_the_text_is_passed_whole(server: ModelServer, text: str) -> None:
    """Fences, trailing text and duplicate keys are kept, so that strict validation sees them."""
    server.respond = lambda request: message(text)
    answer = ask(settings(server))
    assert isinstance(answer, Answer)
    assert answer.text == text


UNAVAILABLE = UnscoredReason.UNAVAILABLE
FAILURES = [  # reply, reason, requests, usage of each, fatal
    (replies.error(400, "zebra"), UNAVAILABLE, 1, FREE, False),
    (replies.error(401), UNAVAILABLE, 1, FREE, True),
    (replies.error(402), UNAVAILABLE, 1, FREE, True),
    (replies.error(403), UNAVAILABLE, 1, FREE, True),
    (replies.error(404), UNAVAILABLE, 1, FREE, True),
    (replies.error(413), UnscoredReason.TOO_LONG, 1, FREE, False),
    (replies.error(422), UNAVAILABLE, 1, FREE, False),
    (replies.error(429, retry_after="86400"), UNAVAILABLE, 3, FREE, False),
    (replies.error(429, code="enforced_spend_limit_reached"), UNAVAILABLE, 1, FREE, True),
    (replies.error(429, code="contract_spend_limit_reached"), UNAVAILABLE, 1, FREE, True),
    (replies.error(429, code="ramp_limit_exceeded"), UNAVAILABLE, 1, FREE, False),
    (replies.error(500), UNAVAILABLE, 3, UNKNOWN, False),
    (replies.error(504), UNAVAILABLE, 3, UNKNOWN, False),
    (replies.error(529, retry_after="nan"), UNAVAILABLE, 3, FREE, False),
    (Reply(302, b"", {"location": "http://elsewhere.invalid/"}), UNAVAILABLE, 1, FREE, False),
    (Reply(502, b"<html>bad gateway</html>"), UNAVAILABLE, 3, UNKNOWN, False),
    (replies.html(), UNAVAILABLE, 3, UNKNOWN, False),
    (text_reply(b'{"type": "mess'), UNAVAILABLE, 3, UNKNOWN, False),
    (text_reply(b"\xff\xfe"), UNAVAILABLE, 3, UNKNOWN, False),
    (text_reply(b"[" * 100_000), UNAVAILABLE, 3, UNKNOWN, False),
    (text_reply(b""), UNAVAILABLE, 3, UNKNOWN, False),
    (raw(None), UNAVAILABLE, 3, UNKNOWN, False),
    (raw([]), UNAVAILABLE, 3, UNKNOWN, False),
    (raw({"id": "x"}), UNAVAILABLE, 3, UNKNOWN, False),
    (raw({**message_body(), "content": None}), UNAVAILABLE, 3, PAID, False),
    (text_reply(b" " * (MAX_RESPONSE_BYTES + 1)), UNAVAILABLE, 3, UNKNOWN, False),
    (message(fault="cut"), UNAVAILABLE, 3, UNKNOWN, False),
    (replies.reset(), UNAVAILABLE, 3, UNKNOWN, False),
]


@pytest.mark.parametrize(("reply", "reason", "requests", "each", "fatal"), FAILURES)
def test_every_fault_has_a_reason_and_its_usage(
    server: ModelServer,
    reply: Reply,
    reason: UnscoredReason,
    requests: int,
    each: Usage,
    fatal: bool,
) -> None:
    """A fault is repeated only if a retry may help, and all of its requests are counted."""
    server.respond = lambda request: reply
    failure = failed(settings(server))
    assert (failure.reason, failure.fatal) == (reason, fatal)
    assert len(server.received) == requests
    assert failure.usage == sum([each] * (requests - 1), each)
    assert "zebra" not in str(failure)
    assert KEY not in str(failure)


@pytest.mark.parametrize("reply", [replies.hang(), message(fault="drip", seconds=0.05)])
def test_the_deadline_ends_hanging_and_dripping_responses(
    server: ModelServer, reply: Reply
) -> None:
    """The deadline is total: a byte now and then does not extend it."""
    server.respond = lambda request: reply
    failure = failed(settings(server, timeout_seconds=0.4))
    assert failure.reason is UnscoredReason.TIMEOUT
    assert failure.usage == UNKNOWN


def test_a_pause_beyond_the_deadline_is_not_waited_for(server: ModelServer) -> None:
    """If the pause would pass the deadline, the call fails at once with its own reason."""
    server.respond = lambda request: replies.error(529, retry_after="86400")

    async def seconds() -> float:
        given = settings(server, timeout_seconds=2.0, backoff_seconds=60.0)
        client = RetryingClient(MessagesClient(given), given, random.Random(7))
        started = asyncio.get_running_loop().time()
        with pytest.raises(CallFailed) as caught:
            await client.ask(CALL)
        assert caught.value.reason is UNAVAILABLE
        await client.close()
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(seconds()) < 1.0


def test_usage_of_failed_requests_is_part_of_the_answer(server: ModelServer) -> None:
    """After a cut and an overload, the answer carries the usage of all three requests."""
    sequence = iter([message(fault="cut"), replies.error(529), message()])
    server.respond = lambda request: next(sequence)
    answer = ask(settings(server))
    assert isinstance(answer, Answer)
    assert answer.usage == UNKNOWN + FREE + PAID


def test_no_server_is_unavailable_and_free(server: ModelServer) -> None:
    """A refused connection is not charged: nothing was sent."""
    failure = failed(settings(server, base_url="http://127.0.0.1:1"))
    assert (failure.reason, failure.usage) == (UNAVAILABLE, Usage(requests=3))


def test_text_that_is_not_unicode_is_not_sent(server: ModelServer) -> None:
    """A lone surrogate cannot be encoded: the call fails without a request."""
    failure = failed(settings(server), replace(CALL, data="\ud800"))
    assert (failure.reason, failure.usage) == (UNAVAILABLE, Usage(requests=0))
    assert server.received == []


def test_concurrency_is_limited(server: ModelServer) -> None:
    """Not more requests are open than configured, and all calls are answered."""
    server.respond = lambda request: message(seconds=0.05)

    async def run() -> int:
        given = settings(server, concurrency=3)
        client = RetryingClient(MessagesClient(given), given, random.Random(7))
        answers = await asyncio.gather(*(client.ask(CALL) for _ in range(12)))
        await client.close()
        return len(answers)

    assert asyncio.run(run()) == 12
    assert server.most_at_once == 3


def test_the_wait_for_a_slot_counts_and_costs_nothing(server: ModelServer) -> None:
    """A call that never got a slot is a timeout without usage."""
    server.respond = lambda request: replies.hang()

    async def run() -> CallFailed:
        given = settings(server)
        short = replace(given, timeout_seconds=0.2)
        provider, slots = MessagesClient(given), asyncio.Semaphore(1)
        first = RetryingClient(provider, given, random.Random(7), slots)
        second = RetryingClient(provider, short, random.Random(7), slots)
        holder = asyncio.create_task(first.ask(CALL))
        while not server.received:
            await asyncio.sleep(0.01)
        with pytest.raises(CallFailed) as caught:
            await second.ask(CALL)
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
        await provider.close()
        return caught.value

    failure = asyncio.run(run())
    assert (failure.reason, failure.usage) == (UnscoredReason.TIMEOUT, Usage(requests=0))
    assert len(server.received) == 1


def test_cancellation_passes_through(server: ModelServer) -> None:
    """A cancelled call raises CancelledError, not a failure, and is not repeated."""
    server.respond = lambda request: replies.hang()

    async def run() -> None:
        given = settings(server)
        client = RetryingClient(MessagesClient(given), given, random.Random(7))
        task = asyncio.create_task(client.ask(CALL))
        while not server.received:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.close()

    asyncio.run(run())
    assert len(server.received) == 1


def test_a_client_closed_twice_is_closed(server: ModelServer) -> None:
    """Closing is idempotent and needs no earlier call."""

    async def run() -> None:
        client = MessagesClient(settings(server))
        await client.close()
        await client.ask(CALL)
        await client.close()
        await client.close()

    asyncio.run(run())


def test_the_server_sees_requests_in_order(server: ModelServer) -> None:
    """Responses may depend on the request: the text reaches the server unchanged."""

    def echo(request: Received) -> Reply:
        return message(request.body["messages"][0]["content"])

    server.respond = echo
    text = 'quotes " and \u2028 and \x00 and 𝔘'
    answer = ask(settings(server), replace(CALL, data=text))
    assert isinstance(answer, Answer)
    assert answer.text == text
