"""Pearson's chi-squared: do the shares of categories differ."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import chdtrc, chdtri

from detectors.base import MIN_VALUES, Bools, Floats, Kind, Readings, WindowTest
from detectors.window import Window, Windows


class ChiSquared(WindowTest):
    """Pearson's chi-squared test of homogeneity, for categorical and binary streams.

    With the shares p_i of the N reference records, q_i of the W current ones and r_i of both
    together,

        X^2 = (N W / (N + W)) sum_i (q_i - p_i)^2 / (r_i + max(0, q_i - p_i) / 3)

    has, without drift, one degree of freedom less than there are bins (Pearson 1900). Pearson
    divides by r_i alone. In the far tail that is wrong, always towards false alarms: at a level of
    1e-7 two times for ten bins that expect 100 records each, sixty times for a binary feature that
    expects 10. The second part of the denominator is Bernstein's (1924), whose inequality holds
    for any count: an ordinary deviation loses 3 % by it in a bin that expects 100 records, and a
    bin that is thin must gather a good many before it speaks.

    The threshold is multiplied by the variance inflation of the reference's autocorrelation.

    Trade-off: knows new and rare categories better than PSI; says nothing of how much it matters.
    """

    name: ClassVar[str] = "chi2"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CATEGORICAL, Kind.BINARY})

    def prepare(self, window: Window) -> None:
        """The threshold does not change with the data."""
        self.reference = self.baseline.bin_counts[self.rows]
        self.freedom = np.maximum((self.reference > 0).sum(axis=1) - 1, 1).astype(float)
        self.inflation = self.baseline.inflation[self.streams]
        self.threshold: Floats = self.inflation * chdtri(self.freedom, self.level)
        if min(self.baseline.records, window.records) < MIN_VALUES:
            self.threshold[:] = np.nan

    def rejects(self, windows: Windows) -> Bools:
        """Where X^2 reaches its quantile."""
        found: Bools = self.statistic(windows) >= self.threshold
        return found

    def test(self, windows: Windows) -> Readings:
        """X^2 of every categorical and binary stream with its p-value."""
        statistic = np.where(np.isnan(self.threshold), np.nan, self.statistic(windows))
        threshold = np.broadcast_to(self.threshold, statistic.shape)
        return Readings(statistic, threshold, chdtrc(self.freedom, statistic / self.inflation))

    def statistic(self, windows: Windows) -> Floats:
        """X^2 of every window and categorical or binary stream, shape (m, k)."""
        current = windows.bin_counts[:, self.rows]
        return chi_squared(self.reference, self.baseline.records, current, windows.records)


def chi_squared(
    reference: Floats, reference_records: int, current: Floats, current_records: int
) -> Floats:
    """X^2 by row, shape (..., k), of tables of counts by bin, of shape (k, B) and (..., k, B)."""
    n, w = max(1, reference_records), current_records
    moved = current / w - reference / n
    spread = (reference + current) / (n + w) + np.maximum(moved, 0) / 3
    # a bin that is empty on both sides has neither moved nor spread
    terms = moved * moved / np.maximum(spread, np.finfo(float).tiny)
    total: Floats = terms.sum(axis=-1)
    return total * (n * w / (n + w))
