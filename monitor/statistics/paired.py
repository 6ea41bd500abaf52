"""Paired comparison of two answers to the same prompts: differences, ratios, wins.

Values are arrays of shape (pairs,), a control and a treatment for each pair. Pairs of one group,
such as several answers to one prompt, are not independent: the groups are the units of every
interval and test, and means are over pairs.

Intervals and p-values of means follow from subset sums (Hartigan, Using subsample values as typical
values, 1969; the inversion of the sign-flip test). If the difference of a group is symmetric about
its mean, they are exact for any number of groups and any tail; otherwise they hold as Student's t
does. In simulation (`tests/monitor/statistics/test_paired.py`) a 95 % interval of 10 to 100 pairs
misses in 4 to 6 % where differences are symmetric, also with infinite variance; BCa misses in 11 to
23 % with heavy tails. Both, and t, need more pairs where differences are strongly skewed: compare
such values, such as latencies, by their logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from monitor.statistics.agreement import Floats, Undefined

EXACT_UNITS = 13
"""Groups up to which all subsets are used."""
SUBSETS = 9_999
"""Random subsets for more groups. The test stays exact: its p-value is at least 2 / 10,000."""
MOST_UNITS = 2_000
"""Groups beyond which groups are joined at random, which bounds time and memory."""
_CHUNK = 1_000
_ROUNDING = 1e-12
"""Sums are zero below this share of the sum of the absolute values."""

NO_PAIRS = Undefined("there are no pairs")


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect with its interval. A bound that the data do not determine is infinite."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Paired:
    """The comparison of a treatment with its control.

    pairs, groups: number of pairs, and of independent groups of them.
    differing: pairs whose values differ. The test is conditional on it, and cannot reject at 0.
    control_mean, mean: over pairs. difference: mean less control_mean.
    relative: mean / control_mean - 1; None if a value of the control is negative or all are zero.
    p_value: two-sided, of no difference; below 1 - level exactly if 0 is outside `difference`.
    """

    pairs: int
    groups: int
    differing: int
    control_mean: float
    mean: float
    difference: Effect
    relative: Effect | None
    p_value: float


@dataclass(frozen=True, slots=True)
class Wins:
    """Wins, ties and losses of a treatment.

    rate: share of wins, a tie counts half; 0.5 is no difference. p_value: two-sided, of 0.5.
    """

    pairs: int
    groups: int
    wins: int
    ties: int
    losses: int
    rate: Effect
    p_value: float


def paired_difference(
    control: Floats,
    treatment: Floats,
    groups: NDArray[np.int64] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Paired | Undefined:
    """Return the difference of the means, and their ratio.

    groups: shape (pairs,), the group of each pair; by default each pair is one.
    seed: of the random subsets. The bounds are infinite if there are too few groups for the level:
    fewer than 6 for 95 %.
    Raises ValueError if shapes differ or a value is not finite.
    """
    _check(control, treatment, groups)
    if not len(control):
        return NO_PAIRS
    units = _units(groups, len(control))
    count = int(units.max()) + 1
    columns = np.array([treatment - control, np.ones(len(control)), control, treatment])
    sums = np.array([np.bincount(units, each, count) for each in columns])
    drawn, total = _subset_sums(sums, np.random.default_rng(seed))
    flat = np.abs(drawn[0]) <= _ROUNDING * np.abs(columns[0]).sum()
    drawn[0, flat] = 0.0
    p_value = min(1.0, 2 * (1 + min((drawn[0] <= 0).sum(), (drawn[0] >= 0).sum())) / (total + 1))
    rank = floor((1 - level) / 2 * (total + 1) + 1e-9)
    lower, upper = _typical(drawn[0], drawn[1], rank)
    mean, base = float(treatment.mean()), float(control.mean())
    difference = Effect(float((treatment - control).mean()), lower, upper)
    relative = None
    if control.min() >= 0 and treatment.min() >= 0 and base > 0:
        low, high = _typical(drawn[3], drawn[2], rank)
        relative = Effect(mean / base - 1, max(low, 0.0) - 1, high - 1)
    differing = int((treatment != control).sum())
    return Paired(len(control), count, differing, base, mean, difference, relative, float(p_value))


def paired_rates(
    control: Floats,
    treatment: Floats,
    groups: NDArray[np.int64] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Paired | Undefined:
    """Return the difference of two rates of binary values, 0 or 1. It has no `relative`.

    p_value: McNemar's exact test, which is the binomial test of the pairs that differ. Interval:
    Bonett and Price, Adjusted Wald confidence interval for a difference of binomial proportions
    based on paired data (2012). With groups of several pairs: the sign-flip test of their sums, and
    the same interval with the variance of the groups.
    Raises ValueError if shapes differ or a value is neither 0 nor 1.
    """
    _check(control, treatment, groups)
    if not np.isin(np.concatenate([control, treatment]), (0.0, 1.0)).all():
        raise ValueError("binary values are 0 or 1")
    if not len(control):
        return NO_PAIRS
    units = _units(groups, len(control))
    difference, p_value = _bounded(treatment - control, units, level, seed)
    return Paired(
        len(control),
        int(units.max()) + 1,
        int((treatment != control).sum()),
        float(control.mean()),
        float(treatment.mean()),
        difference,
        None,
        p_value,
    )


def win_rate(
    outcomes: Floats,
    groups: NDArray[np.int64] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Wins | Undefined:
    """Return the share of pairs that the treatment wins; a tie counts half.

    outcomes: shape (pairs,): above 0 a win, 0 a tie, below 0 a loss.

    The test and the interval are those of `paired_rates`: wins and losses are the two kinds of
    pairs that differ. Its p-value ignores ties, its interval counts them.
    """
    _check(outcomes, outcomes, groups)
    if not len(outcomes):
        return NO_PAIRS
    signs = np.sign(outcomes)
    units = _units(groups, len(signs))
    net, p_value = _bounded(signs, units, level, seed)
    wins, losses = int((signs > 0).sum()), int((signs < 0).sum())
    rate = Effect(*((1 + each) / 2 for each in (net.value, net.lower, net.upper)))
    ties = len(signs) - wins - losses
    return Wins(len(signs), int(units.max()) + 1, wins, ties, losses, rate, p_value)


def holm(p_values: Floats) -> Floats:
    """Return p-values adjusted for their number: Holm (1979). Each controls the family's error."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


def _check(control: Floats, treatment: Floats, groups: NDArray[np.int64] | None) -> None:
    if control.shape != treatment.shape or control.ndim != 1:
        raise ValueError(f"values of shapes {control.shape} and {treatment.shape} are no pairs")
    if groups is not None and groups.shape != control.shape:
        raise ValueError(f"{len(groups)} groups for {len(control)} pairs")
    if not (np.isfinite(control).all() and np.isfinite(treatment).all()):
        raise ValueError("a value is not finite")


def _units(groups: NDArray[np.int64] | None, pairs: int) -> NDArray[np.int64]:
    """Return the unit of each pair, counted from 0 without gaps."""
    if groups is None:
        return np.arange(pairs, dtype=np.int64)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _subset_sums(sums: Floats, generator: np.random.Generator) -> tuple[Floats, int]:
    """Return sums over subsets of units, and the number of possible outcomes less one.

    sums: shape (quantities, units). Returns shape (quantities, subsets), of all subsets or of
    random ones, without empty ones.
    """
    count = sums.shape[1]
    if count <= EXACT_UNITS:
        masks = np.arange(1, 2**count)
        chosen = (masks[:, None] >> np.arange(count)) & 1
        return sums @ chosen.T.astype(float), 2**count - 1
    if count > MOST_UNITS:
        block = generator.permutation(count) % MOST_UNITS
        sums = np.array([np.bincount(block, each, MOST_UNITS) for each in sums])
    parts = []
    for start in range(0, SUBSETS, _CHUNK):
        size = (min(_CHUNK, SUBSETS - start), sums.shape[1])
        parts.append(sums @ generator.integers(0, 2, size, dtype=np.uint8).T.astype(float))
    return np.concatenate(parts, axis=1), SUBSETS


def _typical(numerators: Floats, denominators: Floats, rank: int) -> tuple[float, float]:
    """Return the `rank`-th smallest and largest ratio of subset sums.

    A ratio of 0 / 0 does not restrict the bounds. rank: 0 if no bound is determined.
    """
    if rank < 1:
        return -inf, inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = numerators / denominators
    unknown = np.isnan(ratios)
    lower = np.partition(np.where(unknown, -inf, ratios), rank - 1)[rank - 1]
    upper = np.partition(np.where(unknown, inf, ratios), len(ratios) - rank)[len(ratios) - rank]
    return float(lower), float(upper)


def _bounded(
    signs: Floats, units: NDArray[np.int64], level: float, seed: int
) -> tuple[Effect, float]:
    """Return the mean of values from -1 to 1 with its interval, and its p-value.

    The interval counts one more pair of each sign, so that it has a width if all pairs agree.
    """
    count = int(units.max()) + 1
    sums, sizes = np.bincount(units, signs, count), np.bincount(units, minlength=count)
    pairs = len(signs) + 2
    centre = float(signs.sum()) / pairs
    scatter = float(((sums - sizes * centre) ** 2).sum()) + (1 - centre) ** 2 + (1 + centre) ** 2
    half = float(norm.ppf((1 + level) / 2)) * sqrt(scatter) / pairs
    effect = Effect(float(signs.mean()), max(-1.0, centre - half), min(1.0, centre + half))
    if count == len(signs):
        wins, losses = int((signs > 0).sum()), int((signs < 0).sum())
        return effect, min(1.0, 2 * float(binom.cdf(min(wins, losses), wins + losses, 0.5)))
    found = paired_difference(np.zeros(len(signs)), signs, units, level=level, seed=seed)
    assert isinstance(found, Paired)
    return effect, found.p_value
