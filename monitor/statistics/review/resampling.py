"""Bootstrap over items. Items with equal contributions form a group, so its cost is that of groups.

A statistic takes weights of shape (n, groups), how often each group is drawn in n resamples, and
returns k values of each, shape (k, n), NaN where undefined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.statistics.agreement import Estimate, Floats, Undefined, percentile_interval

Integers = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
Result = Estimate | Undefined

RESAMPLES: Final = 1_000
LEVEL: Final = 0.95
MOST_UNITS: Final = 2_000
"""Items beyond which items are joined at random, which bounds time and memory."""
_CELLS: Final = 1_000_000


def resampled(
    sizes: Integers, statistic: Statistic, generator: np.random.Generator, resamples: int
) -> tuple[Floats, Floats]:
    """Return a statistic of the items, shape (k,), and of the resamples, shape (k, resamples).

    sizes: number of items in each group.
    """
    value = statistic(sizes[None, :].astype(float))[:, 0]
    total = int(sizes.sum())
    if not total:
        return value, np.empty((len(value), 0))
    parts = []
    chunk = max(1, _CELLS // len(sizes))
    for start in range(0, resamples, chunk):
        drawn = generator.multinomial(total, sizes / total, min(chunk, resamples - start))
        parts.append(statistic(drawn.astype(float)))
    return value, np.concatenate(parts, axis=1)


def blocks(contributions: Floats, generator: np.random.Generator) -> tuple[Floats, Integers]:
    """Return sums of the contributions of items, and sizes for `resampled`.

    contributions: shape (items, k). Up to MOST_UNITS items are a group each; more are joined at
    random into as many groups, which are the units of the bootstrap.
    """
    items = len(contributions)
    if items > MOST_UNITS:
        block = generator.permutation(items) % MOST_UNITS
        joined = np.zeros((MOST_UNITS, contributions.shape[1]))
        np.add.at(joined, block, contributions)
        contributions = joined
    return contributions, np.ones(len(contributions), dtype=np.int64)


def estimate(value: float, draws: Floats, items: int, reason: Undefined) -> Result:
    """Return a coefficient with its percentile interval, or why it is undefined.

    Items without any disagreement have resamples without any: they give no interval.
    """
    if np.isnan(value):
        return reason
    if len(draws) and np.nanmin(draws, initial=np.inf) == np.nanmax(draws, initial=-np.inf):
        return Estimate(float(value))
    return percentile_interval(float(value), draws, items, LEVEL)


def share_estimate(value: float, draws: Floats, items: int, reason: Undefined) -> Result:
    """Return the mean of values from 0 to 1 of items with its interval, or why it is undefined.

    If all values are 1, or all 0, the other bound is that of Clopper and Pearson (1934).
    """
    found = estimate(value, draws, items, reason)
    if isinstance(found, Undefined) or value not in (0.0, 1.0):
        return found
    bound = ((1 - LEVEL) / 2) ** (1 / items)
    return Estimate(1.0, bound, 1.0) if value else Estimate(0.0, 0.0, 1 - bound)


def wilson(values: Floats, reason: Undefined, *, z: float = 1.959964) -> Result:
    """Return the mean of values from 0 to 1, with the interval of Wilson (1927).

    It is wide enough for all such values, whose variance is at most that of 0 and 1.
    """
    count = len(values)
    if not count:
        return reason
    mean = float(values.mean())
    centre = (mean + z * z / (2 * count)) / (1 + z * z / count)
    scatter = mean * (1 - mean) / count + (z / (2 * count)) ** 2
    half = z * float(np.sqrt(scatter)) / (1 + z * z / count)
    return Estimate(mean, max(0.0, centre - half), min(1.0, centre + half))
