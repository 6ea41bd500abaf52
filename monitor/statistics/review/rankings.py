"""Agreement on rankings: Kendall's W, and the comparisons that a ranking contains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.statistics.agreement import Floats, Undefined
from monitor.statistics.bradley_terry import Rating, bradley_terry
from monitor.statistics.review.preferences import (
    PreferenceAgreement,
    outcome_counts,
    preference_agreement,
)
from monitor.statistics.review.resampling import (
    RESAMPLES,
    Integers,
    Result,
    blocks,
    estimate,
    resampled,
)

UNRANKED: Final = Undefined("no item has two rankings that tell answers apart")


@dataclass(frozen=True, slots=True)
class RankingAgreement:
    """Agreement of rankings.

    concordance: Kendall's W, mean over items; by chance it is 1 / raters, not 0.
    correlation: mean of Spearman's correlation over pairs of raters and over items; by chance 0.
    indistinct: items with two rankings of which W is undefined, because all answers are tied.
    comparisons: the agreement of all pairs of answers, which gives the advice.
    """

    items: int
    indistinct: int
    concordance: Result
    correlation: Result
    comparisons: PreferenceAgreement


def ranking_agreement(
    rankings: Sequence[Floats], generator: np.random.Generator, *, resamples: int = RESAMPLES
) -> RankingAgreement:
    """Return the agreement of rankings.

    rankings: of each item, the ranks of its k answers by each rater, shape (raters, k); equal ranks
    are ties. Raises ValueError if a rank is not finite or an item has fewer than two answers.
    """
    paired = [each for each in rankings if len(_checked(each)) >= 2]
    found = np.array([concordance(each) for each in paired])
    distinct = ~np.isnan(found)
    raters = np.array([len(each) for each in paired])[distinct]
    values = found[distinct]
    columns = np.stack([values, (raters * values - 1) / (raters - 1)], axis=1)
    grouped, sizes = blocks(np.column_stack([columns, np.ones(len(values))]), generator)
    if len(values):
        value, draws = resampled(
            sizes,
            lambda weights: ((weights @ grouped)[:, :2] / (weights @ grouped)[:, 2:]).T,
            generator,
            resamples,
        )
        results = [estimate(value[row], draws[row], len(values), UNRANKED) for row in (0, 1)]
    else:
        results = [UNRANKED, UNRANKED]
    counts = [outcome_counts(_outcomes(each).T) for each in paired]
    items = np.repeat(np.arange(len(paired)), [len(each) for each in counts])
    joined = np.concatenate(counts) if counts else np.empty((0, 3))
    return RankingAgreement(
        items=len(paired),
        indistinct=int((~distinct).sum()),
        concordance=results[0],
        correlation=results[1],
        comparisons=preference_agreement(joined, items, generator, resamples),
    )


def concordance(ranks: Floats) -> float:
    """Return Kendall's W of the ranks of one item, shape (raters, k); NaN if all are tied.

    Kendall and Babington Smith (1939), corrected for ties:
    12 S / (m^2 (k^3 - k) - m sum(t^3 - t)).
    """
    raters, size = ranks.shape
    below = (ranks[:, :, None] > ranks[:, None, :]).sum(axis=2)
    equal = (ranks[:, :, None] == ranks[:, None, :]).sum(axis=2)
    sums = (below + (equal + 1) / 2).sum(axis=0)
    ties = float((equal**2 - 1).sum())
    scale = raters**2 * (size**3 - size) - raters * ties
    return 12 * float(((sums - sums.mean()) ** 2).sum()) / scale if scale > 0 else float("nan")


def ranking_ratings(
    rankings: Sequence[Floats], models: Sequence[Integers], number: int
) -> list[Rating | None]:
    """Return Bradley-Terry ratings from all pairs of answers of each ranking.

    models: of each item, the model of each of its k answers. number: of models. The comparisons of
    one item are not independent: the interval is clustered by item.
    """
    first, second, scores, groups = [], [], [], []
    for item, (ranks, systems) in enumerate(zip(rankings, models, strict=True)):
        a, b = np.triu_indices(_checked(ranks).shape[1], 1)
        outcomes = _outcomes(ranks)
        first.append(np.tile(systems[a], len(ranks)))
        second.append(np.tile(systems[b], len(ranks)))
        scores.append((outcomes.ravel() + 1) / 2)
        groups.append(np.full(outcomes.size, item))
    empty = [np.empty(0, dtype=np.int64)]
    return bradley_terry(
        np.concatenate(first or empty),
        np.concatenate(second or empty),
        np.concatenate(scores or [np.empty(0)]),
        number,
        groups=np.concatenate(groups or empty),
    )


def _checked(ranks: Floats) -> Floats:
    if ranks.ndim != 2 or ranks.shape[1] < 2:
        raise ValueError(f"ranks have the shape (raters, answers), not {ranks.shape}")
    if not np.isfinite(ranks).all():
        raise ValueError("a rank is not finite")
    return ranks


def _outcomes(ranks: Floats) -> Floats:
    """Return the outcome of each pair of answers, shape (raters, pairs); the lower rank wins."""
    first, second = np.triu_indices(ranks.shape[1], 1)
    outcomes: Floats = np.sign(ranks[:, second] - ranks[:, first])
    return outcomes
