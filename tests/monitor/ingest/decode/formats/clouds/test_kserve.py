"""Requests and responses that KServe logs as CloudEvents are joined."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from monitor.ingest.decode.message import LogMessage
from monitor.records import ChatMessage, WholeRecord
from tests.monitor.ingest.decode.formats.clouds.decoding import at_the_end, found, record

TYPE = "org.kubeflow.serving.inference."
ASKED = {"model": "llama", "messages": [{"role": "user", "content": "Hi"}]}
ANSWERED = {
    "id": "chatcmpl-1",
    "model": "llama-3",
    "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 2},
}
STREAM = (
    'data: {"id":"c","model":"llama-3","choices":[{"delta":{"content":"Hel"}}]}\n\n'
    'data: {"id":"c","choices":[{"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n'
    "data: [DONE]\n\n"
)


def attributes(role: str, **changed: str) -> dict[str, str]:
    """The attributes of an event. The response comes 640 ms after the request."""
    return {
        "specversion": "1.0",
        "id": "e1",
        "source": "http://localhost:9081/",
        "type": TYPE + role,
        "time": f"2026-11-29T10:00:00.{'100' if role == 'request' else '740'}123456Z",
        "inferenceservicename": "chat",
        "namespace": "models",
        "component": "predictor",
        "endpoint": "",
        "metadata": '{"X-User":["u1"]}',
        **changed,
    }


def binary(role: str, data: Any, **changed: str) -> LogMessage:
    """An event as Knative's broker writes it."""
    headers = {f"ce_{name}": text.encode() for name, text in attributes(role, **changed).items()}
    body = data.encode() if isinstance(data, str) else json.dumps(data).encode()
    return LogMessage(body, headers | {"content-type": b"application/json"})


def structured(role: str, headers: bool = True, **members: Any) -> LogMessage:
    """An event as Knative's KafkaSink writes it. members: its data."""
    event = attributes(role) | {"datacontenttype": "application/json"} | members
    kind = {"content-type": b"application/cloudevents+json; charset=UTF-8"} if headers else {}
    return LogMessage(json.dumps(event).encode(), kind)


def test_a_request_and_its_response_are_a_record() -> None:
    """The time is that of the request, the latency the time between both events."""
    each = record(binary("request", ASKED), binary("response", ANSWERED))
    assert each.prompt == [ChatMessage("user", "Hi")]
    assert (each.request_id, each.model, each.response) == ("e1", "llama", "Hello")
    assert each.timestamp == 1_795_946_400.100123
    assert each.latency_ms == pytest.approx(640, abs=0.01)
    assert each.metadata == {"X-User": "u1"}


RESPONSES = {
    "object": structured("response", data=ANSWERED),
    "text": structured("response", data=json.dumps(ANSWERED)),
    "base64": structured("response", data_base64=base64.b64encode(STREAM.encode()).decode()),
    "stream as text": structured("response", data=STREAM),
    "without headers": structured("response", headers=False, data=ANSWERED),
    "binary stream": binary("response", STREAM),
}


@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
def test_a_response_is_read_in_every_mode(response: LogMessage) -> None:
    """Structured and binary events mix, and a stream is read whatever it is called."""
    each = record(response, structured("request", data=ASKED))
    assert (each.response, each.finish_reason) == ("Hello", "stop")


@pytest.mark.parametrize("begin", [": ping\r\n\r\n", "id: 7\n", "retry: 3000\n", "\ufeff"])
def test_a_stream_may_begin_with_other_lines(begin: str) -> None:
    """Servers keep a connection open with comments, before the first event as well."""
    each = record(binary("request", ASKED), binary("response", begin + STREAM))
    assert (each.response, each.finish_reason) == ("Hello", "stop")


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_text_in_a_stream_may_contain_separators_of_lines(separator: str) -> None:
    """They end no line of server-sent events, and JSON need not escape them."""
    each = record(
        binary("request", ASKED), binary("response", STREAM.replace("Hel", f"He{separator}"))
    )
    assert each.response == f"He{separator}lo"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"message": "no", "type": "BadRequestError", "code": 400}}, "400"),
        ({"object": "error", "message": "no", "type": "NotFoundError", "code": 404}, "404"),
        ({"object": "error", "message": "no", "type": "NotFoundError"}, "NotFoundError"),
        ({"object": "error", "message": "no"}, "error"),
    ],
)
def test_errors_of_model_servers_are_named(body: Any, error: str) -> None:
    """vLLM logs an error as the body itself, in older versions."""
    assert record(binary("request", ASKED), binary("response", body)).error == error


def test_a_stream_that_is_written_into_the_envelope_is_read() -> None:
    """The Java SDK writes data that is called JSON as it is, so the envelope is not JSON."""
    head = json.dumps(attributes("response"), separators=(",", ":"))[:-1]
    raw = f'{head},"datacontenttype":"application/json","data":{STREAM}}}'.encode()
    envelope = LogMessage(raw, {"content-type": b"application/cloudevents+json"})
    assert record(binary("request", ASKED), envelope).response == "Hello"


def test_a_batch_holds_many_events() -> None:
    """The events of a batch are decoded one by one."""
    events = [attributes("request") | {"data": ASKED}, attributes("response") | {"data": ANSWERED}]
    kind = {"content-type": b"application/cloudevents-batch+json"}
    assert record(LogMessage(json.dumps(events).encode(), kind)).response == "Hello"


def test_texts_of_the_open_inference_protocol_are_read() -> None:
    """A text in V2 is a tensor of bytes; the model is the service's."""
    inputs = [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Hi"]}]
    outputs = [{"name": "out", "shape": [1], "datatype": "BYTES", "data": ["Hello"]}]
    each = record(
        binary("request", {"inputs": inputs}),
        binary("response", {"model_name": "bert", "outputs": outputs}),
    )
    assert (each.prompt, each.response, each.model) == ("Hi", "Hello", "bert")


NUMBERS = [{"name": "x", "shape": [1], "datatype": "FP32", "data": [0.5]}]
SKIPPED = {
    "tensors": ({"inputs": NUMBERS}, {"model_name": "m", "outputs": NUMBERS}),
    "first protocol": ({"instances": [[1, 2]]}, {"predictions": [0]}),
    "embedding": ({"input": "x"}, {"object": "list", "data": [{"object": "embedding"}]}),
    "bare embedding": ({"input": "x"}, {"object": "list", "data": [{"embedding": [0.5]}]}),
    "list": ([1, 2], [3]),
}


@pytest.mark.parametrize(("asked", "answered"), SKIPPED.values(), ids=SKIPPED)
def test_models_without_text_are_skipped_once(asked: Any, answered: Any) -> None:
    """A call of another model is skipped as one, and nothing of it is lost."""
    records, skipped = at_the_end(binary("request", asked), binary("response", answered))
    assert records == []
    assert sum(skipped.values()) == 1
    assert skipped.keys() <= {"tensor", "embedding"}


def test_a_request_without_a_body_is_a_probe() -> None:
    """Probes are skipped once, and are no rejections."""
    probe = at_the_end(binary("request", ""), binary("response", {"status": "ok"}))
    assert probe == ([], {"probe": 1})


def test_the_extension_of_triton_is_read() -> None:
    """Its texts have names of their own."""
    asked, answered = {"text_input": "Hi"}, {"model_name": "m", "text_output": "Hello"}
    each = record(binary("request", asked), binary("response", answered))
    assert (each.prompt, each.response, each.model) == ("Hi", "Hello", "m")


def test_other_events_are_skipped() -> None:
    """A topic of Knative has events of other applications."""
    assert found(binary("request", {"a": 1}, type="com.example.order")) == ["other_event"]


def test_a_half_without_the_other_is_lost_and_counted() -> None:
    """KServe logs no response of a failed call."""
    records, skipped = at_the_end(binary("request", ASKED), binary("response", ANSWERED, id="x"))
    assert (records, skipped) == ([], {"lost_request": 1, "lost_response": 1})


def test_components_of_a_service_are_calls_of_their_own() -> None:
    """A transformer and a predictor may log one id: their events are not mixed."""
    mixed = [
        binary("request", ASKED, component="transformer"),
        binary("response", ANSWERED, component="predictor"),
    ]
    assert found(*mixed) == []


def test_repeated_events_make_one_record() -> None:
    """Events that are delivered twice are skipped."""
    halves = [binary("request", ASKED), binary("response", ANSWERED)]
    first, *others = found(*halves, *halves)
    assert isinstance(first, WholeRecord)
    assert others == ["part_of_finished_call"] * 2


BAD = {
    "missing_field": binary("request", ASKED, id=""),
    "bad_timestamp": binary("request", ASKED, time="now"),
    "not_json": binary("response", "<html>"),
    "wrong_type": structured("response", data_base64="%%%"),
    "too_large": binary("request", "[" + "1," * 3_000_000 + "1]"),
}


@pytest.mark.parametrize("reason", BAD)
def test_invalid_events_are_rejected_by_name(reason: str) -> None:
    """An event that is damaged is rejected without waiting for the other half."""
    assert found(BAD[reason]) == [reason]
