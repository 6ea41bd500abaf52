"""Ratings of several models from comparisons of two answers to the same prompt.

Bradley and Terry (1952): model i beats model j with probability 1 / (1 + exp(r_j - r_i)). A tie is
half a win for each. This is an estimating equation of the expected score (Hunter 2004, section 5),
so ties need no parameter of their own as in Davidson (1970), and the sandwich variance does not
assume that the model is right.

Each pair of models that was compared counts one win of half weight in both directions in addition.
It makes every estimate finite, and the variance of a model that has won everything not zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components, shortest_path
from scipy.stats import t

from monitor.statistics.agreement import Floats

Integers = NDArray[np.int64]
PRIOR = 0.5
"""Weight of the additional win in each direction."""
_ITERATIONS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True)
class Rating:
    """The rating of a model: log odds of beating the base model.

    value: finite. lower, upper: infinite where the data have no bound, as for a model that never
    lost; both are 0 for the base model.
    comparisons: number of comparisons with the model.
    """

    value: float
    lower: float
    upper: float
    comparisons: int


def bradley_terry(
    first: Integers,
    second: Integers,
    scores: Floats,
    models: int,
    *,
    groups: Integers | None = None,
    level: float = 0.95,
    prior: float = PRIOR,
) -> list[Rating | None]:
    """Return the rating of each model against the base model, which is model 0.

    first, second: shape (comparisons,), index of the compared models.
    scores: shape (comparisons,): 1 if the first won, 0 if the second won, 0.5 for a tie.
    groups: shape (comparisons,), the prompt of each comparison; comparisons of one prompt are not
    independent. By default each is a group.
    prior: weight of the additional wins; 0 gives the maximum of the likelihood where it exists.

    None: no chain of comparisons connects the model with the base model.
    Interval: sandwich variance, clustered by group, with G / (G - 1), and t of G - 1 degrees.
    Raises ValueError if an argument is out of range.
    """
    _check(first, second, scores, models, groups)
    won = np.zeros((models, models))
    np.add.at(won, (first, second), scores)
    np.add.at(won, (second, first), 1 - scores)
    played = won + won.T
    _, part = connected_components(played > 0, directed=False)
    kept = np.flatnonzero(part == part[0])
    found: list[Rating | None] = [None] * models
    inside = np.isin(first, kept)
    index = np.full(models, -1)
    index[kept] = np.arange(len(kept))
    won, played = won[np.ix_(kept, kept)], played[np.ix_(kept, kept)]
    ratings = _fit(won + prior * (played > 0))
    if groups is not None:
        groups = groups[inside]
    cells = index[first[inside]], index[second[inside]], scores[inside]
    errors = _errors(ratings, played, cells, groups, prior)
    units = int(inside.sum()) if groups is None else len(np.unique(groups))
    half = float(t.ppf((1 + level) / 2, max(units - 1, 1))) * errors
    # A bound exists if a chain of wins and ties leads from one model to the other: Ford (1957).
    reached = np.isfinite(shortest_path(won > 0, unweighted=True))
    for i, model in enumerate(kept):
        value, count = float(ratings[i]), int(played[i].sum())
        lower = value - half[i] if reached[i, 0] else -inf
        upper = value + half[i] if reached[0, i] else inf
        found[int(model)] = Rating(value, float(lower), float(upper), count)
    return found


def _check(
    first: Integers, second: Integers, scores: Floats, models: int, groups: Integers | None
) -> None:
    if not len(first) == len(second) == len(scores) or (
        groups is not None and len(groups) != len(first)
    ):
        raise ValueError("comparisons have models, scores and groups of different lengths")
    both = np.concatenate([first, second])
    if len(both) and (both.min() < 0 or both.max() >= models):
        raise ValueError("a comparison has an unknown model")
    if (first == second).any():
        raise ValueError("a model is compared with itself")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("a score is not between 0 and 1")


def _expected(ratings: Floats) -> Floats:
    """Return the expected score of each model against each other."""
    difference = ratings[:, None] - ratings[None, :]
    expected: Floats = 0.5 * (1 + np.tanh(difference / 2))
    return expected


def _fit(won: Floats) -> Floats:
    """Return the ratings at the maximum of the likelihood, that of the base model 0.

    Newton's method; a step is at most 1 per model, because the likelihood is flat far from its
    maximum. The likelihood is concave, so its maximum does not depend on the way.
    """
    played = won + won.T
    ratings = np.zeros(len(won))
    free = np.arange(len(won)) > 0
    if not free.any():
        return ratings
    for _ in range(_ITERATIONS):
        expected = _expected(ratings)
        gradient = (won - played * expected).sum(axis=1)[free]
        step = np.linalg.solve(_information(played, expected)[np.ix_(free, free)], gradient)
        step /= max(1.0, float(np.abs(step).max()))
        ratings[free] += step
        if np.abs(step).max() < _TOLERANCE:
            break
    return ratings


def _information(played: Floats, expected: Floats) -> Floats:
    weights = played * expected * expected.T
    information: Floats = np.diag(weights.sum(axis=1)) - weights
    return information


def _errors(
    ratings: Floats,
    played: Floats,
    cells: tuple[Integers, Integers, Floats],
    groups: Integers | None,
    prior: float,
) -> Floats:
    """Return the standard error of each rating: bread * meat * bread."""
    expected = _expected(ratings)
    first, second, scores = cells
    residuals = scores - expected[first, second]
    units = np.arange(len(first)) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(units.max()) + 1 if len(units) else 0
    gradients = np.zeros((count, len(ratings)))
    np.add.at(gradients, (units, first), residuals)
    np.add.at(gradients, (units, second), -residuals)
    meat = gradients.T @ gradients * (count / max(count - 1, 1))
    compared = played > 0
    # The additional wins: a residual of 1 - p and one of -p in each pair, each its own group.
    square = prior * compared * ((1 - expected) ** 2 + expected**2)
    meat += np.diag(square.sum(axis=1)) - square
    free = np.arange(len(ratings)) > 0
    information = _information(played + 2 * prior * compared, expected)
    errors = np.zeros(len(ratings))
    if free.any():
        bread = np.linalg.inv(information[np.ix_(free, free)])
        errors[free] = np.sqrt(np.diag(bread @ meat[np.ix_(free, free)] @ bread))
    return errors
