"""Agreement on ratings: ordinal, such as 0 to 5, or nominal, such as pass and fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from monitor.statistics.agreement import (
    ONE_VALUE,
    TOO_FEW_PAIRS,
    Floats,
    Undefined,
    agreeing_pairs,
    alphas,
    cohen_kappas,
    coincidences,
    count_values,
    cross_table,
    fleiss_kappas,
    gwet_ac1s,
)
from monitor.statistics.review.advice import Advice, advise_skewed
from monitor.statistics.review.resampling import (
    RESAMPLES,
    Integers,
    Result,
    estimate,
    resampled,
    share_estimate,
)

Kind = Literal["ordinal", "nominal"]
LEAST_COMMON: Final = 10
"""Items of both raters that the kappa of a pair requires."""
MOST_PAIRS: Final = 100
MOST_VALUES: Final = 101
UNEQUAL_RATERS: Final = Undefined("items have different numbers of ratings, which alpha allows")
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class ValueAgreement:
    """Agreement on one value: of the ratings of it, how many of the item's others are equal.

    share: of all ratings. The specific agreement of Cicchetti and Feinstein (1990).
    """

    value: float
    share: float
    agreement: Result


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two raters, as columns, on the items of both. kappa: Cohen's; ordinal: quadratic weights."""

    first: int
    second: int
    items: int
    exact: float
    kappa: Result


@dataclass(frozen=True, slots=True)
class RatingAgreement:
    """Agreement of one dimension.

    items: with at least two ratings. ratings: of all items.
    exact, within_one: share of pairs of ratings of an item that are equal, or differ by at most 1,
        as a mean over items. within_one is None for nominal ratings.
    alpha: Krippendorff's, ordinal or nominal. ac1, fleiss: None for ordinal ratings.
    rare: `ValueAgreement.agreement` of all values but the most frequent one together.
    pairs_left_out: pairs with enough items beyond the MOST_PAIRS with most items.
    """

    kind: Kind
    items: int
    raters: int
    ratings: int
    exact: Result
    within_one: Result | None
    alpha: Result
    ac1: Result | None
    fleiss: Result | None
    rare: Result
    values: list[ValueAgreement]
    pairs: list[PairAgreement]
    pairs_left_out: int
    advice: Advice | Undefined


@dataclass(frozen=True, slots=True)
class _Units:
    """Rated items by equal numbers of ratings per value.

    values: (k,). counts: (groups, k). sizes: (groups,), items of each group.
    """

    values: Floats
    counts: Floats
    sizes: Integers

    @property
    def raters(self) -> Floats:
        total: Floats = self.counts.sum(axis=1)
        return total


def rating_agreement(
    ratings: Floats, kind: Kind, generator: np.random.Generator, *, resamples: int = RESAMPLES
) -> RatingAgreement:
    """Return the agreement of ratings, shape (items, raters), NaN where absent.

    generator: for the bootstrap over items.
    Raises ValueError if there are more than MOST_VALUES different values, or an infinite one.
    """
    units = _units(ratings)
    raters, sizes = units.raters, units.sizes
    items = int(sizes[raters >= 2].sum())
    value, draws = resampled(
        sizes, lambda weights: _coefficients(units, weights, kind), generator, resamples
    )
    reason = ONE_VALUE if items else TOO_FEW_PAIRS
    exact, within, alpha, ac1, fleiss = (
        each(value[row], draws[row], items, reason)
        for row, each in enumerate((share_estimate, share_estimate, estimate, estimate, estimate))
    )
    if items and len(np.unique(raters)) > 1:
        fleiss = UNEQUAL_RATERS
    nominal = kind == "nominal"
    found = _by_value(units, value[6:], draws[6:], items)
    rare = estimate(value[5], draws[5], items, ONE_VALUE)
    largest = max((each.share for each in found), default=0.0)
    pairs, left_out = _pairs(ratings, kind, generator, resamples)
    return RatingAgreement(
        kind=kind,
        items=items,
        raters=int((~np.isnan(ratings)).any(axis=0).sum()),
        ratings=int((~np.isnan(ratings)).sum()),
        exact=exact,
        within_one=None if nominal else within,
        alpha=alpha,
        ac1=ac1 if nominal else None,
        fleiss=fleiss if nominal else None,
        rare=rare,
        values=found,
        pairs=pairs,
        pairs_left_out=left_out,
        advice=advise_skewed(alpha, ac1 if nominal else None, rare, items, largest),
    )


def _units(ratings: Floats) -> _Units:
    if ratings.ndim != 2:
        raise ValueError(f"ratings have the shape (items, raters), not {ratings.shape}")
    if np.isinf(ratings).any():
        raise ValueError("a rating is infinite")
    values, counts = count_values(ratings)
    if len(values) > MOST_VALUES:
        raise ValueError(f"{len(values)} different ratings; at most {MOST_VALUES} are possible")
    counts = counts[counts.sum(axis=1) >= 1]
    _, chosen, sizes = np.unique(_keys(counts), return_index=True, return_counts=True)
    return _Units(values, counts[chosen], sizes.astype(np.int64))


def _keys(counts: Floats) -> Integers:
    """Return a number for each row; equal rows have equal numbers."""
    base = int(counts.max(initial=0)) + 1
    if base ** counts.shape[1] >= 2**53:
        return np.unique(counts, axis=0, return_inverse=True)[1].ravel().astype(np.int64)
    return (counts @ float(base) ** np.arange(counts.shape[1])).astype(np.int64)


def _coefficients(units: _Units, weights: Floats, kind: Kind) -> Floats:
    """Return exact, within one, alpha, AC1, Fleiss' kappa, and the agreement on rare values.

    weights: shape (n, groups). Returns shape (6 + k, n), NaN where undefined; the last k rows are
    the agreement on each value.
    """
    found = np.full((6 + len(units.values), len(weights)), np.nan)
    raters = units.raters
    paired = raters >= 2
    counts, drawn = units.counts[paired], weights[:, paired]
    total = drawn.sum(axis=1)
    if not len(counts):
        return found
    with np.errstate(invalid="ignore", divide="ignore"):
        found[0] = drawn @ agreeing_pairs(counts) / total
        found[1] = drawn @ _near_pairs(counts, units.values) / total
        matrices = np.array([coincidences(counts, each) for each in drawn])
        equal, every = np.diagonal(matrices, axis1=1, axis2=2).T, matrices.sum(axis=2).T
        found[6:] = equal / every
        rare = np.arange(len(units.values)) != (units.sizes @ units.counts).argmax()
        found[5] = equal[rare].sum(axis=0) / every[rare].sum(axis=0)
    found[2] = alphas(matrices, units.values, kind)
    if len(units.values) > 1:
        shares = weights @ (units.counts / raters[:, None]) / weights.sum(axis=1)[:, None]
        found[3] = gwet_ac1s(found[0], shares)
        found[4] = fleiss_kappas(found[0], shares)
    return found


def _near_pairs(counts: Floats, values: Floats) -> Floats:
    """Return the share of pairs of ratings of a unit that differ by at most 1."""
    near = (np.abs(values[:, None] - values[None, :]) <= 1 + _ROUNDING).astype(float)
    raters = counts.sum(axis=1)
    shares: Floats = (((counts @ near) * counts).sum(axis=1) - raters) / (raters * (raters - 1))
    return shares


def _by_value(units: _Units, values: Floats, draws: Floats, items: int) -> list[ValueAgreement]:
    totals = units.sizes @ units.counts
    reason = Undefined("no item with two ratings has this value")
    return [
        ValueAgreement(
            value=float(units.values[index]),
            share=float(totals[index] / totals.sum()),
            agreement=estimate(values[index], draws[index], items, reason),
        )
        for index in range(len(units.values))
    ]


def _pairs(
    ratings: Floats, kind: Kind, generator: np.random.Generator, resamples: int
) -> tuple[list[PairAgreement], int]:
    """Return the agreement of the pairs with most items, and the number of pairs left out."""
    present = (~np.isnan(ratings)).astype(float)
    common = np.triu(present.T @ present, 1)
    first, second = np.nonzero(common >= LEAST_COMMON)
    order = np.argsort(-common[first, second], kind="stable")
    pairs = sorted(zip(first[order][:MOST_PAIRS], second[order][:MOST_PAIRS], strict=True))
    found = [_pair(ratings, int(a), int(b), kind, generator, resamples) for a, b in pairs]
    return found, len(order) - len(found)


def _pair(
    ratings: Floats,
    first: int,
    second: int,
    kind: Kind,
    generator: np.random.Generator,
    resamples: int,
) -> PairAgreement:
    values, table = cross_table(ratings[:, [first, second]])
    size = len(values)
    items = int(table.sum())

    def kappas(weights: Floats) -> Floats:
        tables = weights.reshape(-1, size, size)
        return cohen_kappas(tables, values, "none" if kind == "nominal" else "quadratic")[None, :]

    value, draws = resampled(table.ravel().astype(np.int64), kappas, generator, resamples)
    kappa = estimate(value[0], draws[0], items, ONE_VALUE)
    return PairAgreement(first, second, items, float(np.trace(table)) / items, kappa)
