"""Bets against a reference: what a stream's cells may be worth more often, or less.

A bet is a density ratio over the cells of a stream: record by record it pays w(cell), and under the
reference its mean payment is 1 at most. Each stands for one way in which a stream can change, and
for one size of it; the e-detector mixes them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from detectors import dependence
from detectors.base import Floats
from detectors.streams import TAILS, CategoricalStream, NumericStream

SHIFTS = {0.1: 4.0, 0.2: 4.0, 0.5: 1.5, 1.0: 0.2}
"""Of the mean, in standard deviations of the normal scores of the ranks, up and down; and their
parts of the stake. A part of 1 / e costs as many records as it takes a bet to win a factor of e:
200 for a shift of .1, 8 for .5. So the small ones have most; the largest is there to be named."""
MOST_SCORE = 5.0
"""Of a value: one that is rare among equals would be worth more than a float can hold."""
SCALES = (0.6, 0.85, 1.15, 1.4, 2.0)
"""Factors of the standard deviation of the normal scores."""
TAIL_FACTOR = 3.0
"""How much more often a tail is met."""
FAR_PART = 0.85
"""What part of a stretched tail is in the next one of TAILS, where a third was. Of a tail whose
values have doubled it is all, be it as heavy as a lognormal one with a deviation of 1.5."""
MISSING_ODDS = {0.4: 1.0, 1.5: 2.0, 4.0: 4.0, 16.0: 1.0}
"""Factors of the odds that a value is missing, and their parts of the stake."""
BIN_FACTOR = 2.0
NEW_SHARES = (0.003, 0.03)
"""Shares of records that are of no known category, or beyond all that the reference had."""
MOST_BINS = 16
"""Bins with a bet of their own, the fullest ones."""
MIN_IN_BIN = 50
"""Fewer records of the reference do not say how many there should be."""

MIN_RECORDS = 500
"""Fewer records of the reference support no bet."""
GRAIN = 2.0**-20
"""Logarithms are rounded down to multiples of it. Sums of counts times them are then exact, and do
not depend on the order in which they are made."""


@dataclass(frozen=True)
class Bets:
    """K bets on one stream of G cells.

    names: what each stands for. weights: shape (K,), what share of the stake is on each, sum 1.
    logarithms: shape (G, K), ln w by cell. excess: shape (K,), the standard error of a record's
    mean payment that the reference's own error makes.
    """

    names: tuple[str, ...]
    weights: Floats
    logarithms: Floats
    excess: Floats


@dataclass(frozen=True)
class _Family:
    """Ways to change of one kind: their names, payments, shape (G, k), and weights, shape (k,).

    rare: whether they are about cells so rare that the reference does not show how their records
    depend on each other.
    """

    names: tuple[str, ...]
    payments: Floats
    weights: Floats
    rare: bool = False


def bets_on(stream: NumericStream | CategoricalStream) -> Bets:
    """All bets on a stream; none where the reference is too short."""
    if stream.count + stream.missing < MIN_RECORDS:
        return Bets((), np.zeros(0), np.zeros((len(stream.cell_counts()), 0)), np.zeros(0))
    shares = shares_of(stream)
    if isinstance(stream, NumericStream):
        families = [*_numeric(stream, shares), _on_bins(stream, shares, 0.03)]
    else:
        families = [_on_bins(stream, shares, 0.7)]
    families.append(_on_missing(shares))
    families.append(_on_new(stream, shares))
    families = [family for family in families if family.names]
    payments = np.concatenate([family.payments for family in families], axis=1)
    weights = np.concatenate([family.weights for family in families])
    names = tuple(name for family in families for name in family.names)
    rare = np.concatenate([np.full(len(f.names), f.rare) for f in families])
    logarithms, excess = _cautious(payments, shares, stream, rare)
    return Bets(names, weights / weights.sum(), floored(logarithms), excess)


def floored(logarithms: Floats) -> Floats:
    """Logarithms as multiples of GRAIN."""
    return np.asarray(np.floor(logarithms / GRAIN) * GRAIN)


def shares_of(stream: NumericStream | CategoricalStream) -> Floats:
    """What share of records is expected in each cell, shape (G,), all above 0, sum 1.

    A cell that the reference left empty may have been missed: it is given one record; what no
    category was known for, as many as there were categories met once (Good & Turing).
    """
    counts = np.maximum(stream.cell_counts(), 1.0)
    if isinstance(stream, CategoricalStream):
        counts[-2] = max(counts[-2], 1.0 + float((stream.counts == 1).sum()))
    return np.asarray(counts / counts.sum(), np.float64)


def _numeric(stream: NumericStream, shares: Floats) -> list[_Family]:
    """Bets on where values lie; none of a constant stream."""
    if (stream.cell_counts()[:-1] > 0).sum() < 2:
        return []
    present = shares[:-1] / shares[:-1].sum()
    ranks = present.cumsum() - present / 2
    scores = ndtri(ranks)
    scores = (scores - present @ scores) / max(1e-9, float(np.sqrt(present @ scores**2)))
    scores = scores.clip(-MOST_SCORE, MOST_SCORE)
    theta = np.array([sign * shift for shift in SHIFTS for sign in (1, -1)])
    parts = [part for part in SHIFTS.values() for _ in (1, -1)]
    shifts = np.exp(scores[:, None] * theta)
    factors = np.array(SCALES)
    scales = np.exp(scores[:, None] ** 2 / 2 * (1 - 1 / factors**2))
    return [
        _Family(
            tuple(f"mean {t:+g} sd" for t in theta), _fair(shifts, shares), _divided(0.66, parts)
        ),
        _Family(
            tuple(f"spread x{f:g}" for f in SCALES),
            _fair(scales, shares),
            _divided(0.05, [1.0] * len(SCALES)),
        ),
        _on_tails(ranks, shares),
    ]


def _on_tails(ranks: Floats, shares: Floats) -> _Family:
    """Bets on tails that are met more often, or that reach further out."""
    present = shares[:-1] / shares[:-1].sum()
    names, payments, parts = list[str](), list[Floats](), list[float]()
    for side, depths in (("top", 1 - ranks), ("bottom", ranks)):
        held = {q: float(present[depths < q].sum()) for q in TAILS}
        for q in TAILS:
            if held[q]:
                names.append(f"{side} {q:.1%}")
                payments.append(np.where(depths < q, TAIL_FACTOR, 1.0))
                parts.append(1.0)
        for far, near in pairwise(TAILS):
            if 0 < held[far] < held[near]:
                part = held[far] / held[near]
                pays = np.where(depths < far, FAR_PART / part, (1 - FAR_PART) / (1 - part))
                names.append(f"{side} {near:.1%} stretched")
                payments.append(np.where(depths < near, pays, 1.0))
                parts.append(2.0)
    table = _fair(np.array(payments).reshape(-1, len(ranks)).T, shares)
    return _Family(tuple(names), table, _divided(0.08, parts), rare=True)


def _divided(weight: float, parts: Sequence[float]) -> Floats:
    """A weight in the proportions of the parts, shape (k,)."""
    return weight * np.array(parts) / sum(parts)


def _fair(payments: Floats, shares: Floats) -> Floats:
    """Payments for values, scaled to a mean of 1, with a row for missing values, which pay 1."""
    present = shares[:-1] / shares[:-1].sum()
    return np.concatenate((payments / (present @ payments), np.ones((1, payments.shape[1]))))


def _on_bins(stream: NumericStream | CategoricalStream, shares: Floats, weight: float) -> _Family:
    """Bets on more records in each of the fullest bins."""
    bin_of_cell, names = stream.bin_of_cell(), stream.bin_names()
    by_bin = np.bincount(bin_of_cell, shares)
    known = by_bin * (stream.count + stream.missing) >= MIN_IN_BIN
    known[-2:] = False  # what is unknown, beyond or missing has bets of its own
    order = np.argsort(-by_bin, kind="stable")[:MOST_BINS].tolist()
    fullest = [b for b in order if known[b] and by_bin[b] < 1 / BIN_FACTOR - 0.1]
    inside = bin_of_cell[:, None] == np.array(fullest, int)
    chosen = by_bin[fullest]
    outside = (1 - BIN_FACTOR * chosen) / (1 - chosen)
    payments = np.where(inside, BIN_FACTOR, outside)
    weights = _divided(weight, [1.0] * len(fullest))
    return _Family(tuple(f"more {names[b]}" for b in fullest), payments, weights)


def _on_missing(shares: Floats) -> _Family:
    """Bets on missing values."""
    share = shares[-1]
    odds, parts = np.array(list(MISSING_ODDS)), list(MISSING_ODDS.values())
    scale = 1 / (1 - share + odds * share)
    payments = np.ones((len(shares), 1)) * scale
    payments[-1] = odds * scale
    names = tuple(f"missing x{o:g}" for o in MISSING_ODDS)
    return _Family(names, payments, _divided(0.15, parts), rare=True)


def _on_new(stream: NumericStream | CategoricalStream, shares: Floats) -> _Family:
    """Bets on values that the reference never, or hardly ever, had."""
    last = len(shares) - 1
    cells = (
        {"above": last - 1, "below": 0}
        if isinstance(stream, NumericStream)
        else {"unknown": last - 1}
    )
    payments, names = [], []
    for name, cell in cells.items():
        for new in NEW_SHARES:
            if shares[cell] * 10 <= new:
                pays = np.full(len(shares), (1 - new) / (1 - shares[cell]))
                pays[cell] = new / shares[cell]
                payments.append(pays)
                names.append(f"{name} {new:.1%}")
    weights = _divided(0.03, [1.0] * len(names))
    return _Family(tuple(names), np.array(payments).reshape(-1, len(shares)).T, weights, rare=True)


def _cautious(
    payments: Floats,
    shares: Floats,
    stream: NumericStream | CategoricalStream,
    rare: NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """Logarithms of payments that stay fair where records depend, and the error of their means.

    The mean payment was found with the reference's shares, which err. Where sums over blocks vary v
    times as much as independent records would let them, a bet is raised to the power 1 / v: of a
    normal sum its mean is then 1 again. What is rare is taken to depend as much as what depends
    most: extremes come in clusters.
    """
    excess = np.sqrt(np.maximum(shares @ payments**2 - 1, 0.0))
    logarithms = np.log(payments)
    inflation = dependence.long_run_inflation(stream.blocks, logarithms, shares)
    inflation[rare] = inflation.max()
    records = stream.count + stream.missing
    return logarithms / inflation, excess / np.sqrt(inflation * records)
