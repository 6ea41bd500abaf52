"""Difficulty and discrimination of items from the scores of past runs: classical test theory.

The difficulty of an item is its mean score over runs (the p-value: the share of right answers,
large if it is easy). Its discrimination is the correlation, over runs, of its score with the mean
score of all other items (the corrected item-total or item-rest correlation; with scores of 0 and 1
the point-biserial correlation). Lord and Novick, Statistical theories of mental test scores, 1968,
chapter 15. A negative one means that better models fail more often: often a wrong target.

Runs of one model are no independent examinees: use the newest run of each model or checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from replay.results import TaskScores

LEAST_RUNS: Final = 5
"""Runs from which a correlation is computed; with fewer ones chance decides."""

Run = Mapping[str, float]
"""The scores of a run, 0 to 1, by id of the item."""


class ItemStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What past runs say about an item.

    runs: in which it has a score. mean: None without one.
    discrimination: -1 to 1; None with fewer than 5 runs, or if all scores of the item, or all
    means of the others, are equal.
    """

    item: str
    runs: int
    mean: float | None
    discrimination: float | None

    @property
    def doubtful(self) -> bool:
        """Whether its target should be reviewed: better runs score lower."""
        return self.discrimination is not None and self.discrimination < 0


def run_of(tasks: Iterable[TaskScores]) -> dict[str, float]:
    """Return the scores of a run by item, higher is better. Failed answers have none."""
    found: dict[str, float] = {}
    for task in tasks:
        for each in task.scores:
            if not each.failed and task.metric in each.metrics:
                score = each.metrics[task.metric]
                found[each.item] = score if task.higher_is_better else -score
    return found


def item_statistics(items: Sequence[str], runs: Sequence[Run]) -> tuple[ItemStatistics, ...]:
    """Return the statistics of items by their ids, in the given order.

    The rest of an item is the mean over the other items of these that the run has scores for.
    """
    scores = np.array([[run.get(item, np.nan) for item in items] for run in runs], float)
    scores = scores.reshape(len(runs), len(items))
    known = ~np.isnan(scores)
    filled = np.where(known, scores, 0.0)
    totals, counts = filled.sum(axis=1), known.sum(axis=1)
    return tuple(
        _statistics(item, scores[:, at], totals - filled[:, at], counts - known[:, at])
        for at, item in enumerate(items)
    )


def _statistics(
    item: str,
    scores: NDArray[np.float64],
    rest_totals: NDArray[np.float64],
    rest_counts: NDArray[np.int64],
) -> ItemStatistics:
    known = ~np.isnan(scores)
    runs = int(known.sum())
    usable = known & (rest_counts > 0)
    discrimination = None
    if usable.sum() >= LEAST_RUNS:
        discrimination = _correlation(scores[usable], rest_totals[usable] / rest_counts[usable])
    mean = float(scores[known].mean()) if runs else None
    return ItemStatistics(item=item, runs=runs, mean=mean, discrimination=discrimination)


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Return Pearson's correlation; None if one of the variables is constant."""
    if np.ptp(first) == 0 or np.ptp(second) < 1e-12:
        return None
    return float(np.clip(np.corrcoef(first, second)[0, 1], -1.0, 1.0))
