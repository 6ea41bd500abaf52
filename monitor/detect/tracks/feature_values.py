"""Values of each feature in the reference and in the window, in the unit of the feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from detectors.arrays import Floats
from detectors.baseline import Baseline, sum_by_bin
from detectors.categorical_stream import CategoricalStream
from detectors.conditional_stream import ConditionalStream
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream
from detectors.window import Window
from monitor.detect.reference.summary import share_of_one

NUMERIC = ("mean", "p50", "p95")
"""Statistics of a numeric feature, of its values."""
BINARY = ("share",)
"""Share of the values of a binary feature that are 1."""
CATEGORICAL = ("most_frequent", "unseen")
"""Shares of the values: of the reference's most frequent category, of unknown categories.

They have no category as label: a log may contain any text, and the category that changed most is
another one every minute.
"""
_P50, _P95 = 0.5, 0.95


@dataclass(frozen=True, slots=True)
class FeatureValue:
    """A statistic of a feature. reference, current: NaN where there are no values."""

    feature: str
    statistic: str
    reference: float
    current: float


class FeatureValues:
    """Computes the values of the streams of one baseline."""

    def __init__(self, baseline: Baseline) -> None:
        self.baseline = baseline

    def of(self, window: Window) -> list[FeatureValue]:
        """Return the values of a full window; none for one that is not full."""
        if not window.full:
            return []
        current = np.concatenate((self._numeric(window.values), self._categorical(window)))
        rows = zip(self._names, self._reference, current.tolist(), strict=True)
        return [FeatureValue(*name, before, now) for name, before, now in rows]

    @cached_property
    def _names(self) -> list[tuple[str, str]]:
        """Feature and statistic, in the order of `_reference`."""
        names = [(s.name, each) for s in self.baseline.numeric for each in _statistics(s)]
        names += [(s.name, each) for s in self.baseline.categorical for each in CATEGORICAL]
        return names + [(s.name, each) for s in self._shown for each in BINARY]

    @cached_property
    def _shown(self) -> list[ConditionalStream]:
        """The conditional streams whose values have a statistic: the share of a binary one."""
        return [s for s in self.baseline.conditional if s.of is Kind.BINARY]

    @cached_property
    def _reference(self) -> list[float]:
        # computed at the first use: a restart restores thousands of streams
        numeric = [each for s in self.baseline.numeric for each in _reference_values(s)]
        categorical = [
            each for s in self.baseline.categorical for each in _shares(s, s.bin_counts())
        ]
        return numeric + categorical + [_share(s.bin_counts()) for s in self._shown]

    def _numeric(self, values: Floats) -> Floats:
        """Return the statistics of numeric and binary streams. values: shape (F, records)."""
        ordered = np.sort(values, axis=1)  # NaN is last
        finite = np.isfinite(values)
        counts = (~np.isnan(values)).sum(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):  # 0 / 0 is NaN: there are no values
            means = np.where(finite, values, 0.0).sum(axis=1) / finite.sum(axis=1)
        # without values the last entry is NaN
        ranks = [np.ceil(q * counts).astype(np.intp) - 1 for q in (_P50, _P95)]
        p50, p95 = (ordered[np.arange(len(ordered)), rank] for rank in ranks)
        found = [
            (mean,) if stream.kind is Kind.BINARY else (mean, median, high)
            for stream, mean, median, high in zip(
                self.baseline.numeric, means.tolist(), p50.tolist(), p95.tolist(), strict=True
            )
        ]
        return np.array([each for row in found for each in row], np.float64)

    def _categorical(self, window: Window) -> Floats:
        first = len(self.baseline.numeric)
        after = first + len(self.baseline.categorical)
        rows = zip(self.baseline.categorical, window.cell_counts[first:after], strict=True)
        found = [share for s, counts in rows for share in _shares(s, counts)]
        within = zip(self.baseline.conditional, window.cell_counts[after:], strict=True)
        found += [_share(sum_by_bin(n, s)) for s, n in within if s.of is Kind.BINARY]
        return np.array(found, np.float64)


def _statistics(stream: NumericStream) -> tuple[str, ...]:
    return BINARY if stream.kind is Kind.BINARY else NUMERIC


def _reference_values(stream: NumericStream) -> Iterator[float]:
    yield stream.mean
    if stream.kind is not Kind.BINARY:
        yield stream.quantile(_P50)
        yield stream.quantile(_P95)


def _share(counts: Floats) -> float:
    """Return `share_of_one`, NaN without values."""
    share = share_of_one(counts)
    return float("nan") if share is None else share


def _shares(stream: CategoricalStream, counts: Floats) -> tuple[float, float]:
    """Return the statistics CATEGORICAL of counts by bin, shape (bins,) or padded."""
    values = float(counts[: stream.bins - 1].sum())
    if not values:
        return float("nan"), float("nan")
    return float(counts[0]) / values, float(counts[stream.bins - 2]) / values
