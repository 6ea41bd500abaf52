"""Answers as numbers: columns and matrices that the statistics take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.statistics.agreement import Floats
from monitor.web.review.answers import OVERALL, decode, overall
from monitor.web.review.model import TIE, Answer, Queue
from monitor.web.review.ratings import Rating
from monitor.web.views.agreement.reading import Reviewed

ABSENT = float("nan")


@dataclass(frozen=True, slots=True)
class Places:
    """Positions of people and items in matrices. items: only those that were rated."""

    people: dict[str, int]
    items: dict[str, int]


def places(reviewed: Reviewed) -> Places:
    """Return the positions of everyone with a rating or skip, and of the rated items."""
    people = {each.person for each in (*reviewed.ratings, *reviewed.gold)}
    people |= {person for _, person in reviewed.skips}
    items = sorted({each.item for each in reviewed.ratings})
    return Places(_positions(sorted(people)), _positions(items))


def _positions(names: Sequence[str]) -> dict[str, int]:
    return {name: position for position, name in enumerate(names)}


def matrix(
    ratings: Sequence[Rating], at: Places, value: Callable[[Rating], float | None]
) -> Floats:
    """Return values of answers, shape (items, people), NaN where absent or None."""
    found = np.full((len(at.items), len(at.people)), ABSENT)
    for each in ratings:
        number = value(each)
        if number is not None:
            found[at.items[each.item], at.people[each.person]] = number
    return found


def score(dimension: str, rating: Rating) -> float | None:
    """Return the score of a dimension."""
    return rating.answer.scores.get(dimension)


def preference(dimension: str, rating: Rating) -> float | None:
    """Return the outcome of a dimension."""
    return outcome(rating.answer, dimension)


def outcome(answer: Answer, dimension: str = OVERALL) -> float | None:
    """Return 1 if the first candidate is better, -1 if the second is, 0 for a tie."""
    preferred = answer.preferences.get(dimension)
    if preferred is None:
        return None
    return 0.0 if preferred == TIE else 1.0 - 2.0 * preferred


def first_is_shown_first(rating: Rating) -> float | None:
    """Return whether the first candidate was shown first, as 1 or 0."""
    return float(rating.order[0] == 0) if rating.order else None


def ranks(answer: Answer, candidates: int) -> Floats:
    """Return the place of each candidate; those of one group have equal places."""
    found = np.full(candidates, ABSENT)
    for place, group in enumerate(answer.ranking):
        found[list(group)] = place
    return found


def headline(queue: Queue, answer: Answer) -> float:
    """Return one number for an answer, by which annotators are compared.

    single: the overall score. pairwise: the outcome. ranking: the first candidate of the best
    group. spans: 1 if an error is marked.
    """
    if queue.task == "single":
        return overall(queue, answer) or 0.0
    if queue.task == "pairwise":
        return outcome(answer) or 0.0
    if queue.task == "ranking":
        return float(min(answer.ranking[0]))
    return float(bool(answer.spans))


def gold_headline(queue: Queue, content: object) -> float:
    """Return the headline of the known answer of a gold item."""
    return headline(queue, decode(content))
