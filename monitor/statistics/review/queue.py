"""A review queue that serves difficult items first, and the mean score of all its items.

An item is chosen for review with probability pi, which rises with its difficulty; u is a hash of
its id in (0, 1), and its priority is xi = u / pi. People work in the order of xi. However far they
get, the finished items are a sample: with c the priority of the first item that is not finished, an
item is in it if u < c pi, which has the probability min(1, c pi). This is sequential Poisson
sampling (Ohlsson, Journal of Official Statistics 1998); that these probabilities may be used
although c is random is shown by Duffield, Lund and Thorup, Priority sampling (2007).

The mean is that of Horvitz and Thompson as a ratio (Hajek), corrected by the judge's scores of all
items: active inference (Zrnic and Candes, arXiv 2403.03208) on a finite population.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import inf, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from monitor.statistics.agreement import Floats, Undefined
from monitor.statistics.corrected import FICTITIOUS_LABELS, MIN_LABELS, Moments

Mask = NDArray[np.bool_]
_BITS: Final = 53


@dataclass(frozen=True, slots=True)
class Priority:
    """pi: inclusion probability. u: in (0, 1). xi: u / pi; the lowest is served first."""

    pi: float
    u: float
    xi: float


def priority(salt: str, request_id: str, base: float, boost: float, difficulty: float) -> Priority:
    """Return the priority of an item that arrives. The arguments are those of `inclusion`.

    salt: of the queue. It is random and secret, so that the order does not follow from ids.
    """
    pi = float(inclusion(np.array(difficulty), base=base, boost=boost))
    u = uniform_number(salt, request_id)
    return Priority(pi, u, u / pi)


def inclusion(difficulty: Floats, *, base: float, boost: float) -> Floats:
    """Return pi = min(1, base + boost * difficulty).

    difficulty: of any shape; values below 0 count as 0, above 1 as 1. Raises ValueError if it is
    NaN, if boost is negative, and unless base is above 0 and at most 1: an item that is never
    chosen cannot be represented.
    """
    if not 0 < base <= 1 or not 0 <= boost < inf:
        raise ValueError(f"base {base} is not in (0, 1] or boost {boost} is negative")
    if np.isnan(difficulty).any():
        raise ValueError("a difficulty is not a number")
    return np.minimum(1.0, base + boost * np.clip(difficulty, 0.0, 1.0))


def uniform_number(salt: str, key: str) -> float:
    """Return a number in (0, 1) that follows from salt and key: 53 bits of their SHA-256.

    It is independent of the hash that drew the samples.
    """
    content = f"{salt}\n{key}".encode("utf-8", "surrogatepass")
    bits = int.from_bytes(hashlib.sha256(content).digest()[:8], "big") >> (64 - _BITS)
    return (bits + 0.5) / (1 << _BITS)


@dataclass(frozen=True, slots=True)
class QueueItems:
    """All items that arrived in a queue at random, as arrays of n values.

    Gold items and items added by hand have no pi and are not among them.
    xi, pi: as stored on arrival. finished: labelled, or skipped for good.
    human: label, NaN without one. judge: score of the judge.
    """

    xi: Floats
    pi: Floats
    finished: Mask
    human: Floats
    judge: Floats

    def __post_init__(self) -> None:
        if len({getattr(self, name).shape for name in self.__slots__}) > 1 or self.xi.ndim != 1:
            raise ValueError("the columns of the items have different shapes")
        if not ((self.pi > 0) & (self.pi <= 1) & (self.xi > 0) & np.isfinite(self.xi)).all():
            raise ValueError("each item needs a priority above 0, and pi in (0, 1]")
        if not np.isfinite(self.judge).all() or np.isinf(self.human).any():
            raise ValueError("scores of the judge and labels must be finite")
        if (~np.isnan(self.human) & ~self.finished).any():
            raise ValueError("an item with a label is not finished")


@dataclass(frozen=True, slots=True)
class QueueEstimate:
    """The mean human score of all items of a queue, with its interval.

    naive: the mean of the judge. people: the weighted mean of the labels without the judge.
    labels: number that entered; effective: the number of equally weighted ones (Kish).
    power: weight of the judge's scores, 0 if they are useless.
    skipped: finished items without a label; skip_share: the share of all items that it stands for.
        The estimate assumes that skipped items are like others of the same score of the judge.
    ahead: labels that did not enter, because an item before them is not finished.
    threshold: c, infinite if all items are finished.
    """

    value: float
    lower: float
    upper: float
    naive: float
    people: float
    labels: int
    effective: float
    power: float
    skipped: int
    skip_share: float
    ahead: int
    threshold: float


def queue_mean(
    items: QueueItems, *, bounds: tuple[float, float] | None = None, level: float = 0.95
) -> QueueEstimate | Undefined:
    """Return the mean human score of all items, from those finished in the order of xi.

    bounds: lowest and highest possible score. With them the variance counts FICTITIOUS_LABELS, each
        as far from the estimate as the bounds allow: labels may have missed all rare failures.
    """
    threshold = float(items.xi[~items.finished].min(initial=inf))
    sample = items.xi < threshold
    labelled = sample & ~np.isnan(items.human)
    human, judge = items.human[labelled], items.judge[labelled]
    # inf * pi is fine: pi is above 0.
    chances = np.minimum(1.0, threshold * items.pi)
    weights = 1 / chances[labelled]
    labels = float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0
    if labels < MIN_LABELS:
        return Undefined(
            f"{labels:.0f} effective labels in the order of the queue; {MIN_LABELS} are required"
        )
    answered = float(weights.sum() / (1 / chances[sample]).sum())
    shares = weights / weights.sum()
    people = float(shares @ human)
    centred = judge - float(shares @ judge)
    power = _power(human, centred, shares)
    naive = Moments.of(items.judge).mean
    value = people + power * (naive - float(shares @ judge))
    # Variance of Poisson sampling, in which a skip thins the sample further.
    spread = shares**2 * (1 - answered * chances[labelled])
    residuals = human - people - power * centred
    scatter = float(spread @ residuals**2) * labels / (labels - 2)
    if bounds is not None:
        furthest = max(value - bounds[0], bounds[1] - value) / labels
        scatter += FICTITIOUS_LABELS * furthest**2 * (1 - len(human) / len(items.xi))
    return QueueEstimate(
        *_interval(value, scatter, labels, bounds, level),
        naive=naive,
        people=people,
        labels=len(human),
        effective=labels,
        power=power,
        skipped=int((sample & ~labelled).sum()),
        skip_share=1 - answered,
        ahead=int((~np.isnan(items.human) & ~sample).sum()),
        threshold=threshold,
    )


def _interval(
    value: float, variance: float, labels: float, bounds: tuple[float, float] | None, level: float
) -> tuple[float, float, float]:
    """Return the estimate with the bounds of Student's t, all within the bounds of the scores."""
    half = float(stdtrit(labels - 2, (1 + level) / 2)) * sqrt(variance)
    low, high = (-inf, inf) if bounds is None else bounds
    value, lower, upper = (min(max(x, low), high) for x in (value, value - half, value + half))
    return value, lower, upper


def _power(human: Floats, centred: Floats, shares: Floats) -> float:
    """Return the slope of human scores on those of the judge, less their mean; 0 if constant."""
    if not len(centred) or np.ptp(centred) <= 1e-9 * max(1.0, float(np.abs(human).max())):
        return 0.0
    return float(shares @ (centred * human)) / float(shares @ centred**2)
