"""The simulation of review queues measures all designs; its committed result keeps the promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.review import __main__ as review
from benchmarks.review.designs import DESIGNS
from benchmarks.review.populations import KINDS

QUEUE = "xi order, weighted and corrected by the judge"


@pytest.fixture(scope="module")
def committed() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rows of the committed result, by kind and design."""
    result = json.loads(review.RESULT.read_text())
    assert (result["items"], result["labels"]) == (5_000, 200)
    return {(row["kind"], row["design"]): row for row in result["rows"]}


def test_the_benchmark_measures_everything(tmp_path: Path) -> None:
    """A small run has a row for each kind of items and each design, in JSON and in the table."""
    out = tmp_path / "review.json"
    review.main(["--runs", "2", "--items", "800", "--out", str(out)])
    rows = json.loads(out.read_text())["rows"]
    assert [(row["kind"], row["design"]) for row in rows] == [
        (kind, design) for kind in KINDS for design in DESIGNS
    ]
    assert out.with_suffix(".md").read_text().count(f"| {QUEUE} |") == len(KINDS)


def test_a_short_simulation_has_the_shape_of_the_long_one() -> None:
    """With 60 runs: the queue is nearly unbiased and covers; what ignores weights does not."""
    rows = {row["design"]: row for row in review.simulate(KINDS[0], 60, 2_000, 200)}
    queue = rows[QUEUE]
    assert abs(queue["bias"]) <= 0.01
    assert queue["coverage"] >= 0.87
    assert queue["rmse"] < rows["random, mean"]["rmse"]
    assert rows["hardest first"]["coverage"] == 0
    assert rows["half hardest, half random, unweighted"]["bias"] < -0.1


def test_the_queue_is_unbiased_and_covers(committed: dict[tuple[str, str], dict[str, Any]]) -> None:
    """In 1,500 runs of pass or fail: bias within .005, coverage 93 to 97 %, also with skips.

    On other kinds of items the bias is as small, and coverage is at least 93 %.
    """
    for kind in KINDS:
        for design in (QUEUE, "the same, 10 % skipped"):
            row = committed[kind, design]
            assert row["runs"] == 1_500
            assert row["undefined"] == 0
            assert abs(row["bias"]) <= 0.005
            assert row["coverage"] >= 0.93
    assert committed[KINDS[0], QUEUE]["coverage"] <= 0.97


def test_other_designs_fail(committed: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Hardest first and an unweighted mixture are biased and do not cover; random is wider."""
    for kind in KINDS[:3]:
        for design in ("hardest first", "half hardest, half random, unweighted"):
            assert committed[kind, design]["bias"] < -0.1
            assert committed[kind, design]["coverage"] <= 0.05
        assert committed[kind, QUEUE]["rmse"] < committed[kind, "random, mean"]["rmse"]
        assert 0.89 <= committed[kind, "random, mean"]["coverage"] <= 0.97


def test_the_table_is_that_of_the_result() -> None:
    """The Markdown file and the guide have the numbers of the JSON file."""
    result = json.loads(review.RESULT.read_text())
    table = review.table(result)
    assert review.RESULT.with_suffix(".md").read_text() == table
    guide = (Path(__file__).parents[2] / "docs/agreement.md").read_text()
    first = table.split("## ")[1].partition("\n\n")[2].strip()
    assert first in guide
