"""Population stability index: how far the shares of the bins have moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, chdtri

from detectors.arrays import Bools, Floats
from detectors.baseline import Baseline
from detectors.kinds import VALUE_KINDS, Kind
from detectors.readings import Readings
from detectors.window import Window, Windows
from detectors.window_test import MIN_VALUES, WindowTest

MIN_EXPECTED = 10
"""Records of the window below which the test's logarithm takes no share to fall: the logarithm of
smaller shares exaggerates."""

MIN_SIZED = MIN_VALUES // 2
"""Values required in a window to measure their drift."""
CONVENTIONAL_NOISE = 1 / 1000 + 1 / 10_000
"""PSI's mean by chance, per degree of freedom, that the conventional cut-offs include: of a window
of 1,000 records and a reference of ten such windows."""


class Psi(WindowTest):
    """Population stability index over the baseline's bins.

    With the shares p_i of the reference and q_i of the current window in bin i,

        PSI = sum_i (q_i - p_i) ln(q_i / p_i),

    where a bin that is empty in the reference counts half a record. Without drift
    PSI / (1/N + 1/W) follows chi-squared with one degree of freedom less than there are bins
    (Yurdakul 2018, "Statistical properties of the population stability index"), which gives the
    threshold: a fixed cut-off is meaningless without the sample sizes. One more degree of freedom
    covers the far tail, which is heavier than chi-squared's. If the records of the reference are
    autocorrelated, their variance inflation multiplies 1/N + 1/W. The terms of rare bins whose
    records come in bursts have a lower weight (`Baseline.bin_weights`).

    The tail is far heavier where bins empty: a bin that expects 10 records of the window is empty
    by chance once in 20,000 windows, and its logarithm then adds 30 to chi-squared. So the
    logarithm takes no share to be below MIN_EXPECTED / W here; a bin that expects fewer records
    contributes only when it grows. The size of a drift is reported by the PSI without this bound
    (`drift_psi`).

    Trade-off: sees every kind of change, including missing values and new categories, and its
    size has conventional cut-offs (0.1 "look", 0.25 "act"). It needs a shift of several bins: it is
    slower than a z-test on small shifts of the mean.
    """

    name: ClassVar[str] = "psi"
    kinds: ClassVar[frozenset[Kind]] = frozenset(VALUE_KINDS)

    def prepare(self, window: Window) -> None:
        """Compute the threshold, which is constant: a full window always holds W records."""
        self.scale: Floats = expected_noise(self.baseline, window.records)
        self.freedom = filled_bins(self.baseline)
        self.weights = self.baseline.bin_weights(window.records)
        self.threshold: Floats = self.scale * chdtri(self.freedom, self.level)
        if min(self.baseline.records, window.records) < MIN_VALUES:
            self.threshold[:] = np.nan

    def rejects(self, windows: Windows) -> Bools:
        """Return where PSI reaches its chi-squared quantile."""
        found: Bools = self.statistic(windows) >= self.threshold
        return found

    def test(self, windows: Windows) -> Readings:
        """Return PSI of every stream with its chi-squared p-value."""
        statistic = np.where(np.isnan(self.threshold), np.nan, self.statistic(windows))
        threshold = np.broadcast_to(self.threshold, statistic.shape)
        return Readings(statistic, threshold, chdtrc(self.freedom, statistic / self.scale))

    def statistic(self, windows: Windows) -> Floats:
        """Return the bounded PSI of every window and stream, shape (m, S)."""
        reference, records = self.baseline.bin_counts, self.baseline.records
        terms = psi_terms(
            reference, records, windows.bin_counts, windows.records, min_records=MIN_EXPECTED
        )
        return np.asarray(np.vecdot(terms, self.weights), np.float64)


def psi_by_stream(baseline: Baseline, windows: Windows, *, min_records: float = 0.5) -> Floats:
    """Return PSI of windows of any length by stream, shape (m, S)."""
    reference, records = baseline.bin_counts, baseline.records
    return population_stability_index(
        reference, records, windows.bin_counts, windows.records, min_records=min_records
    )


@dataclass(frozen=True, slots=True)
class DriftSize:
    """How far streams have drifted: their values, and the share of missing values.

    values: PSI among the records that have a value. missing: PSI of having a value or not.
    Both have shape (..., S).
    """

    values: Floats
    missing: Floats

    @property
    def psi(self) -> Floats:
        """The larger PSI, shape (..., S)."""
        return np.maximum(self.values, self.missing)

    @property
    def first(self) -> DriftSize:
        """The drift in the first of several windows, shape (S,)."""
        return DriftSize(self.values[0], self.missing[0])


def drift_size(baseline: Baseline, windows: Windows, *, usual_noise: float) -> DriftSize:
    """Return the size of the drift in windows of any length, by window and stream, (m, S).

    PSI over all records multiplies the drift of the values by their share: a score that one record
    in a hundred has could change completely. So the records with a value are compared with those
    of the reference, and the shares of missing values apart from them.

    Without drift, a hundred values have a PSI of 0.1 on average, a thousand 0.01. What is expected
    by chance, per degree of freedom, beyond `usual_noise` is subtracted; 0 subtracts all of it.
    Fewer than MIN_SIZED values give no size.
    """
    is_missing, reference, current = baseline.missing_bins, baseline.bin_counts, windows.bin_counts
    missing_before = np.where(is_missing, reference, 0).sum(axis=1)
    missing = np.where(is_missing, current, 0).sum(axis=2)
    before, present = baseline.records - missing_before, windows.records - missing
    values = population_stability_index(
        np.where(is_missing, 0, reference),
        np.maximum(before, 1)[:, None],
        np.where(is_missing, 0, current),
        np.maximum(present, 1)[:, :, None],
    )
    moved = missing_psi(missing_before, baseline.records, missing, windows.records)
    freedom = np.maximum(((reference > 0) & ~is_missing).sum(axis=1) - 1, 0)
    inflation = baseline.inflation
    values -= freedom * inflation * _excess(before, present, usual_noise)
    noise = _excess(baseline.records, windows.records, usual_noise)
    moved -= (missing_before > 0) * inflation * noise
    enough = (present >= MIN_SIZED) & (before > 0)
    return DriftSize(np.where(enough, values, 0.0).clip(0.0), moved.clip(0.0))


def missing_psi(
    missing_before: ArrayLike, records_before: float, missing: ArrayLike, records: float
) -> Floats:
    """Return PSI of having a value or not, for records without one of reference and window."""
    reference, current = np.asarray(missing_before, float), np.asarray(missing, float)
    return population_stability_index(
        np.stack((reference, records_before - reference), axis=-1),
        records_before,
        np.stack((current, records - current), axis=-1),
        records,
    )


def _excess(before: ArrayLike, present: ArrayLike, usual_noise: float) -> Floats:
    """Return PSI's mean by chance per degree of freedom, less the usual one, >= 0.

    before, present: records of reference and window.
    """
    noise = 1 / np.maximum(before, 1) + 1 / np.maximum(present, 1)
    return np.asarray(np.maximum(noise - usual_noise, 0), np.float64)


def usual_noise(baseline: Baseline, window: int) -> float:
    """Return PSI's mean by chance, per degree of freedom, that counts as drift in whole windows.

    Windows of all records are as long as the user chose. Those of a sparse stream may be far
    shorter: chance alone would keep their alarms open.
    """
    if baseline.of_values:
        return CONVENTIONAL_NOISE
    return 1 / window + 1 / max(1, baseline.records)


def expected_noise(baseline: Baseline, records: int) -> Floats:
    """Return PSI's mean without drift, for `records` records, per bin but one, shape (S,)."""
    return np.asarray((1 / max(1, baseline.records) + 1 / records) * baseline.inflation)


def filled_bins(baseline: Baseline) -> Floats:
    """Return the number of bins that are not empty in the reference, shape (S,), >= 1."""
    return np.asarray(np.maximum((baseline.bin_counts > 0).sum(axis=1), 1), np.float64)


def population_stability_index(
    reference: Floats,
    reference_records: ArrayLike,
    current: Floats,
    current_records: ArrayLike,
    *,
    min_records: float = 0.5,
) -> Floats:
    """Return PSI by row, shape (..., S), of counts by bin, shapes (S, B) and (..., S, B).

    min_records: records of the current window below which the logarithm takes no bin to fall. The
        usual half a record measures the size of a drift; the test uses a higher bound (`Psi`).
    """
    return np.asarray(
        psi_terms(
            reference, reference_records, current, current_records, min_records=min_records
        ).sum(axis=-1),
        np.float64,
    )


def psi_terms(
    reference: Floats,
    reference_records: ArrayLike,
    current: Floats,
    current_records: ArrayLike,
    *,
    min_records: float,
) -> Floats:
    """Return the terms of PSI by bin, shape (..., S, B); see `population_stability_index`."""
    p = np.maximum(reference, 0.5) / np.maximum(1, reference_records)
    q = current / np.asarray(current_records)
    least = min_records / np.asarray(current_records)
    logarithms = np.log(np.maximum(q, np.minimum(p, least)) / p)
    return np.asarray((q - p) * logarithms, np.float64)
