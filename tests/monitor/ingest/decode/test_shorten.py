"""Batches are shortened before they are decoded, and nothing tells but the time that it takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import declines
from monitor.decode.native import MAX_BYTES, NativeDecoder
from monitor.decode.shorten import Shortened, shorten
from monitor.features import FeatureExtractor
from monitor.records import Record
from tests.monitor.decode.alike import check_alike, require_scanner
from tests.monitor.decode.payloads import fuzz, good, mutated, payload

BLANKS = [c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace()]


@pytest.fixture(autouse=True)
def _scanner() -> None:
    require_scanner()


def raw(text: bytes, key: str = "response") -> bytes:
    """A record with a text between quotes as it is."""
    return payload(**{key: "@"}).replace(b"@", text)


def short(*payloads: bytes) -> Shortened:
    """Payloads, shortened."""
    return shorten(payloads, MAX_BYTES)


def is_plain(each: bytes) -> bool:
    """Whether a payload between two good ones is shortened; they are in any case."""
    plain = short(payload(), each, payload()).plain.tolist()
    assert plain in ([0, 2], [0, 1, 2])
    return 1 in plain


# --- what is taken out ------------------------------------------------------------------------


def test_texts_are_taken_out_and_counted() -> None:
    """A usual record becomes short; its texts are counted, and what stands around them stays."""
    texts = {"prompt": "né😀" * 500, "response": "The answer: né😀\n" + "x" * 3000}
    found = short(payload(**texts, error="e"), payload(), payload(response="", prompt="x"))
    records = json.loads(found.joined)
    assert records[0] == {**json.loads(payload(error="e")), "prompt": "", "response": ""}
    assert found.counted.tolist() == [[1500, -1, 1], [3016, -1, 0]]
    parts = [json.loads(found.joined[start:stop]) for start, stop in found.parts.tolist()]
    assert parts == records


@pytest.mark.parametrize(
    "beginning", ["I cannot", "So", "“No”", "¡", " ", "\n", "*", "\\u0049'm", "é"]
)
def test_a_beginning_that_may_tell_is_kept(beginning: str) -> None:
    """Of an answer that may decline, or be blank, as much is kept as is looked at."""
    text = json.loads(f'"{beginning}"') if "\\u" in beginning else beginning
    escaped = beginning if "\\u" in beginning else json.dumps(beginning)[1:-1]
    [record] = json.loads(short(raw(f"{escaped}{'b' * 3000}".encode())).joined)
    assert record["response"] == (text + "b" * 3000)[: len(record["response"])]
    assert declines.HEAD <= len(record["response"]) <= declines.HEAD + 1


@pytest.mark.parametrize("ascii_only", [True, False])
def test_blank_answers_are_told_from_long_ones(ascii_only: bool) -> None:
    """Hundreds of characters of white space of any kind, and then nothing, or a word."""
    texts = [blank * 300 + end for blank in BLANKS for end in ("", "a", "é", "文", "😀", "\x7f")]
    payloads = [
        json.dumps(json.loads(payload(response=text)), ensure_ascii=ascii_only).encode()
        for text in texts
    ]
    assert len(short(*payloads).plain) == len(payloads)
    decoded = NativeDecoder(metadata=False, shortening=True).many(payloads)
    extractor = FeatureExtractor({}, models=1, scores=1, categories=1)
    batch = extractor.batch(decoded.records, decoded.kept, decoded.counted)
    assert batch.row("empty_response").tolist() == [text.isspace() for text in texts]


def around_blocks() -> Iterator[bytes]:
    """Texts whose special bytes stand at every place of the blocks in which bytes are looked at."""
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


def test_every_place_in_a_block() -> None:
    """What ends a run of plain characters is seen wherever it stands, and counted right."""
    texts = list(around_blocks())
    for key, row in (("prompt", 0), ("response", 1)):
        found = short(*(raw(text, key) for text in texts))
        lengths = [len(json.loads(b'"%s"' % text)) for text in texts]
        assert found.counted[row].tolist() == lengths
    check_alike([raw(text) for text in texts])


@pytest.mark.parametrize("bad", [b"\x00", b"\x1f", b"\n", b"\xff", b"\xc3", rb"\x", rb"\ud800"])
def test_no_place_hides_what_is_wrong(bad: bytes) -> None:
    """A byte that no text may hold is found wherever it stands."""
    texts = [b"x" * length + bad + b"y" * (69 - length) for length in range(70)]
    assert not len(
        short(*(raw(text, key) for text in texts for key in ("prompt", "response"))).plain
    )


# --- what is left alone -----------------------------------------------------------------------

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
def test_plain(each: bytes) -> None:
    """What is usual is shortened, whatever its form."""
    assert is_plain(each)
    check_alike([each, payload()])


@pytest.mark.parametrize("each", NOT_PLAIN, ids=lambda each: repr(each[-60:]))
def test_not_plain(each: bytes) -> None:
    """What is out of the ordinary is left to the parser; that changes nothing for the others."""
    assert not is_plain(each)
    check_alike([payload(response="a"), each, payload(prompt="b")])


@pytest.mark.parametrize("each", PLAIN)
def test_every_beginning_of_a_payload(each: bytes) -> None:
    """A payload that is cut off anywhere is never a plain one, and comes out as it does whole."""
    cut = [each[:end] for end in range(min(len(each.rstrip()), 400))]
    assert not len(short(*cut).plain)
    check_alike(cut)


class Watched(NativeDecoder):
    """Remembers the messages that had to be looked at whole."""

    def __init__(self) -> None:
        super().__init__(metadata=False, shortening=True)
        self.seen: list[bytes] = []

    def __call__(self, payload: bytes) -> Record:
        """As ever."""
        self.seen.append(payload)
        return super().__call__(payload)


@pytest.mark.parametrize(
    "bad", [payload()[:-3], payload(model=""), payload(request_id=7), raw(rb"\ud800"), b""]
)
def test_only_what_is_wrong_is_looked_at_whole(bad: bytes) -> None:
    """A bad message in a batch makes none of the others slow."""
    decoder, fine = Watched(), payload(response="x" * 1000)
    decoded = decoder.many([fine, bad] * 50)
    assert decoder.seen.count(bad) == 50
    assert fine not in decoder.seen
    assert len(decoded.kept) + len(decoded.refusals) == 100
    assert all(
        refused.__traceback__ is None for _, refused in decoded.refusals
    )  # it holds the batch


def test_times_in_words_are_decoded_at_once() -> None:
    """A log with RFC 3339 times is as plain as any."""
    decoder = Watched()
    decoded = decoder.many([payload(timestamp="2025-10-09T08:53:20Z"), payload()])
    assert [record.timestamp for record in decoded.records] == [1.76e9, 1_760_000_000.5]
    assert not decoder.seen


def test_no_payloads() -> None:
    """Nothing comes of nothing."""
    check_alike([])
    assert short().joined == b"[]"


@pytest.mark.parametrize("wrong", [None, 7, [b"", "text"], [None], [bytearray()]])
def test_wrong_arguments(wrong: Any) -> None:
    """The scanner takes bytes and nothing else."""
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
def made(draw: st.DrawFn) -> bytes:
    """A record made of members of every kind, in any order, some of them twice, with any blanks."""
    members = [b'"request_id": "r"', b'"timestamp": 1.5', b'"model": "m"']
    for _ in range(draw(st.integers(0, 3))):
        key, value, blank = draw(keys), draw(values), draw(blanks)
        members.append(b'%s"%s"%s:%s%s' % (blank, key, draw(blanks), draw(blanks), value))
    return b"{%s}%s" % (b",".join(draw(st.permutations(members))), draw(blanks))


def dumped(record: dict[str, Any]) -> bytes:
    """A record as most programs write it."""
    return json.dumps(record).encode()


@pytest.mark.timeout(7200)
@fuzz
@given(st.lists(made() | mutated() | good.map(dumped) | st.just(payload(response="x")), max_size=5))
def test_fuzz_batches(payloads: Sequence[bytes]) -> None:
    """Batches of records with texts of every kind, good and bad ones together."""
    check_alike(payloads)


@pytest.mark.timeout(7200)
@fuzz
@given(bodies, st.sampled_from(["prompt", "response"]))
def test_fuzz_texts(body: bytes, key: str) -> None:
    """A text is plain only if it is JSON; then its characters are those that Python counts."""
    found = short(raw(body, key))
    if len(found.plain):
        text = json.loads(raw(body, key))[key]
        assert found.counted[0 if key == "prompt" else 1].tolist() == [len(text)]
    check_alike([raw(body, key)])
