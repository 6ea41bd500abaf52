"""Kolmogorov-Smirnov: the largest gap between two empirical distributions, exactly."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from detectors.base import MIN_VALUES, Bools, Floats, Kind, Readings, WindowTest
from detectors.streams import NumericStream
from detectors.window import Window, Windows


class KolmogorovSmirnov(WindowTest):
    """Two-sample Kolmogorov-Smirnov test of the window against the whole reference.

        D = sup_x |F_reference(x) - F_current(x)|,  rejected where
        D >= sqrt(-1/2 ln(level / 2) v (1/N + 1/n)),

    N and n counting the values that are not missing, v being the variance inflation of the
    reference's autocorrelation (1 without). The p-value 2 exp(-2 D^2 / (v (1/N + 1/n))) is the
    first term of Kolmogorov's series, an upper bound that is exact in the tail; with ties it is
    conservative (Smirnov 1948; Hodges 1958). D equals `scipy.stats.ks_2samp(...).statistic`.

    Sorting the window at every stride would cost more than all other detectors together. Within
    a cell (see `baseline`) D can exceed the larger of the gaps at its edges by no more than the
    cell's share of the reference, so the counts by cell decide most streams without a sort.

    Trade-off: no bins to choose and blind to nothing in the middle of a distribution; weak in the
    far tails, and it sees neither missing values nor how large a shift is in the feature's unit.
    """

    name: ClassVar[str] = "ks"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.NUMERIC})

    def prepare(self, window: Window) -> None:
        """The reference's distribution at the cells' edges, and how far D may exceed it between."""
        baseline, streams = self.baseline, self.streams
        reference = baseline.counts[streams]
        self.reference_share = 1 / np.where(reference >= MIN_VALUES, reference, np.nan)
        self.inflation = baseline.inflation[streams]
        # the missing values' cell comes last: up to there both distributions have reached 1
        self.upto_cell = np.minimum(
            baseline.cell_counts[streams].cumsum(axis=1) / np.maximum(reference, 1)[:, None], 1
        )
        self.slack = baseline.cell_slack[streams]

    def rejects(self, windows: Windows) -> Bools:
        """Where D reaches its threshold."""
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
        """D of every numeric stream with its p-value."""
        count = self.count(windows)
        threshold = self.threshold(count)
        distance = np.empty(count.shape)
        for at, i in np.ndindex(*count.shape):
            distance[at, i] = self.distance(windows, at, i)
        distance = np.where(np.isnan(threshold), np.nan, distance)
        p_value = 2 * np.exp(-2 * distance**2 / self.scale(count))
        return Readings(distance, threshold, np.minimum(1.0, p_value))

    def count(self, windows: Windows) -> Floats:
        """Values in the windows that are not missing, shape (m, k)."""
        return windows.present[:, self.rows]

    def scale(self, count: Floats) -> Floats:
        """v (1/N + 1/n), shape (m, k); NaN where there are too few values for a verdict."""
        present = np.where(count >= MIN_VALUES, count, np.nan)
        return self.inflation * (self.reference_share + 1 / present)

    def threshold(self, count: Floats) -> Floats:
        """D's threshold, shape (m, k); NaN where there is no verdict."""
        return np.asarray(np.sqrt(self.scale(count) * (-np.log(self.level / 2) / 2)))

    def distance(self, windows: Windows, at: int, i: int) -> float:
        """D of the i-th of the k streams in one of the windows."""
        stream = int(self.streams[i])
        return ks_distance(self.baseline.numeric[stream], windows.values(stream, at))


def ks_distance(reference: NumericStream, values: Floats) -> float:
    """sup |F_reference - F_current|; NaN without a value on either side.

    values: shape (n,), NaN where missing.
    Only the current values need a look: just at each, F_current has jumped (the largest
    F_current - F_reference), just before it has not (the largest F_reference - F_current).
    """
    current = np.sort(values[~np.isnan(values)])
    if not len(current) or not reference.count:
        return float("nan")
    places = reference.support.searchsorted(current)
    before = reference.below[places]
    upto = reference.below[places + (reference.support.take(places, mode="clip") == current)]
    steps = np.arange(len(current) + 1) / len(current)
    ahead = steps[1:] - upto / reference.count
    behind = before / reference.count - steps[:-1]
    return max(float(ahead.max()), float(behind.max()), 0.0)
