"""Kolmogorov-Smirnov test: the exact largest gap between two empirical distributions."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from detectors.arrays import Bools, Floats
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream
from detectors.readings import Readings
from detectors.window import Window, Windows
from detectors.window_test import MIN_VALUES, WindowTest


class KolmogorovSmirnov(WindowTest):
    """Two-sample Kolmogorov-Smirnov test of the window against the whole reference.

        D = sup_x |F_reference(x) - F_current(x)|,  rejected where
        D >= sqrt(-1/2 ln(level / 2) v (1/N + 1/n)),

    where N and n count the values that are not missing, and v is the variance inflation by the
    reference's autocorrelation (1 without). The p-value 2 exp(-2 D^2 / (v (1/N + 1/n))) is the
    first term of Kolmogorov's series, an upper bound that is exact in the tail; with ties it is
    conservative (Smirnov 1948; Hodges 1958). D equals `scipy.stats.ks_2samp(...).statistic`.

    To sort the window at every stride would cost more than all other detectors together. Within
    a cell (see `numeric_stream`), D exceeds the larger of the gaps at its edges by at most the
    cell's share of the reference, so the counts by cell decide most streams without a sort.

    Trade-off: needs no bins and sees every change in the middle of a distribution. It is weak in
    the far tails, ignores missing values, and does not measure a shift in the feature's unit.
    """

    name: ClassVar[str] = "ks"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.NUMERIC})

    def prepare(self, window: Window) -> None:
        """Compute the reference's distribution at the edges of the cells, and the slack between."""
        baseline, streams = self.baseline, self.streams
        reference = baseline.counts[streams]
        self.reference_share = 1 / np.where(reference >= MIN_VALUES, reference, np.nan)
        self.inflation = baseline.inflation[streams]
        # both distributions have reached 1 before the last cell, that of missing values
        self.upto_cell = np.minimum(
            baseline.cell_counts[streams].cumsum(axis=1) / np.maximum(reference, 1)[:, None], 1
        )
        self.slack = baseline.cell_slack[streams]

    def rejects(self, windows: Windows) -> Bools:
        """Return where D reaches its threshold."""
        count = self.count(windows)
        upto = windows.cell_counts[:, self.rows].cumsum(axis=2)
        upto /= np.maximum(count, 1)[:, :, None]
        np.minimum(upto, 1, out=upto)
        upto -= self.upto_cell
        np.abs(upto, out=upto)
        at_edges = upto.max(axis=2, initial=0.0)
        threshold = self.threshold(count)
        rejected: Bools = at_edges >= threshold
        doubtful = ~rejected & (at_edges + self.slack >= threshold) & windows.full[:, None]
        for at, i in np.argwhere(doubtful).tolist():
            rejected[at, i] = self.distance(windows, at, i) >= threshold[at, i]
        return rejected

    def test(self, windows: Windows) -> Readings:
        """Return D of every numeric stream with its p-value."""
        count = self.count(windows)
        threshold = self.threshold(count)
        distance = np.empty(count.shape)
        for at, i in np.ndindex(*count.shape):
            distance[at, i] = self.distance(windows, at, i)
        distance = np.where(np.isnan(threshold), np.nan, distance)
        p_value = 2 * np.exp(-2 * distance**2 / self.scale(count))
        return Readings(distance, threshold, np.minimum(1.0, p_value))

    def count(self, windows: Windows) -> Floats:
        """Return the number of values in the windows that are not missing, shape (m, k)."""
        return windows.present[:, self.rows]

    def scale(self, count: Floats) -> Floats:
        """Return v (1/N + 1/n), shape (m, k); NaN where there are too few values for a verdict."""
        present = np.where(count >= MIN_VALUES, count, np.nan)
        return self.inflation * (self.reference_share + 1 / present)

    def threshold(self, count: Floats) -> Floats:
        """Return D's threshold, shape (m, k); NaN where there is no verdict."""
        return np.asarray(np.sqrt(self.scale(count) * (-np.log(self.level / 2) / 2)))

    def distance(self, windows: Windows, at: int, i: int) -> float:
        """Return D of the i-th of the k streams in one of the windows."""
        stream = int(self.streams[i])
        return ks_distance(self.baseline.numeric[stream], windows.values(stream, at))


def ks_distance(reference: NumericStream, values: Floats) -> float:
    """Return sup |F_reference - F_current|; NaN if either side has no value.

    Values within the resolution of a reference value are taken to equal it. The supremum is at a
    current value: F_current - F_reference is largest at one, and
    F_reference - F_current just before one.

    values: shape (n,), NaN where missing.
    """
    current = np.sort(values[~np.isnan(values)])
    if not len(current) or not reference.count:
        return float("nan")
    with np.errstate(over="ignore"):  # infinity follows the largest number
        margin = reference.resolution(current)
        before = reference.below[reference.support.searchsorted(current - margin)]
        upto = reference.below[reference.support.searchsorted(current + margin, "right")]
    steps = np.arange(len(current) + 1) / len(current)
    ahead = steps[1:] - upto / reference.count
    behind = before / reference.count - steps[:-1]
    return max(float(ahead.max()), float(behind.max()), 0.0)
