"""What is summed for an experiment: its variants, its means and its histograms."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.experiments.design import QUANTILES, Design, Metric, Scale
from monitor.experiments.sums.look import (
    BINS,
    BUCKETS,
    GAMMA,
    HISTOGRAM_BUCKETS,
    SHARDS,
    smallest,
)
from monitor.statistics.exact import logarithm

SHARD_BUCKETS: Final = BUCKETS // SHARDS
SHARD_HISTOGRAM_BUCKETS: Final = HISTOGRAM_BUCKETS // SHARDS
_LOG_GAMMA: Final = log(GAMMA)


@dataclass(frozen=True, slots=True)
class Mean:
    """A metric that is a mean, by all that its sums depend on."""

    name: str
    feature: str
    scale: Scale
    cap: float | None = None

    def terms(self, values: Floats, logarithms: Floats) -> Floats:
        """Return the terms of the sum, shape (n,); NaN where a value has none.

        values: of the feature, NaN if missing. logarithms: of the values, NaN if not positive.
        """
        if self.scale is Scale.LOG:
            return logarithms
        if self.scale is Scale.ZERO:
            return np.where(np.isnan(values), np.nan, values == 0.0)
        if self.scale is Scale.CAPPED:
            return np.minimum(values, np.inf if self.cap is None else self.cap)
        return values


@dataclass(frozen=True, slots=True)
class Layout:
    """What is summed, in the order of the arrays.

    arms: names of the variants. means: metrics that are means. histograms: features with quantiles.
    begin: time before which nothing counts, epoch seconds. before: start and end of the pre-period.
    """

    arms: tuple[str, ...]
    means: tuple[Mean, ...]
    histograms: tuple[str, ...]
    begin: float | None = None
    before: tuple[float, float] | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The features of all metrics."""
        return tuple(dict.fromkeys((*(mean.feature for mean in self.means), *self.histograms)))


def layout_of(
    design: Design, begin: float | None = None, before: tuple[float, float] | None = None
) -> Layout:
    """Return what is summed for a design."""
    metrics = design.metrics
    return Layout(
        design.variants,
        tuple(_mean(metric) for metric in metrics if metric.scale not in QUANTILES),
        tuple(dict.fromkeys(m.feature for m in metrics if m.scale in QUANTILES)),
        begin,
        before,
    )


def _mean(metric: Metric) -> Mean:
    return Mean(metric.name, metric.feature, metric.scale, metric.cap)


def positive_logarithms(values: Floats) -> Floats:
    """Return the logarithms of the positive values, NaN for the others."""
    positive = values > 0.0  # False for NaN
    if positive.all():
        return logarithm(values)
    logarithms = np.full(len(values), np.nan)
    logarithms[positive] = logarithm(values[positive])
    return logarithms


def bins_of(feature: str, logarithms: Floats) -> NDArray[np.int64]:
    """Return the bins of the values of a feature.

    logarithms: shape (n,), of the values; NaN for zeros and negative ones, which are in bin 0.
    """
    above = (logarithms - log(smallest(feature))) / _LOG_GAMMA
    bins = np.floor(np.where(above >= 0.0, above, -1.0)).astype(np.int64) + 1
    return np.minimum(bins, BINS - 1)
