"""The local model server speaks the protocol of the real client libraries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from tests.judges.replies import Reply, error, html, message
from tests.judges.server import KEY, ModelServer, Received

SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer"}},
    "required": ["score"],
    "additionalProperties": False,
}


class Score(BaseModel, extra="forbid"):
    """The answer that SCHEMA describes."""

    score: int


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    """Return one server for the tests of this module."""
    with ModelServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _clean(server: ModelServer) -> None:
    server.received.clear()
    server.problems.clear()


def test_the_sdk_creates_and_parses_messages(server: ModelServer) -> None:
    """Anthropic's client sends what the server accepts, and reads what it returns."""
    import anthropic

    async def run() -> None:
        async with anthropic.AsyncAnthropic(
            api_key=KEY, base_url=server.url, max_retries=0, open_telemetry=False
        ) as sdk:
            created = await sdk.messages.create(
                model="claude-haiku-5-5",
                max_tokens=100,
                system=[{"type": "text", "text": "Judge.", "cache_control": {"type": "ephemeral"}}],
                messages=[{"role": "user", "content": "text"}],
                output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
            )
            assert created.stop_reason == "end_turn"
            assert created.usage.input_tokens == 40
            parsed = await sdk.messages.parse(
                model="claude-haiku-5-5",
                max_tokens=100,
                messages=[{"role": "user", "content": "text"}],
                output_format=Score,
            )
            assert parsed.parsed_output == Score(score=4)
            counted = await sdk.messages.count_tokens(
                model="claude-haiku-5-5", messages=[{"role": "user", "content": "text"}]
            )
            assert counted.input_tokens > 0

    asyncio.run(run())
    assert server.problems == []
    assert [each.path for each in server.received] == [
        "/v1/messages",
        "/v1/messages",
        "/v1/messages/count_tokens",
    ]


def test_the_sdk_runs_a_batch(server: ModelServer) -> None:
    """A batch is created, retrieved until it has ended, and its results are read."""
    import anthropic

    async def run() -> dict[str, str]:
        async with anthropic.AsyncAnthropic(
            api_key=KEY, base_url=server.url, max_retries=0, open_telemetry=False
        ) as sdk:
            batch = await sdk.messages.batches.create(
                requests=[
                    {
                        "custom_id": name,
                        "params": {
                            "model": "claude-haiku-5-5",
                            "max_tokens": 10,
                            "messages": [{"role": "user", "content": "text"}],
                        },
                    }
                    for name in ("a", "b")
                ]
            )
            assert batch.processing_status == "in_progress"
            batch = await sdk.messages.batches.retrieve(batch.id)
            assert batch.processing_status == "ended"
            results = await sdk.messages.batches.results(batch.id)
            return {each.custom_id: each.result.type async for each in results}

    assert asyncio.run(run()) == {"b": "succeeded", "a": "succeeded"}


def test_the_sdk_raises_its_errors(server: ModelServer) -> None:
    """A wrong key is AuthenticationError, 529 OverloadedError, HTML no message."""
    import anthropic

    answers = {"overloaded": error(529), "html": html(), "good": message()}

    def respond(request: Received) -> Reply:
        return answers[request.body["model"]]

    async def ask(key: str, model: str) -> object:
        async with anthropic.AsyncAnthropic(
            api_key=key, base_url=server.url, max_retries=0, open_telemetry=False
        ) as sdk:
            return await sdk.messages.create(
                model=model, max_tokens=10, messages=[{"role": "user", "content": "text"}]
            )

    before, server.respond = server.respond, respond
    try:
        with pytest.raises(anthropic.AuthenticationError):
            asyncio.run(ask("wrong", "good"))
        with pytest.raises(anthropic.APIStatusError) as caught:
            asyncio.run(ask(KEY, "overloaded"))
        assert caught.value.status_code == 529
        assert isinstance(asyncio.run(ask(KEY, "html")), str)
    finally:
        server.respond = before


def test_openais_sdk_creates_completions(server: ModelServer) -> None:
    """OpenAI's client sends what the server accepts, and reads what it returns."""
    import openai

    with openai.OpenAI(api_key=KEY, base_url=server.url + "/v1", max_retries=0) as sdk:
        done = sdk.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "text"}],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "verdict", "schema": SCHEMA, "strict": True},
            },
        )
    assert done.choices[0].message.content == '{"score": 4}'
    assert done.usage is not None
    assert done.usage.prompt_tokens == 40


def test_the_server_rejects_what_the_api_rejects(server: ModelServer) -> None:
    """A temperature is an invalid request, as with the real API."""
    import anthropic

    async def run() -> None:
        async with anthropic.AsyncAnthropic(
            api_key=KEY, base_url=server.url, max_retries=0, open_telemetry=False
        ) as sdk:
            await sdk.messages.create(
                model="m",
                max_tokens=10,
                messages=[{"role": "user", "content": "text"}],
                extra_body={"temperature": 0},
            )

    with pytest.raises(anthropic.BadRequestError):
        asyncio.run(run())
    assert "temperature" in server.problems[0]
