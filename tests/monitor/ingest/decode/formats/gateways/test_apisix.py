"""Entries of APISIX's log plugins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.ingest.decode.message import Skipped
from monitor.records import ChatMessage, RejectedRecord, WholeRecord
from tests.monitor.ingest.decode.decoding import only_record, recognized, results
from tests.monitor.ingest.decode.encoders.apisix import entry
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL


def test_other_requests_in_the_same_array_are_skipped() -> None:
    """A logger for all routes writes entries without a model."""
    other = entry(PLAIN_CALL)
    for key in ("llm_summary", "llm_request", "llm_response_text"):
        del other[key]
    skipped, record = results([other, entry(PLAIN_CALL)])
    assert skipped == Skipped("http_request")
    assert isinstance(record, WholeRecord)
    assert recognized([other]) == ["apisix"]


def test_variables_of_nginx_that_are_not_set() -> None:
    """On a failure, numbers are texts with zero and models are empty texts."""
    summary = {"request_model": "", "model": "gpt-4o", "duration": "0", "prompt_tokens": "0"}
    failed = replace(PLAIN_CALL, response=None, error="RateLimitError")
    record = only_record(entry(failed, llm_summary=summary, llm_response_text={"content": ""}))
    assert (record.model, record.error) == ("gpt-4o", "429")
    missing = record.input_tokens, record.response, record.time_to_first_token_ms
    assert missing == (None, None, None)


def test_the_duration_of_a_call_that_is_no_stream_is_no_time_to_first_token() -> None:
    """`duration` is the time to the first token, but only a stream has one."""
    assert only_record(entry(PLAIN_CALL)).time_to_first_token_ms is None


def test_messages_that_are_texts() -> None:
    """Some protocols log the texts of messages without roles."""
    record = only_record(entry(PLAIN_CALL, llm_request={"messages": ["a", "b"], "stream": False}))
    assert record.prompt == [ChatMessage("user", "a"), ChatMessage("user", "b")]


@pytest.mark.parametrize(
    "changed",
    [
        {"latency": "12"},
        {"start_time": "2026-01-01"},
        {"llm_summary": {"model": "m", "prompt_tokens": {}}},
    ],
)
def test_wrong_types_are_rejected(changed: dict[str, Any]) -> None:
    """What is measured must be a number."""
    (rejected,) = results(entry(PLAIN_CALL, **changed))
    assert isinstance(rejected, RejectedRecord)
    assert rejected.reason == "wrong_type"


def test_a_request_without_an_identifier_is_rejected() -> None:
    """The plugin request-id writes the header."""
    found = entry(PLAIN_CALL)
    del found["request"]["headers"]["x-request-id"]
    (rejected,) = results(found)
    assert isinstance(rejected, RejectedRecord)
    assert rejected.detail == "no identifier of the request"


def test_a_stream_may_be_marked_by_a_text() -> None:
    """Variables of nginx are texts."""
    summary = {"request_model": "gpt-4o", "stream": "true", "duration": "250"}
    found = entry(PLAIN_CALL) | {"llm_summary": summary}
    assert only_record(found).time_to_first_token_ms == 250
