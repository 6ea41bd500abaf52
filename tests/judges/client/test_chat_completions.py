"""The client of OpenAI-compatible endpoints: what it sends, and what each response becomes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from judges.calls import Answer, Call, CallFailed, UnscoredReason, Usage
from judges.client import Provider, connect
from judges.client.settings import ClientSettings
from tests.judges.replies import Reply, completion, error, raw
from tests.judges.server import KEY, ModelServer

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"score": {"type": "integer", "maximum": 5}},
    "required": ["score"],
}
CALL = Call("gpt-5-mini", "Judge.", "text", SCHEMA, 200)


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    """Return one server for the tests of this module."""
    with ModelServer() as server:
        yield server


def ask(server: ModelServer, provider: Provider = "compatible") -> Answer | CallFailed:
    """Return the answer, or the failure."""

    async def run() -> Answer | CallFailed:
        client = connect(provider, ClientSettings(server.url + "/v1", SecretStr(KEY)))
        try:
            return await client.ask(CALL)
        except CallFailed as failure:
            return failure
        finally:
            await client.close()

    server.received.clear()
    return asyncio.run(run())


@pytest.mark.parametrize(
    ("provider", "limit"), [("openai", "max_completion_tokens"), ("compatible", "max_tokens")]
)
def test_a_call_is_a_chat_completion(server: ModelServer, provider: Provider, limit: str) -> None:
    """The instructions are the system message, the schema is strict, the limit has its name."""
    server.respond = lambda request: completion(cached=15)
    assert ask(server, provider) == Answer(
        '{"score": 4}', Usage(25, 30, cache_read_tokens=15), "gpt-5-mini"
    )
    (request,) = server.received
    assert request.path == "/v1/chat/completions"
    assert request.body.keys() == {"model", "messages", "response_format", limit}
    assert request.body[limit] == 200
    assert [each["role"] for each in request.body["messages"]] == ["system", "user"]
    sent = request.body["response_format"]["json_schema"]["schema"]
    assert sent["additionalProperties"] is False


GOOD = {"role": "assistant", "content": '{"score": 4}'}


def choices(*messages: object, stop: object = "stop") -> Reply:
    """Return a completion with these messages."""
    return raw(
        {
            "choices": [{"message": each, "finish_reason": stop} for each in messages],
            "usage": {"prompt_tokens": 40, "completion_tokens": 30},
        }
    )


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (completion(refusal="I cannot."), UnscoredReason.REFUSAL),
        (completion(finish_reason="content_filter"), UnscoredReason.REFUSAL),
        (completion(finish_reason="length"), UnscoredReason.TRUNCATED),
        (completion(finish_reason="tool_calls"), UnscoredReason.INVALID_OUTPUT),
        (completion(None), UnscoredReason.INVALID_OUTPUT),
        (choices({**GOOD, "tool_calls": [{}]}), UnscoredReason.INVALID_OUTPUT),
        (choices(GOOD, stop=["stop"]), UnscoredReason.INVALID_OUTPUT),
        (choices(GOOD, GOOD), UnscoredReason.UNAVAILABLE),
        (choices(), UnscoredReason.UNAVAILABLE),
        (choices("text"), UnscoredReason.UNAVAILABLE),
    ],
)
def test_an_answer_that_is_not_whole_has_a_reason_and_its_usage(
    server: ModelServer, reply: Reply, reason: UnscoredReason
) -> None:
    """The usage is kept whatever the content is."""
    server.respond = lambda request: reply
    failure = ask(server)
    assert isinstance(failure, CallFailed)
    assert (failure.reason, failure.usage) == (reason, Usage(40, 30))


@pytest.mark.parametrize(
    "usage", [None, [], {"prompt_tokens": 40}, {"prompt_tokens": "4", "completion_tokens": 1}]
)
def test_an_unknown_usage_is_unmetered(server: ModelServer, usage: object) -> None:
    """Local servers may report no usage: it is unknown, never zero."""
    server.respond = lambda request: raw(
        {"choices": [{"message": GOOD, "finish_reason": "stop"}], "usage": usage}
    )
    answer = ask(server)
    assert isinstance(answer, Answer)
    assert answer.usage == Usage(unmetered=1)


def test_spent_quota_is_fatal(server: ModelServer) -> None:
    """OpenAI's 429 with `insufficient_quota` is not cured by a retry."""
    server.respond = lambda request: error(401)
    failure = ask(server)
    assert isinstance(failure, CallFailed)
    assert failure.fatal
    body = b'{"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}'
    server.respond = lambda request: Reply(429, body)
    failure = ask(server)
    assert isinstance(failure, CallFailed)
    assert failure.fatal
