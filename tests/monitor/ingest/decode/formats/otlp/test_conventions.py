"""Spans as the libraries of each convention write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.records import ChatMessage, WholeRecord
from tests.monitor.ingest.decode.encoders.otlp import (
    SPAN_ID,
    TRACE_ID,
    log_record,
    span,
)
from tests.monitor.ingest.decode.formats.otlp.traces import decoded, record_of

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


def message(role: str, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A message of the current conventions."""
    return {"role": role, "parts": list(parts), **more}


def text(content: str) -> dict[str, Any]:
    """A part with text."""
    return {"type": "text", "content": content}


# --- the current conventions ------------------------------------------------------------------


def test_a_client_span_of_the_current_conventions() -> None:
    """All fields of a streamed call with a tool's result in its prompt are read."""
    history = [
        message("user", text("Weather in Paris?"), {"type": "blob", "content": "aGVsbG8="}),
        message("assistant", {"type": "tool_call", "id": "c", "name": "w", "arguments": {"a": 1}}),
        message("tool", {"type": "tool_call_response", "id": "c", "response": "rainy, 57°F"}),
    ]
    answer = [
        message(
            "assistant",
            {"type": "reasoning", "content": "I look outside."},
            text("Rainy,"),
            text("57°F."),
            finish_reason="stop",
        )
    ]
    attributes = {
        **CHAT,
        "gen_ai.provider.name": "openai",
        "gen_ai.response.model": "gpt-4o-2026-01-31",
        "gen_ai.response.id": "chatcmpl-9",
        "gen_ai.response.finish_reasons": ["length", "stop"],
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 300,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.output_tokens": 12,
        "gen_ai.conversation.id": "conv-5",
        "gen_ai.system_instructions": json.dumps([text("Be brief.")]),
        "gen_ai.input.messages": json.dumps(history),
        "gen_ai.output.messages": json.dumps(answer),
        "server.address": "api.openai.com",
        "server.port": 443,
    }
    record = record_of(span(attributes))
    assert record == WholeRecord(
        request_id="chatcmpl-9",
        timestamp=1_790_000_000.125,
        model="gpt-4o",
        prompt=[
            ChatMessage("system", "Be brief."),
            ChatMessage("user", "Weather in Paris?"),
            ChatMessage("assistant", ""),
            ChatMessage("tool", "rainy, 57°F"),
        ],
        response="Rainy,\n57°F.",
        session_id="conv-5",
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        latency_ms=1875.0,
        time_to_first_token_ms=250.0,
        input_tokens=300.0,
        output_tokens=12.0,
        finish_reason="length",
    )


def test_structured_messages_are_read_as_those_in_texts() -> None:
    """Messages as lists and maps give the same as messages as JSON."""
    names = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions")
    values = ([message("user", text("Hi"))], [message("assistant", text("Ho"))], [text("Rhyme.")])
    plain, structured = (
        record_of(span(CHAT | dict(zip(names, map(write, values), strict=True))))
        for write in (json.dumps, lambda value: value)
    )
    assert plain == structured
    assert plain.response == "Ho"


@pytest.mark.parametrize(
    ("parts", "response"),
    [
        ([], ""),
        ([text("")], ""),
        ([{"type": "tool_call", "id": "c", "name": "w"}], None),
        ([text("I look."), {"type": "tool_call", "id": "c", "name": "w"}], "I look."),
        ([{"type": "refusal", "content": "I cannot."}], "I cannot."),
        ([{"type": "reasoning", "content": "Hm."}], ""),
    ],
)
def test_a_tool_call_without_text_has_no_response(
    parts: list[dict[str, Any]], response: str | None
) -> None:
    """A response without text is empty, unless the model calls tools: then there is none."""
    messages = json.dumps([message("assistant", *parts)])
    assert record_of(span(CHAT | {"gen_ai.output.messages": messages})).response == response


def test_a_span_without_optional_attributes_is_a_record() -> None:
    """The span id is the request id, and what is not logged is missing."""
    record = record_of(span(CHAT, endTimeUnixNano="0"))
    assert record.request_id == SPAN_ID
    values = (record.prompt, record.response, record.latency_ms, record.input_tokens, record.error)
    assert values == (None,) * 5


@pytest.mark.parametrize(
    "name",
    [
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
    ],
)
def test_cached_tokens_beside_the_others_are_added(name: str) -> None:
    """A part that is larger than the whole was counted beside it; else it is within."""
    for cached, expected in ((1000, 1020), (20, 20)):
        record = record_of(span(CHAT | {"gen_ai.usage.input_tokens": 20, name: cached}))
        assert record.input_tokens == expected


def test_a_truncated_attribute_is_not_logged() -> None:
    """Messages cut by the limit of attributes are no prompt, and do not reject the span."""
    cut = json.dumps([message("user", text("Hi " * 50))])[:100]
    record = record_of(span(CHAT | {"gen_ai.input.messages": cut, "gen_ai.output.messages": cut}))
    assert (record.prompt, record.response) == (None, None)


def test_attributes_of_the_resource_complete_those_of_the_span() -> None:
    """A model in the attributes of the resource is taken where the span has none."""
    common = {"gen_ai.request.model": "llama", "user.id": "all"}
    spans = [span({"gen_ai.operation.name": "chat"}), span(CHAT, spanId="00000000000000aa")]
    assert [
        each.model for each in decoded(*spans, resource=common) if not isinstance(each, str)
    ] == [
        "llama",
        "gpt-4o",
    ]


# --- failures ---------------------------------------------------------------------------------


def exception(**attributes: str) -> dict[str, Any]:
    """The event of an exception."""
    pairs = [
        {"key": f"exception.{key}", "value": {"stringValue": value}}
        for key, value in attributes.items()
    ]
    return {"name": "exception", "timeUnixNano": "1790000000200000000", "attributes": pairs}


@pytest.mark.parametrize(
    ("attributes", "fields", "error"),
    [
        ({"error.type": "429"}, {"status": {"code": 2}}, "429"),
        ({"error.type": 503}, {"status": {"code": 2}}, "503"),
        ({"error.type": "timeout"}, {}, "timeout"),
        (
            {},
            {"status": {"code": 2}, "events": [exception(type="RateLimitError")]},
            "RateLimitError",
        ),
        ({}, {"status": {"code": 2, "message": "APIError: the key sk-1 is wrong"}}, "APIError"),
        ({}, {"status": {"code": 2, "message": "the key sk-1 is wrong"}}, "error"),
        ({}, {"status": {"code": 2, "message": "litellm.Timeout: hunter2"}}, "error"),
        ({}, {"status": {"code": 2, "message": "hunter2"}}, "error"),
        ({}, {"status": {"code": 2, "message": "openai.RateLimitError"}}, "openai.RateLimitError"),
        ({}, {"status": {"code": 2, "message": "UNAVAILABLE: hunter2"}}, "UNAVAILABLE"),
        ({}, {"status": {"code": 2, "message": "429"}}, "429"),
        ({}, {"status": {"code": 2}}, "error"),
        ({}, {"status": {"code": 1}}, None),
        ({}, {"events": [exception(type="Handled", message="secret")]}, None),
        ({"langfuse.observation.level": "ERROR"}, {}, "error"),
    ],
)
def test_an_error_is_a_class_or_a_code(
    attributes: dict[str, Any], fields: dict[str, Any], error: str | None
) -> None:
    """The class is error.type, that of the exception, or the beginning of the status."""
    tokens = {"gen_ai.usage.input_tokens": 0}
    record = record_of(span(CHAT | attributes | tokens, **fields))
    assert record.error == error
    assert record.input_tokens == (None if error else 0.0)


# --- older conventions and other libraries ----------------------------------------------------


def test_vllm() -> None:
    """A span of vLLM has the model of the response, and durations in seconds."""
    attributes = {
        "gen_ai.response.model": "Qwen/Qwen3-8B",
        "gen_ai.request.id": "chatcmpl-7",
        "gen_ai.request.temperature": 0.7,
        "gen_ai.usage.num_sequences": 1,
        "gen_ai.usage.prompt_tokens": 20,
        "gen_ai.usage.completion_tokens": 100,
        "gen_ai.latency.time_in_queue": 0.01,
        "gen_ai.latency.time_to_first_token": 0.1,
        "gen_ai.latency.e2e": 1.5,
    }
    record = record_of(span(attributes, name="llm_request"))
    assert (record.request_id, record.model) == ("chatcmpl-7", "Qwen/Qwen3-8B")
    assert (record.latency_ms, record.time_to_first_token_ms) == (1500.0, 100.0)
    assert (record.input_tokens, record.output_tokens) == (20.0, 100.0)


def test_openllmetry_with_parts_and_functions() -> None:
    """Parts as JSON are text, numbers are ordered as numbers, and a function call is no text."""
    parts = [{"type": "text", "text": "See:"}, {"type": "image_url", "image_url": {"url": "x"}}]
    attributes = {
        "llm.request.type": "chat",
        "gen_ai.request.model": "gpt-4o",
        **{f"gen_ai.prompt.{n}.role": "user" for n in range(11)},
        **{f"gen_ai.prompt.{n}.content": f"text {n}" for n in range(10)},
        "gen_ai.prompt.10.content": json.dumps(parts),
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.finish_reason": "function_call",
        "gen_ai.completion.0.function_call.name": "weather",
        "gen_ai.completion.1.content": "another choice",
        "llm.request.functions.0.name": "weather",
    }
    record = record_of(span(attributes))
    assert record.prompt is not None
    assert record.prompt[-2:] == [ChatMessage("user", "text 9"), ChatMessage("user", "See:")]
    assert (record.response, record.finish_reason) == (None, "tool_calls")


def test_openinference_with_values_only() -> None:
    """Without messages, the values of input and output are read."""
    request = {"messages": [{"role": "user", "content": "Hi"}], "model": "gpt-4o"}
    answer = {"choices": [{"message": {"content": "Ho"}, "finish_reason": "stop"}]}
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-4o",
        "input.value": json.dumps(request),
        "output.value": json.dumps(answer),
        "metadata": json.dumps({"route": "chat", "tries": 2, "tags": ["a"]}),
    }
    record = record_of(span(attributes))
    assert record.prompt == [ChatMessage("user", "Hi")]
    assert (record.response, record.finish_reason) == ("Ho", "stop")
    assert record.metadata == {"route": "chat", "tries": 2.0}
    record = record_of(span(attributes | {"input.value": "Say it.", "output.value": "It."}))
    assert (record.prompt, record.response) == ("Say it.", "It.")


def test_openinference_completions() -> None:
    """Prompts and choices of text completions are read."""
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "davinci",
        "llm.prompts.0.prompt.text": "Once upon",
        "llm.choices.0.completion.text": " a time",
    }
    record = record_of(span(attributes))
    assert (record.prompt, record.response) == ([ChatMessage("user", "Once upon")], " a time")


def test_vercel_objects_of_older_versions() -> None:
    """An object is the response; the names of older versions are read."""
    attributes = {
        "ai.operationId": "ai.streamObject.doStream",
        "ai.model.id": "gpt-4o",
        "ai.prompt.messages": json.dumps([{"role": "user", "content": "Give me JSON."}]),
        "ai.result.object": '{"a": 1}',
        "ai.finishReason": "content-filter",
        "ai.usage.promptTokens": 5,
        "ai.usage.completionTokens": 7,
        "ai.stream.msToFirstChunk": 120,
        "ai.telemetry.metadata.route": "chat",
        "ai.telemetry.metadata.userId": "u",
    }
    record = record_of(span(attributes))
    assert (record.response, record.finish_reason) == ('{"a": 1}', "content_filter")
    assert (record.input_tokens, record.output_tokens) == (5.0, 7.0)
    assert (record.time_to_first_token_ms, record.user_id) == (120.0, "u")
    assert record.metadata == {"route": "chat"}


def test_mlflow_with_the_model_in_the_request_only() -> None:
    """The model that was asked for is in what the span was called with."""
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    attributes = {"mlflow.spanType": "LLM", "mlflow.spanOutputs": '"Hello"'}
    for logged in (asked, {"kwargs": asked}):
        record = record_of(span(attributes | {"mlflow.spanInputs": json.dumps(logged)}))
        assert (record.model, record.response) == ("gpt-4o", "Hello")
        assert record.prompt == [ChatMessage("user", "Hi")]


def test_traceloop_inputs_and_outputs() -> None:
    """Traceloop puts what a task was called with, and what it returned, into an object."""
    asked = {"inputs": {"messages": [{"role": "user", "content": "Hi"}]}, "kwargs": {}}
    attributes = {
        **CHAT,
        "traceloop.entity.input": json.dumps(asked),
        "traceloop.entity.output": json.dumps({"outputs": "Hello", "kwargs": {}}),
    }
    record = record_of(span(attributes))
    assert (record.prompt, record.response) == ([ChatMessage("user", "Hi")], "Hello")


def test_langfuse_time_of_the_first_token() -> None:
    """The time at which the completion began gives the time to the first token."""
    attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "gpt-4o",
        "langfuse.observation.completion_start_time": '"2026-09-21T14:13:20.375000Z"',
        "langfuse.observation.output": "plain text",
        "langfuse.observation.metadata.route": '"chat"',
        "langfuse.observation.usage_details": json.dumps(
            {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {}}
        ),
        "langfuse.observation.cost_details": json.dumps({"input": 0.5, "output": 0.25}),
    }
    record = record_of(span(attributes))
    assert record.time_to_first_token_ms == pytest.approx(250.0)
    assert (record.response, record.cost_usd) == ("plain text", 0.75)
    assert (record.input_tokens, record.output_tokens) == (9.0, 3.0)
    assert record.metadata == {"route": "chat"}


def test_messages_in_events_of_the_span() -> None:
    """Prompts and responses in events of the span are read where it has no attributes for them."""
    contents = {
        "gen_ai.system.message": {"content": "Rhyme."},
        "gen_ai.user.message": {"role": "user", "content": "Hi"},
        "gen_ai.choice": {"index": 0, "finish_reason": "stop", "message": {"content": "Ho"}},
    }
    events = [
        {
            "name": name,
            "timeUnixNano": "1790000000200000000",
            "attributes": [
                {"key": "gen_ai.event.content", "value": {"stringValue": json.dumps(content)}}
            ],
        }
        for name, content in contents.items()
    ]
    record = record_of(span(CHAT, events=events))
    assert record.prompt == [ChatMessage("system", "Rhyme."), ChatMessage("user", "Hi")]
    assert (record.response, record.finish_reason) == ("Ho", "stop")


@pytest.mark.parametrize(
    ("answer", "response", "reason"),
    [
        ({"message": '[{"text": "Ho"}]', "finish_reason": "end_turn"}, "Ho", "stop"),
        ({"message": '{"content": "Ho"}', "finish_reason": "stop"}, "Ho", "stop"),
        ({"message": "Ho"}, "Ho", None),
        (
            {"message": '[{"toolUse": {"name": "f"}}]', "finish_reason": "tool_use"},
            None,
            "tool_calls",
        ),
    ],
)
def test_messages_in_attributes_of_events(
    answer: dict[str, str], response: str | None, reason: str | None
) -> None:
    """Strands Agents logs the parts of a message, and the finish reason, in attributes."""
    contents = {"gen_ai.user.message": {"content": '[{"text": "Hi"}]'}, "gen_ai.choice": answer}
    events = [
        {
            "name": name,
            "timeUnixNano": "1790000000200000000",
            "attributes": [
                {"key": key, "value": {"stringValue": value}} for key, value in values.items()
            ],
        }
        for name, values in contents.items()
    ]
    record = record_of(span(CHAT, events=events))
    assert record.prompt == [ChatMessage("user", "Hi")]
    assert (record.response, record.finish_reason) == (response, reason)


def test_numbers_in_texts_are_numbers() -> None:
    """Exporters that write every attribute as text are understood; other texts are rejected."""
    attributes = CHAT | {
        "gen_ai.usage.input_tokens": "12",
        "gen_ai.response.finish_reasons": "stop",
    }
    record = record_of(span(attributes))
    assert (record.input_tokens, record.finish_reason) == (12.0, "stop")
    [outcome] = decoded(span(CHAT | {"gen_ai.usage.input_tokens": "many secrets"}))
    assert outcome == "rejected wrong_type: attribute gen_ai.usage.input_tokens is no number"


# --- log records ------------------------------------------------------------------------------


def test_a_details_event_is_a_record() -> None:
    """The event has the attributes of the span, structured, and no duration."""
    attributes = CHAT | {
        "gen_ai.input.messages": [message("user", text("Hi"))],
        "gen_ai.output.messages": [message("assistant", text("Ho"))],
        "gen_ai.usage.input_tokens": 3,
    }
    event = "gen_ai.client.inference.operation.details"
    for entry in (
        log_record(event, attributes),
        log_record("", attributes | {"event.name": event}),
        log_record(event, attributes, timeUnixNano="0"),
    ):
        record = record_of(entry)
        assert (record.request_id, record.response) == (SPAN_ID, "Ho")
        assert record.latency_ms is None
        assert record.timestamp == pytest.approx(1_790_000_000.15, abs=0.06)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("gen_ai.evaluation.result", "evaluation"),
        ("gen_ai.user.message", "message_event"),
        ("gen_ai.choice", "message_event"),
        ("gen_ai.client.inference.exception", "exception_event"),
        ("gen_ai.client.operation.exception", "exception_event"),
        ("session.start", "other_log"),
        ("", "other_log"),
    ],
)
def test_other_log_records_are_skipped_by_kind(event: str, kind: str) -> None:
    """Log records that are no calls are skipped."""
    assert decoded(log_record(event, {"event.domain": "x"})) == [f"skipped {kind}"]
