"""Summary of a reference stream in the feature's unit."""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import CategoricalStream
from detectors.numeric_stream import NumericStream
from monitor.events.types import Summary

MAX_CATEGORIES = 5
"""Categories listed in a summary."""


def reference_summary(baseline: Baseline, index: int) -> Summary:
    """Return the summary of the baseline's index-th stream."""
    stream = baseline.streams[index]
    missing = stream.missing / baseline.records
    if isinstance(stream, NumericStream):
        return Summary(
            n=stream.count,
            missing=missing,
            mean=finite_or_none(stream.mean),
            p05=finite_or_none(stream.quantile(0.05)),
            p50=finite_or_none(stream.quantile(0.5)),
            p95=finite_or_none(stream.quantile(0.95)),
            p99=finite_or_none(stream.quantile(0.99)),
        )
    shares = category_shares(stream, stream.bin_counts())
    largest = sorted(shares.items(), key=lambda item: -item[1])[:MAX_CATEGORIES]
    return Summary(n=stream.count, missing=missing, shares=dict(largest))


def category_shares(stream: CategoricalStream, counts: Floats) -> dict[str, float]:
    """Return the share of each category among the records with a value.

    counts: records by bin of the stream, shape (bins,). The keys are the names of the bins; a bin
    that is empty in the reference and in `counts` is left out.
    """
    total = max(1.0, float(counts[:-1].sum()))
    rows = zip(
        stream.bin_names()[:-1],
        counts[:-1].tolist(),
        stream.bin_counts()[:-1].tolist(),
        strict=True,
    )
    return {name: count / total for name, count, before in rows if count or before}


def finite_or_none(number: float) -> float | None:
    """Return the number, or None for NaN and infinities, which JSON lacks."""
    return number if np.isfinite(number) else None
