"""A mapping gives the records of logs of any layout."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import yaml
from hypothesis import given, settings

from monitor.config.schema import Config
from monitor.ingest.decode.formats.mapping import format as mapping
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.log_decoder import LogDecoder
from monitor.ingest.decode.message import LogMessage, Skipped
from monitor.ingest.files import decoder_for
from monitor.records import ChatMessage, RejectedRecord, WholeRecord
from tests.monitor.ingest.decode import hostile
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL, Call, Encoder, calls, difference

MINIMAL: Final = {"request_id": "id", "timestamp": "at", "model": "model"}
LAYOUTS: Final = {
    "nested": """
        records: batch.events[*]
        where:
          - {path: kind, in: [llm, chat]}
          - {path: '$."schema.version"', equals: 2}
        request_id: call.id
        timestamp: {path: call.begin, unit: ns}
        model: [call.deployment, call.model]
        prompt: call.request.messages
        response: call.answer
        latency_ms: {start: call.begin, end: call.end, unit: ns}
        time_to_first_token_ms: {path: call.first, unit: s}
        input_tokens: {sum: [call.usage.fresh, call.usage.cached]}
        output_tokens: call.usage.parts[*].tokens
        cost_usd: call.usage.cost
        finish_reason: call.reasons[0]
        error: [call.error.type, call.status]
        user_id: '$.user."id.of"'
        session_id: call.session
        """,
    "texts": """
        request_id: id
        timestamp: {path: time, time_format: '%d/%b/%Y:%H:%M:%S.%f %z'}
        model: request.model
        prompt: request.messages
        response: response.message.content
        latency_ms: {path: took, unit: us}
        time_to_first_token_ms: {path: first, unit: ticks}
        input_tokens: response.usage.input
        output_tokens: response.usage.output
        cost_usd: cost
        finish_reason: response.reason
        error: code
        user_id: user
        session_id: session
        """,
    "bodies": """
        bodies: {request: req, response: resp}
        request_id: id
        timestamp: at
        model: deployment
        latency_ms: ms
        time_to_first_token_ms: first_ms
        cost_usd: cost
        error: failure
        user_id: user
        session_id: session
        """,
}


def configured(text: str | dict[str, Any]) -> LogDecoder:
    """Return the decoder of a mapping."""
    mapping = yaml.safe_load(text) if isinstance(text, str) else text
    return decoder_for(Config.model_validate({"format": mapping}))


def nested(call: Call) -> dict[str, Any]:
    """Write a call within a batch, with times in nanoseconds."""
    begin = round(call.start * 1000) * 1_000_000
    first = call.time_to_first_token_ms
    failed = call.error is not None
    usage = {
        "fresh": call.input_tokens - call.cached_tokens,
        "cached": call.cached_tokens,
        "parts": [{"tokens": call.output_tokens - 1}, {"tokens": 1}, {"other": 5}],
        "cost": call.cost_usd,
    }
    event = {
        "id": call.request_id,
        "begin": begin,
        "end": begin + call.latency_ms * 1_000_000,
        "model": call.model,
        "request": {"messages": call.messages, "temperature": 1},
        "answer": call.response,
        "first": None if first is None else first / 1000,
        "usage": None if failed else usage,
        "reasons": [call.finish_reason],
        "status": 200,
        "error": {"type": call.error, "text": "secret"} if failed else None,
        "session": call.session_id,
    }
    events = [{"kind": "embedding"}, {"kind": "llm", "call": event}, {"kind": None}]
    user = {"id.of": call.user_id}
    return {"schema.version": 2, "user": user, "batch": {"events": events, "size": 3}}


def texts(call: Call) -> dict[str, Any]:
    """Write a call in which everything is text, bodies included."""
    first = call.time_to_first_token_ms
    failed = call.error is not None
    response = {
        "message": {"content": call.response},
        "usage": {"input": str(call.input_tokens), "output": str(call.output_tokens)},
        "reason": call.finish_reason,
    }
    time = datetime.fromtimestamp(round(call.start * 1000) / 1000, UTC)
    return {
        "id": call.request_id,
        "time": time.strftime("%d/%b/%Y:%H:%M:%S.%f %z"),
        "request": json.dumps({"model": call.model, "messages": json.dumps(call.messages)}),
        "response": "" if failed else json.dumps(response),
        "took": str(call.latency_ms * 1000),
        "first": "-" if first is None else str(first * 10_000),
        "cost": "-" if failed else str(call.cost_usd),
        "code": str(call.status),
        "user": call.user_id,
        "session": call.session_id,
    }


def bodies(call: Call) -> dict[str, Any]:
    """Write a call with bodies of the API of OpenAI, as text."""
    message: dict[str, Any] = {"role": "assistant", "content": call.response}
    if call.tool_calls:
        message["tool_calls"] = [{"type": "function", "function": {"name": "f"}}]
    response = {
        "id": "chatcmpl-1",
        "model": call.responded_model,
        "choices": [{"message": message, "finish_reason": call.finish_reason}],
        "usage": {
            "prompt_tokens": call.input_tokens,
            "completion_tokens": call.output_tokens,
        },
    }
    return {
        "req": json.dumps({"model": "asked", "messages": call.messages}),
        "resp": None if call.error else json.dumps(response),
        "id": call.request_id,
        "at": datetime.fromtimestamp(round(call.start * 1000) / 1000, UTC).isoformat(),
        "deployment": call.model,
        "ms": call.latency_ms,
        "first_ms": call.time_to_first_token_ms,
        "cost": None if call.error else call.cost_usd,
        "failure": call.error or False,
        "user": call.user_id,
        "session": call.session_id,
    }


WRITERS: Final = {"nested": nested, "texts": texts, "bodies": bodies}
DECODERS: Final = {name: configured(text) for name, text in LAYOUTS.items()}
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def found(decoder: LogDecoder, *bodies: Any) -> list[Any]:
    """Return everything in messages with these bodies."""
    messages: list[LogMessage] = [
        LogMessage(body if isinstance(body, bytes) else json.dumps(body).encode())
        for body in bodies
    ]
    return [each for message in messages for each in decoder.found(message)]


def record(decoder: LogDecoder, body: Any) -> WholeRecord:
    """Return the only record in a message."""
    [only] = [each for each in found(decoder, body) if not isinstance(each, Skipped)]
    assert isinstance(only, WholeRecord), only
    return only


def rejected(decoder: LogDecoder, body: Any) -> str:
    """Return the reason and the detail of the only rejection of a message."""
    [only] = found(decoder, body)
    assert isinstance(only, RejectedRecord), only
    return str(only)


@every_layout
@settings(max_examples=60, deadline=None)
@given(call=calls())
def test_a_mapping_gives_the_record_of_a_call(layout: str, call: Call) -> None:
    """Nested batches, texts and bodies of APIs give all fields of the call."""
    body = WRITERS[layout](call)
    fields = frozenset(call.record())
    encoder = Encoder("mapping", layout, lambda call: [], fields, 1e-6)
    assert difference(call, record(DECODERS[layout], body), encoder) == {}
    pretty = json.dumps(body, indent=1, ensure_ascii=True).encode()
    assert record(DECODERS[layout], pretty) == record(DECODERS[layout], body)


def test_batches_are_counted_like_single_messages() -> None:
    """The batch decoder gives the records, skips and rejections of the messages in order."""
    body = nested(PLAIN_CALL)
    bodies: list[dict[str, Any]] = [body, {"batch": {}}, body]
    payloads = [json.dumps(each).encode() for each in bodies]
    decoded = DECODERS["nested"].many(payloads)
    assert decoded.indices.tolist() == [0, 2]
    assert [index for index, _ in decoded.rejected] == [1]
    assert decoded.skipped == {"filtered": 4}
    assert decoded.formats == {"mapping": 2}


def test_conditions_name_what_is_skipped() -> None:
    """The first condition that fails names the kind; texts equal the numbers they write."""
    decoder = configured(
        MINIMAL
        | {
            "where": [
                {"path": "type", "in": ["chat", 7], "kind": "other_type"},
                {"path": "calls[*].ok", "equals": True, "kind": "failed"},
                {"path": "test", "exists": False, "kind": "test"},
            ]
        }
    )
    good = {"id": "r", "at": 1.7e9, "model": "m", "type": "7", "calls": [{"ok": 0}, {"ok": True}]}
    assert isinstance(found(decoder, good)[0], WholeRecord)
    for change, kind in (
        ({"type": "embed"}, "other_type"),
        ({"type": None}, "other_type"),
        ({"calls": [{"ok": 1}]}, "failed"),
        ({"test": {"name": "probe"}}, "test"),
    ):
        assert found(decoder, good | change) == [Skipped(kind)]
    assert isinstance(found(decoder, good | {"test": None, "type": 7.0})[0], WholeRecord)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1_700_000_000, 1_700_000_000),
        ("1700000000.5", 1_700_000_000.5),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T23:13:20.123456789+01:00", 1_700_000_000.123456),
        ("2023-11-14 22:13:20", 1_700_000_000),
    ],
)
def test_times_are_numbers_or_texts(value: object, seconds: float) -> None:
    """Without a unit a number is epoch seconds, and a text is RFC 3339; no zone is UTC."""
    decoder = configured(MINIMAL)
    body = {"id": "r", "at": value, "model": "m"}
    assert record(decoder, body).timestamp == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("unit", "factor"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9), ("ticks", 1e7)]
)
def test_units(unit: str, factor: float) -> None:
    """A unit applies to times and to durations, as numbers and as texts."""
    decoder = configured(
        MINIMAL
        | {
            "timestamp": {"path": "at", "unit": unit},
            "latency_ms": [{"path": "absent"}, {"path": "took", "unit": unit}],
        }
    )
    body = {"id": "r", "model": "m", "took": 1.5 * factor}
    for at in (1_700_000_000 * int(factor), f"{1_700_000_000 * int(factor)}"):
        found_record = record(decoder, body | {"at": at})
        assert found_record.timestamp == pytest.approx(1.7e9)
        assert found_record.latency_ms == pytest.approx(1500)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "missing_field: no identifier"),
        ({"id": {}}, "missing_field: no identifier"),
        ({"at": None}, "missing_field: no time"),
        ({"at": "yesterday"}, "bad_timestamp: timestamp at `at` is no time"),
        ({"at": 1.7e12}, "bad_timestamp: time is not between"),
        ({"at": [1]}, "wrong_type: timestamp at `at` is a list"),
        ({"model": 5}, "wrong_type: model at `model` is a number"),
        ({"model": ""}, "missing_field: no name of a model"),
        ({"took": "fast"}, "wrong_type: latency_ms at `took` is text"),
        ({"took": True}, "wrong_type: latency_ms at `took` is true or false"),
        ({"took": {}}, "wrong_type: latency_ms at `took` is an object"),
        ({"stars": []}, "wrong_type: feedback at `stars` is a list"),
    ],
)
def test_wrong_values_are_rejected_by_name(change: dict[str, Any], reason: str) -> None:
    """A missing required field, and a wrong type of a measured one, are named with the path."""
    decoder = configured(MINIMAL | {"latency_ms": "took", "feedback": "stars"})
    body = {"id": "r", "at": 1.7e9, "model": "m"}
    assert reason in rejected(decoder, body | change)


def test_absent_values_are_missing() -> None:
    """Null, blank texts and dashes are no values; a sum is missing only without any value."""
    decoder = configured(
        MINIMAL | {"latency_ms": "took", "input_tokens": {"sum": ["a", "b"]}, "error": "status"}
    )
    body = {"id": "r", "at": 1.7e9, "model": "m"}
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"took": None, "a": None},
        {"took": " - ", "a": "", "b": "-"},
    )
    for change in changes:
        one = record(decoder, body | change)
        assert (one.latency_ms, one.input_tokens, one.error) == (None, None, None)
    assert record(decoder, body | {"b": 5}).input_tokens == 5


@pytest.mark.parametrize("status", [200, "200", "OK", "success", False, "", 302, "Completed", 0])
def test_success_is_no_error(status: object) -> None:
    """A field of status is an error only if the call failed."""
    decoder = configured(MINIMAL | {"error": "status"})
    body = {"id": "r", "at": 1.7e9, "model": "m"}
    assert record(decoder, body | {"status": status}).error is None
    unnamed = {"message": "it was"}
    for failed, name in ((500, "500"), ("timeout", "timeout"), (True, "error"), (unnamed, "error")):
        assert record(decoder, body | {"status": failed}).error == name
    text = "Connection reset: user said hello"
    assert record(decoder, body | {"status": text}).error == "error"


def test_names_are_given_or_found() -> None:
    """Metadata, scores and experiments have paths by name, or the path of an object."""
    body = {
        "id": "r",
        "at": 1.7e9,
        "model": "m",
        "labels": {"region": "eu", "tier": 2, "beta": True, "list": [1]},
        "eval": {"quality": 0.5, "passed": True, "text": "x"},
        "arms": {"prompt": "b", "n": 3, "none": None},
    }
    named = configured(
        MINIMAL
        | {
            "metadata": {"where": ["labels.zone", "labels.region"], "beta": "labels.beta"},
            "scores": {"q": "eval.quality", "ok": "eval.passed", "none": "eval.none"},
            "experiments": {"exp": "arms.prompt"},
        }
    )
    one = record(named, body)
    assert one.metadata == {"where": "eu", "beta": "true"}
    assert one.scores == {"q": 0.5, "ok": 1.0}
    assert one.experiments == {"exp": "b"}
    objects = configured(MINIMAL | {"metadata": "labels", "scores": "eval", "experiments": "arms"})
    one = record(objects, body)
    assert one.metadata == {"region": "eu", "tier": 2, "beta": "true"}
    assert one.scores == {"quality": 0.5, "passed": 1.0}
    assert one.experiments == {"prompt": "b", "n": "3"}


def test_texts_of_every_form() -> None:
    """Prompts are texts or messages, responses messages or parts, contexts any passages."""
    decoder = configured(
        MINIMAL | {"prompt": "in", "response": "out[*]", "contexts": "docs[*].passages"}
    )
    body = {"id": "r", "at": 1.7e9, "model": "m"}
    messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    for prompt in (messages, json.dumps(messages), {"messages": messages}, messages[0]):
        assert record(decoder, body | {"in": prompt}).prompt == [ChatMessage("user", "hi")]
    assert record(decoder, body | {"in": "[1] is not JSON"}).prompt == "[1] is not JSON"
    out = ["a", {"role": "assistant", "content": "b"}, [{"type": "text", "text": "c"}]]
    assert record(decoder, body | {"out": out}).response == "a\nb\nc"
    tools: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [{}]}
    assert record(decoder, body | {"out": [tools]}).response is None
    assert record(decoder, body | {"out": [""]}).response == ""
    docs = [{"passages": ["x", {"text": "y"}]}, {"passages": "z"}, {}]
    assert record(decoder, body | {"docs": docs}).contexts == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ({"object": "response", "output": [{"type": "message", "content": [{"text": "A"}]}]}, "A"),
        ({"output": {"message": {"content": [{"text": "A"}]}}, "stopReason": "end_turn"}, "A"),
        ({"text": "A"}, "A"),
        ({"output": "A"}, "A"),
        ({"content": "", "role": "assistant"}, ""),
        ({"tokens": 5}, None),
    ],
)
def test_a_response_is_read_in_the_object_at_its_path(response: Any, text: str | None) -> None:
    """An object without a text that is no message is not an empty response."""
    decoder = configured(MINIMAL | {"response": "out"})
    assert record(decoder, {"id": "r", "at": 1.7e9, "model": "m", "out": response}).response == text


def test_records_of_a_message() -> None:
    """A list, a single object, and JSON in text are records; nothing there is rejected."""
    decoder = configured(MINIMAL | {"records": "[*]"})
    body = {"id": "r", "at": 1.7e9, "model": "m"}
    for message in (body, [body], json.dumps([body]), [json.dumps(body)]):
        assert record(decoder, message).request_id == "r"
    assert found(decoder, []) == [Skipped("no_records")]
    assert rejected(decoder, None) == "missing_field: no records at the message"
    named = configured(MINIMAL | {"records": "logEvents[*].message"})
    events = [{"message": json.dumps(body)}, {"message": body}, {}]
    assert len(found(named, {"logEvents": events})) == 2


def test_records_of_a_message_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound, the rest of a message is one rejection."""
    monkeypatch.setattr(mapping, "MAX_RECORDS", 3)
    body = {"id": "r", "at": 1.7e9, "model": "m"}
    results = found(configured(MINIMAL | {"records": "[*]"}), [body] * 5)
    assert [type(each) for each in results] == [WholeRecord] * 3 + [RejectedRecord]
    assert str(results[-1]) == "too_large: 5 records, at most 3"


@every_layout
def test_hostile_messages_are_rejected_or_read(layout: str) -> None:
    """Truncated, damaged and absurd messages give records, skips or rejections, nothing else."""
    call = replace(PLAIN_CALL, response="my password is hunter2", user_id="hunter2")
    payload = json.dumps(WRITERS[layout](call)).encode()
    rng = random.Random(layout)
    payloads = [
        *hostile.truncated(payload),
        *hostile.with_other_values(payload),
        *hostile.with_repeated_keys(payload),
        *(hostile.damaged(payload, rng) for _ in range(1000)),
        *(b"", b"null", b"1", b'"x"', b"[]", b"{}", b"\xff", b"[" * 10_000, b'{"a":' * 10_000),
    ]
    decoder = DECODERS[layout]
    for body in payloads:
        for each in found(decoder, body):
            assert isinstance(each, WholeRecord | Skipped | RejectedRecord)
            if isinstance(each, RejectedRecord):
                assert "hunter2" not in each.detail
                assert each.detail


def test_every_field_of_an_inference_can_be_mapped() -> None:
    """The mapping has a key for each field of a record."""
    from monitor.config.sections.ingest.mapping import MappingConfig

    others = {"records", "where", "bodies"}
    assert set(MappingConfig.model_fields) - others == set(Inference.__struct_fields__)
