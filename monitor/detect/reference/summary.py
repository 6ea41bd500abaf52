"""Summary of a reference stream in the feature's unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import Floats
from detectors.baseline import Baseline, Stream
from detectors.conditional_stream import ConditionalStream
from detectors.kinds import Kind as StreamKind
from detectors.numeric_stream import NumericStream
from monitor.events.types import Kind, Summary

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
    if isinstance(stream, ConditionalStream) and stream.of is StreamKind.BINARY:
        return Summary(n=stream.count, missing=missing, mean=share_of_one(stream.bin_counts()))
    counts = stream.bin_counts()
    shares = category_shares(stream.bin_names(), counts, counts)
    largest = sorted(shares.items(), key=lambda item: -item[1])[:MAX_CATEGORIES]
    return Summary(n=stream.count, missing=missing, shares=dict(largest))


def shown_kind(stream: Stream) -> Kind:
    """Return the kind by which events describe the values of a stream."""
    kind = stream.shown_as if isinstance(stream, ConditionalStream) else stream.kind
    if kind is StreamKind.BINARY:
        return "binary"
    return "numeric" if kind is StreamKind.NUMERIC else "categorical"


def share_of_one(counts: Floats) -> float | None:
    """Return the share of the values that are 1, from counts by bin: 0, 1, missing."""
    values = float(counts[:2].sum())
    return float(counts[1]) / values if values else None


def category_shares(names: Sequence[str], counts: Floats, expected: Floats) -> dict[str, float]:
    """Return the share of each category among the records with a value, by its name.

    names: of the bins or parts of a stream, shape (P,), the last one that of missing values.
    counts: records by part; expected: those of the reference. One that is empty in both is left
    out.
    """
    total = max(1.0, float(counts[:-1].sum()))
    rows = zip(names[:-1], counts[:-1].tolist(), expected[:-1].tolist(), strict=True)
    return {name: count / total for name, count, before in rows if count or before}


def finite_or_none(number: float) -> float | None:
    """Return the number, or None for NaN and infinities, which JSON lacks."""
    return number if np.isfinite(number) else None
