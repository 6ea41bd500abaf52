"""Both readers of protobuf, and both paths to an inference, give the same.

PLUMBLINE_FUZZ_EXAMPLES=100000 makes the fuzz tests thorough. `make sanitize` runs
them with a build of the extension that checks every access to memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord as SdkLogRecord
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from monitor.ingest.decode.formats.otlp.calls import inference_of_span
from monitor.ingest.decode.formats.otlp.current import current_inference, is_current
from monitor.ingest.decode.formats.otlp.otlp import MAX_ENTRIES, OTLP, read
from monitor.ingest.decode.formats.otlp.reading import protobuf
from monitor.ingest.decode.formats.otlp.reading.entries import Span
from monitor.ingest.decode.formats.otlp.reading.json import read_json
from monitor.ingest.decode.formats.otlp.reading.protobuf import read_protobuf
from monitor.ingest.decode.formats.otlp.reading.wire import WIRE_BUILT
from monitor.ingest.decode.formats.otlp.wanted import NAMES, PREFIXES, SPAN_EVENTS
from monitor.ingest.decode.inference import ModelNaming, inference_of, whole_record
from monitor.ingest.decode.message import LogMessage
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.records import ChatMessage, RejectedRecord, WholeRecord
from tests.extensions import require_extension
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL, Call, calls
from tests.monitor.ingest.decode.encoders.otlp import (
    CONVENTIONS,
    current,
    event_of,
    in_json,
    in_protobuf,
    span_of,
)
from tests.monitor.ingest.decode.encoders.otlp import span as span_entry
from tests.monitor.ingest.decode.formats.otlp.traces import outcome_of
from tests.monitor.ingest.decode.payloads import fuzz


@pytest.fixture(scope="module", autouse=True)
def _extension() -> None:
    """Skip these tests if the extension is not built. With CI=true, fail instead."""
    require_extension("_wire.c", built=WIRE_BUILT)


def outcome(payload: bytes, *, logs: bool, wire: bool) -> Any:
    """What a reader returns, as values that can be compared."""
    try:
        found = read_protobuf(payload, logs=logs, most=MAX_ENTRIES, wire=wire, natives=False)
    except RejectedRecord as error:
        return str(error)
    return [str(each) if isinstance(each, RejectedRecord) else repr(each) for each in found]


def check_alike(payload: bytes) -> None:
    """Assert that both readers give the same, whichever signal the bytes are taken for."""
    for logs in (False, True):
        assert outcome(payload, logs=logs, wire=True) == outcome(payload, logs=logs, wire=False)


# --- any messages -----------------------------------------------------------------------------

keys = st.sampled_from(
    (*sorted(NAMES), *(f"{prefix}0.role" for prefix in PREFIXES), "http.route", "", "é", "gen_ai")
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
int64 = st.integers(-(2**63), 2**63 - 1)
any_values: st.SearchStrategy[AnyValue] = st.deferred(lambda: scalars | lists | maps)
scalars: st.SearchStrategy[AnyValue] = st.one_of(
    st.just(AnyValue()),
    texts.map(lambda value: AnyValue(string_value=value)),
    st.booleans().map(lambda value: AnyValue(bool_value=value)),
    int64.map(lambda value: AnyValue(int_value=value)),
    st.floats().map(lambda value: AnyValue(double_value=value)),
    st.binary(max_size=9).map(lambda value: AnyValue(bytes_value=value)),
    st.integers(0, 9).map(lambda value: AnyValue(string_value_strindex=value)),
)


def _list(values: list[AnyValue]) -> AnyValue:
    found = AnyValue()
    found.array_value.values.extend(values)
    return found


def _map(pairs: list[KeyValue]) -> AnyValue:
    found = AnyValue()
    found.kvlist_value.values.extend(pairs)
    return found


lists: st.SearchStrategy[AnyValue] = st.lists(any_values, max_size=3).map(_list)
pairs = st.builds(lambda key, value: KeyValue(key=key, value=value), keys, any_values)
maps: st.SearchStrategy[AnyValue] = st.lists(pairs, max_size=3).map(_map)
ids = st.sampled_from((b"", b"\x01" * 16, b"\x02" * 8, b"\x00" * 16, b"\x00" * 8, b"abc"))
times = st.integers(0, 2**64 - 1)
attributes = st.lists(pairs, max_size=5)


@st.composite
def spans(draw: st.DrawFn) -> SpanMessage:
    """Any span."""
    found = SpanMessage(
        trace_id=draw(ids),
        span_id=draw(ids),
        parent_span_id=draw(ids),
        name=draw(texts),
        start_time_unix_nano=draw(times),
        end_time_unix_nano=draw(times),
        attributes=draw(attributes),
        flags=draw(st.integers(0, 2**32 - 1)),
    )
    if draw(st.booleans()):
        found.status.code = draw(st.sampled_from((0, 1, 2, 7)))  # type: ignore[assignment]  # open
        found.status.message = draw(texts)
    for name in draw(st.lists(st.sampled_from((*sorted(SPAN_EVENTS), "other")), max_size=2)):
        found.events.add(name=name, time_unix_nano=draw(times), attributes=draw(attributes))
    for _ in range(draw(st.integers(0, 1))):
        found.links.add(trace_id=draw(ids), attributes=draw(attributes))
    return found


@st.composite
def traces(draw: st.DrawFn) -> bytes:
    """Any message of spans, as its library writes it, or with small damage."""
    data = TracesData()
    for _ in range(draw(st.integers(0, 2))):
        group = data.resource_spans.add(schema_url=draw(texts))
        group.resource.attributes.extend(draw(attributes))
        scope = group.scope_spans.add()
        scope.scope.name = draw(texts)
        scope.spans.extend(draw(st.lists(spans(), max_size=2)))
    return damaged(draw, data.SerializeToString())


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    """Any message of log records."""
    data = LogsData()
    scope = data.resource_logs.add().scope_logs.add()
    for _ in range(draw(st.integers(0, 2))):
        record = scope.log_records.add(
            time_unix_nano=draw(times),
            observed_time_unix_nano=draw(times),
            event_name=draw(texts),
            trace_id=draw(ids),
            span_id=draw(ids),
            attributes=draw(attributes),
        )
        record.body.CopyFrom(draw(any_values))
    return damaged(draw, data.SerializeToString())


def damaged(draw: st.DrawFn, payload: bytes) -> bytes:
    """Return a payload, sometimes with some bytes changed."""
    if not payload or draw(st.booleans()):
        return payload
    changed = bytearray(payload)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(changed)))
        removed = draw(st.integers(0, 2))
        changed[place : place + removed] = draw(st.binary(max_size=2))
    return bytes(changed)


@pytest.mark.timeout(7200)
@fuzz
@given(traces() | logs())
def test_fuzz_readers(payload: bytes) -> None:
    """Valid and damaged messages give the same with the extension and with the library."""
    check_alike(payload)


quick = settings(max_examples=30, deadline=None, database=None)


@quick
@given(calls())
def test_every_beginning_of_a_message_is_read_alike(call: Call) -> None:
    """A message truncated at any byte gives the same with both readers."""
    payload = in_protobuf(span_of(call, current(call, structured=True))).value
    for stop in range(0, len(payload), 7):
        check_alike(payload[:stop])


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_extension_reads_usual_messages(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of all conventions are read without the library."""

    def fail(*_: object) -> None:
        raise AssertionError("the library is used")

    monkeypatch.setattr(protobuf, "_parsed", fail)
    call = PLAIN_CALL
    of, _ = CONVENTIONS[name]
    for entry in (span_of(call, of(call)), event_of(call)):
        assert len(read(in_protobuf(entry, resource={"user.id": "all"})) or ()) == 1


@settings(max_examples=20, deadline=None, database=None)
@given(calls())
def test_both_encodings_of_all_conventions_give_the_same(call: Call) -> None:
    """JSON and protobuf give the same record in every convention."""
    for of, _ in CONVENTIONS.values():
        entry = span_of(call, of(call))
        assert outcome_of(in_json(entry)) == outcome_of(in_protobuf(entry))


# --- the fast path ----------------------------------------------------------------------------

parts = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ("text", "tool_call", "reasoning", "blob", "tool_call_response", 7)
        ),
        "content": texts | st.sampled_from((None, 7, ["a"], {"text": "b"})),
        "text": texts,
        "response": texts | st.just({"content": "c"}),
        "output": st.sampled_from((None, "d")),
        "value": st.sampled_from((None, "e")),
    },
)
messages: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.fixed_dictionaries(
        {"parts": st.lists(parts, max_size=3) | st.just(None)},
        optional={
            "role": st.sampled_from(("user", "assistant", None, "", "x" * 99, 7)),
            "content": st.sampled_from((None, "f")),
            "finish_reason": st.sampled_from(("stop", "", None, 7)),
            "refusal": st.sampled_from((None, "g")),
            "tool_calls": st.sampled_from((None, [], [{}])),
        },
    ),
    max_size=3,
)
odd: st.SearchStrategy[Any] = st.sampled_from(
    (None, "", "x", "12", 0, 7, 1.5, True, False, [], ["stop"], [7], [""], {})
)


@st.composite
def current_spans(draw: st.DrawFn) -> Span:
    """Spans with attributes of the current conventions, of any type."""
    found: dict[str, Any] = {"gen_ai.operation.name": "chat"}
    for name in draw(st.lists(st.sampled_from(_CURRENT), max_size=6)):
        found[name] = draw(odd)
    for name in ("gen_ai.input.messages", "gen_ai.output.messages"):
        if draw(st.booleans()):
            found[name] = json.dumps(draw(messages))
    if draw(st.booleans()):
        found["gen_ai.system_instructions"] = json.dumps(draw(st.lists(parts, max_size=2)))
    start, end = draw(st.sampled_from(((0, 0), (0, 5), (5, 0), (10**18, 2 * 10**18))))
    code = draw(st.sampled_from((0, 2)))
    present = {name: value for name, value in found.items() if value is not None}
    return Span("ab" * 16, "cd" * 8, "", start, end, code, "", present, [])


_CURRENT = (
    "gen_ai.request.model",
    "gen_ai.request.stream",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.response.finish_reasons",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.conversation.id",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "user.id",
    "error.type",
)


@pytest.mark.timeout(7200)
@fuzz
@given(current_spans())
def test_fuzz_paths(span: Span) -> None:
    """The fast path gives what the general path gives, or nothing."""
    attributes = span.attributes
    assert isinstance(attributes, dict)
    assert is_current(attributes)
    fast = current_inference(span, attributes, None)
    if fast is not None:
        assert fast == inference_of_span(span, attributes, None)


def as_entry(span: Span) -> dict[str, Any]:
    """A span of `current_spans` as OTLP JSON."""
    assert isinstance(span.attributes, dict)
    return span_entry(
        span.attributes,
        startTimeUnixNano=str(span.start),
        endTimeUnixNano=str(span.end),
        status={"code": span.code},
    )


@pytest.mark.timeout(7200)
@fuzz
@given(current_spans(), st.sampled_from((json.dumps, partial(json.dumps, ensure_ascii=False))))
def test_fuzz_native_records(span: Span, write: Callable[[Any], str]) -> None:
    """A native record that the extension writes is the record of the general path."""
    entry = as_entry(span)
    for pair in entry["attributes"]:
        text = pair["value"].get("stringValue", "")
        if text.startswith("["):
            pair["value"]["stringValue"] = write(json.loads(text))
    check_native(in_protobuf(entry).value)
    check_native(in_json(entry).value, "json")


@pytest.mark.timeout(7200)
@fuzz
@given(st.lists(current_spans(), max_size=2), st.data())
def test_fuzz_json(spans: list[Span], data: st.DataObject) -> None:
    """Valid and damaged messages in JSON give the same with the extension and without."""
    payload = in_json(*map(as_entry, spans)).value if spans else b'{"resourceSpans": []}'
    changed = bytearray(payload)
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(changed)))
        new = data.draw(st.sampled_from(DAMAGE) | st.binary(max_size=2))
        changed[place : place + data.draw(st.integers(0, 4))] = new
    check_native(bytes(changed), "json")


DAMAGE = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b" ", b"\n", b"0", b"-", b".", b"1e5"),
    *(b"null", b"true", b"\\u00e9", b"\\ud83d\\ude00", b"\\ud800", b"\xff", b'"x":1,', b"[[[["),
)


@quick
@given(calls(), st.booleans())
def test_every_beginning_of_json_is_read_alike(call: Call, ascii_only: bool) -> None:
    """JSON truncated at any byte, and with any blanks, gives the same with both readers."""
    entry = span_of(call, current(call, structured=False))
    value = json.loads(in_json(entry).value)
    for indent in (None, 1):
        payload = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
        assert check_native(payload, "json") == check_native(in_protobuf(entry).value)
        for stop in range(0, len(payload), 97):
            check_native(payload[:stop], "json")


Read = Callable[..., Any]
READERS: dict[str, Read] = {
    "protobuf": lambda payload, natives: read_protobuf(
        payload, logs=False, most=MAX_ENTRIES, natives=natives
    ),
    "json": lambda payload, natives: read_json(payload, most=MAX_ENTRIES, natives=natives),
}


def check_native(payload: bytes, encoding: str = "protobuf") -> int:
    """Compare native records with those of the general path; return how many there are."""
    found: list[Any] = []
    for natives in (True, False):
        try:
            found.append(READERS[encoding](payload, natives))
        except RejectedRecord as error:
            found.append(str(error))
    fast, slow = found
    if isinstance(slow, str):
        assert fast == slow
        return 0
    return sum(is_native(one, other) for one, other in zip(fast, slow, strict=True))


def is_native(fast: Span | RejectedRecord, slow: Span | RejectedRecord) -> bool:
    """Compare a span with that of the general path; return whether it is a native record."""
    if not (isinstance(fast, Span) and isinstance(fast.attributes, bytes)):
        assert repr(fast) == repr(slow)
        return False
    assert isinstance(slow, Span)
    assert not isinstance(slow.attributes, bytes)
    assert repr(fast._replace(attributes={})) == repr(slow._replace(attributes={}))
    inference = inference_of_span(slow, slow.attributes, None)
    inference.model = inference.model or inference.responded_model
    assert inference_of(fast.attributes) == inference
    expected = whole_record(inference, ModelNaming())
    assert NativeDecoder().whole(fast.attributes) == expected
    return True


@quick
@given(calls())
def test_usual_calls_become_native_records(call: Call) -> None:
    """Calls of the current conventions without errors are written as native records."""
    found = check_native(in_protobuf(span_of(call, current(call, structured=False))).value)
    placeholder = any("redact" in each.content.lower() for each in call.prompt)
    assert found == (call.error is None) or placeholder


TEXTS = (
    "",
    " ",
    "redacted-by-litellm",
    "__REDACTED__",
    "It was redacted yesterday.",
    'a "quoted" word',
    "back\\slash / slash",
    "line\nline\ttab\x00\x7f",
    "😀 é 文",
    "é" * 300,
    "x" * 5_000,
)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_of_native_records(text: str) -> None:
    """Texts with escapes, and placeholders, are those of the general path."""
    for ascii_only in (True, False):
        parts = [{"type": "text", "content": text}]
        messages = json.dumps([{"role": "user", "parts": parts}], ensure_ascii=ascii_only)
        names = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.response.id")
        attributes = _CHAT | dict(zip(names, (messages, messages, text[:99]), strict=True))
        payload = in_protobuf(span_entry(attributes)).value
        check_native(payload)
        [record] = outcome_of(LogMessage(payload))
        assert not isinstance(record, str)
        is_placeholder = "edacted" in text.lower() and " " not in text
        assert record.response == (None if is_placeholder else text)


def test_an_escaped_placeholder_is_one() -> None:
    """A placeholder whose letters are escaped in JSON is not taken for a text."""
    messages = r'[{"role": "user", "parts": [{"type": "text", "content": "\u0072edacted"}]}]'
    [record] = outcome_of(in_protobuf(span_entry(_CHAT | {"gen_ai.output.messages": messages})))
    assert not isinstance(record, str)
    assert record.response is None


_CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


# --- the exporters of the SDK -----------------------------------------------------------------

_MESSAGES = '[{"role": "user", "parts": [{"type": "text", "content": "Hi 😀"}]}]'
_ATTRIBUTES: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 3,
    "gen_ai.input.messages": _MESSAGES,
    "gen_ai.output.messages": _MESSAGES,
}


def check_exported(payload: bytes) -> WholeRecord:
    """Return the record in the bytes of an exporter, which both readers read."""
    check_alike(payload)
    message = LogMessage(payload)
    assert OTLP.recognizes(message)
    [record] = [each for each in outcome_of(message) if not isinstance(each, str)]
    assert (record.request_id, record.model) == ("chatcmpl-1", "gpt-4o")
    assert record.prompt == [ChatMessage("user", "Hi 😀")]
    assert (record.response, record.finish_reason) == ("Hi 😀", "stop")
    return record


def test_spans_of_the_sdk_are_records() -> None:
    """What the SDK's own encoder writes is decoded, with the failure of a nested span."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test", "1.0")
    with tracer.start_as_current_span("answer", attributes={"http.route": "/"}):
        with tracer.start_as_current_span("chat gpt-4o", attributes=_ATTRIBUTES):
            pass
        with pytest.raises(TimeoutError), tracer.start_as_current_span("execute_tool x"):
            raise TimeoutError("a secret")
    payload = encode_spans(exporter.get_finished_spans()).SerializeToString()
    record = check_exported(payload)
    assert record.latency_ms is not None
    assert record.trace_id is not None
    assert outcome_of(LogMessage(payload)).count("skipped other_span") == 2


def test_details_events_of_the_sdk_are_records() -> None:
    """The details event of the SDK's own encoder is decoded."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # has no types
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("test").emit(
        SdkLogRecord(
            timestamp=1_790_000_000_000_000_000,
            event_name="gen_ai.client.inference.operation.details",
            attributes=_ATTRIBUTES,
        )
    )
    payload = encode_logs(exporter.get_finished_logs()).SerializeToString()
    assert check_exported(payload).timestamp == 1_790_000_000.0
