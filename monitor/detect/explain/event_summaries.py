"""Summaries of the reference and of the current window in a drift event, in the feature's unit."""

from __future__ import annotations

import math

import numpy as np
from msgspec import structs

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import CategoricalStream
from detectors.conditional_stream import ConditionalStream
from detectors.intervals import certain_moves, held_statistics, moved_shares, statistic_margin
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream
from detectors.parts import Parts, parts_of
from detectors.window import Windows
from monitor.detect.reference.summary import (
    MAX_CATEGORIES,
    category_shares,
    finite_or_none,
    reference_summary,
    share_of_one,
)
from monitor.events.types import Summary


def event_summaries(
    baseline: Baseline, index: int, window: Windows, parts: Parts | None = None
) -> tuple[Summary, Summary]:
    """Return the summaries of reference and window for one stream.

    index: of the stream in the baseline. window: its first window is used, which must be full.
    parts: of the stream for this window; by default `parts_of` it.
    """
    stream = baseline.streams[index]
    reference = reference_summary(baseline, index)
    if not isinstance(stream, NumericStream):
        parts = parts or parts_of(stream, window.cell_counts[0, index])
        if isinstance(stream, ConditionalStream) and stream.of is Kind.BINARY:
            return _conditional(reference, parts.counts)
        return _categorical(reference, parts)
    values = window.values(index)
    present = np.sort(values[~np.isnan(values)])
    missing = 1 - len(present) / len(values)
    if not len(present):
        return reference, Summary(n=0, missing=missing)
    finite = present[np.isfinite(present)]
    # divide before summing: the sum of huge values would overflow
    mean = float((finite / len(finite)).sum()) if len(finite) else np.nan
    p05, p50, p95, p99 = (
        finite_or_none(float(present[math.ceil(q * len(present)) - 1]))
        for q in (0.05, 0.5, 0.95, 0.99)
    )
    return reference, Summary(
        n=len(present),
        missing=missing,
        mean=finite_or_none(mean),
        p05=p05,
        p50=p50,
        p95=p95,
        p99=p99,
    )


def stated_summaries(
    baseline: Baseline, index: int, window: Windows, parts: Parts
) -> tuple[Summary, Summary, dict[str, float]]:
    """Return both summaries, and the least certain move of statistics (`certain_moves`).

    It is 0 for those of which nothing suggests that they have moved (`held_statistics`). A quantile
    or mean that is neither is uncertain and has no move. Both kinds have the reference's value in
    the summary of the window, because that of a few records is mostly noise. The move of a category
    is 1 or 0.
    """
    stream = baseline.streams[index]
    reference, current = event_summaries(baseline, index, window, parts)
    if isinstance(stream, CategoricalStream):
        moved = moved_shares(parts.expected, parts.counts, stream.inflation, MAX_CATEGORIES)
        moves = dict(zip(parts.names[:-1], moved.astype(float).tolist(), strict=False))
        return reference, current, moves
    if isinstance(stream, ConditionalStream):
        return reference, current, {}
    values = window.values(index)
    present = np.sort(values[~np.isnan(values)])
    if stream.kind is Kind.BINARY or not len(present):
        return reference, current, {}
    moves, held = certain_moves(stream, present), held_statistics(stream, present)
    known = {name: move for name, move in moves.items() if move or name in held}
    same = {_FIELDS[name]: getattr(reference, _FIELDS[name]) for name, m in moves.items() if not m}
    return reference, structs.replace(current, **same), known


def margin(baseline: Baseline, index: int, window: Windows, of: str) -> float | None:
    """Return half of the 95 % interval of a statistic of the first window (`Effect.of`)."""
    stream = baseline.streams[index]
    if not isinstance(stream, NumericStream) or of not in _FIELDS:
        return None
    values = window.values(index)
    return statistic_margin(stream, np.sort(values[~np.isnan(values)]), of)


_FIELDS = {"median": "p50", "p95": "p95", "p99": "p99", "p05": "p05", "mean": "mean"}
"""Field of a summary by the name of its statistic."""


def _conditional(reference: Summary, counts: Floats) -> tuple[Summary, Summary]:
    """Return both summaries; that of the window as if its mix of strata were the reference's.

    counts: adjusted records of the window by bin, shape (bins,), of a binary stream.
    """
    records, values = float(counts.sum()), float(counts[:-1].sum())
    share = share_of_one(counts)
    return reference, Summary(n=round(values), missing=1 - values / records, mean=share)


def _categorical(reference: Summary, parts: Parts) -> tuple[Summary, Summary]:
    """Return both summaries with the shares of the same categories: those that changed most."""
    expected, counts = parts.expected, parts.counts
    before = category_shares(parts.names, expected, expected)
    after = category_shares(parts.names, counts, expected)
    names = sorted(after, key=lambda name: -abs(after[name] - before.get(name, 0.0)))
    names = names[:MAX_CATEGORIES]
    missing, records = int(counts[-1]), int(counts.sum())
    return (
        structs.replace(reference, shares={name: before.get(name, 0.0) for name in names}),
        Summary(
            n=records - missing,
            missing=missing / records,
            shares={name: after[name] for name in names},
        ),
    )
