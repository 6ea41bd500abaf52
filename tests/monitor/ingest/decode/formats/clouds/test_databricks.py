"""Rows of inference tables of Databricks are decoded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.ingest.decode.message import LogMessage
from monitor.records import ChatMessage, WholeRecord
from tests.monitor.ingest.decode.formats.clouds.decoding import found, message, record

ASKED = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 10}
ANSWERED = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 2},
}


def row(**changed: Any) -> dict[str, Any]:
    """A row of the schema of AI Gateway."""
    return {
        "request_date": "2026-11-29",
        "databricks_request_id": "d1",
        "client_request_id": None,
        "request_time": "2026-11-29T10:00:00.250Z",
        "status_code": 200,
        "sampling_fraction": 1.0,
        "execution_duration_ms": 640,
        "request": json.dumps(ASKED),
        "response": json.dumps(ANSWERED),
        "served_entity_id": "abc",
        "logging_error_codes": [],
        "requester": "me@example.com",
        **changed,
    }


def test_a_row_of_ai_gateway_is_a_record() -> None:
    """All fields come from the row and the bodies in it."""
    each = record(message(row()))
    assert each.prompt == [ChatMessage("user", "Hi")]
    assert (each.request_id, each.timestamp, each.latency_ms) == ("d1", 1_795_946_400.25, 640)
    assert (each.response, each.finish_reason) == ("Hello", "stop")
    assert (each.input_tokens, each.output_tokens) == (8, 2)
    assert (each.model, each.user_id) == ("abc", "me@example.com")


def test_a_failure_has_the_model_of_a_success() -> None:
    """A failed call has no response, so that its name of a model may not be the record's."""
    failure = record(message(row(status_code=429, response=None)))
    assert (failure.model, failure.error) == (record(message(row())).model, "429")
    alone = row(served_entity_id=None)
    assert record(message(alone)).model == "gpt-4o-2024-08-06"


NEWER = {
    "databricks_request_id": None,
    "request_id": "n1",
    "request_time": None,
    "event_time": "2026-11-29T10:00:00.250Z",
    "execution_duration_ms": None,
    "latency_ms": 640,
    "time_to_first_byte_ms": 120,
    "destination_name": "chat",
    "destination_model": "gpt-4o",
    "served_entity_id": None,
}


def test_a_row_of_the_newer_gateway_is_a_record() -> None:
    """Its columns have other names, and the time to the first byte is that of streams."""
    each = record(message(row(**NEWER)))
    assert (each.request_id, each.timestamp, each.latency_ms) == ("n1", 1_795_946_400.25, 640)
    assert (each.model, each.time_to_first_token_ms) == ("chat", None)
    asked = json.dumps(ASKED | {"stream": True})
    assert record(message(row(**NEWER, request=asked))).time_to_first_token_ms == 120


METADATA = {"endpoint_name": "chat", "model_name": "cat.s.m", "model_version": "2"}
AS_ENTRIES = [{"key": key, "value": value} for key, value in METADATA.items()]


@pytest.mark.parametrize("logged", [METADATA, json.dumps(METADATA), AS_ENTRIES])
def test_a_row_of_the_first_schema_is_a_record(logged: Any) -> None:
    """The endpoint is the model, in every form in which a map is exported."""
    times = {"request_time": None, "timestamp_ms": 1_795_946_400_250, "execution_time_ms": 640}
    changed = {"execution_duration_ms": None, "request_metadata": logged, "status_code": "200"}
    each = record(message(row(**times, **changed)))
    assert (each.model, each.timestamp, each.latency_ms) == ("chat", 1_795_946_400.25, 640)


def test_the_user_of_the_request_comes_before_its_caller() -> None:
    """The caller is often a service that calls for many users."""
    asked = json.dumps(ASKED | {"user": "u1"})
    assert record(message(row(request=asked))).user_id == "u1"


def test_numbers_may_be_texts() -> None:
    """Some exports of tables write large whole numbers as text."""
    each = record(message(row(execution_duration_ms="640", status_code="200")))
    assert each.latency_ms == 640


def test_times_of_sql_are_read() -> None:
    """A time without a zone is UTC."""
    each = record(message(row(request_time="2026-11-29 10:00:00.250")))
    assert each.timestamp == 1_795_946_400.25


def test_a_failed_request_has_its_status() -> None:
    """The status of a failure is the error if the response names none."""
    assert record(message(row(status_code=429, response=None))).error == "429"
    response = json.dumps({"error_code": "BAD_REQUEST", "message": "no"})
    assert record(message(row(status_code=400, response=response))).error == "400"


def test_the_answer_of_an_agent_is_its_last_message() -> None:
    """Agents respond with a list of messages."""
    response = {
        "messages": [{"role": "tool", "content": "1"}, {"role": "assistant", "content": "A"}]
    }
    each = record(message(row(response=json.dumps(response), request_metadata=METADATA)))
    assert each.response == "A"


NOT_TEXT = {
    "a model of numbers": ({"dataframe_records": [{"a": 1}]}, {"predictions": [1.5]}),
    "an embedding": ({"input": "x"}, {"object": "list", "data": [{"object": "embedding"}]}),
}


@pytest.mark.parametrize(("given", "answered"), NOT_TEXT.values(), ids=NOT_TEXT)
def test_other_models_are_skipped(given: Any, answered: Any) -> None:
    """Endpoints without text are no inferences."""
    (kind,) = found(message(row(request=json.dumps(given), response=json.dumps(answered))))
    assert kind in ("tensor", "embedding")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"databricks_request_id": ""}, "missing_field"),
        ({"execution_duration_ms": "fast"}, "wrong_type"),
        ({"request_time": "soon"}, "missing_field"),
        ({"request_time": 1_795_946_400_250_000}, "bad_timestamp"),
    ],
)
def test_invalid_rows_are_rejected_by_name(changed: dict[str, Any], reason: str) -> None:
    """A required field that is missing, or a measured one of a wrong type, rejects the row."""
    assert found(message(row(**changed))) == [reason]


def test_a_damaged_body_is_missing() -> None:
    """Texts that are not JSON do not reject the row: they are cut where they are too long."""
    each = record(message(row(response='{"choices": [{"mess', request_metadata=METADATA)))
    assert isinstance(each, WholeRecord)
    assert (each.response, each.model) == (None, "chat")


@pytest.mark.parametrize("separator", ["array", "lines"])
def test_a_message_may_hold_several_rows(separator: str) -> None:
    """A job may write an array of rows, or an exported file as it is."""
    rows = [row(databricks_request_id=name) for name in ("a", "b")]
    lines = "\n".join(map(json.dumps, rows))
    value = json.dumps(rows) if separator == "array" else lines
    each = found(LogMessage(value.encode()))
    assert [one.request_id for one in each if isinstance(one, WholeRecord)] == ["a", "b"]


def test_an_invalid_row_does_not_reject_the_others() -> None:
    """Each row is read by itself."""
    value = json.dumps([row(), row(execution_duration_ms="fast"), row()])
    first, bad, last = found(LogMessage(value.encode()))
    assert isinstance(first, WholeRecord)
    assert bad == "wrong_type"
    assert isinstance(last, WholeRecord)


USAGE = {"input_tokens": 20, "output_tokens": 10, "response_content_type": "text/event-stream"}
OLDER_USAGE = {"input_token_count": 20, "output_token_count": 10, "request_streaming": True}


def test_columns_of_usage_count_where_bodies_have_none() -> None:
    """Rows may be joined by the identifier with a table of usage. A body that is cut is no JSON."""
    for joined in (NEWER | USAGE, OLDER_USAGE):
        each = record(message(row(**joined, response='{"choices": [{"mess')))
        assert (each.input_tokens, each.output_tokens, each.response) == (20, 10, None)
        each = record(message(row(**joined)))
        assert (each.input_tokens, each.output_tokens, each.response) == (8, 2, "Hello")
    assert record(message(row(**NEWER, **USAGE))).time_to_first_token_ms == 120


def test_a_row_of_usage_alone_is_a_record() -> None:
    """Exports leave out columns that are null, and a table of usage has no bodies."""
    columns = {key: each for key, each in row(**NEWER, **USAGE).items() if each is not None}
    del columns["request"], columns["response"]
    each = record(message(columns))
    assert (each.model, each.latency_ms, each.prompt) == ("chat", 640, None)
    assert (each.input_tokens, each.output_tokens) == (20, 10)
    assert found(message(columns | {"api_type": "llm/v1/embeddings"})) == ["embedding"]
    assert found(message(columns | {"service_type": "MCP_SERVICE"})) == ["mcp"]


def test_a_stream_may_be_a_list_of_events_in_a_text() -> None:
    """The column of a streamed response holds its chunks."""
    chunks = [
        {"model": "m", "choices": [{"delta": {"content": "Hel"}}]},
        {"choices": [{"delta": {"content": "lo"}, "finish_reason": "stop"}]},
    ]
    each = record(message(row(response=json.dumps(chunks))))
    assert (each.response, each.finish_reason) == ("Hello", "stop")
