from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from monitor.errors import UserError
from replay.sets.contamination.corpus import Document, documents


def test_rows_of_json_and_tables_are_documents(tmp_path: Path) -> None:
    """All texts of a row belong to its document, nested ones included."""
    path = tmp_path / "f.jsonl"
    row = {"messages": [{"role": "user", "content": "Hi"}], "n": 1}
    path.write_text(f"{json.dumps(row)}\n\n[1]\n")
    assert list(documents(path)) == [
        Document("user\nHi", "f.jsonl:1", ("user", "Hi")),
        Document("", "f.jsonl:3", ()),
    ]
    table = tmp_path / "f.csv"
    table.write_text("a,b\nx,y\n")
    assert list(documents(table)) == [Document("x\ny", "f.csv:2", ("x", "y"))]


@pytest.mark.parametrize("name", ["f.txt", "f.txt.gz"])
def test_paragraphs_of_a_text_are_documents(tmp_path: Path, name: str) -> None:
    """Empty lines separate them; damaged bytes are replaced."""
    path, content = tmp_path / name, b"one\ntwo\n\n\nthree \xff\n"
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found = [(each.text, each.place) for each in documents(path)]
    assert found == [("one\ntwo\n", f"{name}:1"), ("three \ufffd\n", f"{name}:5")]


def test_a_text_without_empty_lines_is_cut(tmp_path: Path) -> None:
    """Memory is bounded, and nothing is lost."""
    path = tmp_path / "f.txt"
    path.write_text("x" * 99_999 + "\n")
    path.write_text(path.read_text() * 25)
    sizes = [len(each.text) for each in documents(path)]
    assert sum(sizes) == 2_500_000
    assert max(sizes) <= 1_100_000


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("f.jsonl", b"{}\n{", "f.jsonl:2: is not JSON"),
        ("f.jsonl", b"[" * 99_999, "f.jsonl:1: is not JSON"),
        ("f.jsonl.gz", b"not gzip", "not a whole gzip file"),
        ("f.jsonl.gz", gzip.compress(b'{"a": "b"}' * 99, mtime=0)[:-9], "not a whole gzip file"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    """A contamination check does not pass because its file could not be read."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=problem):
        list(documents(path))
    with pytest.raises(UserError, match="no such file"):
        list(documents(tmp_path / "none.txt"))


def test_deep_json_ends(tmp_path: Path) -> None:
    """Texts below 20 levels are not read, and nothing fails."""
    path = tmp_path / "f.json"
    path.write_text("[" * 200 + '"deep"' + "]" * 200)
    assert list(documents(path)) == [Document("", "f.json:1", ())]
