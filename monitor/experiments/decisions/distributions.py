"""Distributions of the values by arm, from the histograms that quantiles use."""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.experiments.decisions.result import Distribution
from monitor.experiments.design import QUANTILES, Design, Metric
from monitor.experiments.sums.look import BINS, GAMMA, LookData, smallest

MAX_BINS: Final = 48
"""Bins of a distribution at most: neighbours are added up."""


def distributions(design: Design, data: LookData) -> tuple[Distribution, ...]:
    """Return a distribution for each feature with a quantile among the metrics."""
    by_feature = {m.feature: m for m in design.metrics if m.scale in QUANTILES}
    found = (_distribution(design, data, metric) for metric in by_feature.values())
    return tuple(each for each in found if each is not None)


def _distribution(design: Design, data: LookData, metric: Metric) -> Distribution | None:
    histogram = data.histograms.get(metric.name)
    if histogram is None or not histogram.any():
        return None
    counts = histogram.sum(axis=1)  # shape (A, BINS)
    filled = np.flatnonzero(counts.sum(axis=0))
    first, last = int(filled[0]), int(filled[-1])
    width = -(-(last - first + 1) // MAX_BINS)
    starts = np.arange(first, last + 1, width)
    grouped = np.add.reduceat(counts[:, : last + 1], starts, axis=1)
    bounds = [_lower_end(int(start), metric.feature) for start in starts]
    bounds.append(_lower_end(min(int(starts[-1]) + width, BINS), metric.feature))
    totals = counts.sum(axis=1)
    shares = {
        name: tuple((grouped[i] / totals[i]).tolist())
        for i, name in enumerate(design.variants)
        if totals[i]
    }
    return Distribution(feature=metric.feature, edges=tuple(bounds), shares=shares)


def _lower_end(index: int, feature: str) -> float:
    """Return the lower end of a bin; bin 0 begins at 0."""
    return float(smallest(feature) * GAMMA ** (index - 1)) if index else 0.0
