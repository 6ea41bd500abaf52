"""Resource logs of API Management and Azure OpenAI are joined."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from monitor.ingest.decode.message import LogMessage
from monitor.records import ChatMessage, WholeRecord
from tests.monitor.ingest.decode.encoders import azure
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL
from tests.monitor.ingest.decode.formats.clouds.decoding import at_the_end, found, message, record

CALL = replace(PLAIN_CALL, response="Grüße " + "ö" * 60 + " \\ 😀")
ROWS = azure.llm_records(CALL)
GATEWAY = azure.gateway_record(CALL)


def messages_of(*batches: list[dict[str, Any]]) -> list[LogMessage]:
    """Messages of Event Hubs."""
    return [azure.message(batch) for batch in batches]


ORDERS = {
    "together": [[*ROWS, GATEWAY]],
    "reversed": [[GATEWAY, *ROWS[::-1]]],
    "gateway first": [[GATEWAY], ROWS],
    "gateway last": [ROWS, [GATEWAY]],
    "apart": [[row] for row in [*ROWS[2:], GATEWAY, *ROWS[:2]]],
}


@pytest.mark.parametrize("batches", ORDERS.values(), ids=ORDERS)
def test_records_are_joined_in_any_order(batches: list[list[dict[str, Any]]]) -> None:
    """Texts that were cut within escapes are whole, and the latency is the gateway's."""
    each = record(*messages_of(*batches))
    assert (each.prompt, each.response) == (list(CALL.prompt), CALL.response)
    assert (each.latency_ms, each.input_tokens) == (CALL.latency_ms, CALL.input_tokens)
    assert (each.request_id, each.model) == (CALL.request_id, CALL.model)


def test_an_array_and_single_records_are_read() -> None:
    """Storage has one record on each line, and some services send an array."""
    array = message([GATEWAY, *ROWS])
    assert record(array).response == CALL.response
    assert record(*map(message, [GATEWAY, *ROWS])).response == CALL.response


def test_the_names_of_categories_are_enough() -> None:
    """A pipeline may remove the resource from the records."""
    (first, *others) = azure.encode(CALL)
    records = json.loads(first.value)["records"]
    for each in records:
        del each["resourceId"]
    changed = LogMessage(json.dumps({"records": records}).encode())
    assert record(changed, *others).request_id == record(first, *others).request_id


def test_pieces_with_one_number_are_all_kept() -> None:
    """Pieces are joined in their order even if the gateway repeats a number."""
    text = json.dumps(CALL.messages)
    pieces = [{"sequenceNumber": 1, "requestMessages": part} for part in (text[:30], text[30:])]
    answer = {"sequenceNumber": 2, "responseMessages": '{"role":"assistant","content":"A"}'}
    rows = [azure.record(CALL, "GatewayLlmLogs", each) for each in (*pieces, answer)]
    each = record(azure.message([GATEWAY, ROWS[0], *rows]))
    assert (each.prompt, each.response) == (list(CALL.prompt), "A")


def test_messages_may_be_objects() -> None:
    """Messages that are logged as JSON rather than as text are read."""
    parts = [
        {"sequenceNumber": 1, "requestMessages": [{"role": "user", "content": "Hi"}]},
        {"sequenceNumber": 2, "responseMessages": [{"role": "assistant", "content": "A"}]},
    ]
    rows = [azure.record(CALL, "GatewayLlmLogs", each) for each in parts]
    each = record(azure.message([GATEWAY, ROWS[0], *rows]))
    assert (each.prompt, each.response) == ([ChatMessage("user", "Hi")], "A")


def test_a_call_without_the_gateways_log_is_a_record_in_the_end() -> None:
    """If only GatewayLlmLogs is logged, records lack the latency, and the texts are there."""
    records, skipped = at_the_end(*messages_of(ROWS))
    assert [(each.response, each.latency_ms) for each in records] == [(CALL.response, None)]
    assert skipped == {}


def test_numbers_without_texts_are_a_record_in_the_end() -> None:
    """If messages are not logged, records have tokens and latency."""
    ((each,), _) = at_the_end(*messages_of([ROWS[0], GATEWAY]))
    assert (each.prompt, each.response) == (None, None)
    assert (each.output_tokens, each.latency_ms) == (CALL.output_tokens, CALL.latency_ms)


def test_other_requests_of_the_gateway_are_skipped() -> None:
    """APIs that are no language models are neither records nor lost parts."""
    assert at_the_end(*messages_of([GATEWAY])) == ([], {"gateway_request": 1})


ASKED = {"model": "pilot", "messages": [{"role": "user", "content": "Hi"}]}
BODY = {
    "id": "chatcmpl-1",
    "model": "gpt-35-turbo",
    "choices": [{"message": {"content": "A"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 14, "completion_tokens": 8},
}
URL = "https://n.azure-api.net/deployments/chat-pilot/chat/completions?api-version=1"


def with_bodies(response: Any, **more: Any) -> dict[str, Any]:
    """A record of GatewayLogs with bodies."""
    bodies = {"backendRequestBody": json.dumps(ASKED), "backendResponseBody": json.dumps(response)}
    properties = {"url": URL, "responseCode": 200, **bodies, **more}
    return azure.record(CALL, "GatewayLogs", properties, durationMs=176, isRequestSuccess=True)


def test_bodies_in_the_gateways_log_are_a_record() -> None:
    """If the API logs bodies, GatewayLogs alone is enough; the deployment is in the address."""
    ((each,), _) = at_the_end(*messages_of([with_bodies(BODY)]))
    assert (each.model, each.request_id) == ("chat-pilot", "chatcmpl-1")
    assert (each.response, each.finish_reason, each.latency_ms) == ("A", "stop", 176)


def test_bodies_complete_the_other_records() -> None:
    """A finish reason in a body is taken; texts are those of GatewayLlmLogs, which are whole."""
    each = record(azure.message([with_bodies(BODY), *ROWS]))
    assert (each.response, each.finish_reason) == (CALL.response, "stop")


def test_a_filtered_request_has_the_code_of_its_error() -> None:
    """The code in the response of the model is more precise than the status."""
    failed = {"error": {"message": "filtered: secret words", "code": "content_filter"}}
    logged = with_bodies(failed, responseCode=400)
    ((each,), _) = at_the_end(*messages_of([logged]))
    assert (each.error, each.response) == ("content_filter", None)


def test_an_embedding_is_skipped() -> None:
    """A response with embeddings is no inference."""
    body = {"object": "list", "data": [{"object": "embedding", "embedding": [0.5]}]}
    assert found(azure.message([with_bodies(body), ROWS[0]])) == ["embedding"]


CACHED = {  # model, prompt tokens, cached ones -> input tokens
    "within": ("gpt-4o", 100, 64, 100),
    "beside": ("claude-sonnet-5-5", 26, 48_854, 48_880),
    "beside, by the numbers": ("my-deployment", 26, 48_854, 48_880),
}


@pytest.mark.parametrize(("model", "prompt", "cached", "expected"), CACHED.values(), ids=CACHED)
def test_input_tokens_include_cached_ones(
    model: str, prompt: int, cached: int, expected: int
) -> None:
    """Tokens of Claude are logged without the cached ones, those of other models with them."""
    counts = {"promptTokens": prompt, "promptCachedTokens": cached, "completionTokens": 1}
    row = azure.record(CALL, "GatewayLlmLogs", {"deploymentName": model, **counts})
    ((each,), _) = at_the_end(*messages_of([row]))
    assert each.input_tokens == expected


def openai(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A record of RequestResponse."""
    fields = {"operationName": "ChatCompletions_Create", "resultSignature": "200", **more}
    return azure.record(CALL, "RequestResponse", json.dumps(properties), **fields)


TICKS = {"requestTime": 638_515_262_815_394_150, "responseTime": 638_515_262_825_606_520}
WHOLE_MILLISECONDS = 639_255_680_001_250_000
NAMES = {"modelDeploymentName": "gpt-chat-pilot", "modelName": "gpt-35-turbo"}


def test_ticks_are_the_time_and_the_latency() -> None:
    """A wrong duration is replaced by the difference of the times."""
    logged = openai(TICKS | NAMES | {"promptTokens": 5, "completionTokens": 6}, durationMs=-1021)
    each = record(azure.message([logged]))
    assert each.timestamp == pytest.approx(1_715_929_481.539, abs=0.001)
    assert each.latency_ms == pytest.approx(1021.237, abs=1e-6)
    assert (each.model, each.input_tokens, each.output_tokens) == ("gpt-chat-pilot", 5, 6)


@pytest.mark.parametrize("logged", [WHOLE_MILLISECONDS, str(WHOLE_MILLISECONDS)])
def test_ticks_are_exact(logged: object) -> None:
    """Ticks have more digits than a float."""
    each = record(
        azure.message([openai(NAMES | {"requestTime": logged, "promptTokens": 5}, durationMs=1)])
    )
    assert each.timestamp == 1_789_971_200.125


@pytest.mark.parametrize("absurd", [10**400, -(10**400), 1e308, -1])
def test_absurd_ticks_are_no_latency(absurd: float) -> None:
    """JSON has no limit for numbers."""
    properties = NAMES | TICKS | {"responseTime": absurd, "promptTokens": 5}
    each = record(azure.message([openai(properties, durationMs=None)]))
    assert each.latency_ms is None


def test_numbers_may_be_texts() -> None:
    """Neither category loses a call whose numbers are logged as texts."""
    texts = {key: str(value) for key, value in TICKS.items()}
    each = record(azure.message([openai(texts | NAMES | {"promptTokens": "5"}, durationMs=-1)]))
    assert each.latency_ms == pytest.approx(1021.237, abs=1e-6)
    assert each.input_tokens == 5
    numbers = {"promptTokens": "12", "completionTokens": "3", "sequenceNumber": "0"}
    row = azure.record(CALL, "GatewayLlmLogs", numbers | {"deploymentName": "dep"})
    (each,), _ = at_the_end(azure.message([row]))
    assert (each.input_tokens, each.output_tokens) == (12, 3)


def test_a_call_that_is_logged_twice_is_one_record() -> None:
    """Neither the nearly empty entry nor a second full one is another record."""
    full = openai(TICKS | NAMES | {"promptTokens": 5})
    records, skipped = at_the_end(*messages_of([openai(TICKS), full], [full]))
    assert len(records) == 1
    assert skipped == {"empty_entry": 1, "part_of_finished_call": 1}


def test_a_failed_call_does_not_wait_for_tokens() -> None:
    """A call that failed has no tokens, and its status is the error."""
    each = record(azure.message([openai(TICKS | NAMES, resultSignature="429")]))
    assert (each.error, each.input_tokens) == ("429", None)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("Embeddings_Create", "embedding"),
        ("ImageGenerations_Create", "image"),
        ("AudioTranscriptions_Create", "audio"),
        ("Create_Thread", "other_operation"),
        ("List_Messages", "other_operation"),
    ],
)
def test_other_operations_are_skipped(operation: str, kind: str) -> None:
    """Only completions and responses are inferences."""
    assert found(azure.message([openai(TICKS | NAMES, operationName=operation)])) == [kind]


def test_other_records_are_skipped() -> None:
    """Metrics and other categories go through the same hub."""
    metric = {"time": "2026-11-29T10:00:00Z", "resourceId": "/SUBSCRIPTIONS/S", "metricName": "x"}
    audit = azure.record(CALL, "Audit", {})
    assert found(azure.message([metric, audit])) == ["metric", "other_category"]


BAD = {
    "wrong_type": azure.record(CALL, "GatewayLlmLogs", {"promptTokens": "five"}),
    "missing_field": azure.record(CALL, "GatewayLlmLogs", {}) | {"correlationId": ""},
    "bad_timestamp": azure.record(CALL, "GatewayLlmLogs", {}) | {"time": "noon"},
    "not_json": azure.record(CALL, "RequestResponse", "{", operationName="ChatCompletions_Create"),
}


@pytest.mark.parametrize("reason", BAD)
def test_an_invalid_record_is_rejected_by_itself(reason: str) -> None:
    """The other records of the message are decoded."""
    first, *others = found(azure.message([BAD[reason], GATEWAY, *ROWS]))
    assert first == reason
    assert isinstance(others[-1], WholeRecord)
