from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings

from monitor.errors import UserError
from replay.sets import versions
from replay.sets.item import Item
from replay.sets.item_set import ItemSet, approve
from tests.replay.sets.items import item, item_lists, questions


def freeze(folder: Path, items: Sequence[Item], share: float | None = None) -> ItemSet:
    """Freeze items as approved by a person."""
    return versions.freeze(folder, "s", approve(items, "ann"), 7.0, share)


@given(item_lists)
@settings(max_examples=30)
def test_items_survive_their_file(items: list[Item]) -> None:
    """Items written are items read, ordered by id."""
    content = versions.encode_items(items)
    assert versions.decode_items(content, "f") == tuple(sorted(items, key=lambda each: each.id))


def test_versions_are_numbered_and_read_back(tmp_path: Path) -> None:
    """A version is read as it was frozen, and the newest one by default."""
    first = freeze(tmp_path, questions(3))
    second = freeze(tmp_path, questions(4), 0.5)
    assert (first.version, second.version) == (1, 2)
    assert second.hold_out is not None
    assert second.hold_out.period == 2
    assert versions.read_version(tmp_path, "s", 1) == first
    assert versions.read_version(tmp_path, "s") == second
    assert versions.version_numbers(tmp_path, "s") == [1, 2]
    assert versions.names(tmp_path) == ["s"]
    assert versions.names(tmp_path / "none") == []


def test_only_approved_items_are_frozen(tmp_path: Path) -> None:
    """A person approves an item before a version has it."""
    with pytest.raises(UserError, match="none of 2 candidates is approved"):
        versions.freeze(tmp_path, "s", questions(2), 7.0)
    mixed = [*approve(questions(2), "ann"), item("not yet")]
    assert len(versions.freeze(tmp_path, "s", mixed, 7.0).items) == 2


def test_the_same_version_is_not_frozen_twice(tmp_path: Path) -> None:
    """Unchanged items are no new version, unless another part is held out."""
    freeze(tmp_path, questions(3))
    with pytest.raises(UserError, match="version 1 has the same 3 items"):
        freeze(tmp_path, questions(3))
    assert freeze(tmp_path, questions(3), 0.5).version == 2
    assert freeze(tmp_path, questions(3), 0.5).version == 3


@pytest.mark.parametrize("file", [versions.ITEMS, versions.MANIFEST])
def test_a_changed_version_is_refused(tmp_path: Path, file: str) -> None:
    """Neither items nor provenance nor the manifest can be changed unnoticed."""
    freeze(tmp_path, questions(3), 0.5)
    path = tmp_path / "s" / "0001" / file
    text = path.read_text()
    for old, new in (('"ann"', '"bob"'), ("alpha1", "alpha9"), ('"s"', '"t"'), ("0.5", "0.2")):
        if old in text:
            path.write_text(text.replace(old, new))
            with pytest.raises(UserError, match="changed after it was frozen"):
                versions.read_version(tmp_path, "s")
    path.write_text(text[:-20])
    with pytest.raises(UserError, match="is not"):
        versions.read_version(tmp_path, "s")
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        versions.read_version(tmp_path, "s")


def test_a_taken_number_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commands that freeze at once write two versions, and no file is left behind."""
    freeze(tmp_path, questions(3))
    monkeypatch.setattr(versions, "version_numbers", lambda *_: [])
    assert freeze(tmp_path, questions(4)).version == 2
    assert sorted(os.listdir(tmp_path / "s")) == ["0001", "0002"]


def test_candidates_and_rejections_are_kept(tmp_path: Path) -> None:
    """Candidates are read as written; without a file there are none."""
    assert versions.read_candidates(tmp_path, "s") == ()
    assert versions.read_rejected(tmp_path, "s") == frozenset()
    with versions.editing(tmp_path, "s"):
        versions.write_candidates(tmp_path, "s", questions(3))
        versions.write_rejected(tmp_path, "s", ["b", "a", "b"])
        with pytest.raises(UserError, match="another command"), versions.editing(tmp_path, "s"):
            pass
    by_id = sorted(questions(3), key=lambda each: each.id)
    assert versions.read_candidates(tmp_path, "s") == tuple(by_id)
    assert versions.read_rejected(tmp_path, "s") == {"a", "b"}
    assert sorted(os.listdir(tmp_path / "s")) == [versions.CANDIDATES, versions.REJECTED]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"prompt": 1}', '{"prompt": "p"}', "\\xff", "[" * 9999]
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    """The error has the file and the line."""
    versions.write_candidates(tmp_path, "s", questions(1))
    path = tmp_path / "s" / versions.CANDIDATES
    path.write_text(path.read_text() + line)
    with pytest.raises(UserError, match=r"candidates.jsonl:2: is not an item"):
        versions.read_candidates(tmp_path, "s")


def test_a_missing_version_is_an_error(tmp_path: Path) -> None:
    """The error says what there is not."""
    with pytest.raises(UserError, match="s: has no frozen version"):
        versions.read_version(tmp_path, "s")
    freeze(tmp_path, questions(1))
    with pytest.raises(UserError, match="s: has no version 5"):
        versions.read_version(tmp_path, "s", 5)
