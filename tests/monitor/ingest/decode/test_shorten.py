"""Shortening of batches: texts are removed and counted, and the decoded records are the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.decode.native import MAX_BYTES, NativeDecoder
from monitor.ingest.decode.shorten import Shortened, shorten
from monitor.ingest.features import FeatureExtractor
from monitor.ingest.refusals.classifier import HEAD_CHARS
from monitor.records import Record
from tests.monitor.ingest.decode.alike import check_alike, require_scanner
from tests.monitor.ingest.decode.payloads import fuzz, good, mutated, payload

BLANKS = [c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace()]


@pytest.fixture(autouse=True)
def _scanner() -> None:
    require_scanner()


def raw(text: bytes, key: str = "response") -> bytes:
    """Return a record with these bytes between the quotes of a text."""
    return payload(**{key: "@"}).replace(b"@", text)


def short(*payloads: bytes) -> Shortened:
    """Return the payloads shortened."""
    return shorten(payloads, MAX_BYTES)


def is_plain(each: bytes) -> bool:
    """Return whether a payload between two valid ones is shortened. They always are."""
    indices = short(payload(), each, payload()).indices.tolist()
    assert indices in ([0, 2], [0, 1, 2])
    return 1 in indices


# --- removed texts ----------------------------------------------------------------------------


def test_texts_are_removed_and_counted() -> None:
    """Texts are removed and their characters counted. Everything else is unchanged."""
    texts = {"prompt": "né😀" * 500, "response": "The answer: né😀\n" + "x" * 3000}
    found = short(payload(**texts, error="e"), payload(), payload(response="", prompt="x"))
    records = json.loads(found.joined)
    assert records[0] == {**json.loads(payload(error="e")), "prompt": "", "response": ""}
    assert found.char_counts.tolist() == [[1500, -1, 1], [3016, -1, 0]]
    parts = [json.loads(found.joined[start:stop]) for start, stop in found.spans.tolist()]
    assert parts == records


@pytest.mark.parametrize(
    "beginning", ["I cannot", "So sorry", "“No”", "¡", " ", "\n", "*", "\\u0049'm", "é"]
)
def test_beginning_of_a_possible_refusal_is_kept(beginning: str) -> None:
    """If a response may be a refusal or blank, the examined characters are kept."""
    text = json.loads(f'"{beginning}"') if "\\u" in beginning else beginning
    escaped = beginning if "\\u" in beginning else json.dumps(beginning)[1:-1]
    [record] = json.loads(short(raw(f"{escaped}{'b' * 3000}".encode())).joined)
    assert record["response"] == (text + "b" * 3000)[: len(record["response"])]
    assert HEAD_CHARS <= len(record["response"]) <= HEAD_CHARS + 1


@pytest.mark.parametrize("ending", ["</think>", r"<\/think>", r"\u003c/think\u003e"])
@pytest.mark.parametrize("beginning", ["<think>", r"\n <think>", r"\u003cthink\u003e"])
def test_closed_reasoning_is_kept(beginning: str, ending: str) -> None:
    """Reasoning is kept up to its end, with the examined characters of the answer after it."""
    reasoning, answer = "It is a/thing. " * 200, "I cannot help. " + "b" * 3000
    [record] = json.loads(short(raw(f"{beginning}{reasoning}{ending}{answer}".encode())).joined)
    kept = record["response"].partition("</think>")[2]
    assert HEAD_CHARS <= len(kept) <= HEAD_CHARS + 20
    assert answer.startswith(kept)


@pytest.mark.parametrize(
    "beginning", ["The answer", "Here", "Iceland", "Lo and behold", "3 reasons", "Entropy"]
)
def test_beginning_of_other_responses_is_removed(beginning: str) -> None:
    """A response that begins with letters, but not as a refusal does, is removed."""
    [record] = json.loads(short(raw(f"{beginning}{'b' * 300}".encode())).joined)
    assert record["response"] == ""


@pytest.mark.parametrize("ascii_only", [True, False])
def test_blank_responses_are_recognized(ascii_only: bool) -> None:
    """A response of 300 white space characters is blank unless another character follows."""
    texts = [blank * 300 + end for blank in BLANKS for end in ("", "a", "é", "文", "😀", "\x7f")]
    payloads = [
        json.dumps(json.loads(payload(response=text)), ensure_ascii=ascii_only).encode()
        for text in texts
    ]
    assert len(short(*payloads).indices) == len(payloads)
    decoded = NativeDecoder(metadata=False, shortening=True).many(payloads)
    extractor = FeatureExtractor({}, models=1, scores=1)
    batch = extractor.batch(decoded.records, decoded.indices, decoded.char_counts)
    assert batch.row("empty_response").tolist() == [text.isspace() for text in texts]


def texts_around_blocks() -> Iterator[bytes]:
    """Yield texts with special bytes at every offset of the blocks that the scanner reads."""
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
        found = short(*(raw(text, key) for text in texts))
        lengths = [len(json.loads(b'"%s"' % text)) for text in texts]
        assert found.char_counts[row].tolist() == lengths
    check_alike([raw(text) for text in texts])


@pytest.mark.parametrize("bad", [b"\x00", b"\x1f", b"\n", b"\xff", b"\xc3", rb"\x", rb"\ud800"])
def test_invalid_bytes_are_found_at_every_offset(bad: bytes) -> None:
    """A byte that is invalid in a text is found at every offset."""
    texts = [b"x" * length + bad + b"y" * (69 - length) for length in range(70)]
    assert not len(
        short(*(raw(text, key) for text in texts for key in ("prompt", "response"))).indices
    )


# --- other payloads ---------------------------------------------------------------------------

PLAIN = [
    payload(),
    payload(prompt=None, response=None),
    payload(prompt=[{"role": "user", "content": "hi"}], response="hello"),
    payload(prompt=7, response={"a": [1, "}"]}),
    payload(zebra={"prompt": 1, "a": ["]", "\\", '"']}, metadata={"response": "x"}),
    b" \n\t\r" + json.dumps(json.loads(payload(response="x")), indent=3).encode() + b"\r\n ",
    payload(**{"": 1, "prompts": "x", "promp": "y", "Response": "z"}),
    raw(b"\x7f" + "\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff".encode()),
    raw(rb"\"\\\/\b\f\n\r\t\u0000\uFFFF\uD83D\uDE00"),
]
NOT_PLAIN = [
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


@pytest.mark.parametrize("each", PLAIN)
def test_usual_payload_is_shortened(each: bytes) -> None:
    """A payload of the usual form is shortened."""
    assert is_plain(each)
    check_alike([each, payload()])


@pytest.mark.parametrize("each", NOT_PLAIN, ids=lambda each: repr(each[-60:]))
def test_unusual_payload_is_left_to_the_parser(each: bytes) -> None:
    """A payload of another form is left to the parser, and the others are still shortened."""
    assert not is_plain(each)
    check_alike([payload(response="a"), each, payload(prompt="b")])


@pytest.mark.parametrize("each", PLAIN)
def test_truncated_payload_is_not_shortened(each: bytes) -> None:
    """A payload truncated at any byte is not shortened, and gives the same result as whole."""
    cut = [each[:end] for end in range(min(len(each.rstrip()), 400))]
    assert not len(short(*cut).indices)
    check_alike(cut)


class RecordingDecoder(NativeDecoder):
    """A decoder that records the messages that it decodes whole."""

    def __init__(self) -> None:
        super().__init__(metadata=False, shortening=True)
        self.decoded_whole: list[bytes] = []

    def __call__(self, payload: bytes) -> Record:
        """Decode a message whole."""
        self.decoded_whole.append(payload)
        return super().__call__(payload)


@pytest.mark.parametrize(
    "bad", [payload()[:-3], payload(model=""), payload(request_id=7), raw(rb"\ud800"), b""]
)
def test_only_invalid_messages_are_decoded_whole(bad: bytes) -> None:
    """An invalid message in a batch does not make the others slow."""
    decoder, fine = RecordingDecoder(), payload(response="x" * 1000)
    decoded = decoder.many([fine, bad] * 50)
    assert decoder.decoded_whole.count(bad) == 50
    assert fine not in decoder.decoded_whole
    assert len(decoded.indices) + len(decoded.rejected) == 100
    assert all(
        error.__traceback__ is None for _, error in decoded.rejected
    )  # it would keep the batch in memory


def test_rfc_3339_times_are_decoded_at_once() -> None:
    """Messages with RFC 3339 times are decoded as a batch, too."""
    decoder = RecordingDecoder()
    decoded = decoder.many([payload(timestamp="2025-10-09T08:53:20Z"), payload()])
    assert [record.timestamp for record in decoded.records] == [1.76e9, 1_760_000_000.5]
    assert not decoder.decoded_whole


def test_empty_batch_is_an_empty_list() -> None:
    """No payloads give no records."""
    check_alike([])
    assert short().joined == b"[]"


@pytest.mark.parametrize("wrong", [None, 7, [b"", "text"], [None], [bytearray()]])
def test_wrong_arguments_raise_type_error(wrong: Any) -> None:
    """The scanner accepts only a sequence of bytes."""
    with pytest.raises(TypeError):
        shorten(wrong, MAX_BYTES)


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
    """Mixed batches of valid and invalid records give the same result shortened and whole."""
    check_alike(payloads)


@pytest.mark.timeout(7200)
@fuzz
@given(bodies, st.sampled_from(["prompt", "response"]))
def test_fuzz_texts(body: bytes, key: str) -> None:
    """A text is removed only if it is valid JSON; its character count is the one of Python."""
    found = short(raw(body, key))
    if len(found.indices):
        text = json.loads(raw(body, key))[key]
        assert found.char_counts[0 if key == "prompt" else 1].tolist() == [len(text)]
    check_alike([raw(body, key)])
