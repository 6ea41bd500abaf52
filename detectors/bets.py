"""Bets against a reference: that some of a stream's cells become more or less frequent.

A bet is a density ratio over the cells of a stream. Its payoff for a record is w(cell), with a mean
of at most 1 under the reference. Each bet covers one kind and one size of change; the e-detector
mixes them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import ndtri

from detectors import dependence
from detectors.arrays import Bools, Floats
from detectors.baseline import Stream
from detectors.categorical_stream import CategoricalStream
from detectors.conditional_stream import ConditionalStream
from detectors.numeric_stream import TAILS, NumericStream
from detectors.rare_cells import MIN_IN_CELL

SHIFTS = {0.1: 4.0, 0.2: 4.0, 0.5: 1.5, 1.0: 0.2}
"""Shifts of the mean, up and down, in standard deviations of the normal scores of the ranks, with
their relative stakes. A stake smaller by a factor of e costs as many records as a bet needs to win
that factor: 200 for a shift of 0.1, 8 for 0.5. So small shifts have the largest stakes. The largest
shift is there to name the change."""
MAX_SCORE = 5.0
"""Bound of a normal score: the payoff of a value rare among ties could exceed the largest float."""
SCALES = (0.6, 0.85, 1.15, 1.4, 2.0)
"""Factors of the standard deviation of the normal scores."""
TAIL_FACTOR = 3.0
"""Factor of the frequency of a tail."""
FAR_PART = 0.85
"""Part of a stretched tail beyond the next quantile of TAILS, where the reference has a third. Of a
tail whose values have doubled the part is near 1, even for a lognormal tail with sigma 1.5."""
TILTS = {0.3: 4.0, 0.6: 4.0, 1.1: 2.0, 1.75: 1.0}
"""Half of ln of the factor of the odds of a value within strata, with relative stakes."""
MISSING_ODDS = {0.4: 1.0, 1.5: 2.0, 4.0: 4.0, 16.0: 1.0}
"""Factors of the odds that a value is missing, with their relative stakes."""
BIN_FACTOR = 2.0
"""Factor of the share of a bin."""
FALLEN_FACTOR = 0.25
"""Factor of the share of a category that vanishes or nearly does. A window of 1,000 records expects
too few of a rare category for its absence to be significant; some thousand records are certain."""
RARE_FACTOR = 3.0
"""Factor of the share of a rare category. It gains from a factor of two on; at ten it gains half as
much as a bet on ten does."""
NEW_SHARES = (0.003, 0.03)
"""Shares of records with an unknown category, or with a value outside the reference's range."""
MAX_BINS = 16
"""Number of bins with a bet of their own, the most frequent ones."""
MIN_IN_BIN = 50
"""Records of the reference required in a bin to estimate its share."""

MIN_RECORDS = 500
"""Records of the reference required for bets."""
GRAIN = 2.0**-20
"""Log payoffs are rounded down to multiples of this. Sums of their products with counts are then
exact and independent of the order of summation."""


@dataclass(frozen=True)
class Bets:
    """K bets on one stream of G cells.

    names: the change that each bet covers. weights: shape (K,), shares of the stake, sum 1.
    log_payoffs: shape (G, K), ln w by cell. error: shape (K,), the standard error of a record's
    mean payoff due to the error of the reference's shares.
    """

    names: tuple[str, ...]
    weights: Floats
    log_payoffs: Floats
    error: Floats


@dataclass(frozen=True)
class _Family:
    """Bets on one kind of change: names, payoffs of shape (G, k), and weights of shape (k,).

    rare: whether they depend on cells so rare that the reference does not show the dependence of
    their records. sparse: whether it shows it for all of them together.
    """

    names: tuple[str, ...]
    payoffs: Floats
    weights: Floats
    rare: bool = False
    sparse: bool = False


def build_bets(stream: Stream) -> Bets:
    """Return all bets on a stream; none if the reference is too short."""
    if stream.count + stream.missing < MIN_RECORDS:
        return Bets((), np.zeros(0), np.zeros((len(stream.cell_counts()), 0)), np.zeros(0))
    shares = expected_shares(stream)
    if isinstance(stream, ConditionalStream):
        families = [_within_strata(stream)]
    elif isinstance(stream, NumericStream):
        families = [*_on_values(stream, shares), _on_bins(stream, shares, 0.03)]
    else:
        families = [_on_bins(stream, shares, 0.7), _on_fallen_bins(stream, shares, 0.1)]
        families.append(_on_rare_cells(stream, shares, 0.1))
    if not isinstance(stream, ConditionalStream):
        families.append(_on_missing(shares))
        families.append(_on_new(stream, shares))
    families = [family for family in families if family.names]
    payoffs = np.concatenate([family.payoffs for family in families], axis=1)
    weights = np.concatenate([family.weights for family in families])
    names = tuple(name for family in families for name in family.names)
    rare = np.concatenate([np.full(len(f.names), f.rare) for f in families])
    sparse = np.concatenate([np.full(len(f.names), f.sparse) for f in families])
    log_payoffs, error = _corrected(payoffs, shares, stream, rare, sparse)
    return Bets(names, weights / weights.sum(), round_down(log_payoffs), error)


def round_down(log_payoffs: Floats) -> Floats:
    """Return log payoffs rounded down to multiples of GRAIN."""
    return np.asarray(np.floor(log_payoffs / GRAIN) * GRAIN)


def expected_shares(stream: Stream) -> Floats:
    """Return the expected share of records in each cell, shape (G,), all above 0, sum 1.

    A cell that is empty in the reference counts one record, unknown categories one more than
    expected.
    """
    if isinstance(stream, ConditionalStream):
        within = (stream.counts.sum(axis=1, keepdims=True) * stream.shares).ravel()
        counts = np.append(within, max(1.0, stream.missing))
        return np.asarray(counts / counts.sum(), np.float64)
    counts = np.maximum(stream.cell_counts(), 1.0)
    if isinstance(stream, CategoricalStream):
        counts[-2] = 1.0 + stream.bin_counts()[-2]
    return np.asarray(counts / counts.sum(), np.float64)


def _within_strata(stream: ConditionalStream) -> _Family:
    """Return bets on values within strata.

    In stratum s, with shares p_s and a score h(v) of each bin, the payoff is
    exp(t h(v)) / sum_v p_s(v) exp(t h(v)). Its mean is 1 in every stratum, so that it wins nothing
    from a change of their mix.
    """
    bins = stream.counts.shape[1]
    level = np.linspace(-1.0, 1.0, bins)
    kinds = {"higher": level, "lower": -level}
    if bins > 2:
        kinds |= {"outer": np.abs(level), "inner": -np.abs(level)}
    names, payoffs, stakes = list[str](), list[Floats](), list[float]()
    for kind, scores in kinds.items():
        for tilt, stake in TILTS.items():
            names.append(f"{kind} x{np.exp(2 * tilt):.2g} odds")
            tilted = np.exp(tilt * scores)
            fair = tilted / (stream.shares @ tilted)[:, None]
            payoffs.append(np.append(fair.ravel(), 1.0))
            stakes.append(stake)
    return _Family(tuple(names), np.array(payoffs).T, _split(1.0, stakes))


def _on_values(stream: NumericStream, shares: Floats) -> list[_Family]:
    """Return bets on mean, spread and tails; none for a constant stream."""
    if (stream.cell_counts()[:-1] > 0).sum() < 2:
        return []
    present = shares[:-1] / shares[:-1].sum()
    ranks = present.cumsum() - present / 2
    scores = ndtri(ranks)
    scores = (scores - present @ scores) / max(1e-9, float(np.sqrt(present @ scores**2)))
    scores = scores.clip(-MAX_SCORE, MAX_SCORE)
    theta = np.array([sign * shift for shift in SHIFTS for sign in (1, -1)])
    stakes = [stake for stake in SHIFTS.values() for _ in (1, -1)]
    shifts = np.exp(scores[:, None] * theta)
    factors = np.array(SCALES)
    scales = np.exp(scores[:, None] ** 2 / 2 * (1 - 1 / factors**2))
    return [
        _Family(
            tuple(f"mean {t:+g} sd" for t in theta), _fair(shifts, shares), _split(0.66, stakes)
        ),
        _Family(
            tuple(f"spread x{f:g}" for f in SCALES),
            _fair(scales, shares),
            _split(0.05, [1.0] * len(SCALES)),
        ),
        _on_tails(ranks, shares),
    ]


def _on_tails(ranks: Floats, shares: Floats) -> _Family:
    """Return bets on tails that become more frequent or reach further out."""
    present = shares[:-1] / shares[:-1].sum()
    names, payoffs, stakes = list[str](), list[Floats](), list[float]()
    for side, depths in (("top", 1 - ranks), ("bottom", ranks)):
        held = {q: float(present[depths < q].sum()) for q in TAILS}
        for q in TAILS:
            if held[q]:
                names.append(f"{side} {q:.1%}")
                payoffs.append(np.where(depths < q, TAIL_FACTOR, 1.0))
                stakes.append(1.0)
        for far, near in pairwise(TAILS):
            if 0 < held[far] < held[near]:
                part = held[far] / held[near]
                stretched = np.where(depths < far, FAR_PART / part, (1 - FAR_PART) / (1 - part))
                names.append(f"{side} {near:.1%} stretched")
                payoffs.append(np.where(depths < near, stretched, 1.0))
                stakes.append(2.0)
    table = _fair(np.array(payoffs).reshape(-1, len(ranks)).T, shares)
    return _Family(tuple(names), table, _split(0.08, stakes), rare=True)


def _split(weight: float, stakes: Sequence[float]) -> Floats:
    """Return the weight divided in proportion to the stakes, shape (k,)."""
    return weight * np.array(stakes) / sum(stakes)


def _fair(payoffs: Floats, shares: Floats) -> Floats:
    """Return payoffs scaled to a mean of 1, with a row for missing values, whose payoff is 1."""
    present = shares[:-1] / shares[:-1].sum()
    return np.concatenate((payoffs / (present @ payoffs), np.ones((1, payoffs.shape[1]))))


def _on_bins(stream: Stream, shares: Floats, weight: float) -> _Family:
    """Return bets on more records in each of the most frequent bins."""
    # other, above and missing have bets of their own
    chosen = _frequent_bins(stream, shares, len(stream.bin_names()) - 2)
    return _on_shares(stream, shares, "more", chosen, (BIN_FACTOR, weight))


def _on_fallen_bins(stream: CategoricalStream, shares: Floats, weight: float) -> _Family:
    """Return bets on far fewer records in each of the most frequent bins, those of "other" too."""
    chosen = _frequent_bins(stream, shares, len(stream.bin_names()) - 1)
    return _on_shares(stream, shares, "fewer", chosen, (FALLEN_FACTOR, weight))


def _on_rare_cells(stream: CategoricalStream, shares: Floats, weight: float) -> _Family:
    """Return bets on more records in each cell of the bin "rare"; none if it has one cell."""
    if stream.divisions == 1:
        return _Family((), np.zeros((len(shares), 0)), np.zeros(0))
    held = shares * (stream.count + stream.missing) >= MIN_IN_CELL
    cells = [c for c in range(stream.frequent, stream.cells - 2) if held[c]]
    share = shares[cells]
    inside = np.arange(len(shares))[:, None] == np.array(cells, int)
    payoffs = np.where(inside, RARE_FACTOR, (1 - RARE_FACTOR * share) / (1 - share))
    names = stream.cell_names()
    chosen = tuple(f"more {names[c]}" for c in cells)
    return _Family(chosen, payoffs, _split(weight, [1.0] * len(cells)), sparse=True)


def _frequent_bins(stream: Stream, shares: Floats, bins: int) -> list[int]:
    """Return the most frequent of the first bins; not those near half of all, or hardly known."""
    by_bin = np.bincount(stream.bin_of_cell(), shares)
    known = by_bin * (stream.count + stream.missing) >= MIN_IN_BIN
    order = np.argsort(-by_bin, kind="stable")[:MAX_BINS].tolist()
    return [b for b in order if b < bins and known[b] and by_bin[b] < 1 / BIN_FACTOR - 0.1]


def _on_shares(
    stream: Stream, shares: Floats, change: str, chosen: list[int], bet: tuple[float, float]
) -> _Family:
    """Return bets that the share of each chosen bin is multiplied. bet: factor and weight."""
    bin_of_cell, names = stream.bin_of_cell(), stream.bin_names()
    factor, weight = bet
    share = np.bincount(bin_of_cell, shares)[chosen]
    inside = bin_of_cell[:, None] == np.array(chosen, int)
    payoffs = np.where(inside, factor, (1 - factor * share) / (1 - share))
    weights = _split(weight, [1.0] * len(chosen))
    return _Family(tuple(f"{change} {names[b]}" for b in chosen), payoffs, weights)


def _on_missing(shares: Floats) -> _Family:
    """Return bets on missing values."""
    share = shares[-1]
    odds, stakes = np.array(list(MISSING_ODDS)), list(MISSING_ODDS.values())
    scale = 1 / (1 - share + odds * share)
    payoffs = np.ones((len(shares), 1)) * scale
    payoffs[-1] = odds * scale
    names = tuple(f"missing x{o:g}" for o in MISSING_ODDS)
    return _Family(names, payoffs, _split(0.15, stakes), rare=True)


def _on_new(stream: Stream, shares: Floats) -> _Family:
    """Return bets on values that the reference has never or hardly ever."""
    last = len(shares) - 1
    cells = (
        {"above": last - 1, "below": 0}
        if isinstance(stream, NumericStream)
        else {"unknown": last - 1}
    )
    payoffs, names = [], []
    for name, cell in cells.items():
        for new in NEW_SHARES:
            if shares[cell] * 10 <= new:
                payoff = np.full(len(shares), (1 - new) / (1 - shares[cell]))
                payoff[cell] = new / shares[cell]
                payoffs.append(payoff)
                names.append(f"{name} {new:.1%}")
    weights = _split(0.03, [1.0] * len(names))
    return _Family(tuple(names), np.array(payoffs).reshape(-1, len(shares)).T, weights, rare=True)


def _corrected(
    payoffs: Floats, shares: Floats, stream: Stream, rare: Bools, sparse: Bools
) -> tuple[Floats, Floats]:
    """Return log payoffs that stay fair for dependent records, and the errors of their means.

    The means use the reference's shares, which have an error. Where sums over blocks vary v times
    as much as those of independent records, a bet is raised to the power 1 / v: the mean of its
    product over a normal sum is then 1 again. Rare cells are assumed to depend as much as the most
    dependent bet: extremes come in clusters. Sparse ones depend at least as much as their mean: the
    estimate of one of them has a large error.
    """
    error = np.sqrt(np.maximum(shares @ payoffs**2 - 1, 0.0))
    log_payoffs = np.log(payoffs)
    inflation = dependence.long_run_inflation(stream.blocks, log_payoffs, shares)
    inflation[rare] = inflation[~sparse].max()
    if sparse.any():
        inflation[sparse] = np.maximum(inflation[sparse], inflation[sparse].mean())
    records = stream.count + stream.missing
    return log_payoffs / inflation, error / np.sqrt(inflation * records)
