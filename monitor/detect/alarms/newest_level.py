"""The newest level of a stream whose window holds records of two levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, xlogy

from detectors.arrays import Bools, Floats, Ints
from detectors.baseline import Stream, sum_by_bin
from detectors.categorical_stream import CategoricalStream
from detectors.numeric_stream import NumericStream
from detectors.parts import moved_cells
from detectors.psi import population_stability_index

GROWTH = 2.0
"""Least ratio between the PSI of a new level and that of the level before it."""


def newest_level(stream: Stream, cells: Floats, *, level: float, least: int) -> int | None:
    """Return the number of strides before the newest level, None if all strides have one level.

    cells: records by stride and cell, shape (K, G). See `newest_levels`.
    """
    (step,) = newest_levels(stream, cells, len(cells), level=level, least=least).tolist()
    return step or None


def is_new_level(stream: Stream, cells: Floats, split: int, *, level: float) -> bool:
    """Return whether the strides from `split` on have another level than those before.

    As in `newest_levels`, but for a given split.
    """
    if not 0 < split < len(cells):
        return False
    counts = sum_by_bin(cells, stream)
    earlier, later = counts[:split].sum(axis=0), counts[split:].sum(axis=0)
    total = earlier + later
    gain = _log_likelihood(earlier) + _log_likelihood(later) - _log_likelihood(total)
    p_value = float(chdtrc(max(1, int((total > 0).sum()) - 1), 2 * gain / stream.inflation))
    ranks = _p_values_of_ranks(stream, cells, np.array([0]), np.array([split]), len(cells))
    significant = min(p_value, float(ranks[0])) <= level
    return significant and bool(_grows(stream, earlier[None], later[None])[0])


def newest_levels(
    stream: Stream, cells: Floats, strides: int, *, level: float, least: int
) -> NDArray[np.intp]:
    """Return the number of strides before the newest level of each window, 0 without a step, (m,).

    An incident can begin while an older, smaller change lasts. Its records then differ from those
    before them, and both from the reference. The model: strides before the step follow shares of
    their own, and so do the later ones. The split with the largest gain in likelihood is the step,
    if the gain (or the difference of the mean ranks) is significant and the PSI after the step is
    at least GROWTH times the PSI before it.

    Windows that end at consecutive strides are computed together, because an open alarm needs the
    result at every stride. The result of a window does not depend on the others.

    cells: records by stride and cell, shape (m + strides - 1, G). strides: those of a window.
    level: significance level. least: least number of strides in the newest level.
    """
    counts = sum_by_bin(cells, stream)
    starts, splits = np.arange(len(cells) - strides + 1), strides - least
    found = np.zeros(len(starts), np.intp)
    if splits < 1:
        return found
    upto = _sums_before(counts)
    earlier = upto[starts[:, None] + np.arange(1, splits + 1)] - upto[starts, None]
    total = (upto[starts + strides] - upto[starts])[:, None]
    later = total - earlier
    gains = _log_likelihood(earlier) + _log_likelihood(later) - _log_likelihood(total)
    best = gains.argmax(axis=1)
    windows = np.arange(len(starts))
    # Most windows of a lasting change do not grow: the p-values are computed for the others.
    grown = np.flatnonzero(_grows(stream, earlier[windows, best], later[windows, best]))
    if not len(grown):
        return found
    starts, best = starts[grown], best[grown]
    freedom = np.maximum(1, (total[grown, 0] > 0).sum(axis=1) - 1)
    p_values = chdtrc(freedom, 2 * gains[grown, best] / stream.inflation)
    p_values = np.minimum(p_values, _p_values_of_ranks(stream, cells, starts, best + 1, strides))
    found[grown] = np.where(p_values * splits <= level, best + 1, 0)
    return found


def newest_rare_level(
    stream: CategoricalStream, cells: Floats, *, level: float, least: int
) -> int | None:
    """Return the number of strides before a rare category got its newest level, None without one.

    As in `newest_level`, for the category that moved most and all others as two bins: the bin of
    all rare categories hardly has two levels. The level is divided by the number of rare cells.
    """
    splits, found = len(cells) - least, list[tuple[float, int]]()
    own = cells[:, : stream.cells]
    moved = np.flatnonzero(moved_cells(stream, own.sum(axis=0))) + stream.frequent
    if splits < 1 or not len(moved):
        return None
    expected, records = stream.cell_counts(), own.sum(axis=1)
    for cell in moved.tolist():
        counts = np.stack((own[:, cell], records - own[:, cell]), axis=1)
        upto = _sums_before(counts)
        earlier, total = upto[1 : splits + 1], upto[-1]
        later = total - earlier
        gains = _log_likelihood(earlier) + _log_likelihood(later) - _log_likelihood(total)
        best = int(gains.argmax())
        tests = splits * stream.divisions
        p_value = float(chdtrc(1, 2 * gains[best] / stream.inflation)) * tests
        reference = np.array([expected[cell], expected.sum() - expected[cell]])
        before, after = (
            float(population_stability_index(reference, reference.sum(), each, each.sum()))
            for each in (earlier[best], later[best])
        )
        if p_value <= level and after > GROWTH * before:
            found.append((float(gains[best]), best + 1))
    return max(found)[1] if found else None


def _sums_before(counts: Floats) -> Floats:
    """Return the sum of the rows before each row, and of all rows at the end, shape (n + 1, B)."""
    return np.concatenate((np.zeros((1, counts.shape[1])), counts.cumsum(axis=0)))


def _log_likelihood(counts: Floats) -> Floats:
    """Return the maximal log likelihood of counts by bin, shapes (..., B) and (...)."""
    records = counts.sum(axis=-1)
    return np.asarray(xlogy(counts, counts).sum(axis=-1) - xlogy(records, records), np.float64)


def _p_values_of_ranks(
    stream: Stream, cells: Floats, starts: Ints, splits: Ints, strides: int
) -> Floats:
    """Return the p-value of the difference of the mean ranks before and after a split, shape (m,).

    It has more power than shares of bins where a whole distribution moves. 1 for categories.

    starts: first stride of each window. splits: strides of each window before its split.
    """
    p_values = np.ones(len(starts))
    if not isinstance(stream, NumericStream):
        return p_values
    ranks = stream.cell_ranks()[:-1]
    upto = _sums_before(cells[:, : len(ranks)])
    before = upto[starts + splits] - upto[starts]
    after = upto[starts + strides] - upto[starts + splits]
    both = before + after
    sizes = np.stack((before.sum(axis=1), after.sum(axis=1)))
    records = np.maximum(1.0, sizes)
    means = np.stack((np.vecdot(before, ranks), np.vecdot(after, ranks))) / records
    mean = np.vecdot(both, ranks) / records.sum(axis=0)
    variances = np.vecdot(both, ranks**2) / records.sum(axis=0) - mean**2
    known = (sizes.min(axis=0) > 0) & (variances > np.finfo(float).eps)
    errors = np.where(known, variances * stream.inflation * (1 / records).sum(axis=0), 1.0)
    return np.where(known, chdtrc(1, (means[1] - means[0]) ** 2 / errors), 1.0)


def _grows(stream: Stream, before: Floats, after: Floats) -> Bools:
    """Return whether the PSI of the records after a step is much larger than that before it, (m,).

    before, after: records by window and bin, shape (m, B). The PSI that chance gives is subtracted.
    """
    expected = stream.bin_counts()
    freedom = max(0, int((expected > 0).sum()) - 1)

    def size(counts: Floats) -> Floats:
        records = np.maximum(1.0, counts.sum(axis=1))
        psi = population_stability_index(expected, int(expected.sum()), counts, records[:, None])
        return np.asarray(np.maximum(0.0, psi - freedom * stream.inflation / records), np.float64)

    return np.asarray(size(after) > GROWTH * size(before))
