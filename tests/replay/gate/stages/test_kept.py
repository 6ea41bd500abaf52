"""Kept scores survive a kill and refuse other models."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.errors import UserError
from replay.gate.stages.kept import KeptScores, read_scores
from tests.replay.gate.scores import scores


def test_scores_are_kept_by_tier(tmp_path: Path) -> None:
    """A tier has its own scores and those of the smaller ones, also after it is opened again."""
    kept = KeptScores(tmp_path / "a" / "new.jsonl", "model a")
    first, second = scores([1.0, 0.0]), scores([1.0], task="other")
    kept.add(50, (first,))
    kept.add(50, complete=True)
    kept.add(500, (second,))
    for found in (kept, KeptScores(tmp_path / "a" / "new.jsonl", "model a")):
        assert found.scores(50) == (first,)
        assert found.scores(500) == (first, second)
        assert found.complete(50)
        assert not found.complete(500)
    assert read_scores(tmp_path / "a" / "new.jsonl") == (first, second)


def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path: Path) -> None:
    """What was written whole remains, and more can be appended."""
    path = tmp_path / "new.jsonl"
    KeptScores(path, "model a").add(50, (scores([1.0]),))
    whole = path.read_bytes()
    KeptScores(path, "model a").add(50, (scores([0.0]),))
    path.write_bytes(path.read_bytes()[:-20])
    again = KeptScores(path, "model a")
    assert path.read_bytes() == whole
    again.add(50, complete=True)
    assert KeptScores(path, "model a").complete(50)


def test_other_models_and_damaged_files_are_refused(tmp_path: Path) -> None:
    """Scores of two models never mix, and a damaged line is named."""
    path = tmp_path / "new.jsonl"
    KeptScores(path, "model a").add(50, (scores([1.0]),))
    with pytest.raises(UserError, match="another model"):
        KeptScores(path, "model b")
    path.write_bytes(b"{]\n" + path.read_bytes())
    with pytest.raises(UserError, match=r"new.jsonl:1: is not a line"):
        KeptScores(path, "model a")
    with pytest.raises(UserError, match="cannot be read"):
        read_scores(tmp_path / "absent")
    with pytest.raises(UserError, match="cannot be written"):
        KeptScores(path / "more" / "new.jsonl", "model a")
    KeptScores(tmp_path / "empty.jsonl", "model a")
    with pytest.raises(UserError, match="has no scores"):
        read_scores(tmp_path / "empty.jsonl")
