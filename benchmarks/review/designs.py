"""Ways to choose the items that people label, each with its estimate of the mean of all items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.special import stdtrit

from benchmarks.review.populations import Items
from monitor.statistics.agreement import Floats
from monitor.statistics.corrected import Corrected, Moments, corrected_mean
from monitor.statistics.review.queue import Mask, QueueEstimate, QueueItems, inclusion, queue_mean

BASE: Final = 0.05
BOOST: Final = 0.5

Interval = tuple[float, float, float] | None
"""Estimate, lower and upper bound; None if undefined."""
Design = Callable[[Items, Floats, int, np.random.Generator], Interval]
"""Takes the items, their hashes u in (0, 1), the number of labels, and a generator."""


def hardest(items: Items, u: Floats, labels: int, rng: np.random.Generator) -> Interval:
    """Return the mean of the most difficult items."""
    return _plain(items.human[np.argsort(-items.difficulty)[:labels]])


def mixed(items: Items, u: Floats, labels: int, rng: np.random.Generator) -> Interval:
    """Return the unweighted mean of items of which half are the most difficult ones."""
    order = np.argsort(-items.difficulty)
    rest = rng.permutation(order[labels // 2 :])[: labels - labels // 2]
    return _plain(items.human[np.concatenate([order[: labels // 2], rest])])


def random_mean(items: Items, u: Floats, labels: int, rng: np.random.Generator) -> Interval:
    """Return the mean of items drawn at random."""
    return _plain(items.human[np.argsort(u)[:labels]])


def random_corrected(items: Items, u: Floats, labels: int, rng: np.random.Generator) -> Interval:
    """Return the mean of items drawn at random, corrected by the judge (PPI++)."""
    order = np.argsort(u)
    chosen, rest = order[:labels], order[labels:]
    found = corrected_mean(
        items.human[chosen],
        items.judge[chosen],
        Moments.of(items.judge[rest]),
        bounds=(0, items.highest),
    )
    return (found.value, found.lower, found.upper) if isinstance(found, Corrected) else None


def priority_weighted(items: Items, u: Floats, labels: int, rng: np.random.Generator) -> Interval:
    """Return the weighted mean of the items with the lowest xi, without the judge."""
    return _queue(items, u, labels, np.zeros(len(u)), np.zeros(len(u), dtype=bool))


def priority_corrected(items: Items, u: Floats, labels: int, rng: np.random.Generator) -> Interval:
    """Return the mean of the items with the lowest xi, weighted and corrected by the judge."""
    return _queue(items, u, labels, items.judge, np.zeros(len(u), dtype=bool))


def priority_skipped(items: Items, u: Floats, labels: int, rng: np.random.Generator) -> Interval:
    """Return the same if one task in ten is skipped."""
    return _queue(items, u, labels, items.judge, rng.random(len(u)) < 0.1)


DESIGNS: Final[dict[str, Design]] = {
    "hardest first": hardest,
    "half hardest, half random, unweighted": mixed,
    "random, mean": random_mean,
    "random, corrected by the judge (PPI++)": random_corrected,
    "xi order, weighted": priority_weighted,
    "xi order, weighted and corrected by the judge": priority_corrected,
    "the same, 10 % skipped": priority_skipped,
}


def _plain(human: Floats) -> Interval:
    """Return the mean with the interval of Student's t."""
    mean = float(human.mean())
    half = float(stdtrit(len(human) - 1, 0.975)) * float(human.std(ddof=1)) / len(human) ** 0.5
    return mean, mean - half, mean + half


def _queue(items: Items, u: Floats, labels: int, judge: Floats, skipped: Mask) -> Interval:
    """Return the estimate after people have reached `labels` labels in the order of xi."""
    pi = inclusion(items.difficulty, base=BASE, boost=BOOST)
    xi = u / pi
    order = np.argsort(xi)
    reached = np.searchsorted(np.cumsum(~skipped[order]), labels) + 1
    finished = np.zeros(len(u), dtype=bool)
    finished[order[:reached]] = True
    human = np.where(finished & ~skipped, items.human, np.nan)
    found = queue_mean(QueueItems(xi, pi, finished, human, judge), bounds=(0, items.highest))
    return (found.value, found.lower, found.upper) if isinstance(found, QueueEstimate) else None
