"""Pearson's chi-squared test: do the shares of categories differ."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import chdtrc, chdtri

from detectors.arrays import Bools, Floats
from detectors.kinds import Kind
from detectors.readings import Readings
from detectors.window import Window, Windows
from detectors.window_test import MIN_VALUES, WindowTest


class ChiSquared(WindowTest):
    """Pearson's chi-squared test of homogeneity, for categorical and binary streams.

    With the shares p_i of the N reference records, q_i of the W current records and r_i of both
    together,

        X^2 = (N W / (N + W)) sum_i (q_i - p_i)^2 / (r_i + max(0, q_i - p_i) / 3)

    has, without drift, one degree of freedom less than there are bins (Pearson 1900). Pearson
    divides by r_i alone. In the far tail this is inaccurate, always towards false alarms: at a
    level of 1e-7 they are twice as frequent for ten bins that expect 100 records each, and sixty
    times for a binary feature that expects 10. The second term of the denominator comes from
    Bernstein's inequality (1924), which holds for any count. It reduces an ordinary deviation by
    3 % in a bin that expects 100 records; a sparse bin needs many records before it contributes.

    The variance inflation by the reference's autocorrelation multiplies the threshold. The terms of
    rare bins whose records come in bursts have a lower weight (`Baseline.bin_weights`).

    Trade-off: detects new and rare categories better than PSI; its statistic does not show how
    large a change is.
    """

    name: ClassVar[str] = "chi2"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CATEGORICAL, Kind.BINARY})

    def prepare(self, window: Window) -> None:
        """Compute the threshold, which does not depend on the window's data."""
        self.reference = self.baseline.bin_counts[self.rows]
        self.weights = self.baseline.bin_weights(window.records)[self.rows]
        self.freedom = np.maximum((self.reference > 0).sum(axis=1) - 1, 1).astype(float)
        self.inflation = self.baseline.inflation[self.streams]
        self.threshold: Floats = self.inflation * chdtri(self.freedom, self.level)
        if min(self.baseline.records, window.records) < MIN_VALUES:
            self.threshold[:] = np.nan

    def rejects(self, windows: Windows) -> Bools:
        """Return where X^2 reaches its quantile."""
        found: Bools = self.statistic(windows) >= self.threshold
        return found

    def test(self, windows: Windows) -> Readings:
        """Return X^2 of every categorical and binary stream with its p-value."""
        statistic = np.where(np.isnan(self.threshold), np.nan, self.statistic(windows))
        threshold = np.broadcast_to(self.threshold, statistic.shape)
        return Readings(statistic, threshold, chdtrc(self.freedom, statistic / self.inflation))

    def statistic(self, windows: Windows) -> Floats:
        """Return X^2 of every window and categorical or binary stream, shape (m, k)."""
        current = windows.bin_counts[:, self.rows]
        terms = chi_squared_terms(self.reference, self.baseline.records, current, windows.records)
        return np.asarray(np.vecdot(terms, self.weights), np.float64)


def chi_squared_terms(
    reference: Floats, reference_records: int, current: Floats, current_records: int
) -> Floats:
    """Return the terms of X^2 by bin, shape (..., k, B)."""
    n, w = max(1, reference_records), current_records
    difference = current / w - reference / n
    variance = (reference + current) / (n + w) + np.maximum(difference, 0) / 3
    # both are 0 in a bin that is empty on both sides
    terms = difference * difference / np.maximum(variance, np.finfo(float).tiny)
    return np.asarray(terms * (n * w / (n + w)), np.float64)
