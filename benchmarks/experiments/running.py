"""Bucket sums of many experiments at once, with their moments kept up to date.

The product computes a contrast from all buckets. Here the moments are updated by each visit, which
gives the same contrast (a test compares them) in a fifth of the time.
"""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats, Ints
from monitor.experiments.sequential.ratios import Contrast, Moments, from_moments
from monitor.experiments.sums.look import BUCKETS


class RunningSums:
    """The sums X and N by run, arm and bucket; shape (runs, arms, BUCKETS)."""

    def __init__(self, runs: int, arms: int = 2) -> None:
        self.x, self.n = np.zeros((2, runs, arms, BUCKETS))
        self._arms = arms
        self._sums = np.zeros((5, runs, arms))  # of X, N, X^2, X N, N^2
        self._runs = np.arange(runs)

    def add(self, arms: Ints, buckets: Ints, x: Floats, n: Floats) -> None:
        """Add visits, shape (runs, visits)."""
        rows = self._runs[:, None] * self._arms + arms
        cells = np.ascontiguousarray((rows * BUCKETS + buckets).T)
        which = np.ascontiguousarray(rows.T)
        all_x, all_n, sums = self.x.reshape(-1), self.n.reshape(-1), self._sums.reshape(5, -1)
        for cell, arm, more_x, more_n in zip(cells, which, x.T, n.T, strict=True):
            old_x, old_n = all_x[cell], all_n[cell]
            new_x, new_n = old_x + more_x, old_n + more_n
            all_x[cell], all_n[cell] = new_x, new_n
            sums[0][arm] += more_x
            sums[1][arm] += more_n
            sums[2][arm] += (old_x + new_x) * more_x
            sums[3][arm] += new_x * new_n - old_x * old_n
            sums[4][arm] += (old_n + new_n) * more_n

    def contrast(self, arm: int = 1) -> Contrast:
        """Return the contrast of an arm with the first one, of each run."""
        x, n, xx, xn, nn = self._sums[..., [0, arm]]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios, pooled = x / n, x.sum(axis=-1) / n.sum(axis=-1)
        squares, pooled_squares = (
            np.maximum(xx - 2 * ratio * xn + ratio**2 * nn, 0.0)
            for ratio in (ratios, pooled[:, None])
        )
        spread = nn - n**2 / BUCKETS
        return from_moments(Moments(BUCKETS, n, ratios, pooled, squares, pooled_squares, spread))
