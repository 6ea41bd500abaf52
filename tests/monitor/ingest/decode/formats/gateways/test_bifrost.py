"""Traces of Bifrost."""

from __future__ import annotations

import json
from dataclasses import replace

from monitor.ingest.decode.message import Skipped
from monitor.records import ChatMessage, RejectedRecord, WholeRecord
from tests.monitor.ingest.decode.decoding import results
from tests.monitor.ingest.decode.encoders.bifrost import call_attributes, span, trace
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL

FAILED = replace(PLAIN_CALL, response=None, finish_reason=None, error="RateLimitError")


def records(found: object) -> list[WholeRecord]:
    """The records of a message."""
    return [each for each in results(found) if isinstance(each, WholeRecord)]


def test_the_root_span_is_no_call() -> None:
    """It repeats the attributes of the call."""
    call = span(PLAIN_CALL, "llm.call", **call_attributes(PLAIN_CALL))
    found = results(trace(PLAIN_CALL, [call]))
    assert found[:2] == [Skipped("http_request"), Skipped("plugin")]
    assert len(found) == 3


def test_attempts_and_fallbacks_are_calls_of_their_own() -> None:
    """Each attempt has a span; the last one has the identifier of the request."""
    first = span(FAILED, "llm.call", **call_attributes(FAILED)) | {"SpanID": "s1"}
    last = span(PLAIN_CALL, "llm.call", **call_attributes(PLAIN_CALL)) | {"SpanID": "s2"}
    failed, answered = records(trace(PLAIN_CALL, [first, span(FAILED, "fallback"), last]))
    assert (failed.error, answered.error) == ("RateLimitError", None)
    assert failed.request_id == f"{PLAIN_CALL.request_id}/s1"
    assert answered.request_id == PLAIN_CALL.request_id
    assert failed.trace_id == answered.trace_id


def test_messages_may_be_plain_texts() -> None:
    """Where there is one message, its text may be logged without JSON."""
    texts = {"gen_ai.input.messages": "hello", "gen_ai.output.messages": "Hello!"}
    values = call_attributes(PLAIN_CALL) | texts
    (record,) = records(trace(PLAIN_CALL, [span(PLAIN_CALL, "llm.call", **values)]))
    assert (record.prompt, record.response) == ("hello", "Hello!")


def test_content_may_be_left_out() -> None:
    """With `disable_content_logging`, everything else is logged."""
    values = {
        key: value
        for key, value in call_attributes(PLAIN_CALL).items()
        if not key.startswith(("gen_ai.input.", "gen_ai.output."))
    }
    (record,) = records(trace(PLAIN_CALL, [span(PLAIN_CALL, "llm.call", **values)]))
    assert (record.prompt, record.response, record.finish_reason) == (None, None, "stop")


def test_the_older_time_to_first_token_is_in_nanoseconds() -> None:
    """The newer one is in seconds."""
    values = call_attributes(PLAIN_CALL) | {"gen_ai.response.time_to_first_token": 250_000_000}
    (record,) = records(trace(PLAIN_CALL, [span(PLAIN_CALL, "llm.call", **values)]))
    assert record.time_to_first_token_ms == 250


def test_instructions_are_a_system_message() -> None:
    """The responses API has them apart from the messages."""
    values = call_attributes(PLAIN_CALL) | {
        "gen_ai.request.instructions": "Sys",
        "gen_ai.input.messages": '[{"role": "user", "content": "Hi"}]',
    }
    (record,) = records(trace(PLAIN_CALL, [span(PLAIN_CALL, "llm.call", **values)]))
    assert record.prompt == [ChatMessage("system", "Sys"), ChatMessage("user", "Hi")]


def test_a_wrong_type_is_rejected_by_name() -> None:
    """Tokens must be numbers; the other spans are not affected."""
    values = call_attributes(PLAIN_CALL) | {"gen_ai.usage.prompt_tokens": [1]}
    *_, rejected = results(trace(PLAIN_CALL, [span(PLAIN_CALL, "llm.call", **values)]))
    assert isinstance(rejected, RejectedRecord)
    assert rejected.detail == "gen_ai.usage.prompt_tokens is not a number"


def test_an_error_without_a_type_is_the_class_in_its_message() -> None:
    """A message in words is only that there is an error."""
    for logged, error in (("RateLimitError: no more for u1", "RateLimitError"), ("a b", "error")):
        failed = span(FAILED, "llm.call", **{"gen_ai.request.model": "m"})
        (record,) = records(trace(FAILED, [failed | {"Status": "error", "StatusMsg": logged}]))
        assert record.error == error


def test_calls_of_other_models_are_skipped() -> None:
    """The span of an embedding has the kind of a call; its name begins with the operation."""
    embedding = span(PLAIN_CALL, "llm.call", **call_attributes(PLAIN_CALL))
    embedding |= {"SpanID": "s2", "Name": "embedding text-embedding-3"}
    call = span(PLAIN_CALL, "llm.call", **call_attributes(PLAIN_CALL))
    found = results(trace(PLAIN_CALL, [call, embedding]))
    assert found[-1] == Skipped("embedding")
    (record,) = [each for each in found if isinstance(each, WholeRecord)]
    assert record.request_id == PLAIN_CALL.request_id


def test_the_first_choice_is_the_response() -> None:
    """As in the other formats, a call with several choices has one response."""
    choices = [{"role": "assistant", "content": text} for text in ("", "one", "two")]
    values = call_attributes(PLAIN_CALL) | {"gen_ai.output.messages": json.dumps(choices)}
    (record,) = records(trace(PLAIN_CALL, [span(PLAIN_CALL, "llm.call", **values)]))
    assert record.response == "one"


def test_cached_tokens_beside_the_others_are_added() -> None:
    """A part cannot be larger than the whole."""
    details = "gen_ai.usage.prompt_token_details"
    values = call_attributes(PLAIN_CALL) | {
        "gen_ai.usage.prompt_tokens": 5,
        f"{details}.cached_read_tokens": 100,
        f"{details}.cached_write_tokens": 20,
    }
    (record,) = records(trace(PLAIN_CALL, [span(PLAIN_CALL, "llm.call", **values)]))
    assert record.input_tokens == 125
