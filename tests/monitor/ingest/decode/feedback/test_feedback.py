"""Feedback in the shapes of its formats, and hostile messages in none."""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from langsmith.schemas import APIFeedbackSource, Feedback
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from monitor.ingest.decode.feedback import FORMATS, MAX_BYTES, decode_feedback
from monitor.ingest.decode.feedback.event import LABELS, PLAIN, DecodedFeedback, FeedbackEvent
from monitor.records import RejectedRecord, RejectReason
from monitor.telemetry.counters.joins import SKIPPED

WRITTEN = 1_790_000_000.0
TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def events(content: Any) -> list[FeedbackEvent]:
    """Return the events of a message without an invalid part."""
    found = decode_feedback(json.dumps(content).encode(), WRITTEN)
    assert found.rejected is None, found.rejected
    return found.events


def decoded(payload: bytes) -> DecodedFeedback | RejectedRecord:
    """Return what a message has, or why it has nothing."""
    try:
        return decode_feedback(payload, WRITTEN)
    except RejectedRecord as error:
        return error


def one(content: Any) -> tuple[str, dict[str, float], float]:
    """Return id, values and time of the one event of a message."""
    (event,) = events(content)
    return event.id, event.values, event.time


def otlp_log(**fields: Any) -> dict[str, Any]:
    """Return an evaluation event as an OTLP log record."""
    attributes = {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.score.value": 4.0}
    attributes |= fields.pop("attributes", {})
    kinds = {str: "stringValue", float: "doubleValue", bool: "boolValue"}
    return {
        "timeUnixNano": "1544712660300000000",
        "eventName": "gen_ai.evaluation.result",
        "traceId": TRACE.upper(),
        "spanId": SPAN,
        "attributes": [
            {"key": key, "value": {kinds[type(value)]: value}} for key, value in attributes.items()
        ],
    } | fields


def otlp(*records: dict[str, Any]) -> dict[str, Any]:
    """Return an export request of log records."""
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": list(records)}]}]}


LANGFUSE = {
    "id": "score-1",
    "traceId": TRACE,
    "name": "novelty",
    "value": 0.9,
    "dataType": "NUMERIC",
    "source": "API",
    "timestamp": "2026-09-21T14:13:20.000Z",
    "createdAt": "2026-09-22T00:00:00.000Z",
}
ASSESSMENT = {
    "assessment_id": "a-1",
    "assessment_name": "correctness",
    "trace_id": f"tr-{TRACE}",
    "source": {"source_type": "HUMAN", "source_id": "user"},
    "create_time": "2026-09-21T14:13:20Z",
    "last_update_time": "2026-09-21T14:13:21Z",
    "feedback": {"value": True},
    "rationale": "text of a person",
    "valid": True,
}
PLAIN_EVENT = {"request_id": "r", "feedback": 1, "timestamp": 1_000}

GOLDEN: dict[str, tuple[Any, tuple[str, dict[str, float], float]]] = {
    "plain": (PLAIN_EVENT, ("r", {PLAIN: 1.0}, 1_000.0)),
    "plain scores": (
        {"request_id": "r", "scores": {"a": 0, "b": True}, "timestamp": "1970-01-01T00:00:01Z"},
        ("r", {"a": 0.0, "b": 1.0}, 1.0),
    ),
    "plain span": (
        {"trace_id": "t", "span_id": "s", "feedback": "thumbs-up", "timestamp": 1},
        ("t/s", {PLAIN: 1.0}, 1.0),
    ),
    "otel span": (otlp(otlp_log()), (f"{TRACE}/{SPAN}", {"Relevance": 4.0}, 1544712660.3)),
    "otel response": (
        otlp(otlp_log(attributes={"gen_ai.response.id": "chatcmpl-1"})),
        ("chatcmpl-1", {"Relevance": 4.0}, 1544712660.3),
    ),
    "otel label": (
        otlp(
            otlp_log(
                eventName="",
                timeUnixNano="0",
                observedTimeUnixNano="1790000000000000000",
                attributes={
                    "event.name": "gen_ai.evaluation.result",
                    "gen_ai.evaluation.score.value": "none",
                    "gen_ai.evaluation.score.label": "not_relevant",
                },
            )
        ),
        (f"{TRACE}/{SPAN}", {"Relevance": 0.0}, WRITTEN),
    ),
    "otel span event": (
        {
            "resourceSpans": [
                {
                    "scopeSpans": [
                        {
                            "spans": [
                                {
                                    "traceId": TRACE,
                                    "spanId": SPAN,
                                    "startTimeUnixNano": "1544712660000000000",
                                    "endTimeUnixNano": "1544712661000000000",
                                    "events": [
                                        otlp_log() | {"name": "gen_ai.evaluation.result"},
                                        {"name": "exception"},
                                    ],
                                }
                            ]
                        }
                    ]
                }
            ]
        },
        (f"{TRACE}/{SPAN}", {"Relevance": 4.0}, 1544712660.3),
    ),
    "langfuse": (LANGFUSE, (TRACE, {"novelty": 0.9}, 1790000000.0)),
    "langfuse observation": (
        LANGFUSE
        | {"observationId": SPAN, "dataType": "BOOLEAN", "value": 1, "stringValue": "True"},
        (f"{TRACE}/{SPAN}", {"novelty": 1.0}, 1790000000.0),
    ),
    "langfuse export": (
        {"trace_id": TRACE, "name": "n", "value": 3, "data_type": "NUMERIC", "timestamp": None},
        (TRACE, {"n": 3.0}, WRITTEN),
    ),
    "langfuse category": (
        LANGFUSE | {"dataType": "CATEGORICAL", "value": 7, "stringValue": "bad"},
        (TRACE, {"novelty": 0.0}, 1790000000.0),
    ),
    "langfuse subject": (
        {"name": "n", "value": 1, "subject": {"kind": "observation", "id": SPAN, "traceId": TRACE}},
        (f"{TRACE}/{SPAN}", {"n": 1.0}, WRITTEN),
    ),
    "langfuse ingestion": (
        {
            "batch": [
                {
                    "id": "e",
                    "type": "score-create",
                    "timestamp": "2026-09-21T14:13:20Z",
                    "body": {"traceId": TRACE, "name": "n", "value": 2},
                },
                {"id": "f", "type": "trace-create", "timestamp": "x", "body": {}},
            ]
        },
        (TRACE, {"n": 2.0}, 1790000000.0),
    ),
    "mlflow": (ASSESSMENT, (TRACE, {"correctness": 1.0}, 1790000001.0)),
    "mlflow span": (
        {"assessment": ASSESSMENT | {"span_id": SPAN, "feedback": {"value": "no"}}},
        (f"{TRACE}/{SPAN}", {"correctness": 0.0}, 1790000001.0),
    ),
    "mlflow trace": (
        {
            "info": {
                "trace_id": f"trace:/catalog.schema/{TRACE}",
                "assessments": [
                    {k: v for k, v in ASSESSMENT.items() if k != "trace_id"},
                    ASSESSMENT | {"feedback": None, "expectation": {"value": "42"}},
                    ASSESSMENT | {"valid": False},
                ],
            }
        },
        (TRACE, {"correctness": 1.0}, 1790000001.0),
    ),
    "portkey": (
        {"trace_id": "my trace", "value": -10, "weight": 0.5, "metadata": {"_user": "u"}},
        ("my trace", {PLAIN: -10.0}, WRITTEN),
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    """The id, the values and the time of a message in the shape of its format."""
    content, expected = GOLDEN[name]
    assert one(content) == expected
    found = decode_feedback(json.dumps(content).encode(), WRITTEN)
    assert found.format == name.split(maxsplit=1)[0]
    assert found.format in FORMATS
    assert found.skipped.keys() <= set(SKIPPED)


def test_the_model_of_langsmith_is_decoded() -> None:
    """Feedback as the library of LangSmith serializes it has run, key and score."""
    run = uuid.UUID(int=7)
    given_ = Feedback(
        id=uuid.UUID(int=1),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        modified_at=datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC),
        run_id=run,
        trace_id=uuid.UUID(int=2),
        key="helpful",
        score=False,
        comment="text of a person",
        feedback_source=APIFeedbackSource(),
    )
    found = decode_feedback(given_.model_dump_json().encode(), WRITTEN)
    assert found.format == "langsmith"
    assert [(e.id, e.values, e.time) for e in found.events] == [(str(run), {"helpful": 0.0}, 5.0)]
    labelled = given_.model_copy(update={"score": None, "value": "good", "run_id": None})
    (event,) = decode_feedback(labelled.model_dump_json().encode(), WRITTEN).events
    assert (event.id, event.values) == (str(uuid.UUID(int=2)), {"helpful": 1.0})


def test_a_plain_event_carries_what_is_known_of_its_record() -> None:
    """Model, user, session and variants are kept; a variant of a wrong type is left out."""
    more = {"model": "m", "user_id": "u", "session_id": "s", "experiments": {"a": "b", "c": 1}}
    (event,) = events(PLAIN_EVENT | more)
    assert (event.model, event.user_id, event.session_id) == ("m", "u", "s")
    assert event.experiments == {"a": "b"}


def exported(content: dict[str, Any]) -> bytes:
    """Return an export request in protobuf. Ids are hexadecimal in JSON of OTLP only."""
    text = json.dumps(content)
    for number in (TRACE, TRACE.upper(), SPAN):
        text = text.replace(number, base64.b64encode(bytes.fromhex(number)).decode())
    message = LogsData() if "resourceLogs" in content else TracesData()
    json_format.Parse(text, message, ignore_unknown_fields=True)
    encoded: bytes = message.SerializeToString()
    return encoded


@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith("otel")])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_protobuf_has_the_values_of_json(name: str, compress: Callable[[bytes], bytes]) -> None:
    """Evaluation events in protobuf, compressed or not, are those of the same message in JSON."""
    content, expected = GOLDEN[name]
    payload = compress(exported(content))
    found = decode_feedback(payload, WRITTEN)
    assert found.rejected is None
    assert [(e.id, e.values, e.time) for e in found.events] == [expected]
    assert found.format == "otel"
    if compress is bytes:
        for end in range(1, len(payload)):  # whatever is left of it
            _check(payload[:end])


def test_one_invalid_evaluation_in_protobuf_leaves_the_others() -> None:
    """An event without any id is reported, and the next one counts."""
    nameless = otlp_log()
    del nameless["traceId"], nameless["spanId"]
    found = decode_feedback(exported(otlp(nameless, otlp_log())), WRITTEN)
    assert len(found.events) == 1
    assert found.rejected is not None
    assert found.rejected.reason == RejectReason.MISSING_FIELD


SKIPS: list[tuple[str, Any]] = [
    ("no_value", PLAIN_EVENT | {"feedback": None}),
    ("text", PLAIN_EVENT | {"feedback": "I liked it"}),
    ("bad_name", PLAIN_EVENT | {"scores": {"a\n": 1}, "feedback": 1}),
    ("error", otlp(otlp_log(attributes={"error.type": "timeout"}))),
    ("other_log", otlp(otlp_log(eventName="gen_ai.client.inference.operation.details"))),
    ("span", {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": TRACE}]}]}]}),
    ("session", {"name": "n", "value": 1, "sessionId": "s", "dataType": "NUMERIC"}),
    ("text", LANGFUSE | {"dataType": "CATEGORICAL", "stringValue": "partially"}),
    ("expectation", ASSESSMENT | {"feedback": None, "expectation": {"value": 1}}),
    ("error", ASSESSMENT | {"feedback": {"error": {"error_code": "X"}}}),
    ("replaced", ASSESSMENT | {"valid": False}),
    ("text", ASSESSMENT | {"feedback": {"value": ["a"]}}),
    ("no_value", {"run_id": "r", "key": "k", "score": None, "value": None}),
    ("session", {"run_id": None, "session_id": "s", "key": "k", "score": 1}),
]


@pytest.mark.parametrize(("kind", "content"), SKIPS)
def test_what_has_no_value_is_skipped_by_kind(kind: str, content: Any) -> None:
    """Parts without a number are counted by a known kind, and are no error."""
    found = decode_feedback(json.dumps(content).encode(), WRITTEN)
    assert found.rejected is None
    assert found.skipped[kind] == 1
    assert kind in SKIPPED


BAD: list[tuple[RejectReason, bytes]] = [
    (RejectReason.EMPTY, b""),
    (RejectReason.NOT_JSON, b"{"),
    (RejectReason.NOT_JSON, b"[" * 100_000),
    (RejectReason.NOT_JSON, b'{"request_id":"r","feedback":NaN,"timestamp":1}'),
    (RejectReason.NOT_UTF8, b'{"request_id":"\xff"}'),
    (RejectReason.TOO_LARGE, b" " * (MAX_BYTES + 1)),
    (RejectReason.TOO_LARGE, b"[" + b"1," * 60_000 + b"1]"),
    (RejectReason.WRONG_TYPE, b"1"),
    (RejectReason.MISSING_FIELD, b"{}"),
    (RejectReason.MISSING_FIELD, b'{"request_id":"r","feedback":1}'),
    (RejectReason.MISSING_FIELD, b'{"request_id":"r","timestamp":1}'),
    (RejectReason.MISSING_FIELD, b'{"span_id":"r","feedback":1,"timestamp":1}'),
    (RejectReason.WRONG_TYPE, b'{"request_id":5,"feedback":1,"timestamp":1}'),
    (RejectReason.WRONG_TYPE, b'{"request_id":"r","feedback":{},"timestamp":1}'),
    (RejectReason.WRONG_TYPE, b'{"request_id":"r","feedback":1e16,"timestamp":1}'),
    (RejectReason.WRONG_TYPE, b'{"request_id":"r","scores":[1],"timestamp":1}'),
    (RejectReason.BAD_TIMESTAMP, b'{"request_id":"r","feedback":1,"timestamp":"now"}'),
    (RejectReason.BAD_TIMESTAMP, b'{"request_id":"r","feedback":1,"timestamp":1790000000000}'),
    (RejectReason.BAD_TIMESTAMP, b'{"request_id":"r","feedback":1,"timestamp":true}'),
    (RejectReason.BAD_MODEL, b'{"request_id":"r","feedback":1,"timestamp":1,"model":""}'),
    (RejectReason.WRONG_TYPE, b'{"resourceLogs":{}}'),
    (RejectReason.WRONG_TYPE, b'{"batch":[1]}'),
    (RejectReason.MISSING_FIELD, b'{"name":"n","value":1,"traceId":""}'),
    (RejectReason.MISSING_FIELD, b'{"assessment_name":"a"}'),
    (RejectReason.MISSING_FIELD, b'{"trace_id":"t","value":null}'),
]


@pytest.mark.parametrize(("reason", "payload"), BAD, ids=range(len(BAD)))
def test_malformed_messages_are_rejected_by_name(reason: RejectReason, payload: bytes) -> None:
    """A message without anything usable has a reason."""
    found = decoded(payload)
    if isinstance(found, DecodedFeedback):
        assert not found.events
        assert found.rejected is not None
        found = found.rejected
    assert found.reason == reason


def test_the_valid_parts_of_a_list_count() -> None:
    """One invalid event of a list is reported, and the others are decoded."""
    content = [PLAIN_EVENT, {"request_id": "x"}, PLAIN_EVENT | {"request_id": "y"}]
    found = decode_feedback(json.dumps(content).encode(), WRITTEN)
    assert [event.id for event in found.events] == ["r", "y"]
    assert found.rejected is not None


def test_labels_are_values_in_any_spelling() -> None:
    """Each label is 0 or 1, also in upper case and with hyphens."""
    for label, value in LABELS.items():
        text = label.upper().replace("_", "-")
        assert one(PLAIN_EVENT | {"feedback": text})[1] == {PLAIN: value}


KEYS = (
    *("request_id", "trace_id", "traceId", "span_id", "feedback", "scores", "timestamp", "model"),
    *("resourceLogs", "scopeLogs", "logRecords", "attributes", "eventName", "timeUnixNano"),
    *("key", "value", "batch", "body", "type", "run_id", "score", "assessment_name", "metadata"),
    *("assessments", "info", "name", "subject", "kind", "id", "dataType", "stringValue", "error"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(KEYS), json_values))
def test_any_json_is_decoded_or_rejected(content: dict[str, Any]) -> None:
    """Whatever is in a message, there are finite values with ids, or a reason."""
    _check(json.dumps(content).encode())


@given(st.binary())
def test_any_bytes_are_decoded_or_rejected(payload: bytes) -> None:
    """No bytes raise another error."""
    _check(payload)


@pytest.mark.parametrize("name", GOLDEN)
def test_truncated_messages_are_rejected(name: str) -> None:
    """A message that ends early is not JSON."""
    payload = json.dumps(GOLDEN[name][0]).encode()
    for end in range(1, len(payload), 7):
        with pytest.raises(RejectedRecord):
            decode_feedback(payload[:end], WRITTEN)


def _check(payload: bytes) -> None:
    found = decoded(payload)
    if isinstance(found, RejectedRecord):
        return
    assert found.skipped.keys() <= set(SKIPPED)
    for event in found.events:
        assert event.id
        assert all(abs(value) <= 1e15 for value in event.values.values())
        assert 0 <= event.time <= 7.3e9
