"""The comparison by people: pairs, labels, scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from monitor.errors import UserError
from replay.gate.stages.people import Pair, draw, export, read_labels, scores
from replay.results import RunError
from tests.replay.gate.results import HOSTILE
from tests.replay.gate.scores import scores as task_scores

N = 40
NEW = task_scores([1.0] * N, responses=[f"new {i}" for i in range(N)])
OLD = task_scores([1.0] * N, responses=[f"old {i}" for i in range(N)])


def lines(path: Path) -> list[dict[str, str]]:
    """Return the JSON lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_export_is_blind_and_repeatable(tmp_path: Path) -> None:
    """A pair has prompt and answers in an order that hides the model; a repeat gives the same."""
    pairs = draw((NEW,), (OLD,), 30)
    assert pairs == draw((NEW,), (OLD,), 30)
    path = tmp_path / "new" / "pairs.jsonl"
    assert export(path, pairs) == 30
    found = lines(path)
    with pytest.raises(UserError, match="cannot be written"):
        export(path / "more", pairs)
    assert {*found[0]} == {"pair", "task", "prompt", "first", "second"}
    assert all(each["prompt"].split()[1] == each["first"].split()[1] for each in found)
    first = sum(each["first"].startswith("new") for each in found)
    assert 5 <= first <= 25


def test_labels_become_scores_of_both_sides(tmp_path: Path) -> None:
    """The better answer has 1, a tie 0 on both sides, two labels of a pair are averaged."""
    pairs = draw((NEW,), (OLD,), 4)
    better = [_side(pair, "candidate") for pair in pairs]
    content = [
        {"pair": pairs[0].pair, "better": better[0], "by": "ana"},
        {"pair": pairs[0].pair, "better": "tie", "by": "bo"},
        {"pair": pairs[1].pair, "better": "tie"},
        {"pair": pairs[2].pair, "better": _side(pairs[2], "baseline")},
    ]
    path = write(tmp_path, *content)
    own, other, missing = scores(pairs, read_labels(path), path)
    assert missing == 1
    assert [s.metrics["preferred"] for s in own.scores] == [0.5, 0.0, 0.0]
    assert [s.metrics["preferred"] for s in other.scores] == [0.0, 0.0, 1.0]
    assert not own.binary
    assert other.binary


def test_equal_answers_are_a_tie_without_a_label(tmp_path: Path) -> None:
    """People do not see pairs of equal answers."""
    pairs = draw((OLD,), (OLD,), 10)
    assert export(tmp_path / "pairs.jsonl", pairs) == 0
    own, other, missing = scores(pairs, [], tmp_path)
    assert missing == 0
    assert len(own.scores) == len(other.scores) == 10


def test_unusable_answers_are_not_compared() -> None:
    """Without a response of both there is no pair, and without a pair an error."""
    broken = task_scores([1.0] * N, failed=N)
    with pytest.raises(RunError, match="no_items"):
        draw((broken,), (OLD,), 10)


def test_labels_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """Other pairs, a second label of one person, unknown words and keys have their line."""
    pairs = draw((NEW,), (OLD,), 4)
    label = {"pair": pairs[0].pair, "better": "first"}
    for content, message in (
        ([label, {"pair": "x", "better": "first"}], r":2: no such pair"),
        ([label, label], r":2: the same person"),
        ([{"pair": "x", "better": "new"}], r":1: is not a label"),
        ([label | {"bettr": 1}], r":1: is not a label"),
    ):
        path = write(tmp_path, *content)
        with pytest.raises(UserError, match=message):
            scores(pairs, read_labels(path), path)
    with pytest.raises(UserError, match="cannot be read"):
        read_labels(tmp_path / "absent")


def test_hostile_answers_are_one_line_each(tmp_path: Path) -> None:
    """Any answer is exported as JSON on one line, lone surrogates included."""
    hostile = task_scores([1.0] * N, responses=[HOSTILE] * N)
    pairs = draw((hostile,), (OLD,), 5)
    assert export(tmp_path / "pairs.jsonl", pairs) == 5
    assert (tmp_path / "pairs.jsonl").read_bytes().count(b"\n") == 5


def write(folder: Path, *labels: Mapping[str, object]) -> Path:
    """Write a file of labels."""
    path = folder / "labels.jsonl"
    path.write_text("".join(json.dumps(label) + "\n" for label in labels))
    return path


def _side(pair: Pair, side: str) -> str:
    return "first" if pair.candidate_first == (side == "candidate") else "second"
