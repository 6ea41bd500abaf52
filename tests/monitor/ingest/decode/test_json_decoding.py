"""Escapes of half a character are replaced, and nothing else."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.decode.json_decoding import replace_lone_surrogates
from tests.monitor.ingest.decode.payloads import fuzz

PIECES = (
    *(b"\\", b"\\\\", b"\\ud83d", b"\\uDE00", b"\\ud8", b"\\u00e9", b'\\"', b"u", b"d8", b"x"),
    *(b"\n", b"\xff", b"\\n", b"\\uDBFF", b"\\udc00", b"\\ud83d\\ude00"),
)


def replaced(payload: bytes) -> bytes:
    """The payload without lone halves, one escape after the other."""
    found, place = b"", 0
    while place < len(payload):
        width = 1
        if payload[place : place + 1] == b"\\":
            first, second = payload[place : place + 6], payload[place + 6 : place + 12]
            width = 2
            if half(first, "89ab") and half(second, "cdef"):
                width = 12
            elif half(first, "89abcdef"):
                found, place = found + b"\\ufffd", place + 6
                continue
        found, place = found + payload[place : place + width], place + width
    return found


def half(escape: bytes, digits: str) -> bool:
    """Whether bytes are the escape of half a character."""
    text = escape.decode("latin-1").lower()
    if len(text) != 6 or text[:3] != "\\ud" or text[3] not in digits:
        return False
    return all(each in "0123456789abcdef" for each in text[4:])


@fuzz
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=12).map(b"".join))
def test_halves_are_replaced_and_nothing_else(payload: bytes) -> None:
    """Whatever is between them: pairs, other escapes, and escapes that are not complete."""
    assert replace_lone_surrogates(payload) == replaced(payload)


@fuzz
@given(st.text(st.characters()))
def test_every_text_can_be_decoded_afterwards(text: str) -> None:
    """JavaScript and Python write halves of characters as escapes."""
    written = json.dumps(text + "\ud83d").encode()
    found = json.loads(replace_lone_surrogates(written))
    assert found == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") + "\ufffd"
