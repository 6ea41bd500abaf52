"""Rubrics are loaded from YAML, with errors that name file, line and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from judges.rubrics.loading import RubricError, load, parse, shipped
from judges.rubrics.rubric import LEVELS, Mode, Rubric

EXPECTED = {
    "answer_quality",
    "code_quality",
    "explanation_quality",
    "faithfulness",
    "instruction_following",
    "refusal_calibration",
    "safety",
    "tone",
}


def content(**changes: Any) -> dict[str, Any]:
    """Return the content of a valid rubric, with changes."""
    dimension = {"name": "truth", "question": "Is it true?", "levels": {i: f"l{i}" for i in LEVELS}}
    return {
        "name": "mine",
        "version": 1,
        "description": "Mine.",
        "pass_mark": 3.0,
        "dimensions": [dimension],
    } | changes


def rubric(**changes: Any) -> Rubric:
    """Return a valid rubric, with changes."""
    return parse(json.dumps(content(**changes)), "mine.yaml")  # JSON is YAML without aliases


def test_all_shipped_rubrics_load() -> None:
    """Each shipped rubric has the name of its file and describes all scores."""
    assert set(shipped()) == EXPECTED
    for name in shipped():
        found = load(name)
        assert found.name == name
        assert all(list(d.levels) == list(LEVELS) for d in found.dimensions)
    assert load("faithfulness").needs_contexts
    assert not load("tone").needs_contexts


def test_the_hash_follows_from_the_content_alone() -> None:
    """Order of keys and notation do not change the hash, and every change of content does."""
    plain = rubric()
    assert rubric(needs=[], mode="single").hash == plain.hash
    text = yaml.safe_dump(dict(reversed(content().items())))
    assert parse("# a comment\n" + text, "x").hash == plain.hash
    changed = [
        rubric(pass_mark=3.5),
        rubric(version=2),
        rubric(description="Mine!"),
        rubric(needs=["contexts"]),
        rubric(mode="reference"),
        plain.as_pairwise(),
    ]
    assert len({plain.hash, *(each.hash for each in changed)}) == len(changed) + 1


def test_the_hash_is_the_same_in_every_process() -> None:
    """The hash does not depend on the order of a set, which differs between processes."""
    both = rubric(needs=["reference", "contexts"])
    assert both.hash == rubric(needs=["contexts", "reference"]).hash


def test_overall_is_the_weighted_mean() -> None:
    """Weights are relative."""
    dimensions = [
        content()["dimensions"][0] | {"name": n, "weight": w} for n, w in (("a", 3), ("b", 1))
    ]
    found = rubric(dimensions=dimensions)
    assert found.overall({"a": 5, "b": 1}) == pytest.approx(4.0)
    assert found.shares == {"a": 0.75, "b": 0.25}


def test_a_pairwise_rubric_has_the_same_dimensions() -> None:
    """`as_pairwise` changes the mode only."""
    found = rubric().as_pairwise()
    assert found.mode is Mode.PAIRWISE
    assert found.dimensions == rubric().dimensions


def test_all_problems_are_reported_with_their_lines() -> None:
    """Each problem names file, line and key, and suggests a known name."""
    text = """\
name: Mine
version: "1"
descripton: typo
description: Mine.
mode: pairs
needs: [context]
pass_mark: 6
dimensions:
- name: truth
  question: Is it true?
  wieght: 2
  levels: {0: none, 1: a, 2: b, 3: c, 4: d}
- name: truth
  levels: {}
  weight: -1
"""
    with pytest.raises(RubricError) as caught:
        parse(text, "mine.yaml")
    lines = str(caught.value).splitlines()
    assert lines == [
        "mine.yaml:1: name: must be lower-case letters, digits and underscores, a letter first",
        "mine.yaml:2: version: must be a whole number",
        "mine.yaml:3: descripton: unknown key; did you mean 'description'?",
        "mine.yaml:5: mode: must be one of single, reference, pairwise; did you mean 'pairwise'?",
        "mine.yaml:6: needs.0: must be one of reference, contexts; did you mean 'contexts'?",
        "mine.yaml:7: pass_mark: must be at most 5",
        "mine.yaml:11: dimensions.0.wieght: unknown key; did you mean 'weight'?",
        "mine.yaml:12: dimensions.0.levels: must describe each score from 0 to 5; 5 is missing",
        "mine.yaml:13: dimensions.1.question: is missing",
        "mine.yaml:14: dimensions.1.levels: must describe each score from 0 to 5; 0 is missing",
        "mine.yaml:15: dimensions.1.weight: must be more than 0",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mine.yaml: must be a mapping"),
        ("- a", "mine.yaml: must be a mapping"),
        ("name: [", "mine.yaml:1: is not YAML"),
        ("a: &x [1]\nb: *x", "mine.yaml:2: aliases"),
        ("name: a\nname: b", "mine.yaml:2: name: is given twice"),
        ("1.5: a", "mine.yaml:1: a key must be text"),
        ("name: \x00", "mine.yaml: is not YAML"),
        ("[" * 3000, "mine.yaml"),
        ("a: !!python/object:os.system x", "mine.yaml:1: is not YAML"),
        ("'\x1b[2J': 1".replace("\x1b", "\\u001b").replace("'", '"'), "?[2J: unknown key"),
    ],
)
def test_what_is_no_rubric_is_one_error(text: str, message: str) -> None:
    """Bad YAML is an error with its line, and never another exception."""
    with pytest.raises(RubricError) as caught:
        parse(text, "mine.yaml")
    assert message in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_names_and_paths(tmp_path: Path) -> None:
    """A name is a shipped rubric, a path a file; unknown names get a suggestion."""
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content()))
    assert load(str(path)).name == "mine"
    with pytest.raises(RubricError, match="did you mean 'tone'"):
        load("tones")
    with pytest.raises(RubricError, match="no such file"):
        load(str(tmp_path / "absent.yaml"))
    with pytest.raises(RubricError, match="is a directory"):
        load(f"{tmp_path}/")
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RubricError, match="not UTF-8"):
        load(str(path))
    path.write_bytes(b"#" * 300_000)
    with pytest.raises(RubricError, match="larger than 256 KiB"):
        load(str(path))


def test_two_dimensions_of_one_name_are_refused() -> None:
    """Names of dimensions are keys of the answer."""
    with pytest.raises(RubricError, match="dimension 'truth' is given twice"):
        rubric(dimensions=content()["dimensions"] * 2)
    with pytest.raises(RubricError, match="must be 1 to 12 dimensions"):
        rubric(dimensions=[])
