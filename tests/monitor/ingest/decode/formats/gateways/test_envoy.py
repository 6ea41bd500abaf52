"""Lines of the access logs of Envoy AI Gateway and Higress."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.ingest.decode.inference import ModelNaming
from monitor.ingest.decode.message import Skipped
from monitor.records import RejectedRecord
from tests.monitor.ingest.decode.decoding import only_record, recognized, results
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL
from tests.monitor.ingest.decode.encoders.envoy import line, semantic

DOCUMENTED: dict[str, Any] = {
    ":authority": "api.router.tetrate.ai",
    "bytes_received": 105,
    "duration": 1526,
    "genai_backend_name": "default/tars/route/aigw-run/rule/0/ref/0",
    "genai_model_name": "gpt-4o-mini",
    "genai_model_name_override": None,
    "genai_tokens_input": 15,
    "genai_tokens_output": 7,
    "genai_tokens_total": 22,
    "response_code": 200,
    "response_flags": "-",
    "start_time": "2025-08-30T16:51:37.894Z",
    "x-envoy-origin-path": "/v1/chat/completions",
    "x-envoy-upstream-service-time": "451",
    "x-request-id": "83b63da3-45a9-4196-98b8-1a7f697d6d8d",
}
HIGRESS: dict[str, Any] = {
    "ai_log": '{"model":"qwen-turbo","input_token":"10","output_token":"69",'
    '"llm_first_token_duration":"309","llm_service_duration":"1955"}',
    "duration": "1960",
    "request_id": "r-7",
    "response_code": "200",
    "start_time": "2026-11-01T10:00:00.000Z",
}


def test_the_documented_line() -> None:
    """The example of Envoy AI Gateway's documentation."""
    record = only_record(DOCUMENTED)
    assert record.request_id == "83b63da3-45a9-4196-98b8-1a7f697d6d8d"
    assert record.timestamp == 1_756_572_697.894
    assert (record.model, record.latency_ms) == ("gpt-4o-mini", 1526)
    assert (record.input_tokens, record.output_tokens, record.error) == (15, 7, None)


def test_a_line_of_higress() -> None:
    """The values are texts in a text."""
    record = only_record(HIGRESS)
    assert (record.model, record.latency_ms, record.time_to_first_token_ms) == (
        "qwen-turbo",
        1960,
        309,
    )
    assert (record.input_tokens, record.output_tokens) == (10, 69)
    assert results(HIGRESS | {"ai_log": "-"}) == [Skipped("http_request")]


def test_lines_of_mcp_and_of_other_requests_are_skipped() -> None:
    """The log has a line for each request of the gateway."""
    without = DOCUMENTED | {"genai_model_name": None}
    assert results(without) == [Skipped("http_request")]
    assert results(without | {"mcp_method": "tools/call"}) == [Skipped("mcp")]
    other = {key: value for key, value in DOCUMENTED.items() if key != "x-envoy-origin-path"}
    for name in ("x-envoy-origin-path", "x-envoy-original-path", ":path", "path"):
        assert results(other | {name: "/v1/embeddings"}) == [Skipped("embedding")]


@pytest.mark.parametrize(
    ("code", "flags", "error"),
    [(429, "-", "429"), ("503", "UF", "503"), (0, "DC", "DC"), (0, "-", "0"), (200, "-", None)],
)
def test_errors(code: object, flags: str, error: str | None) -> None:
    """A failure is its status; without one, the reason that Envoy gives."""
    record = only_record(DOCUMENTED | {"response_code": code, "response_flags": flags})
    assert record.error == error


def test_a_wrong_type_is_rejected_by_name() -> None:
    """A duration that is no number rejects the line."""
    (rejected,) = results(DOCUMENTED | {"duration": "1.5s"})
    assert isinstance(rejected, RejectedRecord)
    assert rejected.detail == "duration is not a number"


def test_a_line_of_a_container() -> None:
    """Runtimes of containers put a time and a stream in front of a line."""
    text = f"2026-11-30T10:00:00.1Z stdout F {json.dumps(line(PLAIN_CALL, semantic(PLAIN_CALL)))}"
    assert recognized({"log": text}) == ["envoy"]
    assert only_record({"log": text}).request_id == PLAIN_CALL.request_id


@pytest.mark.parametrize(
    "added",
    [
        {"log_processed": line(PLAIN_CALL, semantic(PLAIN_CALL))},
        {"kubernetes": {"annotations": {"start_time": "x"}}},
    ],
)
def test_a_shipped_line_beside_other_keys(added: dict[str, Any]) -> None:
    """Fluent Bit keeps the line beside the parsed one, and adds labels with any names."""
    record = {"log": json.dumps(line(PLAIN_CALL, semantic(PLAIN_CALL))), **added}
    assert only_record(record).request_id == PLAIN_CALL.request_id


@pytest.mark.parametrize("key", ["mcp_method", "mcp.method.name"])
def test_lines_of_mcp_alone_are_skipped(key: str) -> None:
    """A gateway of tools logs no model."""
    plain = line(PLAIN_CALL, {key: "tools/call"})
    assert recognized(plain) == ["envoy"]
    assert results(plain) == [Skipped("mcp")]


@pytest.mark.parametrize(
    "key", ["gen_ai.response.model", "gen_ai.request.model_override", "genai_model_name_override"]
)
def test_the_model_of_the_backend_is_the_responding_one(key: str) -> None:
    """A route may call another model than the requested one."""
    found = line(PLAIN_CALL, {"gen_ai.request.model": "asked", key: "used"})
    assert only_record(found).model == "asked"
    assert only_record(found, naming=ModelNaming(responded=True)).model == "used"
