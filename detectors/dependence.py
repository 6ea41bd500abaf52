"""How much more than independent records a stream's means and shares vary, from its reference.

Lag-1 autocorrelation does not show it: traces of real traffic have block means whose variance is 25
to 50 times that of independent records, at an autocorrelation of .1. So it is measured on means of
blocks themselves, as long as the windows they will be compared with (Flyvbjerg & Petersen 1989).
An inflation v makes n records worth n / v independent ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from detectors.base import Floats, Ints

BLOCK = 100
"""Records a block: the grain at which a reference remembers order."""

MIN_PER_BLOCK = 5
"""Bins that hold fewer records of a block say nothing of its variance."""

MIN_BLOCKS = 20
"""Fewer blocks say nothing of a variance."""

GROWTH = 5
"""By how much blocks grow from one scale to the next, in search of slow cycles."""

RARELY = 0.05
"""With this probability records that are independent show, in all their reference, more than is
taken for chance."""

Blocks = NDArray[np.uint8]
"""Records by block and cell, shape (K, G); a block holds BLOCK records, so a byte is enough."""


def count_blocks(cells: Ints, width: int) -> Blocks:
    """Records by block and cell of cells in the order of arrival; a part of a block is left out.

    cells: shape (N,), all below `width`.
    """
    blocks = len(cells) // BLOCK
    places = cells[: blocks * BLOCK] + np.repeat(np.arange(blocks) * width, BLOCK)
    counts = np.bincount(places, minlength=blocks * width)
    return counts.reshape(blocks, width).astype(np.uint8)


def in_blocks_of(records: int, blocks: Blocks) -> Floats:
    """Counts over longer blocks of about `records` records (a multiple of BLOCK), shape (K', G)."""
    step = max(1, records // BLOCK)
    whole = len(blocks) // step * step
    sums = blocks[:whole].reshape(-1, step, blocks.shape[1]).sum(axis=1, dtype=np.int64)
    return np.asarray(sums, np.float64)


def inflation(blocks: Blocks, bin_of_cell: Ints, ranks: Floats | None, window: int) -> float:
    """The largest inflation that the mean rank, shares of bins or any one window show, >= 1.

    bin_of_cell: shape (G,). ranks: shape (G,), NaN for missing values; None where cells have no
    order. window: records of the windows to be compared with the reference.
    """
    found = [1.0, window_inflation(by_bin(blocks, bin_of_cell), window)]
    for records in {BLOCK, max(BLOCK, window)}:
        counts = in_blocks_of(records, blocks)
        found.append(share_inflation(by_bin(counts, bin_of_cell)))
        if ranks is not None:
            found.append(mean_inflation(counts, ranks))
    return max(found)


def window_inflation(counts: Floats, window: int) -> float:
    """By how much the most unusual window of the reference exceeds what chance would make.

    counts: records by block of BLOCK records and bin, shape (K, B). Variances say little of traffic
    that is quiet but for an hour: what the reference itself has shown must not be rejected. So the
    largest of the windows' Pearson statistics is held against chi-squared's quantile for as many
    windows.
    """
    step = max(1, window // BLOCK)
    if len(counts) < 2 * step:
        return 1.0
    upto = np.concatenate((np.zeros((1, counts.shape[1])), counts.cumsum(axis=0)))
    windows = upto[step:] - upto[:-step]
    expected = upto[-1] * step / len(counts)
    known = expected >= MIN_PER_BLOCK
    if known.sum() < 2:
        return 1.0
    statistic = ((windows - expected)[:, known] ** 2 / expected[known]).sum(axis=1)
    return float(statistic.max() / chdtri(known.sum() - 1.0, RARELY / len(windows)))


def mean_inflation(counts: Floats, scores: Floats) -> float:
    """How much more block means of scores vary than independent records would let them, >= 1.

    counts: records by block and cell, shape (K, G). scores: shape (G,), NaN for missing values.
    """
    known = ~np.isnan(scores)
    sums, present = counts[:, known] @ scores[known], counts[:, known].sum(axis=1)
    totals = counts[:, known].sum(axis=0)
    if (present > 0).sum() < 2:
        return 1.0
    mean = float(totals @ scores[known] / totals.sum())
    variance = float(totals @ (scores[known] - mean) ** 2 / totals.sum())
    if variance <= np.finfo(float).eps:
        return 1.0
    sums, present = sums[present > 0], present[present > 0]
    means = sums / present
    return max(1.0, float(means.var(ddof=1)) * float(present.mean()) / variance)


def long_run_inflation(blocks: Blocks, scores: Floats, shares: Floats) -> Floats:
    """Variance of sums of scores over that of independent records, shape (k,), >= 1, at any scale.

    scores: by cell, shape (G, k). shares: of records by cell, shape (G,), sum 1.
    For sums that go on for ever, as those of sequential tests, the window's scale is not enough:
    over a daily cycle they climb for half a day. So blocks grow until there are MIN_BLOCKS of them.
    An estimate counts where independent records would hardly give it (three standard errors): the
    worst of many noisy ones would cost power where there is no dependence.
    """
    variance = np.maximum(shares @ scores**2 - (shares @ scores) ** 2, 1e-300)
    found, records = np.ones(scores.shape[1]), BLOCK
    sums = blocks.astype(float) @ scores
    while len(sums) >= MIN_BLOCKS:
        ratio = sums.var(axis=0, ddof=1) / (records * variance)
        certain = ratio > 1 + 3 * np.sqrt(2 / (len(sums) - 1))
        found = np.where(certain, np.maximum(found, ratio), found)
        records *= GROWTH
        whole = len(sums) // GROWTH * GROWTH
        sums = sums[:whole].reshape(-1, GROWTH, sums.shape[1]).sum(axis=1)
    return found


def share_inflation(counts: Floats) -> float:
    """The same for the sum of shares of bins, however weighted, that varies most.

    counts: records by block and bin, shape (K, B). That is the largest eigenvalue of the covariance
    of the blocks' counts, each over the root of what is expected. Estimated from K blocks and d
    bins, it exceeds 1 even for independent records, up to (1 + sqrt(d / K))^2; from there on the
    bias can be taken off (Baik & Silverstein 2006).
    """
    blocks = len(counts)
    counts = counts[:, counts.sum(axis=0) >= max(1, MIN_PER_BLOCK * blocks)]
    if counts.shape[1] >= blocks:
        return 1.0
    ratio = counts.shape[1] / blocks
    expected = counts.mean(axis=0)
    scaled = (counts - expected) / np.sqrt(expected)
    largest = float(np.linalg.eigvalsh(scaled.T @ scaled / blocks).max(initial=0.0))
    if largest <= (1 + ratio**0.5) ** 2:
        return 1.0
    middle = largest + 1 - ratio
    return float(middle + np.sqrt(middle**2 - 4 * largest)) / 2


def by_bin(counts: NDArray[np.number], bin_of_cell: Ints) -> Floats:
    """Counts by bin, shape (..., B), of counts by cell, shape (..., G)."""
    table = np.zeros((len(bin_of_cell), int(bin_of_cell.max(initial=0)) + 1))
    table[np.arange(len(bin_of_cell)), bin_of_cell] = 1.0
    return np.asarray(counts @ table, np.float64)
