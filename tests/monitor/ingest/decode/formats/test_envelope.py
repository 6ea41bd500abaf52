"""Envelopes with bodies of OpenAI and Anthropic."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.ingest.decode.message import Skipped
from monitor.records import RejectedRecord
from tests.monitor.ingest.decode.decoding import only_record, recognized, results
from tests.monitor.ingest.decode.encoders import bodies
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL
from tests.monitor.ingest.decode.encoders.openai import envelope

REQUEST = bodies.chat_request(PLAIN_CALL)
RESPONSE = bodies.chat_completion(PLAIN_CALL)
PLAIN = envelope(PLAIN_CALL, REQUEST, RESPONSE)


def test_a_response_alone_is_a_call() -> None:
    """A chat completion has a time, but neither a prompt nor a latency."""
    record = only_record(RESPONSE)
    assert record.timestamp == int(PLAIN_CALL.start)
    assert (record.model, record.response) == (PLAIN_CALL.responded_model, PLAIN_CALL.response)
    assert (record.prompt, record.latency_ms) == (None, None)
    assert only_record(bodies.openai_response(PLAIN_CALL)).response == PLAIN_CALL.response


def test_a_message_of_anthropic_alone_has_no_time() -> None:
    """It is recognized, and rejected by name."""
    body = bodies.anthropic_message(PLAIN_CALL)
    assert recognized(body) == ["anthropic"]
    (rejected,) = results(body)
    assert isinstance(rejected, RejectedRecord)
    assert rejected.detail == "no time of the request"


@pytest.mark.parametrize(
    "time",
    [
        1_790_000_000.123,
        1_790_000_000_123,
        1_790_000_000_123_000,
        1_790_000_000_123_000_000,
        "1790000000.123",
        "2026-09-21T14:13:20.123Z",
    ],
)
def test_units_of_times(time: object) -> None:
    """Numbers are seconds, milliseconds, microseconds or nanoseconds by their size."""
    found = envelope(PLAIN_CALL, REQUEST, RESPONSE) | {"timestamp": time}
    assert only_record(found).timestamp == pytest.approx(1_790_000_000.123, abs=1e-6)


@pytest.mark.parametrize("names", [("request", "response"), ("input", "output"), ("req", "resp")])
def test_names_of_bodies(names: tuple[str, str]) -> None:
    """Several pairs of names are usual."""
    found = envelope(PLAIN_CALL, None, None)
    found |= dict(zip(names, (REQUEST, json.dumps(RESPONSE)), strict=True))
    record = only_record(found)
    assert (record.response, record.input_tokens) == (PLAIN_CALL.response, PLAIN_CALL.input_tokens)


@pytest.mark.parametrize(
    "asked",
    [{"messages": REQUEST["messages"]}, {"request": REQUEST["messages"]}],
    ids=["beside the response", "without a body"],
)
def test_messages_without_a_request(asked: dict[str, Any]) -> None:
    """An application may log only the messages of a request."""
    found = envelope(PLAIN_CALL, None, RESPONSE) | asked | {"model": "chat"}
    record = only_record(found)
    assert (record.prompt, record.model) == (only_record(PLAIN).prompt, "chat")


def test_a_text_in_the_place_of_a_request() -> None:
    """It is the prompt."""
    found = envelope(PLAIN_CALL, None, RESPONSE) | {"input": "Hi", "model": "chat"}
    assert only_record(found).prompt == "Hi"


def test_bodies_beside_headers() -> None:
    """Middleware logs a body below `body`, beside headers and a status."""
    found = envelope(
        PLAIN_CALL,
        {"headers": {}, "body": REQUEST},
        {"status": 429, "body": {"error": {"message": "a text of a user", "code": None}}},
    )
    record = only_record(found)
    assert (record.model, record.error) == ("gpt-4o", "429")


def test_a_stream_is_read() -> None:
    """The body of a stream is a text of server-sent events."""
    chunk: dict[str, Any] = {"id": "c", "choices": [{"delta": {"content": "Hi"}}]}
    found = envelope(PLAIN_CALL, REQUEST | {"stream": True}, f"data: {json.dumps(chunk)}\n\n")
    record = only_record(found | {"time_to_first_token_ms": 5})
    assert (record.response, record.time_to_first_token_ms) == ("Hi", 5)


def test_embeddings_are_skipped() -> None:
    """A list of vectors is no inference."""
    body = {"object": "list", "data": [{"object": "embedding", "embedding": [0.1]}]}
    assert results(envelope(PLAIN_CALL, {"input": "x", "model": "e"}, body)) == [
        Skipped("embedding")
    ]


def test_a_native_record_is_not_an_envelope() -> None:
    """Its response may happen to be JSON."""
    native = {
        "request_id": "r",
        "timestamp": 1.5,
        "model": "m",
        "response": json.dumps(RESPONSE),
    }
    assert recognized(native) == []
    assert only_record(native).response == json.dumps(RESPONSE)


def test_an_envelope_may_have_the_required_fields_of_a_native_record() -> None:
    """It is no native record, because its response is an object."""
    found = envelope(PLAIN_CALL, REQUEST, RESPONSE) | {"request_id": "r-9", "model": "m"}
    assert recognized(found) == ["openai"]
    assert only_record(found).request_id == "r-9"


@pytest.mark.parametrize(
    ("tool", "reason"), [("function_call", "tool_calls"), ("web_search_call", "stop")]
)
def test_a_response_that_ends_with_a_call_of_a_tool(tool: str, reason: str) -> None:
    """As in chat completions, it ends with a tool call even if there is a text before it."""
    body = bodies.openai_response(PLAIN_CALL)
    record = only_record(body | {"output": [*body["output"], {"type": tool, "name": "f"}]})
    assert (record.response, record.finish_reason) == (PLAIN_CALL.response, reason)


@pytest.mark.parametrize(
    "failure", [{"status_code": 504}, {"error": "Timeout: no answer"}, {"status": 500}]
)
def test_a_failure_without_a_response_is_a_call(failure: dict[str, Any]) -> None:
    """It is recognized by its request, as the successful calls of the same log are."""
    for response in ({"response": None}, {}):
        found = {"id": "r", "time": 1.7e9, "request": REQUEST, **response, **failure}
        assert recognized(found) == ["openai"]
        record = only_record(found)
        assert (record.model, record.response) == (REQUEST["model"], None)
        assert record.error in {"504", "Timeout", "500"}


def test_a_prompt_may_be_messages_in_a_text() -> None:
    """Columns of tables hold JSON as text."""
    messages = json.dumps(PLAIN_CALL.messages)
    found = envelope(PLAIN_CALL, messages, RESPONSE) | {"model": PLAIN_CALL.model}
    assert only_record(found).prompt == list(PLAIN_CALL.prompt)


def test_an_embedding_alone_is_skipped() -> None:
    """A log of all responses has those of embeddings as well."""
    body = {"object": "list", "data": [{"object": "embedding", "embedding": [0.5]}], "model": "e"}
    assert results(body) == [Skipped("embedding")]
