"""Files are split into lines, or into JSON values that are laid out in any other way."""

from __future__ import annotations

import io
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.files.splitting import framing
from monitor.ingest.files.splitting.recovery import is_json

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


MANY: list[dict[str, Any]] = [
    {"id": f"r{n}", "prompt": [{"role": "user", "content": TRICKY}, {"id": "x", "v": [1, [2]]}]}
    for n in range(8)
]
BETWEEN = {
    "array_on_a_line": ("[", ", ", "]", None),
    "array_of_lines": ("[\n", ",\n", "\n]\n", None),
    "array_per_line": ("[", "]\n[", "]\n", None),
    "indented_array": ("[\n", ",\n", "\n]\n", 2),
    "array_without_indentation": ("[\n", ",\n", "\n]\n", 0),
    "pretty": ("", "\n", "\n", 4),
    "concatenated": ("", "", "", None),
}
"""Layout -> text before, between and after the records, and their indentation."""


def damaged(text: str, generator: random.Random) -> str:
    """Return a record that is cut, has a sign too few or too many, or of which little is left."""
    kind, place = generator.randrange(4), generator.randrange(1, len(text))
    if kind == 0:
        return text[:place]
    if kind == 1:
        signs = [at for at, char in enumerate(text) if at and char in '{}[]",:']
        place = generator.choice(signs)
        return text[:place] + text[place + 1 :]
    if kind == 2:
        return text[:place] + generator.choice('{}[]",:') + text[place:]
    return "{ broken"


@pytest.mark.parametrize("size", [50, 1 << 21])
@pytest.mark.parametrize("layout", BETWEEN)
def test_only_the_damaged_record_is_lost(
    layout: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file with one damaged record all other ones are read, and the damage is a piece, too."""
    monkeypatch.setattr(framing, "BATCH_BYTES", size)
    generator = random.Random(1)
    before, between, after, indent = BETWEEN[layout]
    for _ in range(200):
        texts = [json.dumps(record, indent=indent) for record in MANY]
        if layout == "indented_array":
            texts = ["  " + text.replace("\n", "\n  ") for text in texts]
        place = generator.randrange(2, len(MANY))
        start = len(texts[place]) - len(texts[place].lstrip())
        texts[place] = texts[place][:start] + damaged(texts[place][start:], generator)
        found = payloads(before + between.join(texts) + after)
        valid = [json.loads(payload) for payload in found if is_json(payload)]
        others = MANY[:place] + MANY[place + 1 :]
        assert [each for each in valid if each in others] == others, texts[place]
        if not is_json(texts[place].encode()):
            assert len(found) > len(others)


def test_the_first_record_of_pretty_printed_json_may_be_damaged() -> None:
    """A file whose first line is the bracket of an object is split into values."""
    text = '{\n "a": 1\n "b"\n}\n' + "\n".join(json.dumps(each, indent=1) for each in MANY)
    assert [json.loads(each) for each in payloads(text)[1:]] == MANY


def test_reading_resumes_within_a_value_that_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values after one that does not end are found, too, if it is cut because it is too large."""
    monkeypatch.setattr(framing, "MAX_VALUE_BYTES", 2000)
    monkeypatch.setattr(framing, "BATCH_BYTES", 300)
    texts = [json.dumps({"id": n, "text": "x" * 40}, indent=2) for n in range(200)]
    texts[10] = texts[10][:20]
    found = [each for each in payloads("\n".join(texts)) if is_json(each)]
    assert [json.loads(each)["id"] for each in found] == [*range(10), *range(11, 200)]


def test_valid_json_of_an_unusual_layout_is_not_divided() -> None:
    """Objects that begin a line within a value, and values that are invalid alone, stay whole."""
    nested = '{"id": 1, "prompt": [\n{"id": 2},\n{"id": 3}\n]}'
    assert payloads(f"[\n{nested},\n{nested}\n]") == [nested.encode()] * 2
    invalid = '{"id": NaN, "prompt": [{"id": 2}]}'
    assert payloads(f"[\n{nested},\n{invalid}\n]") == [nested.encode(), invalid.encode()]


HOSTILE = [
    "{", "[", "{\n", "}]", '"', '\\"', '{"', '{"id": [', '{"id": {', '{\n "id": [', '{"id": [1,{}',
    '"{"id":', '" {"id": [ ', '{"id":x},{y}', '{"id":"x\n', "{    :   ", "\n  \n", "1,\n",
]  # fmt: skip


@pytest.mark.parametrize("begin", ['{\n "id": "a"\n}\n', '[{"id": "a"},', '{"a": [\n'])
@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_files_take_linear_time(begin: str, unit: str) -> None:
    """300 kB of brackets, quotes or beginnings of objects are split in seconds."""
    started = time.process_time()
    payloads(begin + unit * (300_000 // len(unit)))
    assert time.process_time() - started < 10
