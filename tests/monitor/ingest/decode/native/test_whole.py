"""Whole records: exactly the messages that are records, and no sample lost to an optional field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.sampling.codec import decode_sample, encode_sample
from monitor.records import (
    ChatMessage,
    Inclusion,
    RejectedRecord,
    Sample,
    WholeRecord,
)
from tests.monitor.ingest.decode.payloads import almost, anything, fuzz, good, mutated, payload

decode = NativeDecoder()

OPTIONAL = ("contexts", "reference", "experiments", "user_id", "session_id", "feedback", "metadata")


def outcome(raw: bytes) -> str | None:
    """Return the rejection of a message by the decoder for features, or None."""
    try:
        decode(raw)
    except RejectedRecord as error:
        return str(error)
    return None


def whole_outcome(raw: bytes) -> str | None:
    """Return the rejection of a message as a whole record, or None."""
    try:
        record = decode.whole(raw)
    except RejectedRecord as error:
        return str(error)
    check_usable(record)
    return None


def check_usable(record: WholeRecord) -> None:
    """Assert that a record can be written as a sample and read again."""
    common = [name for name in WholeRecord.__struct_fields__ if name in Sample.__struct_fields__]
    fields: dict[str, Any] = {name: getattr(record, name) for name in common}
    sample = Sample(inclusion=Inclusion(True, 0.1), **fields)
    assert decode_sample(encode_sample(sample)) == sample


def test_every_field() -> None:
    """All fields of a record are returned, messages with their roles and the text of all parts."""
    fields: dict[str, Any] = {
        "request_id": "r",
        "timestamp": 5.0,
        "model": "m",
        "response": "answer",
        "contexts": ["one", "two"],
        "reference": "gold",
        "experiments": {"new-prompt": "treatment"},
        "user_id": "u",
        "session_id": "s",
        "trace_id": "t",
        "span_id": "5",
        "latency_ms": 1.5,
        "time_to_first_token_ms": 0.5,
        "input_tokens": 3,
        "output_tokens": 4,
        "cost_usd": 0.1,
        "finish_reason": "stop",
        "error": "timeout",
        "scores": {"a": 1.0},
        "feedback": -1,
        "metadata": {"route": "search", "n": 2},
    }
    prompt = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image"}, "here"]},
        {"role": "assistant", "content": None},
    ]
    record = decode.whole(json.dumps(fields | {"prompt": prompt}).encode())
    expected = [
        ChatMessage("system", "be kind"),
        ChatMessage("user", "look\nhere"),
        ChatMessage("assistant", ""),
    ]
    assert record == WholeRecord(**(fields | {"prompt": expected}))
    assert set(WholeRecord.__struct_fields__) == {*fields, "prompt"}


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("contexts", "x", None),
        ("contexts", ["a", 1], None),
        ("reference", ["x"], None),
        ("experiments", 3, None),
        ("experiments", {"e": 1}, None),
        ("user_id", 17, "17"),
        ("user_id", {"a": 1}, None),
        ("session_id", 17, "17"),
        ("feedback", "bad", None),
        ("feedback", True, None),
        ("metadata", "x", None),
        ("metadata", [1], None),
        ("metadata", {"a": {"b": 1}, "c": [1], "d": "e"}, {"d": "e"}),
        ("metadata", {"a": True, "b": None, "c": 10**400, "d": 1}, {"a": "true", "d": 1}),
        ("scores", {"a": None, "b": 1}, {"b": 1.0}),
    ],
)
def test_a_field_of_a_wrong_type_is_missing(field: str, value: object, kept: object) -> None:
    """A field that no feature needs is dropped, and the rest of the record is not."""
    record = decode.whole(payload(response="answer", **{field: value}))
    assert getattr(record, field) == kept
    assert record.response == "answer"
    check_usable(record)


@pytest.mark.parametrize("text", ["\x00", "\x1b[31m", "🙂", "\\ud83d cut", "a\u200bb"])
def test_strange_characters_survive(text: str) -> None:
    """NUL, control characters and half an emoji are no reason to lose a sample."""
    raw = payload(response="@", contexts=["@"], metadata={"k": "@"}, user_id="@")
    escaped = text if text.startswith("\\") else json.dumps(text)[1:-1]
    record = decode.whole(raw.replace(b"@", escaped.encode()))
    expected = "\ufffd cut" if text.startswith("\\") else text
    assert (record.response, record.contexts) == (expected, [expected])
    assert (record.metadata, record.user_id) == ({"k": expected}, expected)
    check_usable(record)


def test_roles_are_short_texts() -> None:
    """A role of a wrong type is empty; a long one is cut."""
    prompt = [{"role": 3, "content": "a"}, {"content": "b"}, {"role": "r" * 99, "content": "c"}]
    record = decode.whole(payload(prompt=prompt))
    assert isinstance(record.prompt, list)
    assert [message.role for message in record.prompt] == ["", "", "r" * 32]


@fuzz
@given(st.one_of(good, almost), st.dictionaries(st.sampled_from(OPTIONAL), anything))
def test_whole_records_are_the_records(record: dict[str, Any], optional: dict[str, Any]) -> None:
    """A message is a whole record exactly if it is a record, whatever its optional fields are."""
    raw = json.dumps({"request_id": "r", "timestamp": 1, "model": "m"} | record | optional).encode()
    assert (whole_outcome(raw) is None) == (outcome(raw) is None)


@fuzz
@given(mutated())
def test_damaged_records(raw: bytes) -> None:
    """The same holds for damaged messages; none raises another error."""
    if outcome(raw) is None:
        assert whole_outcome(raw) is None


@fuzz
@given(st.binary(max_size=300))
def test_arbitrary_bytes(raw: bytes) -> None:
    """Any bytes are a record or rejected."""
    assert (whole_outcome(raw) is None) == (outcome(raw) is None)


def test_deep_nesting() -> None:
    """Nesting in an optional field loses the field or the message, and raises nothing else."""
    raw = payload(metadata="@").replace(b'"@"', b"[" * 50_000 + b"]" * 50_000)
    assert (whole_outcome(raw) is None) == (outcome(raw) is None)
