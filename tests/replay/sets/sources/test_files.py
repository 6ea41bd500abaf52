from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import UserError
from monitor.records import ChatMessage
from replay.sets.item import Item
from replay.sets.sources.files import items_of_file


def written(path: Path, *rows: Any) -> Path:
    """Return a file of JSON lines."""
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def read(path: Path, **options: Any) -> list[Item]:
    """Return the items of a file."""
    return list(items_of_file(path, **options))


def test_rows_of_json_become_items(tmp_path: Path) -> None:
    """Prompt, target, choices and format choose the scoring; file and line are the provenance."""
    path = written(
        tmp_path / "f.jsonl",
        {"prompt": "2 + 2?", "target": 4, "slice.language": "en", "slices": {"topic": "sums"}},
        {"question": "Which?", "answer": "b", "choices": ["a", "b"], "cluster": "c"},
        {"input": "Write.", "format": {"name": "length", "max_words": 3}},
        {"prompt": "Tell me.", "unused": [1]},
        {"prompt": "Say", "target": "a b c d", "scoring": "rouge_l"},
        {"prompt": "Say", "target": "a b c d"},
    )
    found = read(path)
    scorings = ["exact_match", "choice", "format", "judge", "rouge_l", "token_f1"]
    assert [each.scoring for each in found] == scorings
    assert found[0].target == "4"
    assert found[0].slices == {"language": "en", "topic": "sums"}
    assert found[1].cluster == "c"
    assert [each.provenance.detail for each in found] == [f"f.jsonl:{n}" for n in range(1, 7)]
    assert [each.provenance.accepted_by for each in found[:3]] == ["reference", "reference", ""]
    assert read(path, scoring="bleu")[0].scoring == "bleu"


def test_messages_are_a_prompt(tmp_path: Path) -> None:
    """The last message of the assistant is the target."""
    messages = [
        {"role": "user", "content": "Hi?"},
        {"role": "assistant", "content": "Hello."},
    ]
    found = read(written(tmp_path / "f.jsonl", {"messages": messages}, {"prompt": messages[:1]}))
    assert found[0].prompt == (ChatMessage("user", "Hi?"),)
    assert [each.target for each in found] == ["Hello.", None]


def test_tables_have_json_in_cells(tmp_path: Path) -> None:
    """A cell of contexts is a JSON list or one text; an empty cell is a missing value."""
    path = tmp_path / "f.csv"
    path.write_text(
        "\ufeffquestion,answer,contexts,slice.topic\n"
        '"What, now?",yes,"[""one"", ""two""]",a\n'
        "Multi?,no,just one,\n",
        encoding="utf-8",
    )
    found = read(path, origin="pair")
    assert [each.contexts for each in found] == [("one", "two"), ("just one",)]
    assert [each.slices for each in found] == [{"topic": "a"}, {}]
    assert [each.provenance.origin for each in found] == ["pair", "pair"]
    tabs = tmp_path / "f.tsv"
    tabs.write_text("prompt\ttarget\nWhat?\tyes\n")
    assert read(tabs)[0].target == "yes"


@pytest.mark.parametrize(
    ("row", "options", "problem"),
    [
        ({"target": "x"}, {}, "has no prompt"),
        ({"prompt": " "}, {}, "has no prompt"),
        ({"prompt": 5}, {}, "has no prompt"),
        ({"messages": [{"role": 1}]}, {}, "Object missing required field|Expected `str`"),
        ({"prompt": "p", "answer": "a"}, {"origin": "pair"}, "needs an answer and contexts"),
        ({"messages": [{"role": "system", "content": "p"}]}, {}, "none of a user"),
        ({"messages": [{"role": "x\x1b", "content": "p"}], "target": "a"}, {}, "none of a user"),
        ({"prompt": "p", "choices": ["a", "c"], "target": "b"}, {}, "none of the choices"),
        ({"prompt": "p", "choices": ["b"], "target": "b"}, {}, "2 to 26 choices"),
        (
            {"prompt": "p", "choices": list("abcdefghijklmnopqrstuvwxyz1"), "target": "b"},
            {},
            "to 26",
        ),
        ({"prompt": "p", "scoring": "exact_match"}, {}, "has no target"),
        ({"prompt": "p", "scoring": "magic"}, {}, "Invalid enum value"),
        ({"prompt": "p", "format": {"max_words": 1}}, {}, 'no "name"'),
        ({"prompt": "p", "contexts": [1]}, {}, "Expected `str`"),
        ([1], {}, "is not a JSON object"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: Any, options: Any, problem: str) -> None:
    """The error has the file, the line and what is wrong."""
    path = written(tmp_path / "f.jsonl", {"prompt": "p", "answer": "a", "contexts": "c"}, row)
    with pytest.raises(UserError, match=rf"f.jsonl:2: .*({problem})"):
        read(path, **options)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("f.csv", b"prompt,target\na,b,c\n", "another number of columns"),
        ("f.csv", b"prompt,target\na\n", "another number of columns"),
        ("f.csv", b'prompt\n"a', "unexpected end"),
        ("f.csv", b"prompt\n\xff\xfe\n", "is not UTF-8"),
        ("f.jsonl", b"{\xff}\n", "is not a JSON object"),
        ("f.jsonl", b"[" * 5_000, "is not a JSON object"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    """A file that is no table or no JSON ends with an error, and not with a traceback."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=problem):
        read(path)
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.jsonl")


def test_a_long_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the longest line."""
    monkeypatch.setattr("replay.sets.sources.files.MAX_ROW_BYTES", 50)
    with pytest.raises(UserError, match=r"f.jsonl:1: is longer than 50 bytes"):
        read(written(tmp_path / "f.jsonl", {"prompt": "x" * 50}))
