"""Batches read into columns: the same features, bit for bit, as decoding each message alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.ingest.decode.native.decoder import MAX_BYTES, NativeDecoder
from monitor.ingest.decode.native.kinds import Needed
from monitor.ingest.decode.native.usual import UsualReader
from monitor.ingest.features import FeatureExtractor
from monitor.ingest.fields.fields import Fields
from monitor.ingest.refusals.classifier import HEAD_CHARS
from monitor.records import Record
from tests.monitor.ingest.decode.alike import check_alike, require_reader
from tests.monitor.ingest.decode.payloads import fuzz, good, mutated, payload

NAN = float("nan")
EVERYTHING = Needed(watched=("route",), units=("team",), optional=True)
BLANKS = [c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace()]


@pytest.fixture(autouse=True)
def _reader() -> None:
    require_reader()


def raw(text: bytes, key: str = "response") -> bytes:
    """Return a record with these bytes between the quotes of a text."""
    return payload(**{key: "@"}).replace(b"@", text)


def read(*payloads: bytes, needed: Needed = EVERYTHING) -> tuple[Fields, list[int]]:
    """Return the fields of the usual payloads, and their indices."""
    fields, indices = UsualReader(needed, MAX_BYTES, keep_beginnings=False)(payloads)
    assert len(fields) == len(indices)
    return fields, indices.tolist()


def beginning(each: bytes) -> str:
    """Return what is kept of the response of a usual payload."""
    fields, indices = read(each)
    assert indices == [0]
    return fields.beginnings.get(0, "")


def is_usual(each: bytes) -> bool:
    """Return whether a payload between two usual ones is usual."""
    _, indices = read(payload(), each, payload())
    assert indices in ([0, 2], [0, 1, 2])
    return 1 in indices


# --- chat messages ----------------------------------------------------------------------------

PARTS = [{"type": "text", "text": "né"}, "😀", {"type": "image"}, {"text": None}, {"text": ""}]
CHATS: list[tuple[list[Any], int]] = [
    ([], 0),
    ([{"role": "user", "content": "né😀"}], 3),
    ([{"content": None}, {"role": ["x"]}, {"content": "\n", "name": {"a": [1e-9]}}], 1),
    ([{"role": "user", "content": PARTS}, {"content": []}], 2 + 1 + 1),
]


@pytest.mark.parametrize(("chat", "chars"), CHATS)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_chat_messages_are_counted(chat: list[Any], chars: int, ascii_only: bool) -> None:
    """Characters are counted as a record counts them, with the lines of parts."""
    body = json.loads(payload(prompt=chat))
    each = json.dumps(body, ensure_ascii=ascii_only).encode()
    fields, _ = read(each)
    assert fields.chars[0].tolist() == [chars]
    assert NativeDecoder(together=False)(each).prompt_chars == chars
    check_alike([each, payload(), each])


@pytest.mark.parametrize(
    "chat",
    [
        '[{"content": 5}]',
        '[{"content": {}}]',
        '["x"]',
        '[{"content": "a", "content": "b"}]',
        '[{"content": [{"text": 5}]}]',
        '[{"content": [[]]}]',
        '[{"con\\u0074ent": "a"}]',
        '[{"content": "\\ud800"}]',
        '[{"content": "a", "x": 01}]',
        '[{"content": "a", "x": ' + "[" * 30 + "]" * 30 + "}]",
        '[{"content": "a"},]',
        '[{"content": "a"}',
        "[null]",
    ],
)
def test_other_chat_messages_are_unusual(chat: str) -> None:
    """Messages of an unusual form are decoded, or rejected, as without the reader."""
    each = payload(prompt="@").replace(b'"@"', chat.encode())
    assert not is_usual(each)
    check_alike([payload(), each])


@pytest.mark.parametrize("bad", [b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\x01"])
@pytest.mark.parametrize("place", [b'{"content": "@"}', b'{"x": "@"}', b'{"@": 1}'])
def test_invalid_bytes_in_chat_messages_are_unusual(bad: bytes, place: bytes) -> None:
    """Nothing is counted that is not valid."""
    each = payload(prompt="@").replace(b'"@"', b"[%b]" % place.replace(b"@", bad))
    assert not is_usual(each)
    check_alike([payload(), each])


# --- texts ------------------------------------------------------------------------------------


def test_texts_are_counted() -> None:
    """Characters of prompts and responses are counted; a missing text is not an empty one."""
    texts = {"prompt": "né😀" * 500, "response": "The answer: né😀\n" + "x" * 3000}
    found, _ = read(payload(**texts, error="e"), payload(), payload(response="", prompt="x"))
    assert np.array_equal(found.chars, [[1500, NAN, 1], [3016, NAN, 0]], equal_nan=True)
    assert found.failed.tolist() == [True, False, False]
    assert found.beginnings == {}


@pytest.mark.parametrize(
    "start",
    ["I cannot", "So sorry", "“No”", "¡", " ", "\n", "*", "\\u0049'm", "é", "<P>", '<div id="a">'],
)
def test_beginning_of_a_possible_refusal_is_kept(start: str) -> None:
    """If a response may be a refusal or blank, the examined characters are kept."""
    text = json.loads(f'"{start}"') if "\\u" in start else start
    escaped = start if "\\u" in start else json.dumps(start)[1:-1]
    kept = beginning(raw(f"{escaped}{'b' * 3000}".encode()))
    assert kept == (text + "b" * 3000)[: len(kept)]
    assert HEAD_CHARS <= len(kept) <= HEAD_CHARS + 1


@pytest.mark.parametrize("ending", ["</think>", r"<\/think>", r"\u003c/think\u003e"])
@pytest.mark.parametrize("start", ["<think>", r"\n <think>", r"\u003cthink\u003e"])
def test_closed_reasoning_is_kept(start: str, ending: str) -> None:
    """Reasoning is kept up to its end, with the examined characters of the answer after it."""
    reasoning, answer = "It is a/thing. " * 200, "I cannot help. " + "b" * 3000
    whole = beginning(raw(f"{start}{reasoning}{ending}{answer}".encode()))
    kept = whole.partition("</think>")[2]
    assert HEAD_CHARS <= len(kept) <= HEAD_CHARS + 20
    assert answer.startswith(kept)


@pytest.mark.parametrize(
    "start", ["The answer", "Here", "Iceland", "Lo and behold", "3 reasons", "Entropy"]
)
def test_beginning_of_other_responses_is_not_kept(start: str) -> None:
    """Nothing is kept of a response that begins with letters, but not as a refusal does."""
    assert beginning(raw(f"{start}{'b' * 300}".encode())) == ""


@pytest.mark.parametrize("ascii_only", [True, False])
def test_blank_responses_are_recognized(ascii_only: bool) -> None:
    """A response of 300 white space characters is blank unless another character follows."""
    texts = [blank * 300 + end for blank in BLANKS for end in ("", "a", "é", "文", "😀", "\x7f")]
    payloads = [
        json.dumps(json.loads(payload(response=text)), ensure_ascii=ascii_only).encode()
        for text in texts
    ]
    assert len(read(*payloads)[1]) == len(payloads)
    decoded = NativeDecoder().many(payloads)
    batch = FeatureExtractor({}, models=1, scores=1).batch(decoded.fields, decoded.indices)
    assert batch.row("empty_response").tolist() == [text.isspace() for text in texts]


def texts_around_blocks() -> Iterator[bytes]:
    """Yield texts with special bytes at every offset of the blocks that the reader looks at."""
    for length in range(70):
        for special in (
            b"",
            rb"\"",
            rb"\\",
            rb"\n",
            rb"\u00e9",
            rb"\ud83d\ude00",
            "é文😀".encode(),
        ):
            yield b"x" * length + special
            yield b"x" * length + special + b"y" * (69 - length)


def test_special_bytes_are_found_at_every_offset() -> None:
    """The end of a run of simple bytes is found at every offset, and characters are counted."""
    texts = list(texts_around_blocks())
    for key, row in (("prompt", 0), ("response", 1)):
        found, _ = read(*(raw(text, key) for text in texts))
        lengths = [len(json.loads(b'"%s"' % text)) for text in texts]
        assert found.chars[row].tolist() == lengths
    check_alike([raw(text) for text in texts])


@pytest.mark.parametrize("bad", [b"\x00", b"\x1f", b"\n", b"\xff", b"\xc3", rb"\x", rb"\ud800"])
def test_invalid_bytes_are_found_at_every_offset(bad: bytes) -> None:
    """A byte that is invalid in a text is found at every offset."""
    texts = [b"x" * length + bad + b"y" * (69 - length) for length in range(70)]
    assert read(*(raw(text, key) for text in texts for key in ("prompt", "response")))[1] == []


# --- other payloads ---------------------------------------------------------------------------

USUAL = [
    payload(),
    payload(prompt=None, response=None),
    payload(prompt=[{"role": "user", "content": "hi"}], response="hello"),
    payload(zebra={"prompt": 1, "a": ["]", "\\", '"']}, metadata={"response": "x"}),
    b" \n\t\r" + json.dumps(json.loads(payload(response="x")), indent=3).encode() + b"\r\n ",
    payload(**{"": 1, "prompts": "x", "promp": "y", "Response": "z"}),
    payload(latency_ms=1e-7, cost_usd=1.5e3, input_tokens=12345678901234567890 // 10),
    payload(timestamp="2025-10-09T08:53:20.25+02:00", finish_reason="end", error="\n"),
    payload(scores={"a": 1, "ne": None}, metadata={"route": {"a": [1]}, "team": None}),
    payload(experiments=[1], user_id={"a": 2}, session_id=7, feedback="x", trace_id=None),
    payload(zebra=10**40, zoo=[1e200, {"b": "\ud800"[:0]}]),
    raw(b"\x7f" + "\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff".encode()),
    raw(rb"\"\\\/\b\f\n\r\t\u0000\uFFFF\uD83D\uDE00"),
]
UNUSUAL = [
    payload(prompt=7),
    payload(response={"a": [1, "}"]}),
    payload(request_id="\n"),
    payload(model="é"),  # as an escape
    payload(model=None),
    payload(request_id=...),
    payload(timestamp=-1),
    payload(timestamp=1e12),
    payload(timestamp="2025-02-29T08:53:20Z"),
    payload(timestamp="2025-10-09T08:53:20.1234567Z"),
    payload(latency_ms="1"),
    payload(latency_ms=True),
    payload(latency_ms=-0.0),
    payload(latency_ms=10**20),
    payload(latency_ms=1e-300),
    payload(latency_ms="?").replace(b'"?"', b"1e400"),
    payload(latency_ms="?").replace(b'"?"', b"01"),
    payload(latency_ms="?").replace(b'"?"', b"1."),
    payload(latency_ms="?").replace(b'"?"', b".5"),
    payload(latency_ms="?").replace(b'"?"', b"+1"),
    payload(latency_ms="?").replace(b'"?"', b"NaN"),
    payload(scores={"a": "x"}),
    payload(scores=[]),
    payload(scores={f"s{i}": 1 for i in range(33)}),
    payload(scores={"a": 1}).replace(b'"a": 1', b'"a": 1, "a": 2'),
    payload(metadata="x"),
    payload(metadata={"route": 1}).replace(b'"route"', b'"route": 2, "route"'),
    payload(latency_ms=1).replace(b'"latency_ms"', b'"latency_ms": 2, "latency_ms"'),
    payload(finish_reason="?").replace(b"?", b"\xff"),
    payload(error="?").replace(b"?", b"\xff"),
    payload(error="?").replace(b"?", rb"\ud800"),
    payload(request_id="?").replace(b"?", b"\xff"),
    b"",
    b" ",
    b"{",
    b"{}",
    b"{,}",
    b"[]",
    b'"prompt"',
    b"null",
    b"[" * 10_000,
    b'{"a":' * 10_000,
    b"\xef\xbb\xbf" + payload(),
    payload() * 2,
    payload() + b",",
    payload() + b"," + payload(),
    payload() + b"x",
    payload() + b"\0",
    payload() + b"\v",
    payload()[1:],
    payload(response="x" * MAX_BYTES),
    payload().replace(b'"model"', b'"mode\\u006c"'),
    payload(response="x").replace(b'"response"', b'"respons\\u0065"'),
    payload(response="x").replace(b'"response"', b'"response": "y", "response"'),
    payload(response="x").replace(b'"response"', b'"response": null, "response"'),
    payload(prompt=[]).replace(b'"prompt"', b'"prompt": "y", "prompt"'),
    payload(zebra=1).replace(b": 1}", b":}"),
    payload(zebra=1).replace(b": 1}", b" 1}"),
    payload(zebra=1).replace(b": 1}", b": 1,}"),
    payload(zebra=1).replace(b": 1}", b': 1 "'),
    *(
        raw(text)
        for text in (
            b"\xed\xa0\x80",  # half a character in UTF-8
            b"\xc0\x80",
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80",
            b"\x80",
            b"\xe2\x82",
            b"\xe2\x82x",
            b"\xf0\x9f\x98",
            rb"\ud83d",
            rb"\ud83d\u0041",
            rb"\ud83dx\ude00",
            rb"\ude00",
            rb"\u12g4",
            rb"\u123",
            rb"\u",
            rb"\U0041",
            rb"\a",
            b"\\\n",
            b"\t",
        )
    ),
]


@pytest.mark.parametrize("each", USUAL)
def test_usual_payload_is_read(each: bytes) -> None:
    """A payload of the usual form is read into columns."""
    assert is_usual(each)
    check_alike([each, payload()])


@pytest.mark.parametrize("each", UNUSUAL, ids=lambda each: repr(each[-60:]))
def test_unusual_payload_is_left_to_the_decoder(each: bytes) -> None:
    """A payload of another form is left to the decoder, and the others are still read."""
    assert not is_usual(each)
    check_alike([payload(response="a"), each, payload(prompt="b")])


@pytest.mark.parametrize("each", USUAL)
def test_truncated_payload_is_unusual(each: bytes) -> None:
    """A payload truncated at any byte is unusual, and gives the same result in both ways."""
    cut = [each[:end] for end in range(min(len(each.rstrip()), 400))]
    assert read(*cut)[1] == []
    check_alike(cut)


class RecordingDecoder(NativeDecoder):
    """A decoder that records the messages that it decodes one by one."""

    def __init__(self) -> None:
        super().__init__(together=True)
        self.decoded_alone: list[bytes] = []

    def __call__(self, payload: bytes) -> Record:
        """Decode a message."""
        self.decoded_alone.append(payload)
        return super().__call__(payload)


@pytest.mark.parametrize(
    "bad", [payload()[:-3], payload(model=""), payload(request_id=7), raw(rb"\ud800"), b""]
)
def test_only_invalid_messages_are_decoded_alone(bad: bytes) -> None:
    """An unusual message in a batch does not make the others slow."""
    decoder, fine = RecordingDecoder(), payload(response="x" * 1000)
    decoded = decoder.many([fine, bad] * 50)
    assert decoder.decoded_alone.count(bad) == 50
    assert fine not in decoder.decoded_alone
    assert len(decoded.indices) + len(decoded.rejected) == 100
    assert all(
        error.__traceback__ is None for _, error in decoded.rejected
    )  # it would keep the batch in memory


def test_rfc_3339_times_are_decoded_at_once() -> None:
    """Messages with RFC 3339 times are decoded as a batch, too."""
    decoder = RecordingDecoder()
    decoded = decoder.many([payload(timestamp="2025-10-09T08:53:20Z"), payload()])
    assert decoded.fields.times.tolist() == [1.76e9, 1_760_000_000.5]
    assert not decoder.decoded_alone


def test_scores_of_a_record_are_those_of_the_log() -> None:
    """Null and missing scores are told apart; names are in the order in which they occur."""
    given = [{"b": 1.5, "a": None}, None, {"c": 2, "a": 0}, {}]
    fields, _ = read(*(payload(scores=each) for each in given))
    assert [fields.scores.of(row) for row in range(4)] == [each or {} for each in given]
    assert fields.scores.names == ("b", "a", "c")
    column = fields.take(np.array([2, 0])).scores.column("a")
    assert np.array_equal(column, [0, NAN], equal_nan=True)


def test_too_many_scores_are_left_to_the_decoder() -> None:
    """The names of a batch are limited; records with others are decoded alone, unchanged."""
    payloads = [payload(scores={f"s{i}": i}) for i in range(40)]
    _, indices = read(*payloads, payload(scores={"s3": 1}))
    assert indices == [*range(32), 40]
    check_alike(payloads)


@given(
    st.floats(0, allow_infinity=False, allow_nan=False)
    | st.decimals(0, 10**19, places=9).map(str)
    | st.integers(0, 2**63)
    | st.tuples(st.integers(0, 10**19 - 1), st.integers(-30, 30)).map(lambda p: f"{p[0]}e{p[1]}")
)
@settings(max_examples=3_000, deadline=None)
def test_numbers_are_rounded_as_python_does(number: float | str) -> None:
    """A number that is read has exactly the value of Python's own reader."""
    text = number if isinstance(number, str) else json.dumps(number)
    fields, indices = read(payload(latency_ms="?").replace(b'"?"', text.encode()))
    if indices:
        assert fields.numbers[0, 0] == float(text)


@pytest.mark.parametrize(
    "text",
    ["1764538123.1234567", "0.1", "9007199254740993", "9007199254740993.5", "0.30000000000000004"],
)
def test_usual_numbers_are_read(text: str) -> None:
    """Numbers as programs write them are read into columns."""
    fields, indices = read(payload(latency_ms="?").replace(b'"?"', text.encode()))
    assert indices == [0]
    assert fields.numbers[0, 0] == float(text)


def test_empty_batch_has_no_records() -> None:
    """No payloads give no records."""
    check_alike([])
    assert read()[1] == []


@pytest.mark.parametrize("wrong", [None, 7, [b"", "text"], [None], [bytearray()]])
def test_wrong_arguments_raise_type_error(wrong: Any) -> None:
    """The reader accepts only a sequence of bytes."""
    with pytest.raises(TypeError):
        read(*wrong) if isinstance(wrong, list) else UsualReader(
            EVERYTHING, MAX_BYTES, keep_beginnings=True
        )(wrong)


# --- fuzz -------------------------------------------------------------------------------------

pieces = st.one_of(
    st.text().map(
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "replace")
    ),
    st.text().map(lambda text: json.dumps(text)[1:-1].encode()),
    st.sampled_from(
        [
            rb"\"",
            rb"\\",
            rb"\n",
            rb"\u0000",
            rb"\ud83d\ude00",
            "文".encode(),
            b" ",
            b"  \t",
            b'"',
            b"I ",
            b"<think>",
            b"</think>",
            rb"<\/think>",
            rb"\u003cthink\u003e",
            rb"<\u0074hink>",
            b"[THINK]",
            b"/think",
            b"I cannot",
            "Désolé, je ne peux pas".encode(),
            b"lo  siento",
        ]
    ),
    st.sampled_from(
        [b"x", b" ", rb"\u2003", "\u3000".encode(), "é".encode(), "😀".encode()]
    ).flatmap(lambda each: st.integers(1, 260).map(lambda times: each * times)),
    st.binary(max_size=3),
    st.from_regex(rb"\\u[dD][89a-fA-F][0-9a-f]{2}", fullmatch=True),
)
bodies = st.lists(pieces, max_size=6).map(b"".join)
texts = bodies.map(lambda body: b'"%s"' % body)
values = texts | st.sampled_from(
    [b"null", b"1", b"[]", b'[{"content": "hi"}]', b"{}", b'{"a": "}"}']
)
keys = st.sampled_from([b"prompt", b"response", b"error", b"zebra", rb"pr\u006fmpt", b"scores"])
blanks = st.text(" \t\r\n", max_size=2).map(str.encode)


@st.composite
def assembled(draw: st.DrawFn) -> bytes:
    """Return a record of various members in any order, some of them twice, with any blanks."""
    members = [b'"request_id": "r"', b'"timestamp": 1.5', b'"model": "m"']
    for _ in range(draw(st.integers(0, 3))):
        key, value, blank = draw(keys), draw(values), draw(blanks)
        members.append(b'%s"%s"%s:%s%s' % (blank, key, draw(blanks), draw(blanks), value))
    return b"{%s}%s" % (b",".join(draw(st.permutations(members))), draw(blanks))


def dumped(record: dict[str, Any]) -> bytes:
    """Return a record as most programs write it."""
    return json.dumps(record).encode()


@pytest.mark.timeout(7200)
@fuzz
@given(
    st.lists(
        assembled() | mutated() | good.map(dumped) | st.just(payload(response="x")), max_size=5
    )
)
def test_fuzz_batches(payloads: Sequence[bytes]) -> None:
    """Mixed batches of valid and invalid records give the same result in both ways."""
    check_alike(payloads)


@pytest.mark.timeout(7200)
@fuzz
@given(bodies, st.sampled_from(["prompt", "response"]))
def test_fuzz_texts(body: bytes, key: str) -> None:
    """A text is counted only if it is valid JSON; its number of characters is that of Python."""
    found, indices = read(raw(body, key))
    if indices:
        text = json.loads(raw(body, key))[key]
        assert found.chars[0 if key == "prompt" else 1].tolist() == [len(text)]
    check_alike([raw(body, key)])
