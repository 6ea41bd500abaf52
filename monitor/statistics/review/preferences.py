"""Agreement on preferences between two answers: direct comparisons, and pairs of a ranking.

Chance agreement is that of raters who prefer either answer equally often: which answer is called
the first carries no information where positions are shuffled. Each comparison therefore counts in
both directions, so that alpha is not low because one model is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.statistics.agreement import TOO_FEW_PAIRS, Floats, Undefined, agreeing_pairs, alphas
from monitor.statistics.bradley_terry import Rating, bradley_terry
from monitor.statistics.paired import Wins, win_rate
from monitor.statistics.review.advice import Advice, advise_skewed
from monitor.statistics.review.resampling import (
    RESAMPLES,
    Integers,
    Result,
    blocks,
    estimate,
    resampled,
    share_estimate,
)

OUTCOMES: Final = np.array([-1.0, 0.0, 1.0])
"""The second is better, a tie, the first is better."""
ONLY_TIES: Final = Undefined("all comparisons are ties, so agreement by chance is certain")


@dataclass(frozen=True, slots=True)
class PreferenceAgreement:
    """Agreement of comparisons.

    items, comparisons: with at least two raters; a comparison is a pair of answers of an item.
    exact: share of pairs of raters with equal outcomes, as a mean over comparisons.
    alpha: Krippendorff's, interval scale on -1, 0 and 1, with symmetric chance agreement. Without
        ties it is 2 * exact - 1, up to the correction for a finite sample.
    ties: share of ties.
    """

    items: int
    comparisons: int
    exact: Result
    alpha: Result
    ties: float
    advice: Advice | Undefined


def comparison_agreement(
    outcomes: Floats, generator: np.random.Generator, *, resamples: int = RESAMPLES
) -> PreferenceAgreement:
    """Return the agreement of comparisons.

    outcomes: shape (items, raters), values of OUTCOMES, NaN where absent.
    Raises ValueError for other values.
    """
    counts = outcome_counts(outcomes)
    return preference_agreement(counts, np.arange(len(counts)), generator, resamples)


def outcome_counts(outcomes: Floats) -> Floats:
    """Return how many raters gave each outcome to each comparison, shape (comparisons, 3)."""
    if not (np.isnan(outcomes) | np.isin(outcomes, OUTCOMES)).all():
        raise ValueError("an outcome is not -1, 0 or 1")
    return np.stack([(outcomes == each).sum(axis=1) for each in OUTCOMES], axis=1).astype(float)


def preference_agreement(
    counts: Floats, items: Integers, generator: np.random.Generator, resamples: int
) -> PreferenceAgreement:
    """Return the agreement of comparisons; those of one item are drawn together.

    counts: shape (comparisons, 3). items: shape (comparisons,), the item of each comparison.
    """
    paired = counts.sum(axis=1) >= 2
    counts, items = counts[paired], np.unique(items[paired], return_inverse=True)[1].ravel()
    number = int(items.max(initial=-1)) + 1
    if not number:
        return PreferenceAgreement(0, 0, TOO_FEW_PAIRS, TOO_FEW_PAIRS, 0.0, TOO_FEW_PAIRS)
    raters = counts.sum(axis=1)
    matrices = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(3)
    matrices = (matrices + matrices[:, ::-1, ::-1]) / (raters - 1)[:, None, None]
    rows = np.column_stack([agreeing_pairs(counts), np.ones(len(counts)), matrices.reshape(-1, 9)])
    sums = np.zeros((number, rows.shape[1]))
    np.add.at(sums, items, rows)
    grouped, sizes = blocks(sums, generator)

    def statistic(weights: Floats) -> Floats:
        drawn = weights @ grouped
        alpha = alphas(drawn[:, 2:].reshape(-1, 3, 3), OUTCOMES, "interval")
        return np.stack([drawn[:, 0] / drawn[:, 1], alpha])

    value, draws = resampled(sizes, statistic, generator, resamples)
    ties = float(counts[:, 1].sum() / counts.sum())
    alpha = estimate(value[1], draws[1], number, ONLY_TIES)
    return PreferenceAgreement(
        items=number,
        comparisons=len(counts),
        exact=share_estimate(value[0], draws[0], number, TOO_FEW_PAIRS),
        alpha=alpha,
        ties=ties,
        advice=advise_skewed(alpha, None, ONLY_TIES, number, ties),
    )


def first_shown(outcomes: Floats, shown: Floats) -> Wins | Undefined:
    """Return how often raters prefer the answer that was shown first; a tie counts half.

    outcomes: shape (items, raters). shown: same shape, 1 where the first answer was shown first, 0
    where the second was, NaN if unknown. Items are the independent units.
    """
    rows, columns = np.nonzero(~np.isnan(outcomes + shown))
    directions = 2 * shown[rows, columns] - 1
    return win_rate(outcomes[rows, columns] * directions, rows.astype(np.int64))


def comparison_ratings(
    outcomes: Floats, first: Integers, second: Integers, models: int
) -> list[Rating | None]:
    """Return Bradley-Terry ratings of the compared models; a tie is half a win for each.

    outcomes: shape (items, raters). first, second: shape (items,), models of each item.
    """
    rows, columns = np.nonzero(~np.isnan(outcomes))
    scores = (outcomes[rows, columns] + 1) / 2
    return bradley_terry(first[rows], second[rows], scores, models, groups=rows.astype(np.int64))
