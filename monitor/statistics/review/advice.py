"""What to do about the agreement of annotators, where the data determine it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from monitor.statistics.agreement import Estimate, Undefined
from monitor.statistics.review.resampling import Result


class Action(StrEnum):
    """What the agreement of annotators suggests."""

    USE = "use"
    ANNOTATE_AGAIN = "annotate_again"
    REVISE_GUIDELINE = "revise_guideline"


USABLE: Final = 0.6
"""Coefficient from which on labels are used as they are (Landis and Koch 1977: substantial)."""
REVISABLE: Final = 0.4
"""Coefficient below which annotators read the guideline differently (less than moderate)."""
LEAST_ITEMS: Final = 20
"""Items with two ratings that a recommendation requires."""
SKEWED: Final = 0.8
"""Share of one value from which on alpha rests on the few ratings with another value."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A recommendation. coefficient: name of the one that it follows from, with its value."""

    action: Action
    coefficient: str
    value: float


def advise(coefficient: str, result: Result, items: int) -> Advice | Undefined:
    """Return the recommendation that follows from a coefficient of agreement beyond chance.

    Undefined below LEAST_ITEMS, and if the interval contains both limits.
    """
    if isinstance(result, Undefined):
        return result
    if items < LEAST_ITEMS:
        return Undefined(f"{items} items have two ratings; advice requires {LEAST_ITEMS}")
    lower, upper = result.lower, result.upper
    if lower is not None and upper is not None and lower < REVISABLE and upper >= USABLE:
        return Undefined(
            f"the interval of {coefficient}, {lower:.2f} to {upper:.2f}, contains every"
            " recommendation: rate more items"
        )
    if result.value < REVISABLE:
        return Advice(Action.REVISE_GUIDELINE, coefficient, result.value)
    action = Action.ANNOTATE_AGAIN if result.value < USABLE else Action.USE
    return Advice(action, coefficient, result.value)


def advise_skewed(
    alpha: Result, ac1: Result | None, rare: Result, items: int, largest_share: float
) -> Advice | Undefined:
    """Return the recommendation of ratings of which one value may have nearly all.

    Such values make alpha low although annotators agree (the paradox of kappa, Feinstein and
    Cicchetti 1990). AC1 decides then; and if it is high, but ratings with the rare values are not
    confirmed by the others, items are annotated again. Without AC1 a low alpha decides nothing.

    rare: share of ratings with another value than the most frequent one that agree.
    """
    found = advise("alpha", alpha, items)
    if largest_share < SKEWED or (isinstance(found, Advice) and found.action is Action.USE):
        return found
    if ac1 is None:
        return Undefined(
            f"{largest_share:.0%} of the ratings are equal, so a low alpha shows little: rate items"
            " with other values"
        )
    found = advise("ac1", ac1, items)
    usable = isinstance(found, Advice) and found.action is Action.USE
    if usable and isinstance(rare, Estimate) and rare.value < USABLE:
        return Advice(Action.ANNOTATE_AGAIN, "rare", rare.value)
    return found
