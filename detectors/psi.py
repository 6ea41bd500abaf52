"""Population stability index: how far the shares of the bins have moved."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import chdtrc, chdtri

from detectors.base import MIN_VALUES, Bools, Floats, Kind, Readings, WindowTest
from detectors.baseline import Baseline
from detectors.window import Window, Windows

MIN_EXPECTED = 10
"""As few records of the window a share may fall to; below, the logarithm exaggerates."""


class Psi(WindowTest):
    """Population stability index over the baseline's bins.

    With the shares p_i of the reference and q_i of the current window in bin i,

        PSI = sum_i (q_i - p_i) ln(q_i / p_i),

    where a bin that the reference left empty counts half a record. Without drift
    PSI / (1/N + 1/W) follows chi-squared with one degree of freedom less than there are bins
    (Yurdakul 2018, "Statistical properties of the population stability index"), which gives the
    threshold: a fixed cut means nothing without the sample sizes. One degree more is allowed for
    the far tail, which is heavier than chi-squared's. Where the records of the reference are
    autocorrelated, their variance inflation multiplies 1/N + 1/W.

    Heavier by far where bins empty: one that expects 10 records of the window has none by chance
    once in 20,000 windows, and its logarithm then makes up a chi-squared of 30. So the logarithm
    takes no share to have fallen below MIN_EXPECTED / W here; a bin that expects fewer speaks only
    when it grows. How much a drift matters is said by the PSI without this (`drift_psi`).

    Trade-off: sees every kind of change, missing values and new categories included, and its size
    speaks a language that people know (0.1 "look", 0.25 "act"), but it needs a shift of several
    bins: it is slower than a z-test on small shifts of the mean.
    """

    name: ClassVar[str] = "psi"
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)

    def prepare(self, window: Window) -> None:
        """The threshold does not change with the data: a window always holds `records`."""
        records = self.baseline.records
        self.scale: Floats = noise(self.baseline, window.records)
        self.freedom = np.maximum((self.baseline.bin_counts > 0).sum(axis=1), 1).astype(float)
        self.threshold: Floats = self.scale * chdtri(self.freedom, self.level)
        if min(records, window.records) < MIN_VALUES:
            self.threshold[:] = np.nan

    def rejects(self, windows: Windows) -> Bools:
        """Where PSI reaches its chi-squared quantile."""
        found: Bools = self.index(windows) >= self.threshold
        return found

    def test(self, windows: Windows) -> Readings:
        """PSI of every stream with its chi-squared p-value."""
        index = np.where(np.isnan(self.threshold), np.nan, self.index(windows))
        threshold = np.broadcast_to(self.threshold, index.shape)
        return Readings(index, threshold, chdtrc(self.freedom, index / self.scale))

    def index(self, windows: Windows) -> Floats:
        """PSI of every window and stream, shape (m, S)."""
        reference, records = self.baseline.bin_counts, self.baseline.records
        return population_stability_index(
            reference, records, windows.bin_counts, windows.records, least=MIN_EXPECTED
        )


def noise(baseline: Baseline, records: int) -> Floats:
    """What each bin but one adds on average to the PSI of so many records by chance, shape (S,)."""
    return np.asarray((1 / max(1, baseline.records) + 1 / records) * baseline.inflation)


def without_noise(baseline: Baseline, windows: Windows) -> Floats:
    """PSI of windows of any length less what chance adds to it on average, shape (m, S), >= 0.

    Of a hundred records chance makes a PSI of 0.1, of a thousand one of 0.01.
    """
    index = population_stability_index(
        baseline.bin_counts, baseline.records, windows.bin_counts, windows.records
    )
    bins = np.maximum((baseline.bin_counts > 0).sum(axis=1), 1)
    return np.asarray(np.maximum(0.0, index - (bins - 1) * noise(baseline, windows.records)))


def population_stability_index(
    reference: Floats,
    reference_records: int,
    current: Floats,
    current_records: int,
    *,
    least: float = 0.5,
) -> Floats:
    """PSI by row, shape (..., S), of tables of counts by bin, of shape (S, B) and (..., S, B).

    least: records to which a bin of the current window may fall in the logarithm. The usual half
    a record measures how much a drift matters; the test allows more (`Psi`).
    """
    p = np.maximum(reference, 0.5) / max(1, reference_records)
    q = current / current_records
    logarithms = np.log(np.maximum(q, np.minimum(p, least / current_records)) / p)
    return np.asarray(np.vecdot(q - p, logarithms), np.float64)
