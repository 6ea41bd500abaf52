"""A file is one binary message, JSON values, or lines, which may be envelopes."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.files.messages import read_messages
from monitor.ingest.files.splitting.binary import is_protobuf
from monitor.ingest.files.splitting.framing import Pieces
from tests.monitor.ingest.files.protobuf_fields import field_bytes, fields

RECORD = b'{"request_id": "r", "timestamp": 1.76e9, "model": "m"}'
SPAN = field_bytes(1, field_bytes(2, field_bytes(2, b"\n\x10" + bytes(range(100, 116)))))
"""A protobuf message of the structure of OTLP spans, which begins with a newline."""


def messages(content: bytes, folder: Path, *, enveloped: bool = False) -> list[Pieces]:
    """Return the batches of a file with a content."""
    path = folder / "messages"
    path.write_bytes(content)
    return list(read_messages(path, enveloped=enveloped))


def payloads(batches: Sequence[Pieces]) -> list[bytes]:
    """Return the messages of batches, without blank lines."""
    return [
        payload
        for pieces in batches
        for index, payload in enumerate(pieces.payloads)
        if not pieces.is_blank(index)
    ]


@pytest.mark.parametrize(
    "content",
    [
        SPAN,
        b"\x9a\x06\x03abc" + SPAN,  # an unknown field first
        field_bytes(1, field_bytes(2, b'\n\x04{"a"\n{"b": 1}\n[1]\n')),
        SPAN[:-1],  # truncated
        b"\x00\x00\x00\x00\x07" + RECORD,  # with the identifier of a schema
        b"\x00\x00\x00\x00\x07\x0a" + RECORD + b"\n" + RECORD,
    ],
    ids=["spans", "unknown_field", "json_lines_within", "truncated", "schema", "schema_and_lines"],
)
def test_a_binary_file_is_one_message(content: bytes, tmp_path: Path) -> None:
    """A binary file is one message, byte for byte, also if it is compressed."""
    assert payloads(messages(content, tmp_path)) == [content]
    assert payloads(messages(gzip.compress(content), tmp_path)) == [content]


@pytest.mark.parametrize(
    "content",
    [
        b"\n" + RECORD + b"\n" + RECORD + b"\n",
        RECORD + b"\n\x00\x01\x02\n" + RECORD,
        b"\x00\x00\x00\x00\x00" + RECORD + b"\n" + RECORD,  # a hole in a file
        b"caf\xe9\n" + RECORD,
        b"\x1b[31mred\x1b[0m\n" + RECORD,
    ],
    ids=["blank_line", "damaged_line", "hole", "latin_1", "escapes"],
)
def test_a_damaged_text_is_split_into_lines(content: bytes, tmp_path: Path) -> None:
    """Bytes that are no text cost only the lines that they are in."""
    found = payloads(messages(content, tmp_path))
    assert RECORD in [payload.strip() for payload in found]
    assert b"".join(found) == content.lstrip(b"\n")


@given(fields())
def test_fields_are_protobuf(content: bytes) -> None:
    """Any sequence of fields is protobuf, and none that is cut within a field or continued."""
    assert is_protobuf(content) == bool(content)
    assert not is_protobuf(content + b"{")
    assert not is_protobuf(content + b"\x0a\x80")
    assert not is_protobuf(content + b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f")


def written(content: bytes, draw: st.DrawFn) -> str | dict[str, str]:
    """Return bytes as in an envelope: as text where that is possible."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        pass
    else:
        if draw(st.booleans()):
            return text
    return {"base64": base64.b64encode(content).decode()}


@st.composite
def envelopes(draw: st.DrawFn) -> tuple[bytes, tuple[bytes | None, dict[str, bytes], bytes]]:
    """Draw the line of an envelope, and the key, headers and value in it."""
    key = draw(st.none() | st.binary(max_size=8))
    headers = draw(st.dictionaries(st.text(max_size=5), st.binary(max_size=8), max_size=3))
    value = draw(st.binary(max_size=30))
    line: dict[str, object] = {"value": written(value, draw)}
    if key is not None:
        line["key"] = written(key, draw)
    with_headers: bool = draw(st.booleans())
    if headers or with_headers:
        line["headers"] = {name: written(each, draw) for name, each in headers.items()}
    return json.dumps(line).encode(), (key, headers, value)


@given(st.lists(envelopes(), min_size=1, max_size=5))
def test_envelopes_hold_any_messages(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[bytes, object]]
) -> None:
    """Keys, headers and values come out of envelopes byte for byte, of text and of base64."""
    folder = tmp_path_factory.mktemp("envelopes")
    [pieces] = messages(b"\n".join(line for line, _ in drawn), folder, enveloped=True)
    assert pieces.keys is not None
    assert pieces.headers is not None
    found = list(zip(pieces.keys, pieces.headers, pieces.payloads, strict=True))
    assert found == [message for _, message in drawn]
    assert pieces.invalid == {}
    assert [pieces.message(i).headers for i in range(len(found))] == [
        {name.lower(): value for name, value in each.items()} for each in pieces.headers
    ]


@pytest.mark.parametrize(
    "line",
    [
        '{"key": "k"}',
        '{"value": 3}',
        '{"value": {"base64": "@"}}',
        '{"value": "a", "headers": ["a"]}',
        '{"value": "a", "headers": {"n": 1}}',
        "text",
        '{"value": "a"',
    ],
)
def test_a_line_that_is_no_envelope_is_invalid(line: str, tmp_path: Path) -> None:
    """An invalid envelope has a reason, and the lines around it are read."""
    lines = '{"value": "1"}', line, "", '{"value": null}', '{"value": "2"}'
    batches = messages("\n".join(lines).encode(), tmp_path, enveloped=True)
    assert [list(pieces.invalid) for pieces in batches] == [[1]]
    assert payloads(batches) == [b"1", b"", b"", b"2"]
