"""Entries of Kong's log plugins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.ingest.decode.message import Skipped
from monitor.records import RejectedRecord, WholeRecord
from tests.monitor.ingest.decode.decoding import only_record, recognized, results
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL
from tests.monitor.ingest.decode.encoders.kong import entry, proxy

DOCUMENTED: dict[str, Any] = {
    "proxy": {
        "usage": {
            "time_per_token": 30.142857142857,
            "time_to_first_token": 631,
            "completion_tokens": 21,
            "completion_tokens_details": {"reasoning_tokens": 0},
            "prompt_tokens_details": {"cached_tokens": 0},
            "prompt_tokens": 14,
            "total_tokens": 35,
            "cost": 0,
        },
        "meta": {
            "request_model": "command",
            "provider_name": "cohere",
            "response_model": "command",
            "llm_latency": 2670,
        },
        "cache": {"cache_status": "Hit", "fetch_latency": 12},
    },
    "compressor": {"original_token_count": 845, "compress_token_count": 485},
    "sanitizer": {"pii_identified": 3, "sanitized_items": [{"entity_type": "EMAIL"}]},
    "audit": {"azure_content_safety": {"Hate": "High"}},
}
"""The example of the audit log reference, without repetitions."""


def test_the_documented_entry() -> None:
    """A call without payloads; without a mode it is not known to be a stream."""
    record = only_record(entry(PLAIN_CALL, DOCUMENTED))
    assert (record.model, record.input_tokens, record.output_tokens) == ("command", 14, 21)
    assert record.latency_ms == PLAIN_CALL.latency_ms  # of the whole request, not `llm_latency`
    assert record.time_to_first_token_ms is None
    assert (record.prompt, record.response, record.finish_reason) == (None, None, None)
    assert record.metadata == {"provider": "cohere", "cache_status": "Hit"}


def test_targets_that_failed_are_calls_of_their_own() -> None:
    """Of each target that was tried before the last, model, time and status are logged."""
    ai = proxy(PLAIN_CALL)
    first = {"provider": "azure", "model": "gpt-4o-eu", "route_type": "llm/v1/chat"}
    ai["proxy"]["tried_targets"].insert(0, first)
    tries = [{"balancer_start": 1_790_000_000_200, "code": 503, "state": "failed"}, {}]
    failed, record = results(entry(PLAIN_CALL, ai, tries=tries))
    assert isinstance(failed, WholeRecord)
    assert isinstance(record, WholeRecord)
    assert (failed.model, failed.error, failed.timestamp) == ("gpt-4o-eu", "503", 1_790_000_000.2)
    assert (failed.latency_ms, failed.cost_usd) == (None, None)
    assert (record.model, record.error) == ("gpt-4o", None)
    assert failed.request_id == f"{record.request_id}/try-1"


def test_other_plugins_that_call_models_are_calls_of_their_own() -> None:
    """In 3.6, each plugin has an object; a transformer of requests calls a model by itself."""
    meta = {"request_model": "small", "response_model": "small", "llm_latency": 40}
    ai = {
        "ai-request-transformer": {"meta": meta, "usage": {"prompt_token": 3}},
        "ai-proxy": {"meta": meta | {"request_model": "large"}, "usage": {"prompt_token": 9}},
    }
    transformer, proxied = results(entry(PLAIN_CALL, ai))
    assert isinstance(transformer, WholeRecord)
    assert isinstance(proxied, WholeRecord)
    assert (transformer.model, transformer.latency_ms) == ("small", 40)
    assert (proxied.model, proxied.latency_ms) == ("large", PLAIN_CALL.latency_ms)
    assert transformer.request_id != proxied.request_id == PLAIN_CALL.request_id


@pytest.mark.parametrize(
    ("ai", "kind"),
    [
        ({}, "http_request"),
        ({"mcp": {"rpc": []}}, "mcp"),
        ({"a2a": {"rpc": []}}, "agent"),
        ({"proxy": {"aws-guardrails": {"input_block_reason": "violence"}}}, "blocked"),
    ],
)
def test_requests_without_a_call_are_skipped(ai: dict[str, Any], kind: str) -> None:
    """An entry describes any HTTP request."""
    assert results(entry(PLAIN_CALL, ai)) == [Skipped(kind)]


@pytest.mark.parametrize(
    ("route", "kind"),
    [
        ("llm/v1/embeddings", "embedding"),
        ("image/v1/images/generations", "image"),
        ("audio/v1/audio/speech", "audio"),
        ("llm/v1/batches", "batch"),
        ("realtime/v1/realtime", "realtime"),
    ],
)
def test_other_operations_are_skipped(route: str, kind: str) -> None:
    """The type of the route says which API was called."""
    ai = proxy(PLAIN_CALL)
    ai["proxy"]["tried_targets"][0]["route_type"] = route
    assert results(entry(PLAIN_CALL, ai)) == [Skipped(kind)]


def test_a_streamed_payload_is_read() -> None:
    """The body of a streamed response is a text of server-sent events."""
    ai = proxy(PLAIN_CALL)
    chunk = {"id": "c", "choices": [{"delta": {"content": "Hi"}, "finish_reason": "length"}]}
    ai["proxy"]["payload"]["response"] = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
    record = only_record(entry(PLAIN_CALL, ai))
    assert (record.response, record.finish_reason) == ("Hi", "length")


@pytest.mark.parametrize(("cached", "tokens"), [(0, 14), (10, 14), (14, 14), (100, 114)])
def test_input_tokens_include_cached_ones(cached: int, tokens: int) -> None:
    """Those of some providers are counted beside the others, and may be more."""
    usage = {"prompt_tokens": 14, "prompt_tokens_details": {"cached_tokens": cached}}
    called = DOCUMENTED["proxy"] | {"usage": usage}
    assert only_record(entry(PLAIN_CALL, {"proxy": called})).input_tokens == tokens


def test_a_wrong_type_is_rejected_by_name() -> None:
    """Tokens that are a text are no tokens."""
    ai = proxy(PLAIN_CALL)
    ai["proxy"]["usage"]["prompt_tokens"] = "many"
    (rejected,) = results(entry(PLAIN_CALL, ai))
    assert isinstance(rejected, RejectedRecord)
    assert (rejected.reason, rejected.detail) == ("wrong_type", "prompt_tokens is not a number")


def test_entries_in_the_record_of_a_log_shipper_are_recognized() -> None:
    """File Log writes lines, which a shipper sends."""
    line = json.dumps(entry(PLAIN_CALL, proxy(PLAIN_CALL)))
    wrapped = {"message": line, "host": "gw", "offset": 7}
    assert recognized(wrapped) == ["kong"]
    assert only_record(wrapped).request_id == PLAIN_CALL.request_id


def test_a_model_that_kong_does_not_know_is_none() -> None:
    """The placeholder is no name: that of the payload or of the response is taken."""
    found = entry(PLAIN_CALL, proxy(PLAIN_CALL))
    found["ai"]["proxy"]["meta"]["request_model"] = "UNSPECIFIED"
    assert only_record(found).model == PLAIN_CALL.model
