"""Statistics of each annotator: speed, skips, agreement with others and gold, position bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from monitor.statistics.agreement import Estimate, Floats, Undefined
from monitor.statistics.panel import effective_votes
from monitor.statistics.review.resampling import LEVEL, Integers, Result, wilson

Mask = NDArray[np.bool_]

LEAST_TIMED: Final = 5
"""Ratings with an active time that a speed requires."""
LEAST_RATINGS: Final = 5
"""Ratings that an offset requires."""
NO_TASKS: Final = Undefined("no task was finished or skipped")
NO_OTHERS: Final = Undefined("no item has a rating by another annotator")
NO_GOLD: Final = Undefined("no gold item was rated")
NO_POSITIONS: Final = Undefined("no comparison has a recorded position")


@dataclass(frozen=True, slots=True)
class Work:
    """Finished and skipped tasks, one row for each, as arrays of n values.

    items, annotators: counted from 0. values: ratings, NaN for a skipped task.
    seconds: active time, NaN if unknown. gold: the right rating of the item, NaN without one.
    first_shown: for comparisons, 1 if the answer shown first was preferred, 0 if the other one, .5
        for a tie, NaN if unknown.
    """

    items: Integers
    annotators: Integers
    values: Floats
    seconds: Floats
    gold: Floats
    first_shown: Floats

    def __post_init__(self) -> None:
        if len({len(getattr(self, name)) for name in self.__slots__}) > 1:
            raise ValueError("the columns of the tasks have different lengths")


@dataclass(frozen=True, slots=True)
class Speed:
    """Active seconds of a task: median, and the values below which 10 % and 90 % of the tasks are.

    ratings: number with a time.
    """

    median: float
    fast: float
    slow: float
    ratings: int


@dataclass(frozen=True, slots=True)
class AnnotatorStatistics:
    """What one annotator did.

    done, skipped: tasks. skip_rate: of both.
    with_others: of an item's other ratings, the share equal to the annotator's, mean over items.
    with_gold: share of gold items rated right. Both: within the tolerance.
    offset: mean of the annotator's rating less the mean of the others of the item: leniency.
    first_shown: share of preferences for the answer shown first; without position bias it is .5.
    """

    annotator: int
    done: int
    skipped: int
    skip_rate: Result
    speed: Speed | Undefined
    with_others: Result
    with_gold: Result
    offset: Result
    first_shown: Result


def annotator_statistics(
    work: Work, annotators: int, *, tolerance: float = 0.0
) -> list[AnnotatorStatistics]:
    """Return the statistics of each annotator from 0 to `annotators`.

    tolerance: distance up to which two ratings agree: 0 for equal ones, 1 for ordinal ratings that
    may differ by a point.
    """
    equal, difference = _compared_with_others(work, tolerance)
    return [
        _statistics(who, work, work.annotators == who, equal, difference, tolerance)
        for who in range(annotators)
    ]


def votes_of(work: Work, annotators: int) -> float | Undefined:
    """Return the effective number of independent annotators per item, from errors on gold items.

    Of as many annotators as rated a gold item on average, so it is comparable with the overlap.
    """
    rows = ~np.isnan(work.values - work.gold)
    items, codes = np.unique(work.items[rows], return_inverse=True)
    if not len(items):
        return NO_GOLD
    errors = np.full((len(items), annotators), np.nan)
    errors[codes, work.annotators[rows]] = work.values[rows] - work.gold[rows]
    per_item = float((~np.isnan(errors)).sum(axis=1).mean())
    return effective_votes(errors, votes=per_item)


def _statistics(
    who: int, work: Work, own: Mask, equal: Floats, difference: Floats, tolerance: float
) -> AnnotatorStatistics:
    values = work.values[own]
    skipped = np.isnan(values)
    seconds = work.seconds[own & ~np.isnan(work.values)]
    right = np.abs(values - work.gold[own]) <= tolerance + 1e-9
    return AnnotatorStatistics(
        annotator=who,
        done=int((~skipped).sum()),
        skipped=int(skipped.sum()),
        skip_rate=wilson(skipped.astype(float), NO_TASKS),
        speed=_speed(seconds[~np.isnan(seconds)]),
        with_others=wilson(_known(equal[own]), NO_OTHERS),
        with_gold=wilson(right[~np.isnan(values - work.gold[own])].astype(float), NO_GOLD),
        offset=_mean(_known(difference[own])),
        first_shown=wilson(_known(work.first_shown[own]), NO_POSITIONS),
    )


def _compared_with_others(work: Work, tolerance: float) -> tuple[Floats, Floats]:
    """Return, for each row, the share of the item's other ratings that agree, and the difference.

    The difference is that of the rating and the mean of the others; NaN without others.
    """
    rated = np.flatnonzero(~np.isnan(work.values))
    equal, difference = np.full((2, len(work.values)), np.nan)
    if not len(rated):
        return equal, difference
    values, codes = np.unique(work.values[rated], return_inverse=True)
    _, items = np.unique(work.items[rated], return_inverse=True)
    counts = np.zeros((items.max() + 1, len(values)))
    np.add.at(counts, (items, codes), 1)
    near = (np.abs(values[:, None] - values[None, :]) <= tolerance + 1e-9).astype(float)
    others = counts.sum(axis=1)[items] - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        equal[rated] = ((counts @ near)[items, codes] - 1) / others
        mean = ((counts @ values)[items] - work.values[rated]) / others
    difference[rated] = np.where(others > 0, work.values[rated] - mean, np.nan)
    equal[rated[others == 0]] = np.nan
    return equal, difference


def _known(values: Floats) -> Floats:
    found: Floats = values[~np.isnan(values)]
    return found


def _speed(seconds: Floats) -> Speed | Undefined:
    if len(seconds) < LEAST_TIMED:
        return Undefined(f"fewer than {LEAST_TIMED} ratings have an active time")
    fast, median, slow = np.quantile(seconds, [0.1, 0.5, 0.9])
    return Speed(float(median), float(fast), float(slow), len(seconds))


def _mean(values: Floats) -> Result:
    """Return a mean with the interval of Student's t."""
    if len(values) < LEAST_RATINGS:
        return Undefined(f"fewer than {LEAST_RATINGS} ratings have others to compare with")
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    half = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * error
    return Estimate(mean, mean - half, mean + half)
