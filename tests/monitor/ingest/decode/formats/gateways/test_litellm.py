"""LiteLLM's payloads: those that litellm 1.110.2 wrote, and unusual ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.ingest.decode.message import Skipped
from monitor.records import ChatMessage, RejectedRecord, WholeRecord
from tests.monitor.ingest.decode.decoding import only_record, recognized, results
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL
from tests.monitor.ingest.decode.encoders.litellm import payload

WRITTEN = (Path(__file__).parent / "data" / "litellm-1.110.2.jsonl").read_bytes()
"""Payloads of its callback `generic_api` for the calls of a script, without large static parts."""


@pytest.fixture(scope="module")
def written() -> list[Any]:
    """The results of the payloads that LiteLLM wrote, as dictionaries by position."""
    return results(WRITTEN)


def test_payloads_that_litellm_wrote_are_recognized_in_every_framing(written: list[Any]) -> None:
    """Lines, an array and single payloads give the same records."""
    lines = WRITTEN.splitlines()
    assert results(b"[" + b",".join(lines) + b"]") == written
    assert [found for line in lines for found in results(line)] == written
    assert recognized(WRITTEN) == ["litellm"]


def test_a_plain_call(written: list[Any]) -> None:
    """A chat completion; the parts of its prompt that are no text are left out."""
    record = written[0]
    assert record.request_id == "chatcmpl-1"
    assert record.model == "gpt-4o"
    assert record.prompt == [ChatMessage("system", "Be brief."), ChatMessage("user", "Grüße")]
    assert (record.response, record.finish_reason) == ("Hello", "stop")
    assert (record.input_tokens, record.output_tokens) == (50, 7)
    assert record.time_to_first_token_ms is None
    assert record.metadata["route"] == "x"


def test_a_stream_has_a_time_to_first_token(written: list[Any]) -> None:
    """`response_time` of a stream is not its latency."""
    record = written[1]
    assert 0 < record.time_to_first_token_ms < record.latency_ms


def test_a_tool_call_has_no_response(written: list[Any]) -> None:
    """A call of a tool is not an empty response."""
    assert (written[2].response, written[2].finish_reason) == (None, "tool_calls")


def test_a_failure_has_neither_tokens_nor_cost(written: list[Any]) -> None:
    """LiteLLM logs zero for both; the error is its class."""
    record = written[3]
    assert record.error == "RateLimitError"
    missing = record.input_tokens, record.output_tokens, record.cost_usd, record.response
    assert missing == (None, None, None, None)


def test_other_apis(written: list[Any]) -> None:
    """Responses, Anthropic's messages and text completions are calls; embeddings are skipped."""
    responses, anthropic, embedding, completion = written[4:8]
    assert (responses.response, responses.input_tokens) == ("Hi there", 36)
    assert (anthropic.response, anthropic.input_tokens) == ("Hello", 115)  # 105 of them cached
    assert anthropic.time_to_first_token_ms is not None
    assert embedding == Skipped("embedding")
    assert (completion.response, completion.finish_reason) == (" four", "length")


def test_a_cache_hit_is_a_call_of_its_own(written: list[Any]) -> None:
    """It has an id of its own and a cost of zero, which is not missing."""
    record = written[8]
    assert record.request_id.startswith("chatcmpl-1_cache_hit")
    assert (record.cost_usd, record.metadata["cache_hit"]) == (0.0, "true")


def test_redacted_texts_are_missing(written: list[Any]) -> None:
    """The placeholder of LiteLLM is neither a prompt nor a response."""
    assert (written[9].prompt, written[9].response) == (None, None)


def test_retries_and_fallbacks_are_calls_of_their_own(written: list[Any]) -> None:
    """The failed attempt and the fallback share a trace."""
    failed, fallback = written[10:]
    assert (failed.model, failed.error) == ("bad", "InternalServerError")
    assert (fallback.model, fallback.error) == ("chat", None)
    assert failed.trace_id == fallback.trace_id


@pytest.mark.parametrize(
    ("call_type", "kind"),
    [
        ("arerank", "rerank"),
        ("aimage_generation", "image"),
        ("image_edit", "image"),
        ("amoderation", "moderation"),
        ("atranscription", "audio"),
        ("speech", "audio"),
        ("_arealtime", "realtime"),
        ("asearch", "search"),
        ("call_mcp_tool", "tool"),
        ("aretrieve_batch", "other_call"),
        ("acreate_file", "other_call"),
        ("never_seen", "other_call"),
    ],
)
def test_what_is_no_call_of_a_language_model_is_skipped(call_type: str, kind: str) -> None:
    """Skips are counted by kind."""
    assert results(payload(PLAIN_CALL, call_type=call_type)) == [Skipped(kind)]


def test_health_checks_are_skipped() -> None:
    """The proxy tags the calls by which it checks its models."""
    tagged = payload(PLAIN_CALL, request_tags=["litellm-internal-health-check"])
    assert results(tagged) == [Skipped("health_check")]


def test_one_invalid_payload_does_not_reject_the_others() -> None:
    """Each payload of an array is decoded for itself; null is left out."""
    good = payload(PLAIN_CALL)
    bad = payload(PLAIN_CALL, prompt_tokens="12")
    first, rejected, last = results([good, None, bad, good])
    assert isinstance(first, WholeRecord)
    assert first == last
    assert isinstance(rejected, RejectedRecord)
    assert (str(rejected.reason), rejected.detail) == (
        "wrong_type",
        "Expected `float | null`, got `str` - at `$.prompt_tokens`",
    )


@pytest.mark.parametrize("field", ["startTime", "model"])
def test_a_payload_without_a_required_field_is_rejected(field: str) -> None:
    """Time and model are required."""
    body = payload(PLAIN_CALL, model_group="", response={"choices": []}, **{field: None})
    (rejected,) = results(body, "litellm")
    assert isinstance(rejected, RejectedRecord)
    assert rejected.reason == "missing_field"


def test_a_cost_of_zero_for_lack_of_a_price_is_missing() -> None:
    """LiteLLM logs zero if it has no price for the model, and says so."""
    unknown = {"error_str": "no price", "traceback_str": ""}
    for field in ("response_cost_failure_debug_info", "zero_cost_diagnostic"):
        body = payload(PLAIN_CALL, response_cost=0.0, **{field: unknown})
        assert only_record(body).cost_usd is None


def test_fields_that_are_not_measured_may_have_any_type() -> None:
    """A number as user, an object as end user, a list as metadata do not reject a call."""
    odd = payload(PLAIN_CALL, end_user={"a": 1}, session_id=7, metadata=[1], messages={"a": 1})
    record = only_record(odd)
    assert (record.user_id, record.session_id, record.prompt) == (None, "7", None)


def test_a_passed_through_response_is_read_as_its_body() -> None:
    """The body is an object, or JSON in a text."""
    body = {"id": "m", "type": "message", "content": [{"type": "text", "text": "Hi"}]}
    for each in (body, json.dumps(body)):
        found = payload(PLAIN_CALL, {"response": each}, call_type="pass_through_endpoint")
        assert only_record(found).response == "Hi"


def test_a_redacted_response_of_a_text_is_missing() -> None:
    """Where LiteLLM does not know the body, it logs an object with the placeholder."""
    body = payload(PLAIN_CALL, {"text": "redacted-by-litellm"})
    assert only_record(body).response is None


def test_the_user_is_that_of_the_key_if_the_call_has_none() -> None:
    """`end_user` is first."""
    for metadata, expected in (
        ({"user_api_key_user_id": "owner"}, "owner"),
        ({"user_api_key_user_id": "owner", "user_api_key_end_user_id": "end"}, "end"),
    ):
        body = payload(PLAIN_CALL, end_user=None, metadata=metadata)
        assert only_record(body).user_id == expected


def test_an_error_without_a_class_is_that_of_its_text() -> None:
    """Texts are reduced to the class before the colon."""
    body = payload(
        PLAIN_CALL, status="failure", error_information=None, error_str="litellm.Timeout: 60 s"
    )
    assert only_record(body).error == "Timeout"


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_payload_without_the_start_of_the_completion(wrapped: bool) -> None:
    """Its other times and its kind show what it is; the time to the first token is missing."""
    found = payload(PLAIN_CALL)
    del found["completionStartTime"]
    value = {"log": json.dumps(found)} if wrapped else found
    assert recognized(value)[0] == "litellm"
    record = only_record(value)
    assert (record.request_id, record.time_to_first_token_ms) == (PLAIN_CALL.request_id, None)


def test_lone_surrogates_are_replaced() -> None:
    """Half a character, which truncation leaves, does not reject a call."""
    raw = json.dumps([payload(PLAIN_CALL, messages="cut \ud83d")]).encode()
    assert only_record(raw).prompt == "cut \ufffd"


def test_a_call_in_the_record_of_a_log_shipper() -> None:
    """Fluent Bit puts a line into an object of its own."""
    line = json.dumps(payload(PLAIN_CALL))
    wrapped = {"@timestamp": 1.5, "log": line + "\n", "stream": "stdout"}
    assert only_record(wrapped) == only_record(payload(PLAIN_CALL))
    assert recognized(wrapped) == ["litellm"]


def test_a_call_that_a_log_shipper_has_parsed() -> None:
    """With a parser, Fluent Bit puts the object itself into its record."""
    wrapped = {"@timestamp": 1.5, "log": payload(PLAIN_CALL), "stream": "stdout"}
    assert only_record(wrapped) == only_record(payload(PLAIN_CALL))
    assert recognized(wrapped) == ["litellm"]


MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    "logged",
    [json.dumps(MESSAGES), json.dumps(MESSAGES[0]), MESSAGES[0], {"messages": MESSAGES}],
    ids=["list in text", "message in text", "message", "request"],
)
def test_messages_are_read_in_every_form(logged: Any) -> None:
    """Messages are also JSON in a text, one message, or a request."""
    assert only_record(payload(PLAIN_CALL, messages=logged)).prompt == [ChatMessage("user", "Hi")]


@pytest.mark.parametrize("prompt", ['["a", "b"]', '{"a": 1}', "[a"])
def test_json_that_is_no_message_is_a_text(prompt: str) -> None:
    """A user may ask for JSON: it is the prompt as it is."""
    assert only_record(payload(PLAIN_CALL, messages=prompt)).prompt == prompt


def test_a_duration_has_no_noise_of_floats() -> None:
    """The difference of two times near today's epoch is rounded to microseconds."""
    times: dict[str, Any] = {"startTime": 1_790_000_000.5, "completionStartTime": 1_790_000_000.9}
    record = only_record(payload(PLAIN_CALL, **times, endTime=1_790_000_002.7, stream=True))
    assert (record.time_to_first_token_ms, record.latency_ms) == (400.0, 2200.0)
