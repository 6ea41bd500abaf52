from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import pearsonr, pointbiserialr

from replay.results import ItemScore, TaskScores
from replay.sets.measures.difficulty import item_statistics, run_of

ITEMS = [f"i{n}" for n in range(12)]


def simulated(runs: int, seed: int) -> list[dict[str, float]]:
    """Runs of models whose ability decides what they answer; some scores are missing."""
    random = np.random.default_rng(seed)
    ability = random.normal(size=runs)
    hardness = np.linspace(-1.5, 1.5, len(ITEMS))
    right = random.random((runs, len(ITEMS))) < 1 / (1 + np.exp(hardness - ability[:, None]))
    right[:, 3] = ~right[:, 2]  # a wrong target
    return [
        {name: float(right[run, at]) for at, name in enumerate(ITEMS) if random.random() < 0.9}
        for run in range(runs)
    ]


def test_statistics_are_those_of_scipy() -> None:
    """The mean and the point-biserial correlation with the mean of the other items."""
    runs = simulated(40, 1)
    for at, found in enumerate(item_statistics(ITEMS, runs)):
        name = ITEMS[at]
        having = [run for run in runs if name in run]
        scores = [bool(run[name]) for run in having]
        rests = [np.mean([run[other] for other in run if other != name]) for run in having]
        assert found.runs == len(having)
        assert found.mean == pytest.approx(np.mean(scores))
        assert found.discrimination == pytest.approx(pointbiserialr(scores, rests).statistic)


def test_graded_scores_are_correlated_as_well() -> None:
    """Scores between 0 and 1 have Pearson's correlation."""
    random = np.random.default_rng(2)
    table = random.random((9, 4))
    names = ITEMS[:4]
    runs = [dict(zip(names, map(float, row), strict=True)) for row in table]
    for at, found in enumerate(item_statistics(names, runs)):
        rest = np.delete(table, at, axis=1).mean(axis=1)
        assert found.discrimination == pytest.approx(pearsonr(table[:, at], rest).statistic)


def test_an_item_with_a_wrong_target_is_doubtful() -> None:
    """Better models fail it more often."""
    good = ["g1", "g2", "g3", "g4"]
    runs = [
        {name: float(run > 2 * at) for at, name in enumerate(good)} | {"wrong": float(run < 5)}
        for run in range(9)
    ]
    found = item_statistics([*good, "wrong"], runs)
    assert [each.doubtful for each in found] == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("runs", "mean"),
    [
        ([], None),
        ([{"b": 1.0}] * 9, None),
        ([{"a": 1.0, "b": float(n % 2)} for n in range(9)], 1.0),
        ([{"a": float(n % 2), "b": 1.0} for n in range(8)], 0.5),
        ([{"a": float(n % 2), "b": float(n % 2)} for n in range(4)], 0.5),
        ([{"a": float(n % 2)} for n in range(8)], 0.5),
    ],
)
def test_what_cannot_be_computed_is_none(runs: list[dict[str, float]], mean: float | None) -> None:
    """No scores, constant scores, constant others, too few runs: no discrimination, never 0."""
    found = item_statistics(["a", "b"], runs)[0]
    assert (found.mean, found.discrimination, found.doubtful) == (mean, None, False)


def test_scores_of_a_run_leave_out_failures() -> None:
    """A failed answer has no score, and a smaller value can be the better one."""

    def score(item: str, **fields: object) -> ItemScore:
        hashes = {"prompt_hash": "p", "target_hash": "t", "doc_id": 0}
        return ItemScore(item=item, **hashes, **fields)  # type: ignore[arg-type] # by name

    accuracy = TaskScores(
        task="t",
        metric="acc",
        binary=True,
        scores=(
            score("a", metrics={"acc": 1.0}),
            score("b", metrics={"acc": 0.0}, failed="empty"),
            score("c", metrics={"f1": 0.5}),
        ),
    )
    perplexity = TaskScores(
        task="p",
        metric="ppl",
        binary=False,
        higher_is_better=False,
        scores=(score("d", metrics={"ppl": 9.0}),),
    )
    assert run_of([accuracy, perplexity]) == {"a": 1.0, "d": -9.0}
    assert not math.isnan(run_of([accuracy])["a"])
