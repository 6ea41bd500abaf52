"""The native format: valid records, rejected messages with their reasons, and fuzz tests.

PLUMBLINE_FUZZ_EXAMPLES=100000 makes the fuzz tests thorough.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st

from monitor.ingest.decode.native.decoder import MAX_BYTES, NativeDecoder
from monitor.ingest.decode.native.kinds import Needed
from monitor.records import (
    MAX_MODEL_CHARS,
    MAX_TIMESTAMP,
    Message,
    Part,
    Record,
    RecordWithMetadata,
    RejectedRecord,
    RejectReason,
)
from tests.monitor.ingest.decode.alike import check_alike
from tests.monitor.ingest.decode.payloads import (
    almost,
    anything,
    fuzz,
    good,
    mutated,
    payload,
    prompts,
)

SECRET = "hunter2"

decode = NativeDecoder()
decode_with_metadata = NativeDecoder(Needed(watched=("route",)))


def rejection(raw: bytes) -> RejectedRecord:
    """Return the error for a payload, which is the same for both decoders."""
    found = []
    for each in (decode, decode_with_metadata):
        with pytest.raises(RejectedRecord) as caught:
            each(raw)
        found.append(caught.value)
    assert str(found[0]) == str(found[1])
    check_alike([raw, payload(), raw])
    return found[0]


# --- valid records ----------------------------------------------------------------------------


def test_every_field_is_decoded() -> None:
    """All fields that the features need are decoded."""
    full = {
        "prompt": "hi",
        "response": "hello",
        "latency_ms": 12,
        "time_to_first_token_ms": 3.5,
        "input_tokens": 7,
        "output_tokens": 9,
        "cost_usd": 0.25,
        "finish_reason": "stop",
        "error": "",
        "scores": {"a": 1, "b": None},
    }
    unread = {"user_id": "u", "session_id": "s", "experiments": {"e": "v"}, "contexts": ["c"]}
    record = decode(payload(**full, **unread, metadata={"route": "x"}))
    assert {name: getattr(record, name) for name in full} == full
    assert (record.request_id, record.timestamp, record.model) == ("r-1", 1_760_000_000.5, "m")


def test_unknown_keys_are_ignored() -> None:
    """Unknown keys of any depth are ignored."""
    deep: Any = 1
    for _ in range(200):
        deep = {"a": [deep]}
    assert decode(payload(zebra=deep, MODEL="x")) == decode(payload())


def test_explicit_nulls_are_missing() -> None:
    """A null is equivalent to an absent key."""
    names = [n for n in Record.__struct_fields__ if n not in {"request_id", "timestamp", "model"}]
    assert decode(payload(**dict.fromkeys(names))) == decode(payload())


def test_missing_is_none_not_zero() -> None:
    """An absent field is None."""
    record = decode(payload())
    names = Record.__struct_fields__[3:]
    assert {getattr(record, name) for name in names} == {None}
    assert record.prompt_chars is None


@pytest.mark.parametrize(
    ("prompt", "parsed", "chars"),
    [
        ("", "", 0),
        ("née", "née", 3),
        ([], [], 0),
        (
            [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None}],
            [Message("hi"), Message(None)],
            2,
        ),
        ([{"role": "tool"}], [Message(None)], 0),
        (
            [{"content": [{"type": "text", "text": "abc"}, {"type": "image_url"}, {"text": None}]}],
            [Message([Part("abc"), Part(None), Part(None)])],
            3,
        ),
        ([{"content": ["ab", {"text": "c"}]}], [Message(["ab", Part("c")])], 4),
    ],
)
def test_prompt_is_text_or_chat_messages(prompt: Any, parsed: Any, chars: int) -> None:
    """A prompt is text, or chat messages of text, parts (each on a line of its own) or null."""
    record = decode(payload(prompt=prompt))
    assert record.prompt == parsed
    assert record.prompt_chars == chars


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (0, 0.0),
        (1_760_000_000, 1.76e9),
        (1_760_000_000.25, 1_760_000_000.25),
        (MAX_TIMESTAMP, MAX_TIMESTAMP),
        ("2025-10-09T08:53:20Z", 1.76e9),
        ("2025-10-09t08:53:20z", 1.76e9),
        ("2025-10-09 08:53:20.250Z", 1_760_000_000.25),
        ("2025-10-09T10:53:20.25+02:00", 1_760_000_000.25),
        ("2025-10-09T08:53:20", 1.76e9),
        ("1970-01-01T00:00:00Z", 0.0),
    ],
)
def test_timestamp_is_epoch_seconds_or_rfc_3339(time: Any, seconds: float) -> None:
    """Event time is epoch seconds or RFC 3339, in UTC if no zone is given."""
    found = decode(payload(timestamp=time)).timestamp
    assert type(found) is float
    assert found == seconds


@given(
    st.datetimes(datetime(1970, 1, 3), datetime(2199, 12, 30)),
    st.integers(-1439, 1439),
)
def test_rfc_3339_time_is_the_same_instant_in_any_zone(moment: datetime, minutes: int) -> None:
    """The zone of a time does not change its instant."""
    local = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert decode(payload(timestamp=local.isoformat())).timestamp == local.timestamp()


def test_metadata_may_have_any_value() -> None:
    """A record is not rejected for metadata that is not watched."""
    metadata = {"route": "a", "n": 3, "deep": [{"x": 1}], "none": None, "flag": True}
    record = decode_with_metadata(payload(metadata=metadata))
    assert isinstance(record, RecordWithMetadata)
    assert record.metadata == metadata
    assert not hasattr(decode(payload(metadata=metadata)), "metadata")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb"\ud83d\ude00", "😀"),
        (rb"a\ud83d", "a\ufffd"),
        (rb"\ude00b", "\ufffdb"),
        (rb"\uD83D\uD83D\uDE00", "\ufffd😀"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (rb"\\\ud83d\n", "\\\ufffd\n"),
        (rb"a\u0000b", "a\0b"),
    ],
)
def test_lone_surrogates_are_replaced(raw: bytes, text: str) -> None:
    """Half an emoji, which remains if JavaScript cuts a string, is replaced by U+FFFD."""
    content = payload(response="?", zebra="?").replace(b"?", raw)
    assert decode(content).response == text


def test_model_is_always_utf8() -> None:
    """The name of a model can be encoded as a Kafka key, whatever escapes it has."""
    assert (
        decode(payload(model="?").replace(b"?", rb"x\ud800")).model.encode() == "x\ufffd".encode()
    )


def test_last_of_duplicate_keys_wins() -> None:
    """The last value of a repeated key is used, as in other JSON parsers."""
    assert decode(payload().replace(b'"model"', b'"model": "first", "model"')).model == "m"


def test_numbers_keep_their_value() -> None:
    """Integers beyond the precision of a float are rounded; a negative zero is kept."""
    record = decode(payload(input_tokens=10**30, cost_usd=-0.0, timestamp=-0.0))
    assert record.input_tokens == 1e30
    assert record.cost_usd is not None
    assert math.copysign(1, record.cost_usd) == -1
    assert record.timestamp == 0


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" "])
def test_white_space_around_is_ignored(end: bytes) -> None:
    """White space around a record, such as the end of the line, is ignored."""
    assert decode(b" " + payload() + end) == decode(payload())


# --- rejected messages ------------------------------------------------------------------------

REJECTED = [
    (b"", RejectReason.EMPTY),
    (b'"' + b"x" * MAX_BYTES, RejectReason.TOO_LARGE),
    (payload(response="x" * MAX_BYTES), RejectReason.TOO_LARGE),
    (b" ", RejectReason.NOT_JSON),
    (b"hunter2", RejectReason.NOT_JSON),
    (payload(error=SECRET)[:-3], RejectReason.NOT_JSON),
    (payload() + SECRET.encode(), RejectReason.NOT_JSON),
    (payload() * 2, RejectReason.NOT_JSON),
    (b"\xef\xbb\xbf" + payload(), RejectReason.NOT_JSON),
    (payload().decode().encode("utf-16"), RejectReason.NOT_JSON),
    (payload(latency_ms=math.nan), RejectReason.NOT_JSON),
    (payload(response="?").replace(b"?", b"a\nhunter2"), RejectReason.NOT_JSON),
    (payload(response="?").replace(b"?", b"a\0hunter2"), RejectReason.NOT_JSON),
    (payload(zebra=1).replace(b"1}", b"[" * 100_000), RejectReason.NOT_JSON),
    (payload(zebra=1).replace(b"1}", b'{"a":' * 100_000), RejectReason.NOT_JSON),
    (payload(metadata=1).replace(b"1}", b'{"a":' + b"[" * 100_000), RejectReason.NOT_JSON),
    (payload(response="?").replace(b"?", b"hunter2\xff"), RejectReason.NOT_UTF8),
    (payload(response="?").replace(b"?", b"hunter2\xed\xa0\x80"), RejectReason.NOT_UTF8),
    (payload(model="?").replace(b"?", b"\xc3"), RejectReason.NOT_UTF8),
    (b"{}", RejectReason.MISSING_FIELD),
    (payload(request_id=...), RejectReason.MISSING_FIELD),
    (payload(timestamp=...), RejectReason.MISSING_FIELD),
    (payload(model=...), RejectReason.MISSING_FIELD),
    (b"[]", RejectReason.WRONG_TYPE),
    (b"null", RejectReason.WRONG_TYPE),
    (b"[" * MAX_BYTES, RejectReason.WRONG_TYPE),
    (payload(request_id=None), RejectReason.WRONG_TYPE),
    (payload(request_id=7), RejectReason.WRONG_TYPE),
    (payload(model=None), RejectReason.WRONG_TYPE),
    (payload(timestamp=None), RejectReason.WRONG_TYPE),
    (payload(latency_ms=SECRET), RejectReason.WRONG_TYPE),
    (payload(latency_ms=True), RejectReason.WRONG_TYPE),
    (payload(scores={SECRET: SECRET}), RejectReason.WRONG_TYPE),
    (payload(scores=[1]), RejectReason.WRONG_TYPE),
    (payload(prompt={SECRET: 1}), RejectReason.WRONG_TYPE),
    (payload(prompt=[SECRET]), RejectReason.WRONG_TYPE),
    (payload(prompt=[{"content": [[SECRET]]}]), RejectReason.WRONG_TYPE),
    (payload(input_tokens=0).replace(b": 0", b": 1e999"), RejectReason.WRONG_TYPE),
    (payload(input_tokens=0).replace(b": 0", b": " + b"9" * 400), RejectReason.WRONG_TYPE),
    (payload(model=""), RejectReason.BAD_MODEL),
    (payload(model=SECRET * 200), RejectReason.BAD_MODEL),
    (payload(model="a" * (MAX_MODEL_CHARS + 1)), RejectReason.BAD_MODEL),
    *(
        (payload(model=f"{SECRET}{sign}b"), RejectReason.BAD_MODEL)
        for sign in ("\0", "\n", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\u200b", "\ufeff")
    ),
    *(
        (payload(timestamp=time), RejectReason.BAD_TIMESTAMP)
        for time in (
            "",
            SECRET,
            "1760000000",
            "20251009",
            "2025-10-09",
            "2025-10-09T08:53",
            "2025-13-09T08:53:20Z",
            "2025-10-09T24:00:00Z",
            "9999-12-31T23:59:59-23:59",
            "0001-01-01T00:00:00+23:59",
            "1969-12-31T23:59:59Z",
            -1,
            -1e-9,
            1_760_000_000_000,
            1e300,
        )
    ),
]


@pytest.mark.parametrize(("raw", "reason"), REJECTED)
def test_message_is_rejected_with_its_reason(raw: bytes, reason: RejectReason) -> None:
    """An invalid message is rejected with its reason, and the detail repeats no content."""
    error = rejection(raw)
    assert error.reason is reason
    assert error.detail
    assert SECRET not in str(error)
    assert len(str(error)) < 150


def test_every_reason_is_tested() -> None:
    """Each reason has a message that is rejected for it, but those of other formats."""
    others = {
        RejectReason.NOT_PROTOBUF,
        RejectReason.NOT_DECOMPRESSIBLE,
        RejectReason.UNKNOWN_SCHEMA,
    }
    assert {reason for _, reason in REJECTED} == set(RejectReason) - others


def test_longest_model_is_accepted() -> None:
    """A model name may have 200 printable characters."""
    name = "模" * MAX_MODEL_CHARS
    assert decode(payload(model=name)).model == name


def test_largest_message_is_accepted() -> None:
    """A message of exactly MAX_BYTES is accepted."""
    room = MAX_BYTES - len(payload(response=""))
    assert decode(payload(response="x" * room)).response == "x" * room


# --- fuzz -------------------------------------------------------------------------------------


def check(raw: bytes) -> None:
    """Assert that a payload is decoded to a valid record or is rejected."""
    check_alike([payload(), raw])
    for each in (decode, decode_with_metadata):
        outcome = decode_or_error(each, raw)
        if isinstance(outcome, RejectedRecord):
            assert isinstance(outcome.reason, RejectReason)
            assert outcome.detail.isprintable()
            assert len(outcome.detail) < 150
        else:
            assert isinstance(outcome.timestamp, float)
            assert 0 <= outcome.timestamp <= MAX_TIMESTAMP
            assert 0 < len(outcome.model.encode()) <= 4 * MAX_MODEL_CHARS
            (outcome.response or "").encode()
            assert outcome.prompt_chars is None or outcome.prompt_chars >= 0


def decode_or_error(each: NativeDecoder, raw: bytes) -> Record | RejectedRecord:
    """Return the record or the error of a payload."""
    try:
        return each(raw)
    except RejectedRecord as error:
        return error


@pytest.mark.timeout(7200)
@fuzz
@given(st.binary())
@example(b"\xff" * 10)
def test_fuzz_bytes(raw: bytes) -> None:
    """Arbitrary bytes are decoded or rejected."""
    check(raw)


@pytest.mark.timeout(7200)
@fuzz
@given(mutated())
def test_fuzz_mutations(raw: bytes) -> None:
    """Damaged records are decoded or rejected."""
    check(raw)


@pytest.mark.timeout(7200)
@fuzz
@given(anything | almost | good)
def test_fuzz_json(value: Any) -> None:
    """JSON of any form, and records with fields of any type, are decoded or rejected."""
    check(json.dumps(value).encode())


valid_fields = st.fixed_dictionaries(
    {
        "request_id": st.text(),
        "timestamp": st.floats(0, MAX_TIMESTAMP),
        "model": st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=200),
    },
    optional={
        "prompt": prompts,
        "response": st.text(),
        "latency_ms": st.floats(allow_nan=False, allow_infinity=False),
        "input_tokens": st.integers(-(2**80), 2**80),
        "scores": st.dictionaries(st.text(), st.floats(-1e9, 1e9)),
    },
)


@given(valid_fields)
def test_valid_records_are_never_rejected(fields: dict[str, Any]) -> None:
    """A record in the documented format is decoded with unchanged values."""
    try:
        raw = json.dumps(fields, allow_nan=False).encode()
    except ValueError:  # infinity among what nothing reads is no JSON
        reject()
    record = decode(raw)
    for name in ("timestamp", "model", "response", "latency_ms", "scores"):
        assert getattr(record, name) == fields.get(name)
    tokens = fields.get("input_tokens")
    assert record.input_tokens == (None if tokens is None else float(tokens))


def test_error_text_has_reason_and_detail() -> None:
    """The text of the error is the reason and the detail; the latest year is 2200."""
    assert str(RejectedRecord(RejectReason.EMPTY, "no bytes")) == "empty: no bytes"
    assert datetime.fromtimestamp(MAX_TIMESTAMP, UTC).year == 2200
