"""Variance inflation: how much more means and shares vary than those of independent records.

Lag-1 autocorrelation does not show it: in traces of real traffic, the variance of block means is 25
to 50 times that of independent records, at an autocorrelation of 0.1. So the inflation is measured
on means of blocks as long as the windows to compare (Flyvbjerg & Petersen 1989). With an inflation
v, n records carry the information of n / v independent ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from detectors.arrays import Floats, Ints

BLOCK_SIZE = 100
"""Records per block: the time resolution of a reference."""

MIN_PER_BLOCK = 5
"""Expected records of a block required in a bin to estimate the bin's variance."""

MIN_BLOCKS = 20
"""Blocks required to estimate a variance."""

BLOCK_GROWTH = 5
"""Factor between the block lengths of successive scales, in the search for slow cycles."""

SIGNIFICANCE = 0.05
"""Probability that independent records show, over the whole reference, more than is attributed to
chance."""

Blocks = NDArray[np.uint8]
"""Records by block and cell, shape (K, G); a block has BLOCK_SIZE records, so a byte suffices."""


def count_blocks(cells: Ints, width: int) -> Blocks:
    """Return records by block and cell; an incomplete last block is dropped.

    cells: shape (N,), in the order of arrival, all below `width`.
    """
    blocks = len(cells) // BLOCK_SIZE
    indices = cells[: blocks * BLOCK_SIZE] + np.repeat(np.arange(blocks) * width, BLOCK_SIZE)
    counts = np.bincount(indices, minlength=blocks * width)
    return counts.reshape(blocks, width).astype(np.uint8)


def merge_blocks(records: int, blocks: Blocks) -> Floats:
    """Return counts of blocks of about `records` records (a multiple of BLOCK_SIZE), (K', G)."""
    step = max(1, records // BLOCK_SIZE)
    whole = len(blocks) // step * step
    sums = blocks[:whole].reshape(-1, step, blocks.shape[1]).sum(axis=1, dtype=np.int64)
    return np.asarray(sums, np.float64)


def variance_inflation(
    blocks: Blocks, bin_of_cell: Ints, ranks: Floats | None, window: int
) -> float:
    """Return the largest inflation of the mean rank, of shares of bins and of any window, >= 1.

    bin_of_cell: shape (G,). ranks: shape (G,), NaN for missing values; None if cells have no
    order. window: records of the windows to compare with the reference.
    """
    found = [1.0, window_inflation(sum_by_bin(blocks, bin_of_cell), window)]
    for records in {BLOCK_SIZE, max(BLOCK_SIZE, window)}:
        counts = merge_blocks(records, blocks)
        found.append(share_inflation(sum_by_bin(counts, bin_of_cell)))
        if ranks is not None:
            found.append(mean_inflation(counts, ranks))
    return max(found)


def window_inflation(counts: Floats, window: int) -> float:
    """Return by how much the most unusual window of the reference exceeds chance.

    counts: records by block of BLOCK_SIZE records and bin, shape (K, B).
    Variances miss a single unusual hour in otherwise quiet traffic, and a test must not reject
    windows that the reference contains. So the largest Pearson statistic of its windows is divided
    by chi-squared's quantile for the maximum of that many windows.
    """
    step = max(1, window // BLOCK_SIZE)
    if len(counts) < 2 * step:
        return 1.0
    upto = np.concatenate((np.zeros((1, counts.shape[1])), counts.cumsum(axis=0)))
    windows = upto[step:] - upto[:-step]
    expected = upto[-1] * step / len(counts)
    known = expected >= MIN_PER_BLOCK
    if known.sum() < 2:
        return 1.0
    statistic = ((windows - expected)[:, known] ** 2 / expected[known]).sum(axis=1)
    return float(statistic.max() / chdtri(known.sum() - 1.0, SIGNIFICANCE / len(windows)))


def mean_inflation(counts: Floats, scores: Floats) -> float:
    """Return the variance of block means of scores over that of independent records, >= 1.

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
    """Return the variance of sums of scores over that of independent records, shape (k,), >= 1.

    The result is the largest inflation over all scales of at least MIN_BLOCKS blocks. The scale of
    the window is not enough for the unbounded sums of sequential tests: over a daily cycle they
    climb for half a day. An estimate counts only if it exceeds 1 by three standard errors of
    independent records: the largest of many noisy estimates would cost power where records are
    independent.

    scores: by cell, shape (G, k). shares: of records by cell, shape (G,), sum 1.
    """
    variance = np.maximum(shares @ scores**2 - (shares @ scores) ** 2, 1e-300)
    found, records = np.ones(scores.shape[1]), BLOCK_SIZE
    sums = blocks.astype(float) @ scores
    while len(sums) >= MIN_BLOCKS:
        ratio = sums.var(axis=0, ddof=1) / (records * variance)
        certain = ratio > 1 + 3 * np.sqrt(2 / (len(sums) - 1))
        found = np.where(certain, np.maximum(found, ratio), found)
        records *= BLOCK_GROWTH
        whole = len(sums) // BLOCK_GROWTH * BLOCK_GROWTH
        sums = sums[:whole].reshape(-1, BLOCK_GROWTH, sums.shape[1]).sum(axis=1)
    return found


def share_inflation(counts: Floats) -> float:
    """Return the inflation of the weighted sum of bin shares that varies most, >= 1.

    counts: records by block and bin, shape (K, B).
    The inflation is the largest eigenvalue of the covariance of the blocks' counts, each divided by
    the root of its expectation. Estimated from K blocks and d bins, it exceeds 1 even for
    independent records, up to (1 + sqrt(d / K))^2; above that the bias is removed (Baik &
    Silverstein 2006).
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


def burst_inflation(counts: Floats, window: int) -> Floats:
    """Return the inflation of each bin's count by bursts, shape (B,), >= 1.

    A bin of which a block expects less than MIN_PER_BLOCK records has no part in
    `variance_inflation`: its variance has too large an error. But ten of its records in one block
    are certainly a burst. So pairs of records in the same block are counted. Independent records of
    mean m have K m^2 / 2 pairs, with a variance of K (m^2 / 2 + m^3); where there are more, by
    three standard deviations and three pairs, the result is the index of dispersion,
    sum(c^2) / sum(c) - m (Cox & Lewis 1966), the mean number of records in a burst.

    counts: records by block of BLOCK_SIZE records and bin, shape (K, B). window: records of the
    windows to compare with the reference.
    """
    found = np.ones(counts.shape[1])
    for step in {1, max(1, window // BLOCK_SIZE)}:
        whole = len(counts) // step * step
        if whole < 2 * step:
            continue
        blocks = counts[:whole].reshape(-1, step, counts.shape[1]).sum(axis=1)
        mean, pairs = blocks.mean(axis=0), (blocks * (blocks - 1)).sum(axis=0) / 2
        expected = len(blocks) * mean**2 / 2
        certain = pairs > expected + 3 * np.sqrt(expected * (1 + 2 * mean)) + 3
        dispersion = (blocks**2).sum(axis=0) / np.maximum(blocks.sum(axis=0), 1) - mean
        found = np.where(certain, np.maximum(found, dispersion), found)
    return found


def sum_by_bin(counts: NDArray[np.number], bin_of_cell: Ints) -> Floats:
    """Return counts by bin, shape (..., B), from counts by cell, shape (..., G)."""
    table = np.zeros((len(bin_of_cell), int(bin_of_cell.max(initial=0)) + 1))
    table[np.arange(len(bin_of_cell)), bin_of_cell] = 1.0
    return np.asarray(counts @ table, np.float64)
