"""Damaged and hostile messages, and other messages that resemble OTLP."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

from monitor.ingest.decode.formats.otlp.otlp import MAX_BYTES, MAX_ENTRIES, OTLP
from monitor.ingest.decode.message import LogMessage
from tests.monitor.ingest.decode.encoders.otlp import in_json, in_protobuf, log_record, span
from tests.monitor.ingest.decode.formats.otlp.traces import outcome_of

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
SECRET = "hunter2"


def field(number: int, content: bytes) -> bytes:
    """A field of protobuf with a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """A number of protobuf."""
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def with_span(span_bytes: bytes) -> bytes:
    """A message with one span."""
    return field(1, field(2, field(2, span_bytes)))


VALID = field(1, b"\x01" * 16) + field(2, b"\x02" * 8) + b"\x39" + b"\x00" * 7 + b"\x01"


def attribute(key: bytes, value: bytes) -> bytes:
    """A field of a span with an attribute. value: an AnyValue."""
    return field(9, field(1, key) + field(2, value))


def nested(depth: int, number: int = 5) -> bytes:
    """An AnyValue in lists, or in maps."""
    value = b""
    for _ in range(depth):
        value = field(number, field(1, value if number == 5 else field(2, value)))
    return value


KEY = b"gen_ai.input.messages"
DAMAGED = {
    "a length of 2^63": b"\x0a" + varint(2**63),
    "a length of 2^64 - 1 within": field(1, b"\x12" + varint(2**64 - 1)),
    "a length in a span": with_span(VALID + b"\x4a" + varint(2**63)),
    "a negative length": b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    "an endless number": b"\x0a" + b"\x80" * 1000,
    "a truncated time": with_span(VALID[:-1]),
    "a newline": b"\n",
    "a group": with_span(VALID + b"\x4b\x4c"),
    "no UTF-8": with_span(VALID + attribute(KEY, field(1, b"\xff\xfe"))),
    "no UTF-8 in a key": with_span(VALID + attribute(b"\xed\xa0\x80", field(1, b"x"))),
    "no UTF-8 in another attribute": with_span(VALID + attribute(b"x", field(1, b"\xc0\x80"))),
    "a key as number": with_span(VALID + field(9, b"\x08\x01")),
    "nested 10,000 deep": with_span(VALID + attribute(KEY, nested(10_000))),
    "maps 1,000 deep": with_span(VALID + attribute(b"x", nested(1_000, 6))),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_protobuf_is_rejected_by_name(name: str) -> None:
    """Damaged messages, and those with hostile lengths, are rejected as such or skipped."""
    payload = DAMAGED[name]
    assert OTLP.recognizes(LogMessage(payload)) in (True, False)
    outcome = outcome_of(LogMessage(payload))
    assert outcome in (
        ["skipped other_span"],
        ["rejected not_protobuf: no protobuf message of OTLP"],
        ["rejected not_protobuf: neither JSON nor protobuf of OTLP"],
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"traceId": "ab"}, "wrong_type"),
        ({"spanId": "zz zz"}, "wrong_type"),
        ({"startTimeUnixNano": "yesterday"}, "bad_timestamp"),
        ({"startTimeUnixNano": -1}, "bad_timestamp"),
        ({"startTimeUnixNano": 1e300}, "bad_timestamp"),
        ({"startTimeUnixNano": "9" * 400}, "bad_timestamp"),
        ({"startTimeUnixNano": "0"}, "missing_field"),
        ({"attributes": [{"key": "user.id", "value": {"stringValue": [SECRET]}}]}, "wrong_type"),
        ({"attributes": [{"key": "user.id", "value": 7}]}, "wrong_type"),
    ],
)
def test_one_bad_span_does_not_lose_the_others(fields: dict[str, Any], reason: str) -> None:
    """A span with a value of a wrong type is rejected by name, and the others are decoded."""
    first, second = outcome_of(in_json(span(CHAT) | fields, span(CHAT)))
    assert isinstance(first, str)
    assert first.startswith(f"rejected {reason}: ")
    assert SECRET not in first
    assert not isinstance(second, str)


@pytest.mark.parametrize("attributes", [CHAT, 7, [7], [{"key": 7}], "x"])
def test_another_structure_rejects_the_message(attributes: Any) -> None:
    """Attributes of a wrong structure are no OTLP."""
    [outcome] = outcome_of(in_json(span(CHAT) | {"attributes": attributes}, span(CHAT)))
    assert isinstance(outcome, str)
    assert outcome.startswith("rejected wrong_type: ")


def test_base64_identifiers_are_read() -> None:
    """Identifiers as general protobuf libraries write them in JSON are those of the bytes."""
    ids = {"traceId": "W47/95gDgQPSabYzgT/GDA==", "spanId": "7uGbfsPBsXQ="}
    assert outcome_of(in_json(span(CHAT, **ids))) == outcome_of(in_json(span(CHAT)))
    upper = {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174"}
    assert outcome_of(in_json(span(CHAT, **upper))) == outcome_of(in_json(span(CHAT)))


def test_what_is_not_in_the_conventions_is_ignored() -> None:
    """Unknown keys, nulls, status codes by name and numbers beyond 64 bits do no harm."""
    odd = span(
        CHAT | {"big": 2**80},
        status={"code": "STATUS_CODE_ERROR"},
        links=None,
        events=None,
        droppedAttributesCount=2**80,
        news={"a": [1]},
    )
    odd["attributes"] += [{"key": "x"}, {}, {"key": None, "value": None}]
    [record] = outcome_of(in_json(odd))
    assert not isinstance(record, str)
    assert record.error == "error"


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1", "1e400"])
def test_absurd_numbers_are_missing(text: str) -> None:
    """Numbers that are not finite, or negative, are missing."""
    usage = {"key": "gen_ai.usage.input_tokens", "value": {"doubleValue": text}}
    entry = span(CHAT)
    entry["attributes"].append(usage)
    [record] = outcome_of(in_json(entry))
    assert not isinstance(record, str)
    assert record.input_tokens is None


def test_a_repeated_attribute_has_its_last_value() -> None:
    """Of attributes with the same key the last one with a value counts."""
    for encode in (in_json, in_protobuf):
        entry = span(CHAT | {"user.id": "a"})
        entry["attributes"] += [
            {"key": "user.id", "value": {"stringValue": "b"}},
            {"key": "user.id", "value": {}},
        ]
        [record] = outcome_of(encode(entry))
        assert not isinstance(record, str)
        assert record.user_id == "b"


def test_too_large_messages_are_rejected() -> None:
    """Messages are bounded in bytes and in spans."""
    large = LogMessage(in_json(span(CHAT)).value + b" " * MAX_BYTES)
    assert outcome_of(large) == [
        f"rejected too_large: {len(large.value)} bytes, at most {MAX_BYTES}"
    ]
    many = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%s]}]}]}' % b",".join([b"{}"] * 200_001)
    many_bytes = field(1, field(2, b"".join([field(2, VALID)] * 200_001)))
    for payload in (many, many_bytes):
        expected = [f"rejected too_large: more than {MAX_ENTRIES} spans or logs"]
        assert outcome_of(LogMessage(payload)) == expected


NOT_OTLP = [
    b"",
    b"{}",
    b"[]",
    b'{"resourceSpans": 7}',
    b'{"request_id": "r", "resourceSpans": []}',
    b'{"spans": []}',
    b"\x0a\x03abc",
    b"\x0a\x00",
    b"\n{}",
    b"plain text",
    json.dumps({"request_id": "r", "timestamp": 1, "model": "m"}).encode(),
]


@pytest.mark.parametrize("payload", NOT_OTLP)
def test_other_messages_are_not_recognized(payload: bytes) -> None:
    """Messages of other shapes are left to other formats."""
    assert not OTLP.recognizes(LogMessage(payload))


def test_metrics_are_no_spans() -> None:
    """Metrics in protobuf, which have the same frame, are not taken for spans."""
    data = MetricsData()
    metric = data.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.name, metric.description, metric.unit = "sixteen letters.", "eight ch", "s"
    metric.sum.data_points.add(start_time_unix_nano=1, time_unix_nano=2, as_int=3)
    message = LogMessage(data.SerializeToString())
    assert not OTLP.recognizes(message)
    assert outcome_of(LogMessage(b'{"resourceMetrics": []}')) == ["skipped metric"]


def test_an_access_log_is_left_to_its_format() -> None:
    """Log records with attributes of models, but without an event's name, are no events."""
    texts = {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": "12", "duration": "7"}
    for encode in (in_json, in_protobuf):
        assert not OTLP.recognizes(encode(log_record("", texts)))
        assert OTLP.recognizes(encode(log_record("", {"http.route": "/"})))
        assert OTLP.recognizes(encode(log_record("gen_ai.choice", texts)))


def test_any_bytes_are_handled() -> None:
    """Random changes of valid messages raise nothing but rejections."""
    rng = random.Random(7)
    valid = [in_protobuf(span(CHAT)).value, in_json(span(CHAT)).value, VALID]
    for _ in range(2_000):
        changed = bytearray(rng.choice(valid))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(changed))
            changed[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        message = LogMessage(bytes(changed))
        assert OTLP.recognizes(message) in (True, False)
        outcome_of(message)
