"""Criteria are validated, and each problem has its key and a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from replay.gate.criteria.parsing import CriteriaError, parse
from tests.replay.gate.criteria.data import content


def test_defaults() -> None:
    """The smallest file has two stages and the usual levels."""
    criteria = parse(content())
    assert criteria.stages == ("L0", "L1")
    assert (criteria.tiers.L0, criteria.tiers.L1, criteria.tiers.L2) == (50, 500, 5000)
    assert criteria.alpha == 0.05
    assert criteria.tasks == ("support",)
    assert (criteria.candidate.label, criteria.baseline and criteria.baseline.label) == (
        "new",
        "run-1",
    )


def dimension(**keys: Any) -> dict[str, Any]:
    """Return criteria with one more dimension."""
    return content(dimensions={"quality": {"tasks": ["support"], "margin": 0.05}, "more": keys})


MODEL = {"name": "new", "base_url": "http://localhost/v1"}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    (content(dimension={}), "dimension", "unknown key; did you mean 'dimensions'?"),
    (content(candidate={"modle": MODEL}), "candidate.modle", "did you mean 'model'?"),
    (content(candidate={"model": MODEL | {"ur": 1}}), "candidate.model.ur", "unknown key"),
    (content(candidate={"model": MODEL | {"kind": "hff"}}), "candidate.model.kind", "'hf'"),
    (content(candidate={"model": {"name": "new"}}), "candidate.model.base_url", "is required"),
    (
        content(candidate={"model": MODEL | {"base_url": "http://me:secret@localhost/v1"}}),
        "candidate.model.base_url",
        "without a user, a password",
    ),
    (content(candidate={}), "candidate", "needs one of model, results, run or records"),
    (content(candidate={"run": "1", "model": MODEL}), "candidate.run", "excludes model"),
    (content(candidate={"records": "a.jsonl"}), "candidate", "needs model, results or run"),
    (content(baseline=None), "dimensions.quality.margin", "needs a baseline"),
    (content(name=None), "name", "is missing"),
    (content(name="a\nb"), "name", "letters"),
    (content(alpha=0.0), "alpha", "more than 0"),
    (content(alpha="0.05"), "alpha", "must be a number"),
    (content(alpha=None) | {"alpha": None}, "alpha", "has no value"),
    (content(dimensions={}), "dimensions", "at least 1"),
    (dimension(tasks=["a"], measure="error", at_most=1.0), "dimensions.more", "either tasks or"),
    (dimension(tasks=["a"]), "dimensions.more", "needs a rule"),
    (dimension(measure="latency", at_most=1.0), "dimensions.more.measure", "latency_ms"),
    (dimension(tasks=["a"], at_least=1.0, statistic="p95"), "dimensions.more.statistic", "tasks"),
    (dimension(measure="error", at_most=0.1, weight=1.0), "dimensions.more.margin", "required"),
    (dimension(measure="error", margin=0.1, required=False), "dimensions.more.weight", "required"),
    (dimension(measure="error", margin=0.1, weight=1.0), "balance", "is required"),
    (dimension(measure="error", margin=-0.1), "dimensions.more.margin", "more than 0"),
    (dimension(tasks=["support"], at_least=0.5), "dimensions.more.tasks", "also in quality"),
    (content(balance={"at_least": -0.5}), "balance", "needs a dimension with a weight"),
    (content(stages=["L1", "L0"]), "stages", "in the order"),
    (content(stages=["L0", "L5"]), "stages.1", "must be one of"),
    (content(stages=["L0", "canary"]), "canary", "is required"),
    (content(tiers={"L0": 600}), "tiers", "must grow"),
    (content(include_paths=[""]), "include_paths.0", "must name"),
]


@pytest.mark.parametrize(("data", "key", "message"), WRONG, ids=[key for _, key, _ in WRONG])
def test_problems_are_named(data: dict[str, Any], key: str, message: str) -> None:
    """The key of a problem is that of the file, and its message says what to do."""
    with pytest.raises(CriteriaError) as caught:
        parse(data)
    found = {".".join(map(str, each)): text for each, text in caught.value.problems}
    assert message in found[key]
    assert "secret" not in str(caught.value)


def test_all_problems_are_reported_at_once() -> None:
    """Two sections with a problem each give two problems."""
    with pytest.raises(CriteriaError) as caught:
        parse(content(alpha=2.0, tiers={"L9": 1}))
    assert [key for key, _ in caught.value.problems] == [("tiers", "L9"), ("alpha",)]


def test_the_direction_of_measures() -> None:
    """Scores are better if higher, latencies if lower, unless the file says otherwise."""
    criteria = parse(
        content(
            dimensions={
                "score": {"measure": "scores.helpful", "at_least": 3.0},
                "latency": {"measure": "latency_ms", "statistic": "p95", "at_most": 900.0},
                "tokens": {"measure": "output_tokens", "margin": 0.1, "better": "higher"},
            }
        )
    )
    dimensions = criteria.dimensions
    assert [dimensions[name].higher_is_better for name in ("score", "latency", "tokens")] == [
        True,
        False,
        True,
    ]
    assert [d.relative for d in dimensions.values()] == [False, True, True]
