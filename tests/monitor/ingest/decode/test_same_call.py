"""The same call gives the same record whichever format logged it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.inference import ModelNaming
from monitor.ingest.decode.log_decoder import AUTO, LogDecoder
from monitor.ingest.decode.message import LogMessage, Skipped
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.decode.native.kinds import Needed, fields_of
from monitor.records import Record, WholeRecord
from tests.monitor.ingest.decode.encoders.call import (
    ERRORS,
    PLAIN_CALL,
    Call,
    Encoder,
    calls,
    difference,
    encoders,
)
from tests.monitor.ingest.decode.payloads import good, payload

ENCODERS = encoders()
NATIVE = NativeDecoder()
every_encoder = pytest.mark.parametrize("encoder", ENCODERS, ids=lambda each: each.name)
quick = settings(
    max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
STREAM = replace(PLAIN_CALL, stream=True, time_to_first_token_ms=250)
TOOLS = replace(PLAIN_CALL, response=None, tool_calls=True, finish_reason="tool_calls")
FAILURE = replace(PLAIN_CALL, response=None, finish_reason=None, error=min(ERRORS))
EXAMPLES = (PLAIN_CALL, STREAM, TOOLS, FAILURE)


def decoder(chosen: str) -> LogDecoder:
    """A decoder with all formats."""
    return LogDecoder(chosen, NATIVE, FORMATS, ModelNaming())


def record_of(chosen: str, messages: Sequence[LogMessage]) -> WholeRecord:
    """The only record in messages, decoded one by one."""
    log_decoder = decoder(chosen)
    found = [each for message in messages for each in log_decoder.found(message)]
    records = [each for each in found if not isinstance(each, Skipped)]
    assert len(records) == 1, records
    assert isinstance(records[0], WholeRecord), records[0]
    return records[0]


def check_batch(messages: Sequence[LogMessage], expected: WholeRecord) -> None:
    """Check that a batch of messages, as the daemon decodes it, gives the same record."""
    payloads = [message.value for message in messages]
    decoded = decoder(AUTO).many(payloads, lambda index: messages[index])
    assert decoded.rejected == []
    fields = decoded.fields
    assert len(fields) == sum(decoded.formats.values()) == 1
    assert len(decoded.formats) == 1  # a format without records is not shown as recognized
    same = fields_of([expected], Needed())
    assert list(fields.ids) == [expected.request_id]
    assert fields.models.values() == [expected.model]
    assert fields.failed.tolist() == [bool(expected.error)]
    assert fields.times.tobytes() == same.times.tobytes()
    assert fields.numbers.tobytes() == same.numbers.tobytes()
    assert fields.chars.tobytes() == same.chars.tobytes()


@every_encoder
@quick
@given(call=calls())
def test_every_format_gives_the_same_record(encoder: Encoder, call: Call) -> None:
    """All fields that a format carries are those of the call, and the other fields are missing."""
    messages = encoder.encode(call)
    record = record_of(encoder.format, messages)
    assert difference(call, record, encoder) == {}
    assert record_of(AUTO, messages) == record
    check_batch(messages, record)


@every_encoder
@quick
@given(call=calls())
def test_one_format_recognizes_a_message(encoder: Encoder, call: Call) -> None:
    """A message is recognized by its own format and by no other one."""
    for message in encoder.encode(call):
        accepting = [name for name, each in FORMATS.items() if each.recognizes(message)]
        assert accepting == [encoder.format]


@settings(max_examples=200, deadline=None, database=None)
@given(record=good)
def test_no_format_recognizes_native_records(record: dict[str, object]) -> None:
    """A native record is left to the native decoder."""
    message = LogMessage(json.dumps(record).encode())
    assert [name for name, each in FORMATS.items() if each.recognizes(message)] == []


NATIVE_LOOKALIKES = {
    "metadata": {"response": {"choices": []}, "usage": {"prompt_tokens": 1}},
    "messages": [{"role": "user", "content": "hi"}],
    "id": "chatcmpl-1",
    "call_type": "acompletion",
    "startTime": 1.5,
}


@pytest.mark.parametrize("key", NATIVE_LOOKALIKES)
def test_native_records_may_have_keys_of_other_formats(key: str) -> None:
    """A native record with a key of another format is native."""
    message = LogMessage(payload(**{key: NATIVE_LOOKALIKES[key]}))
    assert [name for name, each in FORMATS.items() if each.recognizes(message)] == []
    assert record_of(AUTO, [message]).request_id == "r-1"


@pytest.mark.skipif(len(ENCODERS) < 2, reason="needs two formats")
def test_a_topic_of_mixed_formats_is_decoded() -> None:
    """Messages of all formats and native ones in one batch of one topic are all decoded."""
    messages = [LogMessage(payload(), topic="logs")]
    expected = 1
    for encoder in ENCODERS:
        for number, call in enumerate(EXAMPLES):
            named = replace(call, request_id=f"{encoder.name}-{number}")
            messages += [replace(each, topic="logs") for each in encoder.encode(named)]
            expected += 1
    messages.append(LogMessage(payload(), topic="logs"))
    expected += 1
    decoded = decoder(AUTO).many([each.value for each in messages], lambda index: messages[index])
    assert decoded.rejected == []
    assert len(decoded.fields) == expected
    assert set(decoded.formats) == {"native", *(encoder.format for encoder in ENCODERS)}


def test_every_format_has_an_encoder() -> None:
    """No format escapes the tests of this file."""
    assert {encoder.format for encoder in ENCODERS} == set(FORMATS)


def test_a_native_message_among_others_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a topic of another format, a native message is decoded once, and native ones follow."""
    decoded: list[bytes] = []
    native = NativeDecoder()
    call = NativeDecoder.__call__

    def counted(self: NativeDecoder, value: bytes) -> Record:
        decoded.append(value)
        return call(self, value)

    monkeypatch.setattr(NativeDecoder, "__call__", counted)
    log_decoder = LogDecoder(AUTO, native, FORMATS, ModelNaming())
    foreign = [replace(each, topic="logs") for each in ENCODERS[0].encode(PLAIN_CALL)]
    log_decoder.many([each.value for each in foreign], foreign.__getitem__)
    decoded.clear()
    message = LogMessage(payload(), topic="logs")
    for expected in ([message.value], []):  # then batches are tried as native ones first
        assert len(log_decoder.many([message.value], lambda _: message).fields) == 1
        assert decoded == expected
        decoded.clear()
