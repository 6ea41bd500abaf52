"""Synthetic looks at experiments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.experiments.design import Metric, Scale
from monitor.experiments.sums.look import (
    BINS,
    BUCKETS,
    GAMMA,
    HISTOGRAM_BUCKETS,
    LookData,
    MetricSums,
)

METRIC = Metric("score", "score", Scale.MEAN, "higher", 0.05)


def look(**fields: object) -> LookData:
    """Return a look with these sums, before or histograms."""
    return LookData(time=0.0, first_time=0.0, users=(1, 1), requests=(1, 1), **fields)  # type: ignore[arg-type] # each by its name


def one_request_each(values: list[Floats], rng: np.random.Generator) -> MetricSums:
    """Return the sums of users with one request each, in random buckets; values by arm."""
    buckets = [rng.integers(BUCKETS, size=len(arm)) for arm in values]
    x = [np.bincount(b, v, BUCKETS) for b, v in zip(buckets, values, strict=True)]
    n = [np.bincount(b, minlength=BUCKETS).astype(float) for b in buckets]
    return MetricSums(np.array(x), np.array(n))


def histograms(values: list[Floats], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the histograms of users with one request each; values by arm, at least 1."""
    counts = np.zeros((len(values), HISTOGRAM_BUCKETS, BINS), dtype=np.int64)
    for arm, those in enumerate(values):
        bins = np.clip(np.floor(np.log(those) / np.log(GAMMA)).astype(int) + 1, 0, BINS - 1)
        np.add.at(counts[arm], (rng.integers(HISTOGRAM_BUCKETS, size=len(those)), bins), 1)
    return counts
