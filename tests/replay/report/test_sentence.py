"""The sentence: the verdict with its numbers, on one line."""

from __future__ import annotations

import re

import numpy as np
import pytest

from replay.report.sentence import number_text, sentence
from replay.verdict.decide import decide
from tests.replay.report.runs import HOSTILE, hostile, regressed, several, summary
from tests.replay.verdict.scores import binary, scores


def test_a_regression() -> None:
    """The sentence has metric, difference, interval and items."""
    decision = regressed()
    task = decision.tasks[0]
    assert task.lower is not None
    assert task.upper is not None
    expected = f"-6.1 points ({100 * task.lower:.1f} to {100 * task.upper:.1f}), 312 items"
    assert sentence(summary(), decision) == f"replay: regressed, exact match {expected}"


@pytest.mark.parametrize(
    ("lost", "gained", "pattern"),
    [
        (4, 4, r"replay: not regressed by 5 points or more, exact match 0\.0 points \(.*\), 500"),
        (14, 3, r"not regressed by 5 points or more \(a smaller drop is proven\), exact match -2"),
        (50, 36, r"inconclusive, exact match -2\.8 points \(.* to .*\), 500 items; about \d+ more"),
    ],
)
def test_other_verdicts(lost: int, gained: int, pattern: str) -> None:
    """Not regressed names the margin, inconclusive the items that it would take."""
    candidate, baseline = binary(500, lost, gained, wrong=80)
    decision = decide([candidate], [baseline])
    assert re.search(pattern, sentence(summary(decision.verdict), decision))


def test_the_task_that_decided_is_named() -> None:
    """Of several tasks it is the one with the largest drop that has the run's verdict."""
    assert re.search(
        r"regressed, acc -27\.5 points \(.*\), 200 items, in task b \(of 3\)",
        sentence(summary(), several()),
    )


def test_without_a_decision() -> None:
    """An error has its reason; a cancelled run has no numbers."""
    assert sentence(summary("error", reason="rate_limited")) == "replay: error, rate limited"
    assert sentence(summary("cancelled")) == "replay: cancelled"


def test_a_metric_that_is_not_a_share_has_its_own_unit() -> None:
    """Perplexity has no points, and the sign of its metric."""
    options = {"metric": "perplexity", "binary": False, "higher_is_better": False}
    before = np.random.default_rng(1).normal(9, 1, 50)
    decision = decide([scores(before + 2, **options)], [scores(before, **options)])
    assert re.search(r"perplexity 2 \(1\.\d+ to 2\.\d+\), 50", sentence(summary(), decision))


def test_hostile_names_stay_on_the_line() -> None:
    """Control characters and line breaks are replaced, and long names cut."""
    text = sentence(summary(), hostile().decision)
    assert text.isprintable()
    assert HOSTILE not in text
    assert len(text) < 300


def test_numbers_have_no_negative_zero() -> None:
    """A difference that rounds to zero has no sign."""
    assert number_text(-0.0004, True) == "0.0"
    assert number_text(-0.062, True) == "-6.2"
