"""Files are split into lines, or into JSON values that are laid out in any other way."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.files.splitting import framing

TRICKY = 'quote " backslash \\ bracket ] } [ { comma , \n "'
RECORDS: list[Any] = [
    {"n": 1, "prompt": [{"role": "user", "content": TRICKY}], "scores": {"a": [1, [2]]}},
    {"n": 2, TRICKY: TRICKY, "empty": {}},
    {"n": 3, "text": "x" * 1000},
]
LAYOUTS = {
    "array_on_a_line": json.dumps(RECORDS),
    "compact_array": json.dumps(RECORDS, separators=(",", ":")),
    "indented_array": json.dumps(RECORDS, indent=2),
    "array_without_indentation": json.dumps(RECORDS, indent=0),
    "array_of_lines": "[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]\n",
    "array_per_line": "\n".join(json.dumps([record]) for record in RECORDS),
    "pretty": "\n".join(json.dumps(record, indent=4) for record in RECORDS),
    "pretty_with_tabs_and_crlf": "\r\n\r\n".join(
        json.dumps(record, indent="\t").replace("\n", "\r\n") for record in RECORDS
    ),
    "brackets_on_their_own_lines": "\n".join("\n" + json.dumps(r, indent=1) for r in RECORDS),
    "concatenated": "".join(map(json.dumps, RECORDS)),
    "lines_with_commas": ",\n".join(map(json.dumps, RECORDS)),
}


def pieces(text: str | bytes) -> list[framing.Pieces]:
    """Return the batches of a text."""
    content = text.encode() if isinstance(text, str) else text
    return list(framing.split(io.BufferedReader(io.BytesIO(content))))


def payloads(text: str | bytes) -> list[bytes]:
    """Return the undecoded records of a text."""
    return [payload for batch in pieces(text) for payload in batch.payloads]


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 21])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_records(
    layout: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays, pretty-printed and concatenated values give the same records for all chunk sizes."""
    monkeypatch.setattr(framing, "BATCH_BYTES", size)
    batches = pieces(LAYOUTS[layout])
    assert [json.loads(payload) for each in batches for payload in each.payloads] == RECORDS
    numbers = [number for each in batches for number in each.numbers or ()]
    assert numbers == [1, 2, 3]
    lines = [line for each in batches for line in each.lines]
    text = LAYOUTS[layout].splitlines()
    assert all("{" in text[line - 1] for line in lines)
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 1}\n{"n": 2}\n',
        '{"n": 1, "cut\n{"n": 2}\n{"n": 3}',
        '{"n": 1, "list": [1,\n{"n": 2}\n{"n": 3}\n',
        '{"n": 1} trailing text\n{"n": 2}\n',
        "[2026-01-01 10:00:00] INFO started\n{}\n",
        "[1, 2]\n{}\n",
        "a,b,c\n1,2,3\n",
        "\n\n\n",
        "",
    ],
)
def test_other_files_are_split_into_lines(text: str) -> None:
    """A file that is not recognized as another layout is split into lines."""
    assert payloads(text) == text.encode().splitlines(keepends=True)
    assert all(batch.numbers is None for batch in pieces(text))


def test_what_is_not_a_value_is_returned_too() -> None:
    """Text between values, other elements of an array and a cut value are left to the decoder."""
    assert payloads('[{"a": 1}, 7, "text", {"b": 2} garbage {"c": 3}') == [
        b'{"a": 1}',
        b'7, "text"',
        b'{"b": 2}',
        b"garbage",
        b'{"c": 3}',
    ]
    assert payloads('{\n "a": 1\n}\n{\n "b": 2') == [b'{\n "a": 1\n}', b'{\n "b": 2']


def test_a_value_that_does_not_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value without an end is cut at the limit: memory is bounded."""
    monkeypatch.setattr(framing, "MAX_VALUE_BYTES", 1000)
    monkeypatch.setattr(framing, "BATCH_BYTES", 100)
    found = payloads('[{"a": [' + "1, " * 2000)
    assert max(map(len, found)) <= 1200
    assert len(found) > 3


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers()), min_size=2), st.data())
def test_any_records_survive_any_layout(records: list[dict[str, Any]], data: st.DataObject) -> None:
    """Records with arbitrary texts are found in arrays and in pretty-printed files."""
    indent = data.draw(st.sampled_from([None, 0, 3]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "BATCH_BYTES", data.draw(st.integers(1, 50)))
        found = payloads(json.dumps(records, indent=indent, ensure_ascii=False))
        assert [json.loads(payload) for payload in found] == records


@given(st.binary(max_size=300), st.integers(1, 50))
def test_nothing_is_lost_of_any_bytes(content: bytes, size: int) -> None:
    """Of any bytes that begin like an array, only blanks, commas and array brackets are dropped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "BATCH_BYTES", size)
        found = b"".join(payloads(b"[{" + content))
    dropped = bytes(sorted(b" \t\r\n,[]"))
    assert found.translate(None, dropped) == (b"[{" + content).translate(None, dropped)
