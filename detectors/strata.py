"""Strata: a small tree that divides records by features on which the values of a stream depend.

A stream may depend on what is asked for. Within a stratum it depends on that less, so that a change
of the mix of strata is told apart from a change within them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from detectors.arrays import Bools, Floats, Ints

MAX_STRATA = 8
MIN_RECORDS = 200
"""Records of the reference required in a stratum to estimate its shares."""
MIN_GAIN = 10.0
"""Gain in log likelihood required for a split. Chance gives so much to one split in 100,000 of a
binary stream, so that the shares of strata are not those of the noise by which they were chosen."""
QUANTILES = (0.25, 0.5, 0.75)
"""Candidates for the cut of a numeric feature; that of a binary one is 0.5."""


@dataclass(frozen=True, slots=True)
class Split:
    """Moves the records of a stratum whose feature exceeds the cut to a new stratum.

    The k-th split makes the k-th stratum; all records begin in stratum 0. A record without a value
    of the feature stays.
    """

    stratum: int
    feature: str
    cut: float


Rows = Callable[[str], Floats]
"""Returns the values of a feature for n records; all NaN if it is absent."""


def strata_of(splits: Sequence[Split], rows: Rows, n: int) -> Ints:
    """Return the stratum of each of n records, shape (n,)."""
    strata = np.zeros(n, np.intp)
    for number, split in enumerate(splits, 1):
        strata[(strata == split.stratum) & (rows(split.feature) > split.cut)] = number
    return strata


Bits = NDArray[np.uint64]
"""Sets of the N records: a bit for each, shape (..., W)."""


@dataclass(frozen=True)
class Candidates:
    """Possible splits of N records: by feature and cut, with the records above it, shape (C, W)."""

    cuts: tuple[tuple[str, float], ...]
    above: Bits


def candidates(features: Sequence[tuple[str, Floats]], least: int = MIN_RECORDS) -> Candidates:
    """Return the possible splits by these features: name, and the values of N records."""
    cuts: list[tuple[str, float]] = []
    above: list[Bools] = []
    for name, values in features:
        present = values[~np.isnan(values)]
        if not len(present):
            continue
        binary = bool(np.isin(present, (0.0, 1.0)).all())
        for cut in (0.5,) if binary else np.unique(np.quantile(present, QUANTILES)).tolist():
            greater = values > cut
            if least <= greater.sum() <= len(values) - least:
                cuts.append((name, float(cut)))
                above.append(greater)
    n = len(features[0][1]) if features else 0
    return Candidates(tuple(cuts), _bits(np.array(above, np.bool_).reshape(len(cuts), n)))


def grow(
    possible: Candidates,
    codes: Ints,
    present: Bools,
    *,
    max_strata: int = MAX_STRATA,
    least: int = MIN_RECORDS,
    min_gain: float = MIN_GAIN,
) -> tuple[Split, ...]:
    """Return the splits that explain the values of a stream, best first.

    A split is made where it gains most in the likelihood of a multinomial for each stratum.

    codes: values of the N records, 0 to V - 1. present: which of the records have one, shape (N,).
    """
    if not possible.cuts:
        return ()
    inside = [_bits(present)]
    values = _bits(codes == np.arange(int(codes.max(initial=0)) + 1)[:, None])
    counts = [_counts(possible, values, inside[0])]
    splits: list[Split] = []
    best = [_best_split(*counts[0], least)]
    while len(splits) < max_strata - 1:
        stratum = int(np.argmax([gain for gain, _ in best]))
        gain, chosen = best[stratum]
        if gain < min_gain:
            break
        splits.append(Split(stratum, *possible.cuts[chosen]))
        moved = inside[stratum] & possible.above[chosen]
        inside[stratum] = inside[stratum] & ~moved
        inside.append(moved)
        counts.append(_counts(possible, values, moved))
        (above, total), (new_above, new_total) = counts[stratum], counts[-1]
        counts[stratum] = above - new_above, total - new_total
        best[stratum] = _best_split(*counts[stratum], least)
        best.append(_best_split(*counts[-1], least))
    return tuple(splits)


def _bits(rows: Bools) -> Bits:
    """Return sets of records from their marks, shape (..., N)."""
    padding = [(0, 0)] * (rows.ndim - 1) + [(0, -rows.shape[-1] % 64)]
    return np.packbits(np.pad(rows, padding), axis=-1).view(np.uint64)


def _counts(possible: Candidates, values: Bits, inside: Bits) -> tuple[Floats, Floats]:
    """Return how many records of a set have each value: of those above each cut, and of all.

    values: the records with each value, shape (V, W). The results have shapes (C, V) and (V,).
    """
    own = values & inside
    above = np.bitwise_count(possible.above[:, None] & own).sum(axis=-1, dtype=np.float64)
    return above, np.bitwise_count(own).sum(axis=-1, dtype=np.float64)


def _best_split(above: Floats, total: Floats, least: int) -> tuple[float, int]:
    """Return the largest gain of a split of some records, and its candidate; see `_counts`."""
    below = total - above
    gains = _log_likelihood(above) + _log_likelihood(below) - _log_likelihood(total)
    enough = np.minimum(above.sum(axis=1), below.sum(axis=1)) >= least
    gains = np.where(enough, gains, 0.0)
    best = int(gains.argmax())
    return float(gains[best]), best


def _log_likelihood(counts: Floats) -> Floats:
    """Return the maximal log likelihood of counts by value, shapes (..., V) and (...)."""
    return np.asarray(
        xlogy(counts, counts).sum(axis=-1) - xlogy(counts.sum(axis=-1), counts.sum(axis=-1)),
        np.float64,
    )
